"""Settings models, and turning pydantic's errors into the one sentence that a user needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ratewise.errors import InputError


class Settings(BaseModel):
    """Base of every settings model: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], value: Any, where: str) -> M:
    """``model`` built from ``value``, or an :class:`InputError` that names the wrong key or value.

    ``where`` says what is being read: a file, or a codec's spec.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InputError(explain(error, model, where)) from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One sentence for the first problem in ``error``: the key, the value, what is allowed."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path) or "the top level"
    kind, value = first["type"], first.get("input")
    if kind == "extra_forbidden":
        allowed = _keys(model, path[:-1])
        return (
            f"{where}: unknown key {key!r}{suggestion(path[-1], allowed)} "
            f"(allowed: {', '.join(allowed) or 'none'})"
        )
    if kind == "missing":
        return f"{where}: {key!r} is missing"
    message = str(first["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message[1:2].islower() else message
    shown = "" if isinstance(value, (dict, list)) else f" = {value!r}"
    return f"{where}: {key}{shown}: {message}"


def suggestion(word: str, allowed: Iterable[str]) -> str:
    """``'; did you mean x?'`` when one of ``allowed`` is close to ``word``, else nothing."""
    close = difflib.get_close_matches(word, list(allowed), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys allowed at ``path`` inside ``model``, as far as the annotations tell."""
    for part in path:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return sorted(model.model_fields)
