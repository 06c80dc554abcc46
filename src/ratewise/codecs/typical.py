"""What a codec's operating points give on photographs, before an image is encoded.

The numbers are measured: ``python benchmarks/rate.py --images FOLDER --every 8 --typical`` prints
them, here for Kodak's photographs and 224x224 crops of samples of ImageNet. They only say where a
search begins and how the curve is expected to bend; where a curve rises they do not change what is
found. A codec that is not in the table gets a straight line: its search begins near the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratewise.codecs.ladder import Ladder
from ratewise.codecs.search import Curve, Expected


@dataclass(frozen=True)
class _Typical:
    """Means and standard deviations over photographs at some operating points, in rising order.

    A row is an operating point, bits per pixel without ``overhead`` (the geometric mean), the
    deviation of their natural logarithm, PSNR in dB and its deviation. ``overhead`` are the bytes
    of a file of a single colour.
    """

    overhead: int
    rows: tuple[tuple[float, float, float, float, float], ...]
    logarithmic: bool = False
    """Whether operating points are interpolated by their logarithm."""

    def at(self, values: tuple[float, ...], column: int) -> Curve:
        """A column (1 to 4) at the operating points ``values``; bits per pixel as logarithm."""
        known = np.array(self.rows).T
        where, what = known[0], np.log(known[1]) if column == 1 else known[column]
        wanted = np.array(values)
        if self.logarithmic:
            where, wanted = np.log(where), np.log(wanted)
        curve: Curve = np.interp(wanted, where, what)
        return curve


_TABLE = {
    "bpg": _Typical(
        31,
        (
            (0, 6.44, 0.268, 46.14, 7.41),
            (4, 6.17, 0.273, 45.92, 6.90),
            (8, 5.07, 0.307, 44.70, 5.25),
            (12, 4.01, 0.339, 43.50, 4.37),
            (16, 3.1, 0.375, 42.16, 3.67),
            (20, 2.28, 0.427, 40.27, 3.03),
            (24, 1.6, 0.487, 38.13, 2.51),
            (28, 1.08, 0.541, 35.74, 2.15),
            (32, 0.68, 0.601, 33.28, 2.02),
            (36, 0.412, 0.664, 30.99, 2.00),
            (40, 0.239, 0.715, 28.84, 2.12),
            (44, 0.131, 0.685, 26.75, 2.44),
            (48, 0.069, 0.599, 24.85, 2.71),
            (51, 0.0423, 0.514, 23.54, 2.77),
        ),
    ),
    "jpeg": _Typical(
        631,
        (
            (1, 0.173, 0.210, 21.50, 2.18),
            (2, 0.173, 0.210, 21.51, 2.18),
            (3, 0.184, 0.216, 21.79, 2.19),
            (4, 0.205, 0.231, 22.76, 2.36),
            (6, 0.249, 0.268, 24.22, 2.59),
            (8, 0.294, 0.297, 25.17, 2.69),
            (10, 0.337, 0.311, 25.89, 2.82),
            (15, 0.435, 0.336, 27.16, 2.98),
            (20, 0.524, 0.349, 28.02, 3.02),
            (30, 0.685, 0.355, 29.28, 3.02),
            (40, 0.821, 0.356, 30.17, 2.96),
            (50, 0.954, 0.351, 30.91, 2.93),
            (60, 1.1, 0.346, 31.65, 2.87),
            (70, 1.32, 0.339, 32.71, 2.85),
            (80, 1.68, 0.327, 34.22, 2.80),
            (85, 1.98, 0.318, 35.34, 2.85),
            (90, 2.5, 0.304, 36.92, 2.96),
            (93, 2.99, 0.295, 38.28, 3.13),
            (96, 4.02, 0.277, 40.29, 3.61),
            (98, 5.08, 0.272, 42.11, 4.39),
            (100, 6.91, 0.261, 43.82, 5.75),
        ),
    ),
    "webp": _Typical(
        44,
        (
            (0, 0.132, 0.462, 25.00, 2.69),
            (1, 0.196, 0.531, 26.34, 2.57),
            (2, 0.219, 0.545, 26.73, 2.52),
            (4, 0.255, 0.559, 27.27, 2.44),
            (7, 0.297, 0.573, 27.86, 2.36),
            (10, 0.335, 0.578, 28.35, 2.30),
            (20, 0.449, 0.573, 29.59, 2.17),
            (30, 0.561, 0.569, 30.66, 2.05),
            (40, 0.678, 0.555, 31.66, 1.96),
            (50, 0.787, 0.534, 32.43, 1.98),
            (60, 0.898, 0.522, 33.13, 1.94),
            (70, 1.02, 0.506, 33.85, 1.96),
            (75, 1.09, 0.500, 34.23, 1.96),
            (80, 1.34, 0.472, 35.47, 2.04),
            (85, 1.68, 0.440, 36.82, 2.18),
            (90, 2.19, 0.398, 38.48, 2.55),
            (95, 3.08, 0.334, 40.46, 3.23),
            (98, 3.75, 0.302, 41.40, 3.70),
            (100, 4.06, 0.302, 41.67, 3.88),
        ),
    ),
    "jpeg2000": _Typical(
        0,
        (
            (1, 6.56, 0.392, 51.86, 1.09),
            (2, 6.54, 0.387, 51.79, 1.15),
            (2.5, 6.41, 0.362, 51.41, 1.82),
            (3, 6.15, 0.322, 50.72, 2.78),
            (4, 5.32, 0.230, 48.76, 4.22),
            (6, 3.86, 0.107, 45.08, 5.45),
            (8, 2.97, 0.033, 42.37, 5.77),
            (12, 1.99, 0.003, 38.72, 5.70),
            (16, 1.49, 0.008, 36.40, 5.59),
            (24, 0.997, 0.007, 33.68, 5.38),
            (32, 0.744, 0.012, 31.93, 5.15),
            (48, 0.496, 0.016, 29.80, 4.81),
            (64, 0.374, 0.014, 28.50, 4.62),
            (96, 0.249, 0.013, 26.83, 4.33),
            (128, 0.186, 0.016, 25.73, 4.17),
            (192, 0.125, 0.022, 24.25, 3.94),
            (256, 0.0945, 0.014, 23.16, 3.76),
            (512, 0.0488, 0.016, 19.10, 3.20),
            (1024, 0.0397, 0.203, 15.33, 3.48),
            (1000000, 0.0328, 0.694, 14.42, 1.92),
        ),
        logarithmic=True,
    ),
    "avif": _Typical(
        311,
        (
            (0, 0.0777, 0.309, 24.58, 3.34),
            (2, 0.0777, 0.309, 24.58, 3.34),
            (5, 0.0856, 0.286, 24.82, 3.42),
            (10, 0.117, 0.322, 25.68, 3.42),
            (20, 0.18, 0.374, 26.95, 3.40),
            (30, 0.273, 0.406, 28.42, 3.25),
            (40, 0.417, 0.402, 30.05, 3.11),
            (50, 0.659, 0.393, 32.16, 2.87),
            (60, 0.974, 0.390, 34.18, 2.70),
            (70, 1.36, 0.390, 36.23, 2.57),
            (80, 1.82, 0.367, 37.93, 2.72),
            (85, 2.07, 0.358, 38.68, 2.85),
            (90, 2.63, 0.334, 39.99, 3.27),
            (95, 3.49, 0.309, 41.23, 3.84),
            (98, 4.26, 0.301, 41.91, 4.21),
            (100, 5.99, 0.255, 44.05, 9.07),
        ),
    ),
    "msh": _Typical(
        33,
        (
            (1, 0.0693, 0.349, 24.08, 2.92),
            (2, 0.164, 0.435, 26.15, 3.06),
            (3, 0.328, 0.391, 28.09, 3.42),
            (4, 0.556, 0.321, 29.57, 3.89),
            (5, 0.82, 0.256, 30.36, 4.21),
        ),
    ),
}

_LEAST_SPREAD = 0.01
"""Of the logarithm of bytes: rate-controlled codecs come closer than that on most images."""

_BPP = (0.1, 8.0)
_DECIBELS = (24.0, 44.0)
"""From the worst to the best rung of a codec that is not in the table."""


def expected_log_bytes(rungs: Ladder, height: int, width: int) -> Expected:
    """The natural logarithm of a file's bytes at each rung, for an image of ``height x width``."""
    typical = _TABLE.get(rungs.codec)
    if typical is None:
        line = np.linspace(np.log(_BPP[0]), np.log(_BPP[1]), len(rungs))
        return Expected(line + np.log(height * width / 8), np.full(len(rungs), 0.5))
    net = np.exp(typical.at(rungs.values, 1)) * (height * width / 8)
    spread = np.maximum(typical.at(rungs.values, 2), _LEAST_SPREAD)
    whole = typical.overhead + net
    return Expected(np.log(whole), spread * net / whole)


def expected_decibels(rungs: Ladder) -> Expected:
    """PSNR in dB at each rung."""
    typical = _TABLE.get(rungs.codec)
    if typical is None:
        return Expected(np.linspace(*_DECIBELS, len(rungs)), np.full(len(rungs), 3.0))
    return Expected(typical.at(rungs.values, 3), typical.at(rungs.values, 4))
