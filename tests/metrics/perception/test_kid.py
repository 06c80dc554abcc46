"""Patch KID against torchmetrics' KernelInceptionDistance with the same features."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from ratewise.errors import ImageError, InputError
from ratewise.images import Image
from ratewise.metrics.perception.backbone import load_backbone
from ratewise.metrics.perception.kid import kernel_distance, patch_kid, squared_mmd
from ratewise.metrics.perception.patches import random_patches


class Pooled(nn.Module):
    """Means over quarters of the patch: 12 features."""

    num_features = 12

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x.float() / 255.0, 2).flatten(1)


def images(seed: int, brightest: int = 256) -> list[Image]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, brightest, (20, 24, 3), np.uint8) for _ in range(3)]


def theirs(sets: list[Image], subsets: int, subset_size: int) -> tuple[float, float]:
    metric = KernelInceptionDistance(feature=Pooled(), subsets=subsets, subset_size=subset_size)
    for patches, real in zip(sets, (True, False), strict=True):
        metric.update(torch.from_numpy(patches).permute(0, 3, 1, 2), real=real)
    mean, deviation = metric.compute()
    return float(mean), float(deviation)


@pytest.mark.filterwarnings("ignore:KID of")
def test_kid_is_torchmetrics_on_the_same_patches() -> None:
    a, b = images(1), images(2, brightest=200)
    ours = patch_kid(a, b, Pooled(), side=8, patches=60, subsets=2, subset_size=60, seed=5)
    same = [random_patches(s, 60, 8, np.random.default_rng([5, i])) for i, s in enumerate((a, b))]
    assert ours.kid == pytest.approx(theirs(same, 2, 60)[0], rel=1e-4)
    assert ours.deviation == pytest.approx(0.0, abs=1e-12)  # every subset is the whole


@pytest.mark.filterwarnings("ignore:KID of")
def test_the_spread_over_subsets_is_torchmetrics() -> None:
    a, b = images(1), images(2, brightest=200)
    ours = patch_kid(a, b, Pooled(), side=8, patches=90, subsets=400, subset_size=30, seed=5)
    same = [random_patches(s, 90, 8, np.random.default_rng([5, i])) for i, s in enumerate((a, b))]
    torch.manual_seed(0)
    mean, deviation = theirs(same, 400, 30)
    assert ours.kid == pytest.approx(mean, abs=4 * deviation / 20)
    assert ours.deviation == pytest.approx(deviation, rel=0.15)


def test_large_sets_give_what_small_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 7)), rng.normal(1.0, size=(40, 7))
    kept = kernel_distance(x, y, subsets=5, subset_size=20, seed=1)
    monkeypatch.setattr("ratewise.metrics.perception.kid._WHOLE", 10)
    anew = kernel_distance(x, y, subsets=5, subset_size=20, seed=1)
    assert (kept.kid, kept.deviation) == pytest.approx((anew.kid, anew.deviation), rel=1e-10)


def test_the_estimate_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    values = [squared_mmd(*rng.normal(size=(2, 8, 4))) for _ in range(3000)]
    assert np.mean(values) == pytest.approx(0.0, abs=4 * np.std(values) / len(values) ** 0.5)
    assert min(values) < 0  # a biased estimate never is


def test_few_patches_are_warned_of_and_enough_are_not() -> None:
    with pytest.warns(UserWarning, match="KID of 16 patches"):
        patch_kid(images(1), images(2), Pooled(), side=8, patches=16, subsets=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patch_kid(images(1), images(2), Pooled(), side=4, patches=2048, subsets=1, subset_size=9)


@pytest.mark.filterwarnings("ignore:KID of")
def test_the_seed_decides_the_value() -> None:
    def kid(seed: int) -> float:
        return patch_kid(
            images(1), images(2), Pooled(), side=8, patches=20, subsets=3, subset_size=9, seed=seed
        ).kid

    assert kid(0) == kid(0) != kid(1)


def test_bad_sets_and_numbers_are_refused() -> None:
    with pytest.raises(InputError, match=r"images: 0 images"):
        patch_kid(images(1), [], Pooled(), side=8)
    with pytest.raises(ImageError, match="reference_images: image 0 is 20x24"):
        patch_kid(images(1), images(2), Pooled(), side=21)
    with pytest.raises(InputError, match="subset_size: 1 "):
        patch_kid(images(1), images(2), Pooled(), side=4, patches=2048, subset_size=1)
    with pytest.raises(InputError, match="patches: 1 "):
        patch_kid(images(1), images(2), Pooled(), side=8, patches=1)


def test_a_backbone_without_its_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights"):
        load_backbone(None)
    with pytest.raises(InputError, match=r"\.safetensors"):
        load_backbone(tmp_path / "absent.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot be read"):
        load_backbone(tmp_path / "bad.safetensors")


def test_a_local_backbone_gives_pooled_features(shared_data: Path) -> None:
    weights = shared_data / "weights" / "mobilenetv2_100.safetensors"
    if not weights.is_file():
        pytest.skip("the real data has no mobilenetv2_100 weights")
    network = load_backbone(weights, options={"pad_type": "same"}, mean=(0.5,) * 3, std=(0.5,) * 3)
    with torch.inference_mode():
        features = network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert features.shape == (2, 1280)
    with pytest.raises(InputError, match="not the weights of resnet18"):
        load_backbone(weights, "resnet18")
