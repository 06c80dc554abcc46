"""Settings of restorers: the paper's as defaults, presets, and sentences for what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise.errors import InputError
from ratewise.restoration.presets import PRESETS
from ratewise.restoration.settings import FineNetSettings, RdnSettings, RestorerSettings
from ratewise.training.schedule import lr_factor
from ratewise.validation import validate


def settings(value: Any) -> RestorerSettings:
    return validate(RestorerSettings, value, "study.yaml")


@pytest.mark.parametrize("value", [{}, "paper"])
def test_the_defaults_are_the_papers(value: Any) -> None:
    paper = settings(value)
    assert paper.generator == FineNetSettings(width=64, blocks=9, output_norm=True)
    losses = paper.losses
    # GAN + 10 (2 L1 + VGG + MS-SSIM + DIST), appendix B
    assert (losses.adversarial, losses.l1, losses.features) == (1, 20, 10)
    assert (losses.ms_ssim, losses.matching, losses.mse) == (10, 10, 0)
    assert paper.optimiser.betas == (0.1, 0.9)
    schedule, steps = paper.optimiser.schedule, paper.training.steps
    assert steps == 135_000
    factors = [lr_factor(schedule, step, steps) for step in (0, 79_999, 80_000, 134_999)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1])


def test_rdn_of_the_paper_falls_twice() -> None:
    rdn = settings("rdn-paper")
    assert rdn.generator == RdnSettings(blocks=16, layers=6, growth=32)
    assert not rdn.adversarial
    schedule = rdn.optimiser.schedule
    steps = (0, 80_000, 150_000)
    assert [lr_factor(schedule, step, 200_000) for step in steps] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_written_out_and_read_again_is_the_same(name: str) -> None:
    made = settings(name)
    assert settings(made.model_dump(mode="json")) == made
    assert made.preset == name


def test_what_is_given_stands_above_the_preset_key_by_key() -> None:
    small = settings("small")
    changed = settings({"preset": "small", "generator": {"blocks": 2}, "losses": {"l1": 5}})
    assert changed.generator == small.generator.model_copy(update={"blocks": 2})
    assert changed.losses == small.losses.model_copy(update={"l1": 5.0})
    assert changed.training == small.training
    bare = settings({"preset": "paper", "generator": {"output_norm": False}})
    assert bare.generator == FineNetSettings(output_norm=False)
    assert settings({"preset": "small", "generator": {"kind": "rdn"}}).generator == RdnSettings()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"preset": "smal"}, "did you mean small"),
        ({"generator": {"widht": 3}}, "unknown key 'generator.widht'; did you mean width"),
        ({"preset": "rdn-small", "generator": {"growth": 0}}, r"generator\.growth = 0"),
        ({"generator": {"kind": "unet"}}, "generator.*'finenet', 'rdn'"),
        ({"discriminators": None}, "need discriminators"),
        ({"losses": {"adversarial": 0}}, "discriminators without losses.adversarial"),
        ({"patch": 96}, "losses.ms_ssim needs patches of 176"),
        ({"optimiser": {"schedule": {"kind": "steps", "milestones": [9, 3]}}}, "must rise"),
        ({"optimiser": {"schedule": {"kind": "poly", "powr": 1}}}, "schedule.powr'; did you mean"),
    ],
)
def test_wrong_settings_are_named(value: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        settings(value)
