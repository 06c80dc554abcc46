"""``streets``: a procedural collection of driving scenes with exact dense labels.

Nothing is downloaded: scene ``(seed, index)`` is drawn when it is asked for, at any size.
"""

from __future__ import annotations

from ratewise.data.streets.labels import CLASSES
from ratewise.data.streets.render import render_scene

VERSION = 1
"""Goes up whenever the pixels or the labels of a scene change."""

__all__ = ["CLASSES", "VERSION", "render_scene"]
