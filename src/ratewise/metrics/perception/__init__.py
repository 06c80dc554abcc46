"""Perceptual quality: of one image (HOSA, NIQE), and between two sets of images.

``docs/perceptual-index.md`` tells what each is, where parameters come from, and how far to trust
it.
"""

from ratewise.metrics.perception.index import PerceptualIndex, perceptual_index, why_no_index
from ratewise.metrics.perception.kid import KernelDistance, patch_kid
from ratewise.metrics.perception.success_rate import SuccessRate, success_rate

__all__ = [
    "KernelDistance",
    "PerceptualIndex",
    "SuccessRate",
    "patch_kid",
    "perceptual_index",
    "success_rate",
    "why_no_index",
]
