"""Weights files and adaptations: their coders and digests, made once in each process."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratewise.errors import CodecError, InputError
from ratewise.files import sha256_file
from ratewise.training.header import read_header

if TYPE_CHECKING:
    from ratewise.neural.adaptation.library import AdaptedCoder
    from ratewise.neural.coder import NeuralCoder

PACKAGED = Path(__file__).parent / "pretrained"
"""The folder of the weights that come with the package: ``msh-small-1.safetensors`` and so on."""


def packaged(quality: int) -> Path:
    """The weights that come with the package for ``msh:quality=...``."""
    return PACKAGED / f"msh-small-{quality}.safetensors"


def load_coder(path: Path) -> NeuralCoder:
    """The coder of the packed weights at ``path``, made once in each process.

    Raises :class:`InputError` if there is no such file, or no packed weights in it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    return _loaded(path, *_state(path))


def adapted_coder(path: Path, adaptations: Path, choice: str) -> AdaptedCoder:
    """The coder of the packed weights at ``path`` with adaptations, made once in each process.

    Raises :class:`InputError` like :func:`load_coder`, :func:`open_library` and
    :class:`AdaptedCoder`.
    """
    files = (file for file in adaptation_files(adaptations) if file.is_file())
    states = tuple((file.name, *_state(file)) for file in files)
    return _adapted(path, adaptations, choice, _state(path), states)


@functools.lru_cache(maxsize=8)
def _adapted(path: Path, adaptations: Path, choice: str, *states: Any) -> AdaptedCoder:
    from ratewise.neural.adaptation.library import AdaptedCoder, open_library

    return AdaptedCoder(load_coder(path).model, open_library(adaptations), choice)


def adaptation_files(path: Path) -> list[Path]:
    """The files of adaptations that ``path``, a file or a folder, stands for."""
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def adaptation_names(path: Path) -> list[str]:
    """What the adaptation in a file is called, as far as the file tells without being loaded."""
    try:
        given = read_header(path)["about"]["name"]
    except (InputError, KeyError, TypeError):
        return [path.stem]  # what is wrong with it is said where it is loaded
    return [path.stem, given] if isinstance(given, str) else [path.stem]


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew: time and size."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=8)
def _loaded(path: Path, *state: Any) -> NeuralCoder:
    from ratewise.neural.coder import NeuralCoder
    from ratewise.neural.weights import load

    return NeuralCoder(load(path))


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex; :class:`InputError` if it is not there."""
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    return _hashed(path, *_state(path))


@functools.lru_cache(maxsize=64)
def _hashed(path: Path, *state: Any) -> str:
    return sha256_file(path)


def fingerprint_of(path: Path) -> bytes:
    """The fingerprint of packed weights; :class:`CodecError` if they cannot be loaded."""
    try:
        return load_coder(path).model.fingerprint
    except InputError as error:
        raise CodecError(str(error)) from error
