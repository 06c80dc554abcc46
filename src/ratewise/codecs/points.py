"""What was measured of many images at some rungs of a ladder, in little memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ratewise.codecs.allocation import Curves, Rungs


class Points:
    """What was measured of images: bytes and distortion at some rungs.

    About 140 bytes per image that was measured at seven rungs. ``alive`` says which images take
    part: those that failed do not.
    """

    def __init__(self, count: int = 0) -> None:
        self._alive = np.ones(count, bool)
        self._count = np.zeros(count, np.int32)
        self._rungs = np.zeros((count, 4), np.int32)
        self._bytes = np.zeros((count, 4), np.int64)
        self._distortion = np.zeros((count, 4))
        self._images = count

    def __len__(self) -> int:
        return self._images

    @property
    def alive(self) -> NDArray[np.bool_]:
        """``(N,)``; to be written to."""
        return self._alive[: self._images]

    def new_image(self) -> int:
        """Make room for one more image; its number."""
        if self._images == len(self._alive):
            self._widen(max(64, self._images // 2), 0)
        self._images += 1
        return self._images - 1

    def _widen(self, images: int, places: int) -> None:
        self._alive = np.pad(self._alive, (0, images), constant_values=True)
        self._count = np.pad(self._count, (0, images))
        by = [(0, images), (0, places)]
        self._rungs, self._bytes = np.pad(self._rungs, by), np.pad(self._bytes, by)
        self._distortion = np.pad(self._distortion, by)

    def add(self, image: int, rung: int, size: int, distortion: float) -> None:
        """Note a measurement; one that is known already is left alone."""
        if self.has(image, rung):
            return
        place = self._count[image]
        if place == self._rungs.shape[1]:
            self._widen(0, 2)
        self._rungs[image, place] = rung
        self._bytes[image, place] = size
        self._distortion[image, place] = distortion
        self._count[image] += 1

    def replace(self, image: int, rung: int, size: int, distortion: float) -> None:
        """Note a measurement that takes the place of an earlier one at that rung."""
        self.add(image, rung, size, distortion)
        place = np.flatnonzero(self._rungs[image, : self._count[image]] == rung)[0]
        self._bytes[image, place], self._distortion[image, place] = size, distortion

    def forget(self, image: int) -> None:
        """Drop what was measured of ``image``."""
        self._count[image] = 0

    def has(self, image: int, rung: int) -> bool:
        """Whether ``image`` was measured at ``rung``."""
        return bool((self._rungs[image, : self._count[image]] == rung).any())

    def bytes_at(self, image: int, rung: int) -> int:
        """What ``image`` takes at a rung that was measured."""
        place = np.flatnonzero(self._rungs[image, : self._count[image]] == rung)[0]
        return int(self._bytes[image, place])

    def distortion_at(self, image: int, rung: int) -> float:
        """What ``image`` is distorted at a rung that was measured."""
        place = np.flatnonzero(self._rungs[image, : self._count[image]] == rung)[0]
        return float(self._distortion[image, place])

    def least(self, image: int) -> int:
        """The fewest bytes that were measured of ``image``."""
        return int(self._bytes[image, : self._count[image]].min())

    def row(self, image: int) -> tuple[Rungs, Curves, Curves]:
        """Rungs (rising), bytes and distortions of an image."""
        used = slice(int(self._count[image]))
        order = np.argsort(self._rungs[image, used])
        return (
            self._rungs[image, used][order].astype(np.intp),
            self._bytes[image, used][order].astype(float),
            self._distortion[image, used][order],
        )

    def known(self, size: Curves, distortion: Curves) -> tuple[Curves, Curves]:
        """The curves of :func:`ratewise.codecs.curves.predict` with ``inf`` for what is predicted.

        ``size`` and ``distortion`` are ``(M, R)``, of the ``M`` images alive.
        """
        unknown = np.ones(size.shape, bool)
        for place, image in enumerate(np.flatnonzero(self.alive)):
            unknown[place, self._rungs[image, : self._count[image]]] = False
        return np.where(unknown, np.inf, size), np.where(unknown, np.inf, distortion)
