"""Made-up miniatures of the published layouts that the paper-scale study files read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from ratewise.data.semantic_drone import PUBLISHED

WIDTH, HEIGHT = 96, 64
_RNG = np.random.default_rng(0)
_CITIES = ("aachen", "bochum")


def make_layouts(folder: Path) -> None:
    """``cityscapes``, ``ford``, ``inria`` and ``semantic_drone`` in ``folder``."""
    _cityscapes(folder / "cityscapes")
    for number in range(3):
        _image(folder / "ford" / f"{number}.png", 80, 56)
    _inria(folder / "inria" / "AerialImageDataset")
    _semantic_drone(folder / "semantic_drone")


def make_imagenet(root: Path) -> None:
    """Two of ImageNet's classes, a folder each."""
    for split, count in (("train", 4), ("val", 1)):
        for number, label in enumerate(("n01440764", "n02102040")):
            for index in range(count):
                _image(root / split / label / f"{number}{index}.JPEG", 80, 72)


def _cityscapes(root: Path) -> None:
    for split, count in (("train", 4), ("val", 1), ("train_extra", 2)):
        for city in _CITIES:
            for number in range(count):
                name = f"{city}/{city}_000000_{number:06}"
                _image(root / f"leftImg8bit/{split}/{name}_leftImg8bit.png", WIDTH, HEIGHT)
                if split != "train_extra":
                    _mask(root / f"gtFine/{split}/{name}_gtFine_labelIds.png", (7, 11, 26, 3))


def _inria(root: Path) -> None:
    for folder, cities in (("train", ("austin", "chicago")), ("test", ("sfo",))):
        for city in cities:
            for number in (1, 2):
                _image(root / f"{folder}/images/{city}{number}.tif", WIDTH, HEIGHT)
                if folder == "train":
                    _mask(root / f"train/gt/{city}{number}.tif", (0, 255))


def _semantic_drone(root: Path) -> None:
    for number in range(8):
        _image(root / f"training_set/images/{number:03}.jpg", WIDTH, HEIGHT)
        colours = np.array([colour for _, colour in PUBLISHED], np.uint8)[1:20]
        pixels = colours[_RNG.integers(len(colours), size=(HEIGHT, WIDTH))]
        _save(root / f"training_set/gt/semantic/label_images/{number:03}.png", pixels)


def _image(path: Path, width: int, height: int) -> None:
    coarse = _RNG.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    _save(path, np.kron(coarse, np.ones((8, 8, 1), np.uint8)))


def _mask(path: Path, values: tuple[int, ...]) -> None:
    _save(path, np.array(values, np.uint8)[_RNG.integers(len(values), size=(HEIGHT, WIDTH))])


def _save(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels).save(path)
