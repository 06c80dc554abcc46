"""``screens``: drawn pictures of computer screens with windows of text, far from photographs.

Nothing is downloaded: screen ``(seed, index)`` is drawn when it is asked for, at any size.
"""

from __future__ import annotations

from ratewise.data.screens.render import render_screen

VERSION = 1
"""Goes up whenever the pixels of a screen change."""

__all__ = ["VERSION", "render_screen"]
