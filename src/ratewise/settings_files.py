"""Settings files: YAML that a user writes, read into a settings model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from ratewise.errors import InputError
from ratewise.validation import validate

M = TypeVar("M", bound=BaseModel)


def read_settings(
    file: Path, model: type[M], kind: str, overrides: Mapping[str, str] | None = None
) -> M:
    """The settings in ``file``, which errors call a ``kind`` ("study file").

    ``overrides`` replaces values by their dotted keys (``{"data.root": "/data/camvid"}``); each
    value is read as YAML. Raises :class:`InputError` that names the wrong key or value.
    """
    return validate(model, read_values(file, kind, overrides), str(file))


def read_values(
    file: Path, kind: str, overrides: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values in ``file`` before a settings model takes them; see :func:`read_settings`."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{file}: no such {kind}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text ({error})") from None
    tree = _parse_yaml(text, str(file))
    if not isinstance(tree, dict):
        raise InputError(f"{file}: a {kind} must hold keys and values, such as 'name: ...'")
    return overridden(tree, overrides or {})


def overridden(tree: dict[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    """``tree`` with values replaced by their dotted keys, each read as YAML; it is changed.

    Raises :class:`InputError` for a key or value that cannot be.
    """
    for key, value in overrides.items():
        _override(tree, key, value)
    return tree


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """The keys and values of ``--set KEY=VALUE``; InputError for one without a value."""
    found = [text.partition("=") for text in pairs]
    for key, equals, _ in found:
        if not equals:
            raise InputError(f"--set {key}: write --set KEY=VALUE")
    return {key: value for key, _, value in found}


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid"
        raise InputError(f"{where}{place}: unreadable YAML ({problem})") from None


def _override(tree: dict[str, Any], key: str, value: str) -> None:
    if not re.fullmatch(r"\w+(\.\w+)*", key):
        raise InputError(f"--set {key}={value}: the key must look like data.root")
    *parents, last = key.split(".")
    node = tree
    for part in parents:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise InputError(f"--set {key}={value}: {part!r} holds a value, not further keys")
        node = child
    node[last] = _parse_yaml(value, f"--set {key}")
