"""Writing files so that nobody ever reads half of one, and naming things by their content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ratewise.errors import InputError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def location(text: str | Path) -> Path:
    """The place that a user named: a path, or an address such as ``s3://bucket/folder``.

    An address (of an object store that fsspec knows) becomes a ``UPath`` of universal_pathlib,
    which is used like a path: files appear there whole or not at all, and folders are what their
    files' names say.
    Raises :class:`InputError` where the extra for addresses is not installed, and for a protocol
    that is not known.
    """
    if not isinstance(text, str):
        return text
    if text.startswith("file://"):
        return Path(url2pathname(urlsplit(text).path))
    if not _ADDRESS.match(text):
        return Path(text)
    try:
        from upath import UPath
    except ImportError:
        raise InputError(
            f"{text}: addresses need an extra: pip install 'ratewise[remote]'"
        ) from None
    try:
        return cast(Path, UPath(text))
    except (ValueError, ImportError) as error:
        raise InputError(f"{text}: cannot be opened ({error})") from None


def is_local(path: Path) -> bool:
    """Whether ``path`` is on a disk of this machine, not at an address."""
    return isinstance(path, Path)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path`` so that the file is there whole or not at all.

    The parent folder is made. A process killed in between leaves at most a file whose name
    starts with ``.tmp-``, which nothing reads.
    """
    # A file name that is no Unicode (lone surrogates) is written with escapes.
    payload = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    with open_atomically(path) as file:
        file.write(payload)


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which is at ``path`` once the block ends well; see write_atomically."""
    if not is_local(path):
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with path.open("wb") as there:  # an object is there when it is closed
                while block := file.read(1 << 24):
                    there.write(block)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
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
