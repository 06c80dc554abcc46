"""How the rates of a store's images were chosen, as its ``store.json`` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ratewise import codecs
from ratewise.codecs import spec as specs
from ratewise.codecs.ladder import Ladder, ladder
from ratewise.errors import InputError


@dataclass(frozen=True)
class RateControl:
    """A budget in bytes for all bitstreams of a store, and what it was spent for.

    ``points`` spells the operating points that images may have (``bpg`` allows all, or
    ``bpg:qp=29,37``). ``used`` is the bytes of the finished store; ``binding`` says whether it
    could have been better with more (False where every image is at its best).
    """

    budget: int
    objective: str
    points: str
    used: int = 0
    binding: bool = True

    def same_aim(self, other: RateControl | None) -> bool:
        """Whether ``other`` has the same budget, objective and operating points."""
        return other is not None and self._aim == other._aim

    @property
    def _aim(self) -> tuple[int, str, str]:
        return self.budget, self.objective, self.points

    def __str__(self) -> str:
        return f"a budget of {self.budget} bytes for {self.objective} over {self.points}"


def budget_ladder(spec: str) -> Ladder:
    """The operating points to choose among; InputError if ``spec`` leaves no choice."""
    rungs = ladder(spec)
    if len(rungs) < 2:
        raise InputError(
            f"codec {spec!r}: a budget needs several operating points to choose from; leave "
            f"{rungs.point} out, or give it several values"
        )
    return rungs


def spell_points(rungs: Ladder) -> str:
    """One spelling of the operating points that a ladder allows."""
    family = rungs.family
    if rungs.values == ladder(family).values:
        return family
    values = ",".join(specs.value_text(value) for value in sorted(rungs.values))
    _, options = specs.parse(family)
    others = [f"{key}={value}" for key, value in options.items()]
    return f"{rungs.codec}:" + ",".join([f"{rungs.point}={values}", *others])


def points_in_order(chosen: Iterable[str]) -> list[str]:
    """Canonical specs of one family, by rising value of the operating point, if it has one."""
    found = list(chosen)
    if len(found) < 2:
        return found
    point = codecs.kind(specs.parse(found[0])[0]).range()
    if point is None:
        return found
    return sorted(found, key=lambda spec: float(specs.parse(spec)[1][point.name]))
