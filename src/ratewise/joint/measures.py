"""What a joint codec achieves: its maps, its pictures, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    of the one without enhancement (the same where the model has none).
    """
    return means([_picture(coder, image) for image in images])


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each column."""
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def _picture(coder: JointCoder, image: Image) -> dict[str, float]:
    height, width = image.shape[:2]
    (data,) = coder.encode([image])
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
