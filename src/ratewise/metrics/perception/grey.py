"""Grey levels as MATLAB's ``rgb2gray`` gives them, for which the published models were made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ratewise.images import Image, check_image

# The first row of the inverse of MATLAB's YIQ to RGB matrix; to four digits 0.2989 0.5870 0.1140.
_WEIGHTS = np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])


def grey_levels(image: Image) -> NDArray[np.float64]:
    """``float64 (H, W)`` of whole levels 0 to 255, rounded as for ``uint8`` (halves go up).

    Raises :class:`ratewise.errors.ImageError` if ``image`` is not ``uint8 (H, W, 3)``.
    """
    rgb = check_image(image).astype(np.float64)
    grey: NDArray[np.float64] = np.floor(rgb @ _WEIGHTS + 0.5)
    return np.minimum(grey, 255.0)
