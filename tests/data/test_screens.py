"""The drawn screens of text: repeatable, any size, and unlike photographs."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ratewise.data.dataset import Dataset, inspect_split
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.screens import render_screen
from ratewise.data.screens.words import Writer
from ratewise.data.streets import render_scene
from ratewise.errors import InputError
from ratewise.images import Image

_DIGEST = """
import hashlib
from ratewise.data.screens import render_screen
print(hashlib.sha256(render_screen(3, 8, 172, 154).tobytes()).hexdigest())
"""


@lru_cache(maxsize=1)
def collection() -> tuple[Image, ...]:
    """The first 20 screens of seed 0 at 240x160."""
    return tuple(render_screen(0, index, 240, 160) for index in range(20))


def opened(tmp_path: Path, **options: object) -> Dataset:
    return open_dataset(dataset_settings({"name": "screens", **options}), tmp_path)


def test_another_process_draws_the_same_bytes() -> None:
    here = hashlib.sha256(render_screen(3, 8, 172, 154).tobytes()).hexdigest()
    run = subprocess.run(
        [sys.executable, "-c", _DIGEST], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == here


def test_a_screen_does_not_depend_on_those_drawn_before() -> None:
    first = render_screen(1, 0, 96, 64)
    render_screen(1, 1, 64, 48)
    assert np.array_equal(first, render_screen(1, 0, 96, 64))


def test_index_and_seed_both_change_the_screen() -> None:
    screens = [render_screen(*key, 160, 120) for key in ((0, 0), (0, 1), (1, 0))]
    for i in range(3):
        for j in range(i):
            assert (screens[i] != screens[j]).any(axis=2).mean() > 0.05


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (301, 32), (32, 350), (1024, 512)])
def test_any_size_gives_an_array_of_that_size(size: tuple[int, int]) -> None:
    width, height = size
    for index in range(5):
        image = render_screen(0, index, width, height)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert image.flags.writeable


def test_screens_are_flat_with_sharp_edges_as_no_photograph_is() -> None:
    def flat(image: Image) -> float:
        return float((np.diff(image.astype(int), axis=1) == 0).all(axis=2).mean())

    def steep(image: Image) -> float:
        return float((np.abs(np.diff(image.astype(int), axis=1)).max(axis=2) > 60).mean())

    screens = [(flat(image), steep(image)) for image in collection()]
    streets = [render_scene(0, index, 240, 160)[0] for index in range(3)]
    assert min(a for a, _ in screens) > max(flat(image) for image in streets) + 0.2
    assert np.mean([b for _, b in screens]) > 0.03


def test_themes_are_light_and_dark() -> None:
    means = np.array([image.mean() for image in collection()])
    assert (means < 80).any()
    assert (means > 190).any()


def test_a_program_is_indented_after_a_colon_and_has_as_many_lines_as_asked_for() -> None:
    lines = Writer(np.random.Generator(np.random.PCG64(0))).program(60)
    assert len(lines) == 60
    for line, following in pairwise(lines):
        if line.pieces and line.pieces[-1][1].endswith(":") and line.indent < 16:
            assert following.indent == line.indent + 4


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
    with pytest.raises(InputError, match=f"screens: {word} must be a whole number"):
        render_screen(*arguments)


def test_the_data_set_needs_no_files_and_is_the_same_in_every_worker(tmp_path: Path) -> None:
    screens = opened(tmp_path, train=3, val=2, width=64, height=48)
    assert [len(screens.items(split)) for split in screens.splits] == [3, 2]
    item = screens.items("val")[1]
    image, mask = screens.load(item)
    assert image.shape == (48, 64, 3)
    assert mask is None
    copy = pickle.loads(pickle.dumps(screens))
    np.testing.assert_array_equal(copy.load(item)[0], image)
    assert not np.array_equal(screens.load(screens.items("train")[1])[0], image)
    assert screens.files(item) == []
    check = inspect_split(screens, "train")
    assert check.sizes == {(64, 48): 3}
    assert not check.problems


def test_a_growing_split_keeps_its_images(tmp_path: Path) -> None:
    small, large = opened(tmp_path, train=3, val=2), opened(tmp_path, train=30, val=2)
    assert large.items("train")[:3] == small.items("train")
    assert small.fingerprint() == large.fingerprint()
    assert opened(tmp_path, seed=1).fingerprint() != small.fingerprint()


def test_wrong_options_and_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown key 'root' of data set screens"):
        opened(tmp_path, root="somewhere")
    with pytest.raises(InputError, match=r"width = 3: .*greater than or equal to 32"):
        opened(tmp_path, width=3)
    with pytest.raises(InputError, match=r"screens has no split 'test' \(allowed: train, val\)"):
        opened(tmp_path).items("test")
