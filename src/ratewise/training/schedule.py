"""Learning-rate schedules as pure functions of the step, and the plateau rule. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ratewise.training.settings import ScheduleSettings, StepSchedule

Direction = Literal["min", "max"]


def lr_factor(schedule: ScheduleSettings | StepSchedule, step: int, steps: int) -> float:
    """The factor on the learning rate in step ``step`` of ``steps`` (counted from 0).

    A plateau's factor depends on validation, not on the step: it is 1 here, see :class:`Plateau`.
    """
    if isinstance(schedule, StepSchedule):
        passed = sum(step >= milestone for milestone in schedule.milestones)
        return float(schedule.factor**passed)
    if schedule.kind == "plateau":
        return 1.0
    if schedule.kind == "one_cycle":
        return _one_cycle(schedule, step, steps)
    rising = round(schedule.warmup_share * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule.kind == "constant":
        return 1.0
    # Past the end only when a caller asks for it; the loop never does.
    left = max(0.0, 1 - (step - rising) / max(1, steps - rising))
    return float(left**schedule.power)


def _one_cycle(schedule: ScheduleSettings, step: int, steps: int) -> float:
    start = 1 / schedule.start_divisor
    end = start / schedule.end_divisor
    top = max(0.0, schedule.warmup_share * steps - 1)
    if step < top:
        return _cosine(start, 1.0, step / top)
    return _cosine(1.0, end, min(1.0, (step - top) / max(1.0, steps - 1 - top)))


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


def improves(value: float, best: float | None, direction: Direction) -> bool:
    """Whether ``value`` beats ``best``. A NaN beats nothing; the earlier of equals stays best."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value > best if direction == "max" else value < best


@dataclass
class Plateau:
    """Counts validations without improvement; shrinks the factor after ``patience`` of them."""

    settings: ScheduleSettings
    direction: Direction
    factor: float = 1.0
    best: float | None = None
    waited: int = 0

    def observe(self, value: float) -> None:
        """Take the selection metric of one more validation into account."""
        if improves(value, self.best, self.direction):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.settings.patience:
            self.factor *= self.settings.factor
            self.waited = 0

    @property
    def finished(self) -> bool:
        """Whether the factor has come down to the minimum (three times 1/5 is 1/125)."""
        return self.factor <= self.settings.minimum * (1 + 1e-9)
