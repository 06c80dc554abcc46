"""Training a restorer: hold images out, fit, write the generator's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ratewise.errors import InputError
from ratewise.images import Image, write_png
from ratewise.metrics.distortion import MS_SSIM_MIN_SIDE
from ratewise.restoration.discriminators import Discriminators
from ratewise.restoration.features import feature_network
from ratewise.restoration.generators import build_generator
from ratewise.restoration.objective import Restoration
from ratewise.restoration.pairs import Pairs, PairSource, collate, hold_out
from ratewise.restoration.restorer import save_restorer
from ratewise.restoration.settings import RestorerSettings
from ratewise.training.loop import fit
from ratewise.training.seeding import Purpose, torch_seed

WEIGHTS = "restorer.safetensors"
PICTURES = "pictures"

_EPOCHS = 40
"""A run whose length is given in steps has about so many epochs at most, and so validations."""

_SHOWN = 3
"""Images held out that are shown at validations."""

_CROP = 256
"""Side of what is shown of each."""


def train_restorer(
    settings: RestorerSettings,
    pairs: Pairs,
    folder: Path,
    *,
    trained_for: Sequence[str],
    identity: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    base: Path = Path(),
    seed: int = 0,
    title: str = "restorer",
    quiet: bool = False,
    perceptual: Callable[[Image], float] | None = None,
) -> Path:
    """Train a restorer of ``settings`` on ``pairs``; the weights file it leaves in ``folder``.

    ``settings.validation`` of the images are held out (:func:`ratewise.restoration.pairs.hold_out`)
    and restored at each validation: PSNR, MS-SSIM in dB and the index of ``perceptual`` go to
    ``log.csv``, and a strip of crops (compressed, restored, original) to ``pictures``. Every
    random choice follows from ``seed``, which stands for the one in the settings.

    Killed and called again it goes on, to the same weights; ``identity`` (JSON-able) says what else
    the result depends on. ``trained_for`` are the canonical specs of the codecs of ``pairs``, and
    ``origin`` (JSON-able) says in the file how it came about. Paths in the settings are relative to
    ``base``.

    A run whose length is given in steps visits each image several times in what the loop calls an
    epoch, so that it has 40 epochs and validations at most.

    Raises :class:`InputError` before any work if the images are too few, too small for the loss or
    of several sizes without a patch, and :class:`ratewise.errors.TrainingError` if a loss is not
    finite; the last good checkpoint is then kept.
    """
    _check_sizes(settings, pairs)
    held, rest = hold_out(pairs, settings.validation, seed)
    training = settings.training.model_copy(update={"seed": seed})
    source = PairSource(pairs, settings.patch, indices=rest, visits=_visits(settings, len(rest)))
    features = feature_network(settings.features, base) if settings.losses.features else None
    shown = _Shown(pairs, held, folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(Purpose.STEP, seed))
        objective = Restoration(
            settings,
            build_generator(settings.generator),
            Discriminators(settings.discriminators) if settings.discriminators else None,
            features,
            shown.images,
            perceptual=perceptual,
            pictures=shown.write,
        )
    result = fit(
        objective,
        source,
        training,
        folder,
        collate=collate,
        identity={
            "restorer": settings.deciding(),
            "pairs": pairs.fingerprint(),
            "held_out": held,
            **(identity or {}),
        },
        title=title,
        quiet=quiet,
    )
    path = folder / WEIGHTS
    save_restorer(path, result.weights["generator"], settings.generator, trained_for, origin=origin)
    return path


@dataclass(frozen=True)
class _Shown:
    """The images held out, each in one of the compressed versions in turn."""

    pairs: Pairs
    held: Sequence[int]
    folder: Path

    @property
    def images(self) -> list[tuple[Image, Image]]:
        """Original and compressed version of each."""
        versions = self.pairs.compressed
        return [
            (self.pairs.originals.image(which), versions[number % len(versions)].image(which))
            for number, which in enumerate(self.held)
        ]

    def write(self, step: int, restored: Sequence[Image]) -> None:
        """The strip of a validation: a row per image; compressed, restored, original."""
        numbers = np.linspace(0, len(self.held) - 1, min(_SHOWN, len(self.held))).round()
        shown = self.images
        rows = []
        for number in map(int, numbers):
            original, compressed = shown[number]
            rows.append([_centre(image) for image in (compressed, restored[number], original)])
        height = max(image.shape[0] for row in rows for image in row)
        width = max(image.shape[1] for row in rows for image in row)
        strip = np.vstack([np.hstack([_filled(i, height, width) for i in row]) for row in rows])
        write_png(self.folder / PICTURES / f"step-{step:07d}.png", strip)


def _check_sizes(settings: RestorerSettings, pairs: Pairs) -> None:
    if settings.patch is not None:
        return
    sizes = sorted(pairs.sizes())
    if len(sizes) > 1 and settings.training.batch_size > 1:
        (w, h), (w2, h2) = sizes[:2]
        raise InputError(
            f"patch = null takes whole images, and these differ in size ({w}x{h}, {w2}x{h2}): set "
            "patch, or training.batch_size to 1"
        )
    least = min(min(size) for size in sizes)
    if settings.losses.ms_ssim and least < MS_SSIM_MIN_SIDE:
        raise InputError(
            f"patch = null takes whole images, and losses.ms_ssim needs {MS_SSIM_MIN_SIDE} pixels "
            f"a side at least, not {least}: set losses.ms_ssim to 0"
        )


def _visits(settings: RestorerSettings, images: int) -> int:
    training = settings.training
    if training.steps is None:
        return 1
    return -(-training.steps * training.batch_size // (_EPOCHS * images))


def _centre(image: Image) -> Image:
    height, width = image.shape[:2]
    top, left = max(0, height - _CROP) // 2, max(0, width - _CROP) // 2
    return image[top : top + _CROP, left : left + _CROP]


def _filled(image: Image, height: int, width: int) -> Image:
    below, right = height - image.shape[0], width - image.shape[1]
    return np.pad(image, ((0, below), (0, right), (0, 0)))
