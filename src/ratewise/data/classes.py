"""The classes of a data set: their names, how they are drawn, and named groups of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ratewise.errors import InputError
from ratewise.images import IGNORE

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Classes:
    """Class ``i`` of a mask is ``names[i]``, drawn in ``colours[i]`` (RGB, 0 to 255).

    ``groups`` names sets of classes whose IoU is reported together, such as ``small objects``.
    Raises :class:`InputError` if names repeat, colours do not match them, or a group holds an
    unknown class.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) < IGNORE:
            raise InputError(f"a data set has 1 to {IGNORE - 1} classes, not {len(self.names)}")
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InputError(f"class {twice!r} is named twice")
        if len(self.colours) != len(self.names):
            raise InputError(
                f"{len(self.names)} classes need as many colours, not {len(self.colours)}"
            )
        for group, members in self.groups.items():
            for member in members:
                if member not in self.names:
                    raise InputError(
                        f"group {group!r}: no class {member!r} (classes: {', '.join(self.names)})"
                    )

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, group: str) -> tuple[int, ...]:
        """The class ids of a group, in the order of the classes."""
        if group not in self.groups:
            raise InputError(f"no group {group!r} (groups: {', '.join(self.groups) or 'none'})")
        return tuple(i for i, name in enumerate(self.names) if name in self.groups[group])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; :meth:`from_dict` is the way back."""
        return {
            "names": list(self.names),
            "colours": [list(colour) for colour in self.colours],
            "groups": {name: list(members) for name, members in self.groups.items()},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Classes:
        """The classes that :meth:`to_dict` wrote down."""
        return cls(
            names=tuple(value["names"]),
            colours=tuple((int(r), int(g), int(b)) for r, g, b in value["colours"]),
            groups={name: tuple(members) for name, members in value["groups"].items()},
        )


def default_colours(count: int) -> tuple[Colour, ...]:
    """``count`` colours that the eye tells apart (the bit pattern of the PASCAL VOC palette)."""
    colours: list[Colour] = []
    for index in range(1, count + 1):
        rgb = [0, 0, 0]
        rest = index
        for bit in range(7, -1, -1):
            for channel in range(3):
                rgb[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colours.append((rgb[0], rgb[1], rgb[2]))
    return tuple(colours)
