"""The house of the design: a floor imports only from floors below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ratewise

PACKAGE = Path(ratewise.__file__).parent
FLOORS = [
    "errors",
    "files",
    "validation",
    "settings_files",
    "depth",
    "images",
    "metrics",
    "execution",
    "training",
    "codecs",
    "neural",
    "data",
    "restoration",
    "tasks",
    "recipes",
    "joint",
    "study",
    "report",
    "cli",
]
TOP = {"__init__", "__main__", "api"}  # the package's face; nothing inside the house imports it


def _floor(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported_floors(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "ratewise":
                yield parts[1] if len(parts) > 1 else "__init__"


def _violations(floor: str, source: str) -> list[str]:
    if floor in TOP:
        return []
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | TOP
    return [name for name in _imported_floors(source) if name in above]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_a_floor_imports_only_from_floors_below_it(path: Path) -> None:
    floor = _floor(path)
    assert floor in FLOORS or floor in TOP, f"{floor} has no place in the house"
    assert _violations(floor, path.read_text()) == []


def test_an_import_from_above_is_found() -> None:
    assert _violations("codecs", "from ratewise.data import store") == ["data"]
    assert _violations("codecs", "def f():\n    import ratewise.study.plan") == ["study"]
    assert _violations("data", "from ratewise.codecs import base") == []


def test_codecs_do_not_import_the_learned_codecs_that_join_them() -> None:
    for path in (PACKAGE / "codecs").rglob("*.py"):
        assert not set(_imported_floors(path.read_text())) & {"neural", "joint"}
