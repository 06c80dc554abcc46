"""Privileged sets: the originals that a restorer is trained on, and what it may restore.

An image is given as ``(frame, group)``, in the order of time within its group (a drive, a city);
tiles of one frame have one ``frame`` and are never parted. Results are indices of images.

The rule (DESIGN.md): a restorer never restores a frame that it was trained on, nor a neighbour of
it in time. Frames of a group whose places differ by ``margin`` or less are neighbours.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from ratewise.errors import InputError
from ratewise.study.channels import percent

Frame = tuple[str, str]
"""The frame that an image shows (part of), and its group."""

WHOLE, FIRST, SECOND = "whole", "first", "second"
"""The parts of a privileged set that a restorer can be trained on."""

_STREAM = 0x5052_4956  # names the random stream, so that other uses of a seed do not repeat it


class FromFile(Protocol):
    """What is read of a record of originals: the file it was made of, and its group."""

    @property
    def source(self) -> str: ...
    @property
    def group(self) -> str: ...


def frames_of(originals: Iterable[FromFile]) -> list[Frame]:
    """The frames that the records of a store of originals show."""
    return [(record.source, record.group) for record in originals]


@dataclass(frozen=True)
class PrivilegedShare:
    """P(p): the share p of the frames of a set, and the restorers that are trained on it.

    Of each group it takes the frames from one end (chosen by ``seed``) on, as many of each in
    proportion as comes out at round(p N) frames of all N, at least one and not all. So P is
    contiguous in each group, and P(p) holds P(q) for q < p. Images of the groups ``without`` are
    none of the set.
    """

    share: Fraction
    seed: int = 0
    margin: int = 0
    without: tuple[str, ...] = ()

    def members(self, images: Sequence[Frame]) -> list[int]:
        """The images of P."""
        groups = _groups(images, self.without)
        rng = np.random.default_rng([_STREAM, self.seed])
        from_the_end = rng.integers(2, size=len(groups))
        ranks = rng.permutation(len(groups))
        order: list[tuple[float, int, list[int]]] = []
        for frames, rank, back in zip(groups.values(), ranks, from_the_end, strict=True):
            line = frames[::-1] if back else frames
            # Each frame at the share from which on it belongs to P. What n frames leave over of
            # p n goes to one group at some p and to another at others, so it evens out over many.
            offset = (rank + 0.5) / len(groups)
            order += [
                ((place + offset) / len(line), int(rank), frame) for place, frame in enumerate(line)
            ]
        order.sort(key=lambda entry: entry[:2])
        count = max(1, min(int(self.share * len(order) + Fraction(1, 2)), len(order) - 1))
        return sorted(image for _, _, frame in order[:count] for image in frame)

    def parts(self, images: Sequence[Frame]) -> tuple[list[int], list[int]]:
        """P in two parts of about one size, for two restorers that each restore the other part.

        A group's block is cut in two in time. A block of under four margins would lose too much
        at the cut, and goes whole to the smaller part, if that leaves no part empty.
        """
        inside = set(self.members(images))
        groups = _groups([image if i in inside else None for i, image in enumerate(images)])
        blocks = sorted(groups.values(), key=len, reverse=True)
        parts = _halved(blocks, max(2, 4 * self.margin))
        if not all(parts):
            parts = _halved(blocks, 2)
        first, second = (sorted(image for frame in part for image in frame) for part in parts)
        return first, second

    def trained(self, images: Sequence[Frame], part: str = WHOLE) -> list[int]:
        """The images that the restorer of a part is trained on: none that it restores is near.

        The restorer of all of P restores what is not in P, that of one part the other part.
        Raises :class:`InputError` if none is left.
        """
        if part == WHOLE:
            training = self.members(images)
            inside = set(training)
            restored = [i for i in range(len(images)) if i not in inside]
        else:
            first, second = self.parts(images)
            training, restored = (first, second) if part == FIRST else (second, first)
            if not training:
                raise InputError(
                    f"{percent(self.share)} privileged originals are {len(restored)} of "
                    f"{len(images)} images, too few to be cut in two: raise the share, or set "
                    "restoration.overlap to exclude or allow"
                )
        kept = apart(images, training, restored, self.margin)
        if not kept:
            which = "" if part == WHOLE else f", of which the {part} part trains a restorer"
            raise InputError(
                f"{percent(self.share)} privileged originals are {len(self.members(images))} of "
                f"{len(images)} images{which}, and all of those are within margin = {self.margin} "
                "frames of images that it restores: lower restoration.margin or raise the share"
            )
        return kept

    def assignment(self, images: Sequence[Frame]) -> list[int]:
        """Which restorer restores each image under cross-fitting: 0 that of all of P, 1 that of
        its first part, 2 that of its second one.
        """
        first, second = map(set, self.parts(images))
        return [2 if i in first else 1 if i in second else 0 for i in range(len(images))]

    def to_json(self) -> dict[str, Any]:
        """JSON-able; :meth:`from_json` gives it back."""
        return {
            "share": str(self.share),
            "seed": self.seed,
            "margin": self.margin,
            "without": list(self.without),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PrivilegedShare:
        """The share that :meth:`to_json` described; other keys are ignored."""
        return cls(
            Fraction(value["share"]), value["seed"], value["margin"], tuple(value["without"])
        )


def apart(
    images: Sequence[Frame], training: Sequence[int], restored: Iterable[int], margin: int
) -> list[int]:
    """Those of the ``training`` images whose frame is over ``margin`` frames from all restored."""
    places: dict[Frame, int] = {}
    counts: dict[str, int] = {}
    for frame in images:
        if frame not in places:
            places[frame] = counts.get(frame[1], 0)
            counts[frame[1]] = places[frame] + 1
    taken: dict[str, list[int]] = {}
    for place, group in sorted({(places[images[i]], images[i][1]) for i in restored}):
        taken.setdefault(group, []).append(place)

    def is_near(image: int) -> bool:
        place, others = places[images[image]], taken.get(images[image][1], [])
        next_one = bisect_left(others, place - margin)
        return next_one < len(others) and others[next_one] <= place + margin

    return [image for image in training if not is_near(image)]


def collected(rule: Mapping[str, Any], images: Sequence[Frame]) -> list[int]:
    """The originals that a restorer's rule (a stage's ``images``) makes somebody collect."""
    if rule["rule"] == "all":
        return list(range(len(images)))
    if rule["rule"] == "groups":
        return [i for i, (_, group) in enumerate(images) if group in rule["groups"]]
    return PrivilegedShare.from_json(rule).members(images)


def trained(rule: Mapping[str, Any], images: Sequence[Frame]) -> list[int]:
    """Those of :func:`collected` that the restorer is trained on; InputError for none."""
    if rule["rule"] == "share":
        return PrivilegedShare.from_json(rule).trained(images, rule["part"])
    return collected(rule, images)


def _halved(
    blocks: Sequence[list[list[int]]], shortest: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Two lists of frames of about one length; a block of under ``shortest`` is not cut."""
    parts: tuple[list[list[int]], list[list[int]]] = ([], [])
    for block in blocks:
        smaller = int(len(parts[1]) < len(parts[0]))
        middle = len(block) // 2 if len(block) >= shortest else 0
        parts[smaller].extend(block[middle:])
        parts[1 - smaller].extend(block[:middle])
    return parts


def _groups(
    images: Sequence[Frame | None], without: Sequence[str] = ()
) -> dict[str, list[list[int]]]:
    """The frames of each group in order, each as the indices of its images; None is left out."""
    groups: dict[str, dict[str, list[int]]] = {}
    for index, image in enumerate(images):
        if image is not None and image[1] not in without:
            groups.setdefault(image[1], {}).setdefault(image[0], []).append(index)
    return {group: list(frames.values()) for group, frames in groups.items()}
