"""Keeping memory that tensors free, for the next ones.

glibc gives blocks of more than some hundred kB back to the system when they are freed, and asks for
them anew: the system then zeroes every page. A training step on a CPU frees and takes the same
gigabytes again and again, and spends a sixth of its time on that (``benchmarks/training.py``).
"""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3)."""

_LARGEST_BLOCK = 32 << 20
"""glibc allows no more: larger blocks are mapped, and go back, each by itself."""

_KEPT = 2**31 - 1
_ASKED_AT_ONCE = 64 << 20

_OWN_CHOICE = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
)


def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB of what it frees; whether that was done.

    Resident memory then stays near its peak. Nothing is done where the C library is not glibc, or
    the user has chosen with glibc's own variables (``MALLOC_TRIM_THRESHOLD_`` and its kin, or
    ``GLIBC_TUNABLES``).
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OWN_CHOICE):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = (
        (_MMAP_THRESHOLD, _LARGEST_BLOCK),
        (_TRIM_THRESHOLD, _KEPT),
        (_TOP_PAD, _ASKED_AT_ONCE),
    )
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
