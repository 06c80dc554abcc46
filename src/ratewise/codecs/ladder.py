"""The operating points of a codec in order of quality, as a ladder of finitely many rungs.

Which end is the better picture is what the codec declares
(:class:`ratewise.codecs.base.OperatingPoint`), not what was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ratewise.codecs import registry
from ratewise.codecs import spec as specs
from ratewise.errors import InputError

_STEP = 1.01
"""Between the rungs of a codec whose operating point is a real number above 0: 1 %."""

_EVEN = 1000
"""Steps where the real numbers go down to 0 or below."""

_MOST = 100_000
"""Rungs; a codec with more wants a list."""

_DIGITS = 4
"""Significant digits of such a rung, so that specs stay short."""


@dataclass(frozen=True)
class Ladder:
    """The specs of one codec at its operating points, the worst picture (and least bytes) first.

    ``values`` are the operating points; an index into them is a *rung*. ``options`` are the other
    options as a spec gives them.
    """

    codec: str
    options: tuple[tuple[str, str], ...]
    point: str
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.values)

    def spec(self, rung: int) -> str:
        """The canonical spec at a rung."""
        chosen = dict(self.options) | {self.point: specs.value_text(self.values[rung])}
        return registry.kind(self.codec).from_options(chosen).spec

    @property
    def family(self) -> str:
        """The canonical spec without its operating point."""
        return registry.family(self.spec(0))


def ladder(spec: str) -> Ladder:
    """The ladder of a codec: ``bpg:chroma=444`` gives all QPs, ``bpg:qp=37,41,46`` those three.

    Raises :class:`InputError` for a wrong spec, for a codec without an operating point, and for
    several values of another option. A codec whose operating point is a real number has a rung
    at every per cent; one without an end needs a list.
    """
    name, values = specs.parse_sweep(spec)
    kind = registry.kind(name)
    point = kind.range()
    if point is None:
        raise InputError(f"codec {name!r} has no operating point to choose: it is lossless")
    several = [key for key, found in values.items() if key != point.name and len(found) > 1]
    if several:
        raise InputError(f"codec {spec!r}: only {point.name} may have several values here")
    options = tuple((key, found[0]) for key, found in values.items() if key != point.name)
    if point.name in values:
        for text in values[point.name]:  # each is checked by the codec itself
            kind.from_options(dict(options) | {point.name: text})
        rungs = sorted({float(text) for text in values[point.name]})
    elif not point.maximum - point.minimum < _MOST * (1 if point.integer else math.inf):
        raise InputError(
            f"codec {name!r}: {point.name} has no end or too many values to search; "
            f"list those to choose from, as in {name}:{point.name}=1,2,3"
        )
    elif point.integer:
        rungs = [float(v) for v in range(math.ceil(point.minimum), math.floor(point.maximum) + 1)]
    elif point.minimum > 0:
        rungs = _geometric(point.minimum, point.maximum)
    else:
        rungs = _even(point.minimum, point.maximum)
    kind.from_options(dict(options) | {point.name: specs.value_text(rungs[0])})
    if not point.higher_is_better:
        rungs.reverse()
    return Ladder(name, options, point.name, tuple(rungs))


def _even(low: float, high: float) -> list[float]:
    """``low`` to ``high`` in :data:`_EVEN` equal steps."""
    inner = (float(f"{low + (high - low) * k / _EVEN:.{_DIGITS}g}") for k in range(1, _EVEN))
    return sorted({low, *(v for v in inner if low < v < high), high})


def _geometric(low: float, high: float) -> list[float]:
    """``low`` to ``high`` in steps of about :data:`_STEP`; both are above 0."""
    count = math.ceil(math.log(high / low) / math.log(_STEP))
    inner = (float(f"{low * _STEP**k:.{_DIGITS}g}") for k in range(count))
    return sorted({low, *(v for v in inner if low < v < high), high})
