"""What adapting a codec changes: the new domain's rate and quality, and what is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ratewise.errors import CodecError
from ratewise.images import Image
from ratewise.metrics.distortion import decibels, ms_ssim, psnr
from ratewise.metrics.rate import bits_per_pixel
from ratewise.neural.adaptation.adaptation import Adaptation
from ratewise.neural.adaptation.library import AdaptedCoder, Library, cost
from ratewise.neural.adaptation.settings import NONE
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.transforms import Transforms
from ratewise.neural.weights import PackedModel

VERSION = 1
"""Goes up when something is measured otherwise, so that it is measured anew."""

Record = dict[str, Any]
"""What was measured, as JSON has it."""


class Coder(Protocol):
    """What codes images, such as :class:`ratewise.neural.coder.NeuralCoder`."""

    def encode(self, images: Sequence[Image]) -> list[bytes]:
        """A file for each image."""

    def decode(self, data: Sequence[bytes]) -> list[Image]:
        """The image in each file."""


class SourceOn:
    """What the source codec ``model`` makes of ``images``, made when it is asked for."""

    def __init__(self, model: PackedModel, images: Sequence[Image]) -> None:
        self.model, self.images = model, images

    @cached_property
    def files(self) -> list[bytes]:
        """Its file of each image."""
        return self._coded[0]

    @cached_property
    def decoded(self) -> list[Image]:
        """The image in each file."""
        return self._coded[1]

    @cached_property
    def records(self) -> list[Record]:
        """See :func:`coded`."""
        return _records(self.model, self.images, self.files, self.decoded)

    @cached_property
    def _coded(self) -> tuple[list[bytes], list[Image]]:
        return _round_trips(NeuralCoder(self.model), self.images)


def is_beside_its_source(adaptation: Adaptation) -> bool:
    """Whether the source's weights stay as they are, inside the adapted codec.

    What finetune makes takes the place of its source: that is what it is measured as, though its
    file can be kept beside the source like any other.
    """
    return adaptation.method != "finetune"


def measure(adaptation: Adaptation, source: SourceOn) -> Record:
    """What ``adaptation`` does on a domain; ``coded``, ``old`` and the drift of latents.

    ``coded`` has a record for each image coded with the adapted codec. ``old`` is about the files
    that the source wrote before (:func:`old_files`).
    """
    adapted = adaptation.applied(source.model)
    files, decoded = _round_trips(NeuralCoder(adapted), source.images)
    drift_y, drift_z = drift(source.model, adapted, source.images)
    return {
        "coded": _records(source.model, source.images, files, decoded),
        "old": old_files(codec_afterwards(adaptation, source.model), source),
        "drift_y": drift_y,
        "drift_z": drift_z,
    }


def codec_afterwards(adaptation: Adaptation, source: PackedModel) -> Coder:
    """Who meets the source's files after adapting.

    The source, which stays embedded, through the coder that holds both; or a fine-tuned codec that
    took its place under its name. No public codec does so: it would refuse the file.
    """
    if is_beside_its_source(adaptation):
        return AdaptedCoder(source, Library(Path(), {"adapted": adaptation}), NONE)
    return NeuralCoder(replace(adaptation.applied(source), adaptation=b""))


def old_files(afterwards: Coder, source: SourceOn) -> Record:
    """What becomes of the files that the source wrote before.

    Shares of images: ``identical``, decoded to the same pixels as before; ``undecodable``, whose
    symbols cannot be read any more; ``same_bytes``, which are encoded to the same file as before.
    ``psnr`` is the mean of those that can be decoded, ``psnr_before`` of all.
    """
    identical, undecodable, same = 0, 0, 0
    found: list[float] = []
    rows = zip(source.images, source.files, source.decoded, strict=True)
    for image, file, before in rows:
        same += afterwards.encode([image])[0] == file
        try:
            (decoded,) = afterwards.decode([file])
        except CodecError:
            undecodable += 1
            continue
        identical += np.array_equal(decoded, before)
        found.append(psnr(image, decoded))
    count = len(source.images)
    return {
        "images": count,
        "identical": identical / count,
        "undecodable": undecodable / count,
        "same_bytes": same / count,
        "psnr": float(np.mean(found)) if found else float("nan"),
        "psnr_before": float(np.mean([record["psnr"] for record in source.records])),
    }


def drift(
    source: PackedModel, adapted: PackedModel, images: Sequence[Image]
) -> tuple[float, float]:
    """How far y and z of ``images`` move: the mean squared difference over the source's variance.

    The variance is the mean of those of the feature maps, each around its own mean. Both go through
    the transforms in float32; z is what each h_a makes of its own g_a's y.
    """
    before = Transforms(source.network(), precision="fp32")
    after = Transforms(adapted.network(), precision="fp32")
    sums = [_Drift(), _Drift()]
    for image in images:
        y, moved = before.analysis(image[None]), after.analysis(image[None])
        sums[0].add(y, moved)
        sums[1].add(before.hyper_analysis(y), after.hyper_analysis(moved))
    return sums[0].relative(), sums[1].relative()


class _Drift:
    """Sums over the positions of feature maps."""

    def __init__(self) -> None:
        self._count = 0
        self._first = self._second = self._moved = torch.zeros(())

    def add(self, before: Tensor, after: Tensor) -> None:
        """Count latents ``(1, C, h, w)``."""
        x, moved = before.double().cpu(), (after - before).double().cpu()
        self._count += x.shape[2] * x.shape[3]
        self._first = self._first + x.sum((0, 2, 3))
        self._second = self._second + (x**2).sum((0, 2, 3))
        self._moved = self._moved + (moved**2).sum((0, 2, 3))

    def relative(self) -> float:
        """NaN where the latents are the same everywhere."""
        variance = self._second / self._count - (self._first / self._count) ** 2
        total = float(variance.clamp(min=0).sum())
        return float(self._moved.sum()) / self._count / total if total > 0 else float("nan")


def _round_trips(coder: Coder, images: Sequence[Image]) -> tuple[list[bytes], list[Image]]:
    """Files and what they decode to; each image alone, so that none depends on the others."""
    files = [coder.encode([image])[0] for image in images]
    return files, [coder.decode([file])[0] for file in files]


def _records(
    source: PackedModel, images: Sequence[Image], files: Sequence[bytes], decoded: Sequence[Image]
) -> list[Record]:
    return [
        _record(source, image, file, back)
        for image, file, back in zip(images, files, decoded, strict=True)
    ]


def _record(source: PackedModel, image: Image, file: bytes, decoded: Image) -> Record:
    similarity = ms_ssim(image, decoded)
    return {
        "bytes": len(file),
        "bpp": bits_per_pixel(len(file), image.shape[0], image.shape[1]),
        "psnr": psnr(image, decoded),
        "ms_ssim": similarity,
        "ms_ssim_db": decibels(similarity),
        "cost": cost(source, image, decoded, file),
    }
