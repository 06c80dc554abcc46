"""Patch KID: how far apart two sets of images are in a classifier's features.

M. Binkowski, D. Sutherland, M. Arbel, A. Gretton: Demystifying MMD GANs. ICLR 2018: the squared
maximum mean discrepancy with the kernel ``(x.y / d + 1)^3``, unbiased, averaged over random
subsets. Unlike FID it needs no covariance, so some hundred samples do not make it rank-deficient;
patches make many samples of few images.

The features are a local classifier's, not Inception's: values are comparable with each other, and
with no KID published elsewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.metrics.perception.patches import check_set, random_patches

if TYPE_CHECKING:
    from torch import Tensor

Features = NDArray[np.floating]

FEW_SAMPLES = 2_048
"""With fewer patches on a side, :func:`patch_kid` warns."""

_WHOLE = 4_096  # up to so many samples the kernels of all are kept, 0.4 GB, and subsets looked up


@dataclass(frozen=True)
class KernelDistance:
    """The mean over ``subsets`` random subsets of ``subset_size`` samples of either set.

    0 for sets of one distribution (and a little below by chance). ``deviation`` is that of the
    subsets' values (over ``subsets``, not one less): the subsets overlap, so divided by
    ``sqrt(subsets)`` it is no standard error.
    """

    kid: float
    deviation: float
    subsets: int
    subset_size: int
    samples: int


def patch_kid(
    reference_images: Sequence[Image],
    images: Sequence[Image],
    network: Callable[[Tensor], Tensor],
    *,
    side: int = 64,
    patches: int = FEW_SAMPLES,
    subsets: int = 100,
    subset_size: int = 1_000,
    seed: int = 0,
    batch_size: int = 64,
) -> KernelDistance:
    """KID between random patches of two sets of ``uint8 (H, W, 3)`` images.

    ``network`` gives features ``(N, d)`` of ``uint8 (N, 3, side, side)``, as
    :func:`ratewise.metrics.perception.backbone.load_backbone` does. From each set ``patches`` are
    drawn. Subsets are never larger than that. Warns below 2,048 patches. Raises
    :class:`ratewise.errors.InputError` on an empty set, an image smaller than a patch, or numbers
    that allow no estimate.
    """
    for name, value, least in (
        ("side", side, 1), ("patches", patches, 2), ("batch_size", batch_size, 1),
    ):  # fmt: skip
        if value < least:
            raise InputError(f"{name}: {value} must be at least {least}")
    check_set(reference_images, side, "reference_images")
    check_set(images, side, "images")
    if patches < FEW_SAMPLES:
        warnings.warn(
            f"KID of {patches} patches is unsteady; take {FEW_SAMPLES} at least", stacklevel=2
        )
    features = [
        _features(random_patches(chosen, patches, side, np.random.default_rng([seed, index])),
                  network, batch_size)
        for index, chosen in enumerate((reference_images, images))
    ]  # fmt: skip
    return kernel_distance(
        *features, subsets=subsets, subset_size=min(subset_size, patches), seed=seed
    )


def kernel_distance(
    reference: Features, features: Features, *, subsets: int, subset_size: int, seed: int
) -> KernelDistance:
    """KID between features ``(N, d)`` and ``(M, d)``, as torchmetrics' ``KernelInceptionDistance``.

    Raises InputError if a subset would be larger than a set, or has fewer than two samples.
    """
    fewest = min(len(reference), len(features))
    if not 2 <= subset_size <= fewest:
        raise InputError(f"subset_size: {subset_size} must be 2 to the {fewest} samples there are")
    if subsets < 1:
        raise InputError(f"subsets: {subsets} must be at least 1")
    rng = np.random.default_rng([seed, 2])
    x, y = reference.astype(np.float64), features.astype(np.float64)
    whole = max(len(x), len(y)) <= _WHOLE
    kernels = (_kernel(x, x), _kernel(y, y), _kernel(x, y)) if whole else None
    values = []
    for _ in range(subsets):
        i, j = (rng.permutation(len(z))[:subset_size] for z in (x, y))
        if kernels is None:
            values.append(squared_mmd(x[i], y[j]))
        else:
            xx, yy, xy = kernels
            values.append(_unbiased(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)]))
    return KernelDistance(
        float(np.mean(values)), float(np.std(values)), subsets, subset_size, fewest
    )


def squared_mmd(x: Features, y: Features) -> float:
    """Unbiased squared MMD of ``(N, d)`` and ``(N, d)`` with the kernel ``(x.y / d + 1)^3``.

    Binkowski et al., eqs. 3 and 4; in float64.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    return _unbiased(_kernel(x, x), _kernel(y, y), _kernel(x, y))


def _kernel(x: Features, y: Features) -> Features:
    base = x @ y.T / x.shape[1] + 1.0
    cubed: Features = base * base * base
    return cubed


def _unbiased(xx: Features, yy: Features, xy: Features) -> float:
    """The estimate from kernel values: a sample is not compared with itself within a set."""
    count = len(xx)
    within = sum(float(k.sum() - np.trace(k)) for k in (xx, yy))
    return within / (count * (count - 1)) - 2.0 * float(xy.mean())


def _features(patches: Image, network: Callable[[Tensor], Tensor], batch_size: int) -> Features:
    """``float32 (N, d)`` of ``uint8 (N, side, side, 3)``."""
    import torch

    found = []
    with torch.inference_mode():
        for start in range(0, len(patches), batch_size):
            batch = torch.from_numpy(patches[start : start + batch_size]).permute(0, 3, 1, 2)
            found.append(network(batch.contiguous()).float().cpu().numpy())
    features: Features = np.concatenate(found)
    if features.ndim != 2:
        raise InputError(f"network: features must be (N, d), not {features.shape}")
    if not np.isfinite(features).all():
        raise InputError("network: its features are not all finite")
    return features
