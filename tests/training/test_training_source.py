"""Batches: order, parts, devices, and loading beside training."""

from __future__ import annotations

import threading
from itertools import islice
from typing import Any

import numpy as np
import pytest

from ratewise.errors import InputError, TrainingError
from ratewise.training.settings import TrainingSettings
from ratewise.training.source import Plan, load


class Numbers:
    """Sample i is (i, a random number)."""

    def __init__(self, samples: int, broken: int = -1) -> None:
        self._samples, self._broken = samples, broken

    def __len__(self) -> int:
        return self._samples

    def get(self, index: int, rng: np.random.Generator) -> tuple[int, float]:
        if index == self._broken:
            raise OSError("no such picture")
        return index, float(rng.random())


def _settings(**values: Any) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 2, "batch_size": 4, **values})


def _parts(source: Numbers, settings: TrainingSettings, start: int = 0) -> list[Any]:
    plan = Plan(len(source), settings)
    with load(source, plan, start=start, collate=list) as parts:
        return list(parts)


def test_an_epoch_visits_each_sample_once_in_an_order_of_its_own() -> None:
    parts = _parts(Numbers(8), _settings())
    first, second = ([index for part in parts[k : k + 2] for index, _ in part] for k in (0, 2))
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second


def test_randomness_differs_between_samples_and_epochs() -> None:
    draws = [draw for part in _parts(Numbers(8), _settings()) for _, draw in part]
    assert len(set(draws)) == 16


def test_the_last_batch_is_dropped_unless_it_is_the_only_one() -> None:
    assert [len(part) for part in _parts(Numbers(7), _settings())] == [4, 4]
    assert [len(part) for part in _parts(Numbers(3), _settings())] == [3, 3]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_batches(workers: int) -> None:
    source = Numbers(9)
    assert _parts(source, _settings(workers=workers)) == _parts(source, _settings())


@pytest.mark.parametrize("start", [1, 2, 3])
def test_a_later_start_gives_the_rest_of_the_same_batches(start: int) -> None:
    source = Numbers(9)
    assert _parts(source, _settings(), start) == _parts(source, _settings())[start:]


def test_parts_of_a_batch_make_up_the_batch() -> None:
    whole = _parts(Numbers(8), _settings())
    parts = _parts(Numbers(8), _settings(accumulate=3))
    assert [len(part) for part in parts[:3]] == [2, 1, 1]
    assert [parts[k] + parts[k + 1] + parts[k + 2] for k in range(0, 12, 3)] == whole


def test_devices_share_every_batch() -> None:
    settings = _settings(devices=2)
    ranks = [list(Plan(9, settings, rank).parts(0)) for rank in range(2)]
    whole = list(Plan(9, _settings()).parts(0))
    assert [len(part) for part in ranks[0]] == [2] * 4
    for first, second, both in zip(*ranks, whole, strict=True):
        assert sorted(first + second) == sorted(both)


def test_fewer_samples_than_devices_is_an_error() -> None:
    with pytest.raises(InputError, match="0 training samples are too few"):
        Plan(0, _settings())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_sample_surfaces_with_its_index_and_loading_stops(workers: int) -> None:
    source, settings = Numbers(8, broken=5), _settings(workers=workers)
    with pytest.raises(TrainingError, match=r"sample 5 \(epoch 1\).*OSError: no such picture"):
        _parts(source, settings)
    assert not [t for t in threading.enumerate() if t.name == "ahead"]


def test_an_error_in_training_stops_the_thread() -> None:
    source = Numbers(400)

    def train() -> None:
        with load(source, Plan(400, _settings()), start=0, collate=list) as parts:
            list(islice(parts, 3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert not [t for t in threading.enumerate() if t.name == "ahead"]


def test_samples_that_do_not_fit_together_are_named() -> None:
    class Ragged(Numbers):
        def get(self, index: int, rng: np.random.Generator) -> Any:
            return np.zeros(index + 1)

    plan = Plan(2, _settings())
    with (
        pytest.raises(TrainingError, match=r"samples [01], [01] do not fit in one batch"),
        load(Ragged(2), plan, start=0) as parts,
    ):
        next(parts)
