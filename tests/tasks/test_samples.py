"""Reading samples from stores: alignment, choice, memory, batches."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest

from ratewise.errors import InputError
from ratewise.tasks import samples
from ratewise.tasks.samples import Pick, Sample, collate
from ratewise.tasks.segmentation_settings import AugmentationSettings
from ratewise.tasks.segmentation_task import MASKS

StoreSource = partial(samples.StoreSource, form=MASKS)


@dataclass(frozen=True)
class _Record:
    key: str
    width: int
    height: int


@dataclass
class _Store:
    """Images of one grey value each; counts how often each is decoded."""

    level: int = 0
    sizes: tuple[tuple[int, int], ...] = ((8, 6), (8, 6), (8, 6))
    decoded: Counter[int] = field(default_factory=Counter)

    @property
    def records(self) -> list[_Record]:
        return [_Record(f"{i}.png", w, h) for i, (w, h) in enumerate(self.sizes)]

    def __len__(self) -> int:
        return len(self.sizes)

    def image(self, index: int) -> np.ndarray:
        self.decoded[index] += 1
        width, height = self.sizes[index]
        return np.full((height, width, 3), 10 * index + self.level, np.uint8)

    def mask(self, index: int) -> np.ndarray:
        width, height = self.sizes[index]
        return np.full((height, width), index, np.uint8)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_sample_is_the_image_through_each_store_and_its_mask() -> None:
    sample = StoreSource([_Store(), _Store(level=1)]).get(2, _rng())
    assert [int(image[0, 0, 0]) for image in sample.images] == [20, 21]
    assert (sample.target == 2).all()
    assert sample.weight == 1


def test_only_the_chosen_images_are_samples() -> None:
    source = StoreSource([_Store()], indices=[2, 0])
    assert [int(source.whole(i).target[0, 0]) for i in range(len(source))] == [2, 0]


def test_the_channel_of_each_sample_can_be_picked_with_a_weight() -> None:
    source = StoreSource(
        [_Store(), _Store(level=1)], pick=lambda i: Pick([0], 5.0) if i == 0 else Pick([1])
    )
    samples = [source.whole(i) for i in range(3)]
    assert [int(s.images[0][0, 0, 0]) for s in samples] == [0, 11, 21]
    assert [s.weight for s in samples] == [5, 1, 1]


def test_what_fits_in_memory_is_decoded_once_and_the_rest_each_time() -> None:
    store = _Store()
    source = StoreSource([store], cache_bytes=2 * (8 * 6 * 4))
    for _ in range(3):
        for index in range(3):
            source.get(index, _rng())
    assert store.decoded == {0: 1, 1: 1, 2: 3}


def test_a_copy_for_another_process_starts_with_nothing_decoded() -> None:
    source = StoreSource([_Store()], AugmentationSettings())
    source.get(0, _rng())
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.get(0, _rng()).images[0] == source.get(0, _rng()).images[0]).all()
    assert len(pickle.dumps(source)) < 2000


def test_stores_of_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="same images"):
        StoreSource([_Store(), _Store(sizes=((8, 6), (8, 6)))])
    with pytest.raises(InputError, match="same images"):
        StoreSource([_Store(), _Store(sizes=((8, 6), (8, 6), (8, 7)))])


def test_no_images_and_an_index_outside_are_refused() -> None:
    with pytest.raises(InputError, match="no training images"):
        StoreSource([_Store(sizes=())])
    with pytest.raises(InputError, match="no training images"):
        StoreSource([_Store()], indices=[])
    with pytest.raises(InputError, match="no image 3 in a store of 3"):
        StoreSource([_Store()], indices=[3])


def test_images_of_several_sizes_need_a_crop() -> None:
    store = _Store(sizes=((8, 6), (6, 8), (8, 6)))
    with pytest.raises(InputError, match=r"differ in size \(6x8, 8x6\): set augmentation.crop"):
        StoreSource([store], AugmentationSettings())
    source = StoreSource([store], AugmentationSettings(crop=(4, 5)))
    batch = collate([source.get(i, _rng()) for i in range(3)])
    assert batch.targets.shape == (3, 5, 4)
    StoreSource([store], AugmentationSettings(), indices=[0, 2])  # these are of one size
    StoreSource([store])  # whole images, one by one
    with pytest.raises(InputError, match="differ in size"):
        StoreSource([store], batched=True)


def test_a_batch_holds_the_channels_of_its_samples() -> None:
    source = StoreSource([_Store(), _Store(level=1)])
    batch = collate([source.whole(i) for i in (0, 2)])
    assert [tuple(images.shape) for images in batch.images] == [(2, 3, 6, 8)] * 2
    assert batch.images[1][:, 0, 0, 0].tolist() == [1, 21]
    assert batch.targets[:, 0, 0].tolist() == [0, 2]
    assert batch.weights.tolist() == [1, 1]
    assert batch.indices.tolist() == [0, 2]


def test_samples_of_different_sizes_do_not_make_a_batch() -> None:
    samples = [Sample((np.zeros((4, w, 3), np.uint8),), np.zeros((4, w), np.uint8)) for w in (5, 6)]
    with pytest.raises(InputError, match="different sizes"):
        collate(samples)
