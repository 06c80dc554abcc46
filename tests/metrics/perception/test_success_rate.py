"""The success rate of an observer, at its two ends and on what it must not depend."""

from __future__ import annotations

import numpy as np
import pytest

from ratewise.errors import ImageError, InputError
from ratewise.images import Image
from ratewise.metrics.perception.success_rate import SuccessRate, success_rate


def scenes(seed: int, count: int = 8) -> list[Image]:
    """Smooth scenes with a little texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :40]
    waves = [128 + 80 * np.sin(x / a + b) * np.cos(y / c) for a, b, c in
             rng.uniform(5, 20, (count, 3))]  # fmt: skip
    return [
        np.clip(w[..., None] + rng.normal(0, 4, (48, 40, 3)), 0, 255).astype(np.uint8)
        for w in waves
    ]


def noisier(images: list[Image]) -> list[Image]:
    rng = np.random.default_rng(99)
    return [np.clip(x + rng.normal(0, 12, x.shape), 0, 255).astype(np.uint8) for x in images]


def rate(a: list[Image], b: list[Image], seed: int = 0) -> SuccessRate:
    return success_rate(a, b, side=16, patches=160, steps=60, batch_size=32, seed=seed)


def test_processed_images_are_told_apart() -> None:
    found = rate(scenes(1), noisier(scenes(1)))
    assert found.rate > 0.9
    assert found.low <= found.rate <= found.high
    assert found.low > 0.5


def test_equal_sets_cannot_be_told_apart() -> None:
    assert rate(scenes(1), scenes(1)).rate == 0.5


def test_other_scenes_of_one_kind_are_hard_to_tell_apart() -> None:
    found = rate(scenes(1, 16), scenes(2, 16))
    assert found.low < 0.5 < found.high


def test_sets_of_unequal_size_are_balanced() -> None:
    found = rate(scenes(1, 5), noisier(scenes(2, 12)))
    assert found.rate > 0.9


def test_the_seed_decides_the_result() -> None:
    a, b = scenes(1), noisier(scenes(2))
    assert rate(a, b) == rate(a, b)


def test_the_generator_of_the_caller_is_left_alone() -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    success_rate(scenes(1), scenes(1), side=8, patches=8, steps=1, batch_size=4)
    assert torch.rand(1) == expected


def test_bad_sets_and_numbers_are_refused() -> None:
    few = scenes(1, 3)
    with pytest.raises(InputError, match="reference: 3 images, at least 4"):
        success_rate(few, scenes(2))
    with pytest.raises(ImageError, match="images: image 0 is 48x40"):
        success_rate(noisier([np.zeros((64, 64, 3), np.uint8)] * 4), scenes(2), side=48)
    with pytest.raises(InputError, match="held_out: 1"):
        success_rate(scenes(1), scenes(2), held_out=1.0)
    with pytest.raises(InputError, match="steps: 0"):
        success_rate(scenes(1), scenes(2), steps=0)
