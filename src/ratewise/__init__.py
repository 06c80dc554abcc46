"""ratewise: what compression costs a vision model, and how to win it back.

The names that a notebook needs; the rest is reached through its package::

    import ratewise

    jpeg = ratewise.codec("jpeg:quality=10")
    data = jpeg.encode(ratewise.read_image("street.png"))
    results = ratewise.run("configs/quickstart.yaml", "runs/quickstart")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratewise.api import read_image as read_image
    from ratewise.api import run as run
    from ratewise.codecs import codec as codec
    from ratewise.codecs import decode as decode
    from ratewise.data.store import open_store as open_store
    from ratewise.study.settings import load_study as load_study

_HOMES = {
    "codec": "ratewise.codecs",
    "decode": "ratewise.codecs",
    "load_study": "ratewise.study.settings",
    "open_store": "ratewise.data.store",
    "read_image": "ratewise.api",
    "run": "ratewise.api",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # Importing ratewise must not import torch, so each name is fetched when it is first used.
    if name not in _HOMES:
        raise AttributeError(f"module 'ratewise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
