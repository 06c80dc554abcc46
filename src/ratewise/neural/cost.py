"""What coding with integers costs: the rate that :mod:`ratewise.neural.quantise` gives away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ratewise.images import Image
from ratewise.neural.integer import LARGEST_SCALE, HyperSynthesis, indices_of_scales
from ratewise.neural.models import CompressionModel
from ratewise.neural.tables import MEAN_UNIT, SCALE_UNIT
from ratewise.neural.transforms import Transforms
from ratewise.neural.weights import PackedModel


@torch.inference_mode()
def integer_cost(model: CompressionModel, packed: PackedModel, images: Sequence[Image]) -> float:
    """Rate of ``images`` with the integer h_s over that with the float h_s, less 1.

    Both code the same latents with the same tables; ``packed`` is made of ``model``, which must
    have a hyperprior. Rates are cross-entropies under the tables, which files follow to a byte.
    """
    assert packed.gaussian is not None
    assert packed.thresholds is not None
    transforms = Transforms(model, "cpu", "fp32")
    h_s = HyperSynthesis(packed.layers)
    with_means = packed.architecture.kind == "msh"
    table_of = indices_of_scales(torch.from_numpy(packed.thresholds)).numpy()
    medians = torch.from_numpy(packed.medians)[:, None, None] / MEAN_UNIT
    bits = np.zeros(2)
    for image in images:
        y = transforms.analysis(image[None])
        z = torch.round(transforms.hyper_analysis(y) - medians)
        scales, means = model.scales_and_means(z + medians)
        exact, exact_means = h_s(z.permute(0, 2, 3, 1), means=with_means)
        y = y.permute(0, 2, 3, 1)
        rounded = torch.round(scales.permute(0, 2, 3, 1) * SCALE_UNIT).clamp(0, LARGEST_SCALE)
        float_means = 0 if means is None else means.permute(0, 2, 3, 1)
        integer_means = 0 if exact_means is None else exact_means / MEAN_UNIT
        h, w = y.shape[1:3]
        maps = np.broadcast_to(np.arange(len(packed.prior)), z.permute(0, 2, 3, 1).shape)
        bits += packed.prior.bits(maps.ravel(), z.permute(0, 2, 3, 1).int().numpy().ravel())
        for i, (scale, mean) in enumerate([(exact, integer_means), (rounded, float_means)]):
            indices = table_of[scale[:, :h, :w].int().numpy()]
            kept = mean[:, :h, :w] if isinstance(mean, torch.Tensor) else mean
            bits[i] += packed.gaussian.bits(indices.ravel(), (y - kept).round().numpy().ravel())
    return float(bits[0] / bits[1] - 1)
