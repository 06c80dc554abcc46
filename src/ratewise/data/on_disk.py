"""What data sets of image and mask files share: reading an item, and translating its mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratewise.codecs.pictures import read_picture
from ratewise.data.dataset import Item, check_same_size, translate
from ratewise.images import Image, Mask, read_mask


class MaskValues(NamedTuple):
    """How raw values of mask files become class ids, for each of the 256 values."""

    table: NDArray[np.uint8]
    """The class id, or 255 = ignored."""
    known: NDArray[np.bool_]
    """Whether the value may occur."""


@dataclass(frozen=True)
class OnDisk:
    """A data set whose items are files under ``root``: the base of those that are published so."""

    root: Path

    @property
    def labels(self) -> tuple[str, ...] | None:
        """None: its images have no labels of their own."""
        return None

    def mask_values(self) -> MaskValues | None:
        """How its masks are read; None for images without masks."""
        raise NotImplementedError

    def load(self, item: Item) -> tuple[Image, Mask | None]:
        """See :class:`ratewise.data.dataset.Dataset`."""
        image, mask = read_picture(self.root / item.key), self.load_mask(item)
        if mask is not None:
            check_same_size(image.shape, mask.shape, item)
        return image, mask

    def load_mask(self, item: Item) -> Mask | None:
        """See :class:`ratewise.data.dataset.Dataset`."""
        values = self.mask_values()
        if item.mask is None or values is None:
            return None
        return translate(read_mask(self.root / item.mask), values.table, values.known, item.mask)

    def files(self, item: Item) -> list[Path]:
        """The image's file, and the mask's."""
        return [self.root / name for name in (item.key, item.mask) if name is not None]
