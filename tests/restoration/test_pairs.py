"""Pairs of originals and compressed versions: alignment, patches, holding images out."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
import torch

from ratewise.errors import InputError
from ratewise.restoration.pairs import Pairs, PairSource, collate, hold_out


@dataclass(frozen=True)
class _Record:
    key: str
    group: str
    width: int
    height: int
    sha256: str


@dataclass
class _Store:
    """Images whose pixels say which image, row and column they are; version ``level`` adds to
    the first."""

    count: int = 4
    size: tuple[int, int] = (40, 60)
    level: int = 0
    groups: int = 1
    names: str = "{}.png"
    decoded: Counter[int] = field(default_factory=Counter)

    @property
    def records(self) -> list[_Record]:
        height, width = self.size
        return [
            _Record(
                self.names.format(i),
                str(i * self.groups // self.count),
                width,
                height,
                f"{self.level}-{i}",
            )
            for i in range(self.count)
        ]

    def image(self, index: int) -> np.ndarray:
        self.decoded[index] += 1
        y, x = np.mgrid[: self.size[0], : self.size[1]]
        marks = np.full_like(x, 10 * index + self.level)
        return np.stack([marks, y, x], axis=2).astype(np.uint8)


def _pairs(count: int = 4, versions: int = 1, **options: object) -> Pairs:
    stores = [_Store(count, level=level, **options) for level in range(versions + 1)]  # type: ignore[arg-type]
    return Pairs(stores[0], tuple(stores[1:]), tuple(range(count)))


def test_both_images_of_a_sample_are_cut_and_mirrored_alike() -> None:
    source = PairSource(_pairs(), 32)
    mirrored = set()
    for seed in range(12):
        pair = source.get(2, np.random.default_rng(seed))
        assert pair.original.shape == pair.compressed.shape == (32, 32, 3)
        assert (pair.original[..., 1:] == pair.compressed[..., 1:]).all()
        assert (pair.original[..., 0] == 20).all()
        assert (pair.compressed[..., 0] == 21).all()
        columns = pair.original[0, :, 2].astype(int)
        mirrored.add(int(columns[1] - columns[0]))
    assert mirrored == {1, -1}


def test_patches_reach_every_corner_of_the_image() -> None:
    source = PairSource(_pairs(size=(34, 34)), 32)
    corners = {
        (int(patch[0, :, 1].min()), int(patch[0, :, 2].min()))
        for seed in range(80)
        for patch in [source.get(0, np.random.default_rng(seed)).original]
    }
    assert {(0, 0), (0, 2), (2, 0), (2, 2)} <= corners


def test_a_small_image_is_filled_up_by_reflection() -> None:
    patch = PairSource(_pairs(size=(20, 60)), 32).get(0, np.random.default_rng(0)).original
    assert patch[:, 0, 1].tolist() == [*range(20), *range(19, 7, -1)]


def test_without_a_patch_samples_are_whole_images() -> None:
    assert PairSource(_pairs(), None).get(0, np.random.default_rng(0)).original.shape == (40, 60, 3)


def test_each_sample_draws_one_of_the_compressed_versions() -> None:
    source = PairSource(_pairs(versions=3), 32)
    drawn = Counter(
        int(source.get(1, np.random.default_rng(seed)).compressed[0, 0, 0]) for seed in range(60)
    )
    assert set(drawn) == {11, 12, 13}
    assert min(drawn.values()) > 8


def test_an_epoch_visits_images_as_often_as_asked_and_decodes_them_once() -> None:
    pairs = _pairs(3)
    source = PairSource(Pairs(pairs.originals, pairs.compressed, (0, 2, 2)), 32, visits=2)
    assert len(source) == 6
    visited = Counter(
        int(source.get(i, np.random.default_rng(i)).original[0, 0, 0]) // 10 for i in range(6)
    )
    assert visited == {0: 2, 2: 4}
    assert pairs.originals.decoded == {0: 1, 2: 1}  # type: ignore[attr-defined]


def test_a_copy_in_another_process_gives_the_same_samples() -> None:
    source = PairSource(_pairs(versions=2), 32)
    copy = pickle.loads(pickle.dumps(source))
    for a, b in zip(
        source.get(1, np.random.default_rng(3)), copy.get(1, np.random.default_rng(3)), strict=True
    ):
        assert np.array_equal(a, b)


def test_a_batch_is_uint8_with_the_colours_of_a_pixel_side_by_side() -> None:
    source = PairSource(_pairs(), 32)
    samples = [source.get(i, np.random.default_rng(i)) for i in range(3)]
    batch = collate(samples)
    for tensor, images in zip(batch, zip(*samples, strict=True), strict=True):
        assert tensor.dtype == torch.uint8
        assert tensor.shape == (3, 3, 32, 32)
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert np.array_equal(tensor[1].permute(1, 2, 0).numpy(), images[1])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (_Store(3), "holds 3 images and"),
        (_Store(4, size=(40, 61)), r"0.png \(61x40\) stands where"),
        (_Store(4, names="x{}.png"), "x0.png"),
    ],
)
def test_stores_of_other_images_are_refused(other: _Store, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pairs(_Store(), (other,), (0,))


def test_indices_must_be_in_the_stores() -> None:
    with pytest.raises(InputError, match="no image 4 in a store of 4"):
        Pairs(_Store(), (_Store(),), (1, 4))
    with pytest.raises(InputError, match="no images to train"):
        Pairs(_Store(), (_Store(),), ())


def test_what_is_held_out_are_blocks_of_neighbours_in_several_drives() -> None:
    pairs = _pairs(100, groups=5)
    places = set()
    for seed in range(6):
        held, rest = hold_out(pairs, 8, seed)
        assert sorted(held + rest) == list(range(100))
        assert len(held) == 8
        breaks = [b - a for a, b in pairwise(held)]
        assert sum(step != 1 for step in breaks) == 1  # two blocks
        assert len({i // 20 for i in held}) == 2
        assert hold_out(pairs, 8, seed) == (held, rest)
        places.add(tuple(held))
    assert len(places) > 3


def test_holding_out_works_with_few_groups_repeated_images_and_a_share_of_the_images() -> None:
    pairs = _pairs(20)
    held, _ = hold_out(pairs, 8, 0)
    assert held == list(range(held[0], held[0] + 8))
    alone = _pairs(6, groups=6)
    held, rest = hold_out(alone, 5, 0)
    assert (len(held), len(rest)) == (5, 1)
    share = Pairs(pairs.originals, pairs.compressed, (3, 3, 4, 9, 9, 10))
    held, rest = hold_out(share, 2, 0)
    assert set(held) | set(rest) == {3, 4, 9, 10}
    assert not set(held) & set(rest)
    assert hold_out(share, 0, 0) == ([], [3, 3, 4, 9, 9, 10])
    with pytest.raises(InputError, match="validation = 4"):
        hold_out(share, 4, 0)


def test_the_fingerprint_follows_files_and_visits() -> None:
    pairs = _pairs()
    assert pairs.fingerprint() == _pairs().fingerprint()
    others = [
        Pairs(pairs.originals, pairs.compressed, (0, 1)),
        Pairs(pairs.originals, (_Store(level=2),), pairs.indices),
    ]
    assert len({pairs.fingerprint(), *(other.fingerprint() for other in others)}) == 3
