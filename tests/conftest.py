"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_THE_PROJECT = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("RATEWISE_DATA", _BESIDE_THE_PROJECT))
    if not path.is_dir():
        pytest.skip("the real data is not here: set RATEWISE_DATA to its folder to run this test")
    return path
