"""The header of a weights file: how its weights were made. Read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratewise.errors import InputError

KEY = "ratewise"
"""Under which a safetensors file of ours has its header, one entry of JSON."""


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file; a foreign file's own metadata is its header.

    Raises :class:`InputError` if the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="numpy") as file:
            return header_of(path, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error


def header_of(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The header in a safetensors file's metadata; ``path`` is for the error."""
    try:
        return dict(json.loads(metadata[KEY]) if KEY in metadata else metadata)
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: not a readable safetensors file (damaged header)") from None
