"""Learning-rate schedules against torch's own and against the formulas."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from ratewise.training.schedule import Plateau, improves, lr_factor
from ratewise.training.settings import ScheduleSettings


def _torch_curve(make: object, steps: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimiser)  # type: ignore[operator]
    curve = []
    for _ in range(steps):
        curve.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return curve


def _curve(settings: ScheduleSettings, steps: int) -> list[float]:
    return [lr_factor(settings, step, steps) for step in range(steps)]


def test_poly_is_torchs() -> None:
    expected = _torch_curve(lambda o: lr_scheduler.PolynomialLR(o, 40, power=0.9), 40)
    assert _curve(ScheduleSettings(kind="poly"), 40) == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.3, 0.05])
def test_one_cycle_is_torchs(share: float) -> None:
    expected = _torch_curve(
        lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=1.0, total_steps=60, pct_start=share, cycle_momentum=False
        ),
        60,
    )
    actual = _curve(ScheduleSettings(kind="one_cycle", warmup=share), 60)
    assert actual == pytest.approx(expected, abs=1e-9)


def test_constant_is_constant_and_plateau_leaves_the_step_out() -> None:
    assert set(_curve(ScheduleSettings(), 5)) == {1.0}
    assert set(_curve(ScheduleSettings(kind="plateau"), 5)) == {1.0}


def test_warm_up_rises_in_equal_steps_and_hands_over_at_the_top() -> None:
    curve = _curve(ScheduleSettings(kind="poly", power=1, warmup=0.2), 20)
    assert curve[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve[5:] == pytest.approx([1 - k / 16 for k in range(1, 16)])


@pytest.mark.parametrize(("direction", "sign"), [("min", 1), ("max", -1)])
def test_plateau_is_torchs_with_one_more_of_patience(direction: str, sign: int) -> None:
    # torch reduces after more than `patience` bad epochs, we (as the papers say) after `patience`.
    losses = [5, 4, 4, 4, 4, 3, 3.5, 3.5, 3.1, 2, 2.5, 2.2, 2.1, 2.05, 2.01, 2.0]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = lr_scheduler.ReduceLROnPlateau(
        optimiser, mode=direction, factor=0.2, patience=2, threshold=0
    )
    plateau = Plateau(ScheduleSettings(kind="plateau", patience=3), direction)
    for loss in losses:
        reference.step(sign * loss)
        plateau.observe(sign * loss)
        assert plateau.factor == pytest.approx(optimiser.param_groups[0]["lr"])
    assert plateau.factor == pytest.approx(0.2**4)


def test_plateau_is_finished_at_one_125th() -> None:
    plateau = Plateau(ScheduleSettings(kind="plateau", patience=1), "min")
    finished = []
    for _ in range(4):
        plateau.observe(1.0)
        finished.append(plateau.finished)
    assert finished == [False, False, False, True]


def test_a_nan_never_improves() -> None:
    assert not improves(float("nan"), None, "max")
    assert improves(0.0, None, "max")
    assert not improves(1.0, 1.0, "min")
