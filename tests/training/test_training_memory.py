"""Freed memory is kept for the next tensors, unless the user has chosen otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from ratewise.training.memory import keep_freed_memory

done = keep_freed_memory() if sys.argv[1] == "keep" else False
np.ones(16 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(16 << 20, np.uint8)
print(int(done), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str, **environment: str) -> tuple[bool, int]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    found = subprocess.run(
        [sys.executable, "-c", _FAULTS, how],
        capture_output=True,
        text=True,
        check=True,
        env={**clean, **environment},
    )
    done, faults = found.stdout.split()
    return bool(int(done)), int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
def test_pages_of_freed_blocks_are_not_asked_for_again() -> None:
    done, faults = _faults("keep")

    assert done
    assert faults < 4096  # one block of 16 MiB has so many pages; there are twenty


def test_the_users_own_choice_stays() -> None:
    assert _faults("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] is False
