"""How the rates of a store's images were chosen, as its ``store.json`` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ratewise import codecs
from ratewise.codecs import spec as specs
from ratewise.codecs.ladder import Ladder, ladder
from ratewise.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """That a model predicts on what is stored as it does on the originals.

    ``of`` says what is counted. ``images``: the share ``asked`` of the store's images must have the
    same class. ``pixels``: in each image that share of its pixels must. ``reached`` is the share
    of images, or the mean of the images' shares of pixels, in the finished store; ``short`` is how
    many images are missing to what was asked.
    """

    asked: float
    of: Literal["images", "pixels"]
    reached: float = 0.0
    short: int = 0


@dataclass(frozen=True)
class RateControl:
    """A budget in bytes for all bitstreams of a store, and what it was spent for; or an agreement.

    ``points`` spells the operating points that images may have (``bpg`` allows all, or
    ``bpg:qp=29,37``). ``used`` is the bytes of the finished store; ``binding`` says whether it
    could have been better with more (False where every image is at its best). Where a model was
    asked, ``model`` is the SHA-256 of its weights file, and ``divergence`` the mean over the
    images of what objective ``task`` makes least, in nats.
    """

    budget: int | None
    objective: str
    points: str
    used: int = 0
    binding: bool = True
    model: str | None = None
    divergence: float | None = None
    agreement: Agreement | None = None

    def same_aim(self, other: RateControl | None) -> bool:
        """Whether ``other`` has the same budget or agreement, objective, model and points."""
        return other is not None and self._aim == other._aim

    @property
    def _aim(self) -> tuple[Any, ...]:
        asked = (self.agreement.asked, self.agreement.of) if self.agreement else None
        return self.budget, self.objective, self.points, self.model, asked

    def __str__(self) -> str:
        model = f" (model {short_digest(self.model)})" if self.model else ""
        if self.agreement:
            asked = f"{self.agreement.asked:g} of {self.agreement.of}"
            return f"an agreement on {asked}{model} over {self.points}"
        return f"a budget of {self.budget} bytes for {self.objective}{model} over {self.points}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. What is said of a model is left out where there is none, as it once was."""
        value = asdict(self)
        for name in ("model", "divergence", "agreement"):
            if value[name] is None:
                del value[name]
        return value


def short_digest(digest: str) -> str:
    """The beginning of a digest, as people are told it."""
    return digest[:12]


def budget_ladder(spec: str) -> Ladder:
    """The operating points to choose among; InputError if ``spec`` leaves no choice."""
    rungs = ladder(spec)
    if len(rungs) < 2:
        raise InputError(
            f"codec {spec!r}: a budget or an agreement needs several operating points to choose "
            f"from; leave {rungs.point} out, or give it several values"
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
