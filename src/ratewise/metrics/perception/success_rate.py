"""How well a trained observer tells two sets of images apart: a divergence between them.

Y. Blau, T. Michaeli: The perception-distortion tradeoff. CVPR 2018, section 2.3: perceptual
quality is how hard real and processed images are to tell apart; the best observer's success rate
is ``1/2 + d_TV / 2``, with d_TV the total variation between the distributions. A small network is
no best observer, so what it reaches is a lower bound of that, up to chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.metrics.perception.patches import check_set, random_patches

if TYPE_CHECKING:
    from torch import Tensor, nn

_LEAST_SIDE = 8
_LEAST_IMAGES = 4
_RESAMPLES = 1_000
_LAYERS = ((16, 1), (32, 2), (32, 2))  # width and stride
_LEARNING_RATE = 3e-3


@dataclass(frozen=True)
class SuccessRate:
    """Balanced accuracy on patches of held-out images: 0.5 cannot be told apart, 1 always.

    ``low`` to ``high`` is the 95 % interval over held-out images (bootstrap of whole images, as
    the patches of one image are alike). It holds the trained observer fixed, and is too narrow
    for fewer than some ten ``held_out`` images.
    """

    rate: float
    low: float
    high: float
    patches: int
    held_out: int


def success_rate(
    reference: Sequence[Image],
    images: Sequence[Image],
    *,
    side: int = 32,
    patches: int = 1_024,
    held_out: float = 0.5,
    steps: int = 200,
    batch_size: int = 64,
    seed: int = 0,
    device: str = "cpu",
) -> SuccessRate:
    """Train a small network to tell ``images`` from ``reference``; its success on others.

    ``patches`` of each set are drawn to train on and as many to test. The share ``held_out`` of
    the images is tested on only. Images of one index go to one side, so where both sets show the
    same scenes in the same order, no scene is on both. Raises
    :class:`ratewise.errors.InputError` for fewer than four images in a set, an image smaller
    than a patch, or numbers out of range. Same seed, same result on a CPU.
    """
    for name, value, least in (
        ("side", side, _LEAST_SIDE), ("patches", patches, 1), ("steps", steps, 1),
        ("batch_size", batch_size, 2),
    ):  # fmt: skip
        if value < least:
            raise InputError(f"{name}: {value} must be at least {least}")
    if not 0 < held_out < 1:
        raise InputError(f"held_out: {held_out} must lie between 0 and 1")
    check_set(reference, side, "reference", least=_LEAST_IMAGES)
    check_set(images, side, "images", least=_LEAST_IMAGES)
    rng = np.random.default_rng([seed, 0])
    shared = min(len(reference), len(images))
    order = rng.permutation(shared)
    kept = min(max(round(shared * held_out), 1), shared - 1)
    tested = set(order[:kept].tolist())
    # What only the longer set has is split by the same share.
    for index in range(shared, max(len(reference), len(images))):
        if rng.random() < held_out:
            tested.add(index)
    train = [[x for i, x in enumerate(s) if i not in tested] for s in (reference, images)]
    test = [[x for i, x in enumerate(s) if i in tested] for s in (reference, images)]

    def drawn(sets: list[list[Image]], stream: int) -> list[Image]:
        # The same places in both sets: aligned sets then differ in nothing but what was done.
        return [
            random_patches(s, patches, side, np.random.default_rng([seed, stream])) for s in sets
        ]

    network = _trained(drawn(train, 2), steps, batch_size, seed, device)
    hits = [
        _hits(network, x, label, len(s), device)
        for label, (x, s) in enumerate(zip(drawn(test, 3), test, strict=True))
    ]
    low, high = _interval(hits, rng)
    return SuccessRate(
        float(np.mean([h.mean() for h in hits])), low, high, patches, min(len(s) for s in test)
    )


def _interval(hits: list[NDArray[np.float64]], rng: np.random.Generator) -> tuple[float, float]:
    """95 % of the balanced accuracy when held-out images are drawn again, with replacement.

    Sets of one length are drawn by index: a scene's two images come or go together.
    """
    drawn = [rng.integers(len(h), size=(_RESAMPLES, len(h))) for h in hits]
    if len(hits[0]) == len(hits[1]):
        drawn[1] = drawn[0]
    means = [h[d].mean(1) for h, d in zip(hits, drawn, strict=True)]
    low, high = np.quantile((means[0] + means[1]) / 2, (0.025, 0.975))
    return float(low), float(high)


def _trained(sets: list[Image], steps: int, batch_size: int, seed: int, device: str) -> nn.Module:
    """The observer after ``steps`` of Adam on batches with as many patches of either set."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    rng = np.random.default_rng([seed, 1])
    half = batch_size // 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _observer().to(device)
    labels = torch.arange(2, device=device).repeat_interleave(half).float()
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
    network.train()
    for _ in range(steps):
        chosen = rng.integers(len(sets[0]), size=half)
        batch = np.concatenate([s[chosen] for s in sets])
        logits = network(_tensor(batch, device)).squeeze(1)
        loss = binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return network.eval()


def _hits(
    network: nn.Module, patches: Image, label: int, images: int, device: str
) -> NDArray[np.float64]:
    """Per image the share of its patches that are told right; patch i is of image i % images."""
    import torch

    with torch.inference_mode():
        said = [
            (network(_tensor(patches[i : i + 256], device)).squeeze(1) > 0).cpu().numpy()
            for i in range(0, len(patches), 256)
        ]
    right = np.concatenate(said) == bool(label)
    owner = np.arange(len(right)) % images
    counts = np.bincount(owner, minlength=images)
    hits = np.bincount(owner, right, minlength=images)
    shares: NDArray[np.float64] = hits[counts > 0] / counts[counts > 0]
    return shares


def _tensor(patches: Image, device: str) -> Tensor:
    """``float (N, 3, h, w)``: each pixel minus the mean of its 3x3 neighbours, over 8 levels.

    What processing leaves is small beside what a scene shows.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    x = torch.from_numpy(patches).permute(0, 3, 1, 2).contiguous().to(device).float()
    near = avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return ((x - near) / 8.0).clamp(-4.0, 4.0)


def _observer() -> nn.Module:
    """Three convolutions and a mean over the patch: it sees texture and artefacts, not scenes."""
    from torch import nn

    layers: list[nn.Module] = []
    before = 3
    for width, stride in _LAYERS:
        layers += [nn.Conv2d(before, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1))
