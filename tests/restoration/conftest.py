"""Small stores of originals and of what compression left of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from restoration_examples import texture

from ratewise.data.compress import compress_store
from ratewise.data.sources import FolderSource, StoreSource
from ratewise.data.store import Store, open_store
from ratewise.images import write_png


@dataclass(frozen=True)
class Stores:
    originals: Store
    compressed: tuple[Store, ...]


@pytest.fixture
def make_stores(tmp_path: Path) -> Callable[..., Stores]:
    """Stores of ``count`` textures in folders of their own, through each of the codecs."""

    def make(
        count: int,
        *codecs: str,
        size: tuple[int, int] = (48, 64),
        groups: int = 1,
        name: str = "",
    ) -> Stores:
        base = tmp_path / f"stores{name}"
        for i in range(count):
            folder = base / "photos" / f"drive{i * groups // count}"
            write_png(folder / f"{i:04d}.png", texture(i, *size))
        compress_store(FolderSource(base / "photos"), base / "originals", "png")
        originals = open_store(base / "originals")
        compressed = []
        for number, spec in enumerate(codecs):
            compress_store(StoreSource(originals), base / f"compressed{number}", spec)
            compressed.append(open_store(base / f"compressed{number}"))
        return Stores(originals, tuple(compressed))

    return make
