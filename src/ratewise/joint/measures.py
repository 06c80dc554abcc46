"""What a joint codec achieves: its maps, its pictures, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from ratewise.data.categories import categories_of
from ratewise.data.classes import Classes
from ratewise.images import Image, Mask
from ratewise.joint import bitstream
from ratewise.joint.coder import JointCoder
from ratewise.joint.network import JointModel
from ratewise.metrics.distortion import decibels, ms_ssim, psnr
from ratewise.metrics.rate import bits_per_pixel
from ratewise.metrics.segmentation import mean_iou, merged
from ratewise.tasks.batching import model_input
from ratewise.tasks.predictor import Predictor, evaluate
from ratewise.tasks.samples import LabelledImages

VERSION = 1
"""Goes up when something is measured otherwise, so that it is measured anew."""

ENHANCED_VERSION = 1
"""The same, for models that enhance."""


def measure_maps(
    predict: Predictor, store: LabelledImages, classes: Classes, indices: Sequence[int]
) -> dict[str, float]:
    """The segmentation metrics of what ``predict`` says of the images of a store.

    ``miou_categories`` is the mean IoU of Cityscapes' categories, for the classes of streets.
    """
    found = evaluate(predict, store, classes, indices=indices)
    categories = categories_of(classes.names)
    if not categories:
        return found.metrics
    of_categories = mean_iou(merged(found.matrix, list(categories.values())))
    return {**found.metrics, "miou_categories": of_categories}


def measure_pictures(coder: JointCoder, images: Sequence[Image]) -> dict[str, float]:
    """Means over ``images`` of rates (whole files, and each part), PSNR and MS-SSIM in dB.

    ``psnr`` and ``ms_ssim_db`` are of the decoded picture, ``psnr_plain`` and ``ms_ssim_db_plain``
    of the one without enhancement (the same where the model has none). ``psnr_other_map``, of a
    model that enhances, is with the semantic part of the next image of the same size: what of the
    gain is left is not the map's. NaN if an image's size is its own.
    """
    files = [coder.encode([image])[0] for image in images]
    rows = [_picture(coder, *one) for one in zip(images, files, strict=True)]
    if coder.model.architecture.enhancement is not None:
        for row, image, data in zip(rows, images, with_other_maps(files), strict=True):
            row["psnr_other_map"] = nan
            if data is not None:
                row["psnr_other_map"] = psnr(image, coder.decode([data])[0])
    return means(rows)


def with_other_maps(files: Sequence[bytes]) -> list[bytes | None]:
    """Each file with the semantic part of the next one of its size, the last with the first's;
    None if there is no other of its size."""
    opened = [bitstream.read(data) for data in files]
    alike: dict[tuple[int, int], list[int]] = {}
    for index, file in enumerate(opened):
        alike.setdefault((file.width, file.height), []).append(index)
    found: list[bytes | None] = [None] * len(files)
    for group in alike.values():
        for index, other in zip(group, group[1:] + group[:1], strict=True):
            if other != index:
                found[index] = replace(opened[index], semantic=opened[other].semantic).to_bytes()
    return found


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each column."""
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def _picture(coder: JointCoder, image: Image, data: bytes) -> dict[str, float]:
    height, width = image.shape[:2]
    file = bitstream.read(data)
    plain, enhanced = (coder.decode([data], enhance=one)[0] for one in (False, True))
    found = {
        "bpp": bits_per_pixel(len(data), height, width),
        "bpp_semantic": bits_per_pixel(len(file.semantic), height, width),
        "bpp_image": bits_per_pixel(len(file.image), height, width),
    }
    for suffix, picture in (("", enhanced), ("_plain", plain)):
        found[f"psnr{suffix}"] = psnr(image, picture)
        found[f"ms_ssim_db{suffix}"] = decibels(ms_ssim(image, picture))
    return found


class FilesPredictor:
    """Predicts from files: encodes images and reads the maps in the semantic parts alone."""

    def __init__(self, coder: JointCoder) -> None:
        self._coder = coder

    def predict(self, images: Sequence[Image]) -> list[Mask]:
        """A mask for each image, in order."""
        files = self._coder.encode(images)
        return self._coder.predict([bitstream.keep(data, "semantic") for data in files])


class NetworkPredictor:
    """Predicts with the network itself, for variants that are not quantised."""

    def __init__(self, model: JointModel) -> None:
        self._model = model.eval()

    @torch.no_grad()
    def predict(self, images: Sequence[Image]) -> list[Mask]:
        """A mask for each image, in order."""
        device = next(self._model.parameters()).device
        masks: list[NDArray[np.uint8]] = []
        for image in images:
            logits = self._model.logits(model_input([image], device))
            masks.append(logits[0].argmax(0).to(torch.uint8).cpu().numpy())
        return masks
