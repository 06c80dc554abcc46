"""The procedural street scenes: repeatable, any size, and labels that fit the picture."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest

from ratewise.data.streets import CLASSES, render_scene
from ratewise.errors import InputError
from ratewise.images import Image, Mask

_DIGEST = """
import hashlib
from ratewise.data.streets import render_scene
image, mask = render_scene(3, 8, 72, 54)
print(hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest())
"""


@lru_cache(maxsize=1)
def collection() -> tuple[tuple[Image, Mask], ...]:
    """The first 50 scenes of seed 0 at 128x96."""
    return tuple(render_scene(0, index, 128, 96) for index in range(50))


def test_another_process_draws_the_same_bytes() -> None:
    image, mask = render_scene(3, 8, 72, 54)
    here = hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()
    run = subprocess.run(
        [sys.executable, "-c", _DIGEST], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == here


def test_a_scene_does_not_depend_on_those_drawn_before() -> None:
    first = render_scene(1, 0, 64, 48)
    render_scene(1, 1, 64, 48)
    again = render_scene(1, 0, 64, 48)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_index_and_seed_both_change_the_scene() -> None:
    masks = [render_scene(*key, 64, 48)[1] for key in ((0, 0), (0, 1), (1, 0))]
    for i in range(3):
        for j in range(i):
            assert (masks[i] != masks[j]).mean() > 0.05


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (33, 47), (101, 32), (32, 150), (1024, 512)])
def test_any_size_gives_arrays_of_that_size(size: tuple[int, int]) -> None:
    width, height = size
    image, mask = render_scene(0, 5, width, height)
    assert image.shape == (height, width, 3)
    assert mask.shape == (height, width)
    assert image.dtype == mask.dtype == np.uint8
    assert image.flags.c_contiguous
    assert mask.max() < len(CLASSES)


def test_no_scene_warns_or_leaves_the_range_of_labels() -> None:
    with np.errstate(all="raise", under="ignore"):
        for index in range(20):
            _, mask = render_scene(11, index, 64, 48)
            assert mask.max() < len(CLASSES)


def test_every_class_occurs_and_small_objects_are_common() -> None:
    present = np.zeros((len(collection()), len(CLASSES)), bool)
    for row, (_, mask) in zip(present, collection(), strict=True):
        row[np.unique(mask)] = True
    share = dict(zip(CLASSES.names, present.mean(axis=0), strict=True))
    assert all(value > 0.25 for value in share.values()), share
    for name in CLASSES.groups["small objects"]:
        assert share[name] > 0.6


def test_a_larger_picture_shows_the_same_scene() -> None:
    small = render_scene(0, 3, 96, 72)[1]
    large = render_scene(0, 3, 288, 216)[1][1::3, 1::3]
    assert (small == large).mean() > 0.93


def test_edges_of_the_mask_lie_on_edges_of_the_image() -> None:
    # Where the label changes along a row, the picture changes more than elsewhere; with the
    # mask moved by four pixels it no longer does so as much.
    def jump(shift: int) -> float:
        found = []
        for image, mask in collection()[:25]:
            moved = np.roll(mask, shift, axis=1)[:, 4:-4].astype(int)
            step = np.abs(np.diff(image.astype(int), axis=1)).sum(axis=2)[:, 4:-4]
            found.append(step[moved[:, 1:] != moved[:, :-1]].mean())
        return float(np.mean(found))

    assert jump(0) > 1.3 * max(jump(4), jump(-4))


def test_paint_is_brighter_than_road_and_plants_are_green() -> None:
    totals = np.zeros((len(CLASSES), 3))
    counts = np.zeros(len(CLASSES))
    for image, mask in collection():
        for label in np.unique(mask):
            where = mask == label
            totals[label] += image[where].sum(axis=0)
            counts[label] += where.sum()
    mean = dict(zip(CLASSES.names, totals / counts[:, None], strict=True))
    assert mean["marking"].mean() > mean["road"].mean() + 30
    assert mean["sky"].mean() > mean["building"].mean() + 30
    for name in ("vegetation", "grass"):
        assert mean[name][1] > mean[name][2] + 10
    # Told apart by texture, not by hue: the means are close.
    assert np.abs(mean["road"] - mean["sidewalk"]).max() < 35


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0, 0, 8, 48), "width"),
        ((0, 0, 64, 100_000), "height"),
        ((0, 0, 64.0, 48), "width"),
        ((-1, 0, 64, 48), "seed"),
        ((0, -5, 64, 48), "index"),
        ((0, True, 64, 48), "index"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[int, int, int, int], word: str) -> None:
    with pytest.raises(InputError, match=f"streets: {word} must be a whole number"):
        render_scene(*arguments)
