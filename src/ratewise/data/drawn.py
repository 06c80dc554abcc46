"""``streets`` and ``screens``: data sets that are drawn when asked for, nothing on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ratewise.data.classes import Classes
from ratewise.data.dataset import Item, unknown_split
from ratewise.images import Image, Mask

_BLOCK = 10
# Pictures of the splits have indices of their own, so that a split may grow without moving.
_FIRST = {"train": 0, "val": 1_000_000}


@dataclass(frozen=True)
class Drawn:
    """Procedural pictures; picture ``i`` of a name, seed and size is always the same.

    A group is a block of ten. ``train`` and ``val`` count the images of the splits; ``width`` and
    ``height`` are in pixels.
    """

    name: Literal["streets", "screens"]
    train: int
    val: int
    width: int
    height: int
    seed: int

    @property
    def root(self) -> Path | None:
        """None: nothing lies on disk."""
        return None

    @property
    def classes(self) -> Classes | None:
        """The classes that street scenes hold; None of screens, which have no masks."""
        return _artist(self.name).classes

    @property
    def labels(self) -> tuple[str, ...] | None:
        """None: a picture has no label of its own."""
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` and ``val``."""
        return ("train", "val")

    def items(self, split: str) -> list[Item]:
        """The pictures of a split."""
        if split not in self.splits:
            raise unknown_split(self, split)
        masks = self.classes is not None
        return [
            Item(
                key=f"images/{split}/{i:06d}.png",
                mask=f"masks/{split}/{i:06d}.png" if masks else None,
                group=f"{split}{i // _BLOCK:04d}",
            )
            for i in range(self.train if split == "train" else self.val)
        ]

    def load(self, item: Item) -> tuple[Image, Mask | None]:
        """Draw the picture: image, and class ids where there are masks."""
        split, name = item.key.split("/")[1:]
        index = _FIRST[split] + int(name.removesuffix(".png"))
        return _artist(self.name).draw(self.seed, index, self.width, self.height)

    def load_mask(self, item: Item) -> Mask | None:
        """The class ids, for which the picture is drawn; None without masks."""
        return None if self.classes is None else self.load(item)[1]

    def files(self, item: Item) -> list[Path]:
        """None."""
        return []

    def fingerprint(self) -> dict[str, Any]:
        """What decides the pixels of a picture, and so not how many there are."""
        return {
            "name": self.name,
            "seed": self.seed,
            "width": self.width,
            "height": self.height,
            **_artist(self.name).versions,
        }


@dataclass(frozen=True)
class _Artist:
    """Who draws: the picture of ``(seed, index, width, height)``, with class ids or None."""

    classes: Classes | None
    draw: Callable[[int, int, int, int], tuple[Image, Mask | None]]
    versions: Mapping[str, Any]


def _artist(name: str) -> _Artist:
    if name == "streets":
        from ratewise.data import streets

        return _Artist(streets.CLASSES, streets.render_scene, {"generator": streets.VERSION})
    import PIL
    from PIL import features

    from ratewise.data import screens

    def draw(seed: int, index: int, width: int, height: int) -> tuple[Image, None]:
        return screens.render_screen(seed, index, width, height), None

    # FreeType draws the letters, Pillow brings their font
    libraries = {"pillow": PIL.__version__, "freetype": features.version("freetype2")}
    return _Artist(None, draw, {"generator": screens.VERSION, **libraries})
