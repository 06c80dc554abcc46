"""The images that a bench reads, and the folder that its results may go to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ratewise.codecs.bench import COLUMNS
from ratewise.errors import InputError
from ratewise.images import SUFFIXES


def find_images(sources: Sequence[Path]) -> list[Path]:
    """The image files that ``sources`` name: files as they are, folders searched recursively.

    In the order given, a folder's in order of name, each once. Raises :class:`InputError` for a
    source that does not exist, a folder without images or that cannot be read, and no sources.
    """
    found: dict[Path, Path] = {}  # by absolute path: a file may be named in two ways
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in _files(source) if _is_image(path, source))
            if not inside:
                raise InputError(f"{source}: no images in this folder")
            for path in inside:
                found.setdefault(path.absolute(), path)
        elif source.is_file():
            found.setdefault(source.absolute(), source)
        else:
            raise InputError(f"{source}: no such file or folder")
    if not found:
        raise InputError("no images are given")
    return list(found.values())


def check_out(out: Path, sources: Sequence[Path]) -> None:
    """Raise :class:`InputError` if ``out`` is no place for results.

    It must be new or empty, or hold an earlier bench, and lie outside of the folders of images:
    else the plot would be measured by the next run.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: there is a file of this name; give a folder")
    inner = out.resolve()
    for source in (path.resolve() for path in sources if path.is_dir()):
        if source == inner or source in inner.parents:
            raise InputError(f"--out {out}: must lie outside of the images' folder {source}")
    if not out.is_dir() or _is_bench(out / "images.csv"):
        return
    others = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if others:
        raise InputError(
            f"--out {out}: holds other files ({others[0]}) and no earlier bench; choose an empty "
            "or new folder"
        )


def _is_bench(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline().startswith(",".join(COLUMNS))
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None

    for here, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(here) / name for name in names)


def _is_image(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
