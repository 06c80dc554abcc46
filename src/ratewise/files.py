"""Writing files so that nobody ever reads half of one, and naming things by their content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path`` so that the file is there whole or not at all.

    The parent folder is made. A process killed in between leaves at most a file whose name
    starts with ``.tmp-``, which nothing reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file name that is no Unicode (lone surrogates) is written with escapes.
    payload = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(payload)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    return json.loads(path.read_text())


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks (memory does not grow with the file)."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Hex SHA-256 of a JSON-able mapping or list, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256_bytes(text.encode())
