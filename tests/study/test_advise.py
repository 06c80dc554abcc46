"""The advice on made-up studies whose best is known, and what it refuses to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from ratewise.errors import InputError
from ratewise.study.advise.advise import Question, advise, parse_accuracy, parse_percent
from ratewise.study.advise.cost import cost_points, pareto_front, reference_cost, size_text
from ratewise.study.advise.options import LEARNING, RATE, STUDIED, Option

_PNG, _HARSH, _MILD = 10_000, 100, 1_000  # bytes per image
_ALL = 1000


def _row(
    configuration: str,
    codec: str,
    images: int,
    accuracy: float,
    share: str = "",
    seed: int = 0,
    **bytes_: float,
) -> dict[str, Any]:
    train, test = configuration[:-1], configuration[-1]
    size = {"png": _PNG, "bpg:qp=51": _HARSH, "bpg:qp=40": _MILD, "bpg:qp=46": 300}[codec]
    collected = {
        "bytes_compressed": 0 if train == "O" else size * images,
        "bytes_privileged": size * images if train == "O" else 0,
        "bytes_auxiliary": 0,
    }
    return {
        "prepare": "resize 240x180", "recipe": "standard", "seed": seed, "train_channel": train,
        "train_codec": codec, "train_share": share, "test_channel": test,
        "test_codec": "png" if test == "O" else codec, "train_images": images,
        "train_bpp": size / 1000, "miou": accuracy, **collected, **bytes_,
    }  # fmt: skip


_POINTS = [
    ("OO", "png", _ALL, 0.70),
    ("CO", "bpg:qp=51", _ALL, 0.50),
    ("CO", "bpg:qp=40", _ALL, 0.66),
]


def _study(*more: dict[str, Any], seeds: tuple[float, ...] = (-0.01, 0.01)) -> pd.DataFrame:
    rows = [
        _row(*point[:3], point[3] + shift, seed=seed)
        for point in _POINTS
        for seed, shift in enumerate(seeds)
    ]
    return pd.DataFrame([*rows, *more])


def _best(results: pd.DataFrame, **question: Any) -> Option:
    best = advise(results, Question(**question)).best
    assert best is not None
    return best


@pytest.mark.parametrize(
    ("question", "codec"),
    [
        ({"budget": 100_000}, "bpg:qp=51"),
        ({"budget": 999_999}, "bpg:qp=51"),
        ({"budget": 1_000_000}, "bpg:qp=40"),
        ({"percent": 5}, "bpg:qp=51"),
        ({"percent": 10}, "bpg:qp=40"),
        ({"percent": 100}, "originals"),
        ({"accuracy": 0.55}, "bpg:qp=40"),
        ({"accuracy": 0.68}, "originals"),
        ({"accuracy": 0.65, "margin": 0.02}, "originals"),
    ],
)
def test_the_known_best_is_named(question: dict[str, Any], codec: str) -> None:
    advice = advise(_study(), Question(**question))
    assert advice.best is not None
    assert (advice.best.codec, advice.best.basis) == (codec, STUDIED)
    assert advice.covered
    assert advice.best.std == pytest.approx(0.02 / 2**0.5)
    assert advice.best.seeds == 2


def test_the_alternatives_are_the_next_best_and_the_front_has_no_dominated_point() -> None:
    study = _study(_row("AO", "bpg:qp=40", _ALL, 0.6), _row("RO", "bpg:qp=51", _ALL, 0.55))
    advice = advise(study, Question(budget=1_000_000))
    assert [(o.configuration, o.codec) for o in advice.alternatives] == [
        ("AO", "bpg:qp=40"),
        ("RO", "bpg:qp=51"),
        ("CO", "bpg:qp=51"),
    ]
    assert [(o.configuration, o.codec) for o in advice.front] == [
        ("RO", "bpg:qp=51"),
        ("CO", "bpg:qp=40"),
        ("OO", "originals"),
    ]


@pytest.mark.parametrize(
    ("question", "answered", "said"),
    [
        ({"budget": 99_999}, False, "does not cover so little: the cheapest .* CO .*bpg:qp=51"),
        ({"percent": 0.5}, False, "does not cover so little"),
        ({"budget": 11_000_000}, True, "does not cover so much: .* OO"),
        ({"accuracy": 0.71}, False, "Nothing in the study reaches it: .* OO .* 70.0 ± 1.4"),
        ({"accuracy": 0.70, "margin": 0.01}, False, "Nothing in the study reaches it"),
        ({"accuracy": 0.4}, True, "The cheapest that was studied, CO .*, reaches it already"),
    ],
)
def test_what_the_study_does_not_cover_is_said(
    question: dict[str, Any], answered: bool, said: str
) -> None:
    advice = advise(_study(), Question(**question))
    assert not advice.covered
    assert (advice.best is not None) == answered
    assert pd.Series(list(advice.notes)).str.contains(said).any()


def test_the_spread_between_seeds_leaves_a_choice_open() -> None:
    close = [_row("RO", "bpg:qp=40", _ALL, 0.655 + s, seed=i) for i, s in enumerate((-0.01, 0.01))]
    notes = advise(_study(*close), Question(percent=10)).notes
    assert any(note.startswith("RO (bpg:qp=40") and "not settled" in note for note in notes)
    far = [row | {"miou": 0.5} for row in close]
    assert not any("not settled" in n for n in advise(_study(*far), Question(percent=10)).notes)


def test_one_seed_and_one_number_of_images_are_said() -> None:
    one = " ".join(advise(_study(seeds=(0.0,)), Question(percent=10)).notes)
    assert "One seed per point" in one
    assert "there is no learning curve" in one
    assert "One seed" not in " ".join(advise(_study(), Question(percent=10)).notes)


def test_a_learning_curve_is_asked_between_the_studied_numbers_of_images() -> None:
    shares = [(62, "#6.25%"), (125, "#12.5%"), (250, "#25%"), (500, "#50%"), (_ALL, "")]
    study = pd.DataFrame(
        [_row("CO", "bpg:qp=40", n, 0.7 - 1.5 * n**-0.5, share) for n, share in shares]
    )
    best = _best(study, budget=300_500)
    assert (best.basis, best.configuration) == (LEARNING, "CO")
    assert 295 <= best.images <= 300
    assert best.cost == pytest.approx(best.images * _MILD)
    assert best.accuracy == pytest.approx(0.7 - 1.5 * best.images**-0.5, abs=1e-3)
    wanted = _best(study, accuracy=0.6)
    assert wanted.images == pytest.approx((1.5 / 0.1) ** 2, rel=0.02)
    assert wanted.accuracy >= 0.6
    beyond = advise(study, Question(budget=5_000_000))
    assert not beyond.covered
    assert beyond.best is not None
    assert beyond.best.images == _ALL
    assert advise(study, Question(accuracy=0.69)).best is None  # never extrapolated


def test_three_operating_points_are_interpolated_over_the_rate() -> None:
    study = _study(_row("CO", "bpg:qp=46", _ALL, 0.6), seeds=(0.0,))
    best = _best(study, budget=600_000)
    assert best.basis == RATE
    assert best.codec == "between bpg:qp=46 and bpg:qp=40"
    assert 0.3 < best.bpp < 1.0
    assert best.cost <= 600_000
    assert 0.60 < best.accuracy < 0.66
    two = _best(_study(seeds=(0.0,)), budget=600_000)
    assert (two.basis, two.codec) == (STUDIED, "bpg:qp=51")


def test_few_clean_images_can_lose_to_many_compressed_ones() -> None:
    study = _study(
        _row("OO", "png", 10, 0.2, "#100kB"),
        _row("OO", "png", 100, 0.45, "#1MB"),
        _row("CO", "bpg:qp=40", 100, 0.42, "#100kB"),
    )
    advice = advise(study, Question(budget=100_000))
    assert advice.best is not None
    assert (advice.best.codec, advice.best.images) == ("bpg:qp=51", _ALL)
    others = [option for option in advice.alternatives if option.basis == STUDIED]
    assert [(o.configuration, o.codec, o.images) for o in others] == [
        ("CO", "bpg:qp=40", 100),
        ("OO", "originals", 10),
    ]


def test_the_users_number_of_images_scales_costs_and_counts() -> None:
    best = _best(_study(), budget=50_000_000, images=50_000)
    assert (best.codec, best.images) == ("bpg:qp=40", 50_000)
    assert best.cost == pytest.approx(50_000_000)
    advice = advise(_study(), Question(percent=10, images=50_000))
    assert advice.whole == pytest.approx(_PNG * 50_000)
    assert any("scaled from the study's 1,000 to 50,000" in note for note in advice.notes)


def test_auxiliary_bytes_count_only_when_asked_for() -> None:
    auxiliary = _row("AO", "bpg:qp=51", _ALL, 0.6, bytes_auxiliary=2_000_000)
    assert _best(_study(auxiliary), budget=500_000).configuration == "AO"
    assert _best(_study(auxiliary), budget=500_000, auxiliary=True).configuration == "CO"


def test_only_models_for_the_asked_test_channel_are_compared() -> None:
    study = _study(_row("CC", "bpg:qp=51", _ALL, 0.9))
    assert _best(study, percent=5).configuration == "CO"
    assert _best(study, percent=5, test="C").configuration == "CC"
    with pytest.raises(InputError, match=r"channel 'R' \(allowed: O, C\)"):
        advise(study, Question(percent=5, test="R"))


def test_a_percentage_needs_oo() -> None:
    study = _study()
    without = study[study.train_channel != "O"]
    with pytest.raises(InputError, match="has no OO"):
        advise(without, Question(percent=5))
    assert _best(without, budget=100_000).codec == "bpg:qp=51"


@pytest.mark.parametrize(
    "question",
    [{}, {"budget": 1, "percent": 1}, {"budget": 0}, {"percent": 1, "margin": 0.1},
     {"accuracy": 0.5, "margin": -0.1}],
)  # fmt: skip
def test_a_question_that_is_none_is_refused(question: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        advise(_study(), Question(**question))


def test_no_results_give_no_advice() -> None:
    with pytest.raises(InputError, match="nothing to advise from"):
        advise(_study().assign(miou=float("nan")), Question(percent=5))


@pytest.mark.parametrize(("text", "value"), [("0.70", 0.7), ("70", 0.7), ("70%", 0.7), ("5", 0.05)])
def test_an_accuracy_is_a_fraction_or_points(text: str, value: float) -> None:
    assert parse_accuracy(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1", "0", "100", "-3", "nan", "0,7", "70points"])
def test_other_accuracies_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="write a fraction"):
        parse_accuracy(text)


def test_a_cost_is_a_percentage() -> None:
    assert parse_percent("2%") == parse_percent("2") == 2
    for text in ("0%", "2GB", "nan%"):
        with pytest.raises(InputError, match="per cent of OO's bytes"):
            parse_percent(text)


def test_rows_of_a_csv_file_give_the_same_points() -> None:
    study = _study(_row("CO", "bpg:qp=51", 10, 0.3, "#1kB"))
    blank = study.assign(train_share=study.train_share.replace("", float("nan")))
    assert cost_points(blank) == cost_points(study)
    assert reference_cost(cost_points(blank)) == _PNG * _ALL


def test_two_restorers_make_two_curves() -> None:
    rows = [
        _row("RO", "bpg:qp=51", _ALL, 0.5) | {"restorer": "fine"},
        _row("RO", "bpg:qp=51", _ALL, 0.6) | {"restorer": "rdn"},
        _row("CO", "bpg:qp=51", _ALL, 0.4) | {"restorer": ""},
    ]
    names = [point.configuration for point in cost_points(pd.DataFrame(rows))]
    assert names == ["RO(fine)", "RO(rdn)", "CO"]
    alone = cost_points(pd.DataFrame(rows[1:]))
    assert [point.configuration for point in alone] == ["RO", "CO"]


def test_the_front_keeps_what_nothing_cheaper_is_as_accurate_as() -> None:
    option = Option("CO", "x", "x", 1, 1, 1.0, 0.5, 0.0, 1, STUDIED)
    at = [(1.0, 0.5), (2.0, 0.5), (2.0, 0.6), (3.0, 0.55), (4.0, 0.7)]
    front = pareto_front([replace(option, cost=c, accuracy=a) for c, a in at])
    assert [(o.cost, o.accuracy) for o in front] == [(1.0, 0.5), (2.0, 0.6), (4.0, 0.7)]


def test_sizes_are_written_in_powers_of_1000() -> None:
    assert [size_text(s) for s in (12, 1500, 25_079_703, 6.83e9)] == [
        "12 bytes", "1.50 kB", "25.1 MB", "6.83 GB",
    ]  # fmt: skip
