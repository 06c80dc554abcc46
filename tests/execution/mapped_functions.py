"""Functions that the tests of mapping have done by workers."""

from __future__ import annotations

import os
import signal


def add(context: int, x: int) -> int:
    return context + x


def fail_on_three(x: int) -> int:
    if x == 3:
        raise KeyError("three")
    return x


def die_on_five(x: int) -> int:
    if x == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def threads(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")
