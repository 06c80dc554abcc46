"""Rate: how many bits a pixel costs."""

from __future__ import annotations


def bits_per_pixel(byte_count: int, height: int, width: int) -> float:
    """``8 * byte_count / (height * width)``: bits per pixel of a whole file as stored."""
    return 8.0 * byte_count / (height * width)
