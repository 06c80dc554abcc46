"""``screens`` as a data set: drawn when they are asked for, nothing on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratewise.data.dataset import Item, unknown_split
from ratewise.images import Image, Mask

_BLOCK = 10
# Screens of the splits have indices of their own, so that a split may grow without moving.
_FIRST = {"train": 0, "val": 1_000_000}


@dataclass(frozen=True)
class Screens:
    """Drawn screens of text, without masks; screen ``i`` of a seed and size is always the same.

    A group is a block of ten screens. ``train`` and ``val`` count the images of the splits;
    ``width`` and ``height`` are in pixels.
    """

    train: int
    val: int
    width: int
    height: int
    seed: int
    name: str = "screens"

    @property
    def root(self) -> Path | None:
        """None: nothing lies on disk."""
        return None

    @property
    def classes(self) -> None:
        """None: a screen has no mask."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """None: a screen has no label of its own."""
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` and ``val``."""
        return ("train", "val")

    def items(self, split: str) -> list[Item]:
        """The screens of a split."""
        if split not in self.splits:
            raise unknown_split(self, split)
        count = self.train if split == "train" else self.val
        return [
            Item(key=f"images/{split}/{i:06d}.png", mask=None, group=f"{split}{i // _BLOCK:04d}")
            for i in range(count)
        ]

    def load(self, item: Item) -> tuple[Image, Mask | None]:
        """Draw the screen."""
        from ratewise.data.screens import render_screen

        split, name = item.key.split("/")[1:]
        index = _FIRST[split] + int(name.removesuffix(".png"))
        return render_screen(self.seed, index, self.width, self.height), None

    def load_mask(self, item: Item) -> Mask | None:
        """None."""
        return None

    def files(self, item: Item) -> list[Path]:
        """None."""
        return []

    def fingerprint(self) -> dict[str, Any]:
        """What decides the pixels of a screen, and so not how many there are.

        FreeType draws the letters, Pillow brings their font.
        """
        import PIL
        from PIL import features

        from ratewise.data.screens import VERSION

        return {
            "name": self.name,
            "seed": self.seed,
            "width": self.width,
            "height": self.height,
            "generator": VERSION,
            "pillow": PIL.__version__,
            "freetype": features.version("freetype2"),
        }
