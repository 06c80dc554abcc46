"""Where the published parameters of the indices lie, and reading them.

The user's folder has the folders ``hosa`` and ``niqe`` with the authors' files in them, as
``docs/perceptual-index.md`` tells. It is an argument, or named by the environment variable
``RATEWISE_IQA``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ratewise.errors import InputError

Floats = NDArray[np.float64]

ROOT_VARIABLE = "RATEWISE_IQA"

MAX_BYTES = 2**24
"""A parameter file with more bytes than this is refused unread; the real ones have 0.1 MB."""

_MAT_5 = b"MATLAB 5.0 MAT-file"


def parameters_root(folder: Path | None) -> Path | None:
    """``folder``, else what ``RATEWISE_IQA`` names, else None. Raises InputError if it is none."""
    named = folder if folder is not None else _from_environment()
    if named is not None and not named.is_dir():
        source = "" if folder is not None else f" ({ROOT_VARIABLE})"
        raise InputError(f"{named}{source}: not a folder of perceptual index parameters")
    return named


def index_folder(index: str, folder: Path | None) -> Path:
    """The folder of one index's parameters (``hosa``, ``niqe``).

    ``folder`` is the root that holds it (:func:`parameters_root`). Raises InputError if there is
    no root, or it has no such folder.
    """
    root = parameters_root(folder)
    if root is None:
        raise InputError(
            f"the parameters of {index} are needed: give their folder or set {ROOT_VARIABLE} "
            "(docs/perceptual-index.md tells where they come from)"
        )
    if not (root / index).is_dir():
        raise InputError(f"{root}: has no folder {index!r} with that index's parameters")
    return root / index


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB 5 file: arrays and structures, never code.

    Raises InputError if the file is missing, too large, damaged or of another format.
    """
    from scipy.io import loadmat

    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: more than {MAX_BYTES} bytes, no parameters of an index")
        with path.open("rb") as handle:
            if handle.read(len(_MAT_5)) != _MAT_5:
                raise InputError(f"{path}: must be a MATLAB 5 file, as the authors publish it")
        return cast("dict[str, Any]", loadmat(path))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise InputError(f"{path}: cannot be read ({error})") from error


def matrix(values: Any, shape: tuple[int, ...], name: str, path: Path) -> Floats:
    """``values[name]`` as float64 of ``shape``; InputError if it is anything else."""
    try:
        found = np.asarray(values[name], np.float64)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise InputError(f"{path}: has no numbers {name!r}") from error
    if found.shape != shape or not np.isfinite(found).all():
        raise InputError(f"{path}: {name!r} must be {shape} finite numbers, not {found.shape}")
    return found


def structure(values: dict[str, Any], name: str, path: Path) -> Any:
    """The MATLAB structure ``name``, whose fields are looked up by name; InputError if absent."""
    found = values.get(name)
    if not isinstance(found, np.ndarray) or found.size != 1 or found.dtype.names is None:
        raise InputError(f"{path}: has no structure {name!r}")
    return found.reshape(-1)[0]


def _from_environment() -> Path | None:
    named = os.environ.get(ROOT_VARIABLE)
    return Path(named) if named else None
