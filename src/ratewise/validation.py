"""Settings models, and turning pydantic's errors into the one sentence that a user needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

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
    path = _walk(model, [str(part) for part in first["loc"]])[0]
    key = ".".join(path) or "the top level"
    kind, value = first["type"], first.get("input")
    if kind == "extra_forbidden":
        allowed = _keys(model, [str(part) for part in first["loc"]][:-1])
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
    inside = _walk(model, path)[1]
    return sorted(inside.model_fields) if inside else []


def _walk(model: type[BaseModel], path: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """``path`` without the tags that pydantic puts in for the members of a union, and the model
    that it leads to, if the annotations tell."""
    keys: list[str] = []
    here: type[BaseModel] | None = model
    members: list[type[BaseModel]] = []
    for part in path:
        if members:  # this part is a union's tag, which names one of its members
            here = next((m for m in members if _has_tag(m, part)), members[0])
            members = []
            continue
        keys.append(part)
        field = here.model_fields.get(part) if here else None
        models = _models(field.annotation) if field else []
        here = models[0] if len(models) == 1 else None
        members = models if len(models) > 1 else []
    return keys, here


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    """Whether a member of a union is the one that pydantic calls ``tag``: by a literal field."""
    literals = (field.annotation for field in model.model_fields.values())
    return any(get_origin(a) is Literal and tag in get_args(a) for a in literals)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The settings models of an annotation: itself, or the members of a union."""
    if get_origin(annotation) is Annotated:
        return _models(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType):
        return [model for member in get_args(annotation) for model in _models(member)]
    return []
