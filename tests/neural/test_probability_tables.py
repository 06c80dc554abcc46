"""Integer probability tables, against SciPy and the priors' own likelihoods."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ratewise.errors import InputError
from ratewise.neural.priors import FactorisedPrior, gaussian_likelihood
from ratewise.neural.tables import (
    MEAN_UNIT,
    SCALE_UNIT,
    TOTAL,
    Tables,
    factorised_tables,
    gaussian_scales,
    gaussian_tables,
    scale_thresholds,
)


def test_gaussian_tables_are_scipys_probabilities_within_a_unit() -> None:
    tables = gaussian_tables()
    scales = np.geomspace(0.11, 256, 64)
    assert len(tables) == 64
    for i, scale in enumerate(scales):
        frequencies, first = tables[i], tables.firsts[i]
        k = np.arange(first, -first + 1)
        assert len(frequencies) == len(k) + 1
        expected = (norm.sf(np.abs(k) - 0.5, scale=scale) - norm.sf(np.abs(k) + 0.5, scale=scale))[
            k != 0
        ] * TOTAL
        # All but the likeliest give up their share of the ones that every symbol has
        got = frequencies[:-1][k != 0]
        assert np.abs(got - expected).max() <= 1 + len(k) * expected.max() / TOTAL
        assert (
            2 * norm.sf(-first + 0.5, scale=scale) <= 1e-9 < 2 * norm.sf(-first - 0.5, scale=scale)
        )


@pytest.mark.parametrize("scale", [0.11, 0.5, 3.0, 40.0])
def test_a_gaussian_table_costs_what_the_likelihood_says(scale: float) -> None:
    tables = gaussian_tables()
    index = int(np.abs(gaussian_scales() - scale).argmin())
    exact = gaussian_scales()[index]
    symbols = np.round(np.random.default_rng(0).normal(0, exact, 20000)).astype(int)
    values = torch.from_numpy(symbols)
    likelihood = gaussian_likelihood(values.double(), torch.full(values.shape, exact))
    expected = -np.log2(likelihood.numpy().astype(float)).sum()
    assert tables.bits(np.full(len(symbols), index), symbols) == pytest.approx(
        expected, rel=2e-4, abs=1
    )


def test_factorised_tables_cost_what_the_prior_says() -> None:
    torch.manual_seed(1)
    prior = FactorisedPrior(3)
    with torch.no_grad():
        prior.quantiles[:, 0, 1] = torch.tensor([0.3, -7.25, 40.0])
        for i, factor in enumerate(prior.factors):
            factor += 0.5 * (i + 1)
    tables, medians = factorised_tables(prior)
    assert medians.tolist() == [round(0.3 * MEAN_UNIT), -7.25 * MEAN_UNIT, 40 * MEAN_UNIT]
    symbols = np.arange(-60, 61)
    for i in range(3):
        z = torch.zeros(1, 3, 1, len(symbols)) + torch.from_numpy(symbols) + medians[i] / MEAN_UNIT
        with torch.no_grad():
            likelihood = prior.likelihood(z)[0, i, 0].double().numpy()
        got = np.array([tables.bits(np.array([i]), symbols[k : k + 1]) for k in range(121)])
        common = likelihood > 1e-4
        assert common.sum() > 10
        np.testing.assert_allclose(got[common], -np.log2(likelihood[common]), atol=3e-3)


def test_a_scale_takes_the_table_whose_scale_is_nearest_in_ratio() -> None:
    thresholds, scales = scale_thresholds(), gaussian_scales()
    for value in np.geomspace(0.05, 500, 300):
        index = int((thresholds <= round(value * SCALE_UNIT)).sum())
        best = int(np.abs(np.log(scales / value)).argmin())
        edge = min(abs(value / np.sqrt(scales[k] * scales[k + 1]) - 1) for k in range(63))
        assert index == best or edge < 1 / (value * SCALE_UNIT)


@pytest.mark.parametrize(
    ("frequencies", "lengths", "firsts"),
    [
        ([TOTAL - 1, 2], [2], [0]),
        ([TOTAL, 0], [2], [0]),
        ([TOTAL - 1, 1], [3], [0]),
        ([TOTAL - 1, 1], [2], [0, 0]),
        ([TOTAL - 1, 1], [2], [40000]),
    ],
)
def test_numbers_that_are_no_tables_are_refused(
    frequencies: list[int], lengths: list[int], firsts: list[int]
) -> None:
    with pytest.raises(InputError):
        Tables(*(np.array(values, np.int32) for values in (frequencies, lengths, firsts)))


def test_a_prior_that_is_not_finite_is_refused() -> None:
    prior = FactorisedPrior(2)
    with torch.no_grad():
        prior.biases[0][1] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        factorised_tables(prior)
