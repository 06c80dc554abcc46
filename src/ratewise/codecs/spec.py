"""Specs: the one spelling of a codec and its options, ``jpeg:quality=10,subsampling=444``.

A spec is ``name`` or ``name:option=value,option=value``. In the *canonical* spelling the
operating point is always there, other options only where they differ from their default, all in
the order in which the codec declares them. A *sweep* gives several values to an option: a
comma-part without ``=`` is a further value of the option before it.
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ratewise.codecs.base import OperatingPoint, Option
from ratewise.errors import InputError
from ratewise.validation import suggestion

M = TypeVar("M", bound=BaseModel)


def parse(text: str) -> tuple[str, dict[str, str]]:
    """``("jpeg", {"quality": "10"})`` of ``"jpeg:quality=10"``; values stay text.

    Raises :class:`InputError` for a spec that is not spelled like one, an option given twice, or
    several values of one option.
    """
    name, values = parse_sweep(text)
    for option, found in values.items():
        if len(found) > 1:
            raise InputError(
                f"codec {text!r}: option {option!r} has {len(found)} values "
                f"({', '.join(found)}); a single codec takes one"
            )
    return name, {option: found[0] for option, found in values.items()}


def parse_sweep(text: str) -> tuple[str, dict[str, list[str]]]:
    """Like :func:`parse`, with a list of values per option."""
    name, colon, rest = text.strip().partition(":")
    if not name.strip():
        raise InputError(f"codec {text!r}: write NAME or NAME:option=value,option=value")
    values: dict[str, list[str]] = {}
    current: list[str] | None = None
    for part in rest.split(",") if colon else []:
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if equals and option in values:
            raise InputError(f"codec {text!r}: option {option!r} is given twice")
        if equals and option and value:
            current = values[option] = [value]
        elif not equals and option and current is not None:
            current.append(option)
        else:
            raise InputError(
                f"codec {text!r}: {part.strip()!r} is not option=value "
                "(write NAME:option=value,option=value)"
            )
    return name.strip(), values


def combinations(values: Mapping[str, list[str]]) -> Iterable[dict[str, str]]:
    """Each choice of one value per option; the last option varies fastest."""
    for chosen in itertools.product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def build(model: type[M], name: str, options: Mapping[str, str]) -> M:
    """``model`` with the ``options`` of a spec of codec ``name``.

    Raises :class:`InputError` that names codec, option and value and says what is allowed.
    """
    for option in options:
        if option not in model.model_fields:
            known = list(model.model_fields)
            raise InputError(
                f"codec {name!r}: unknown option {option!r}{suggestion(option, known)} "
                f"(options: {', '.join(known) or 'none'})"
            )
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            message = str(first["msg"]).removeprefix("Value error, ")
            raise InputError(f"codec {name!r}: {message}") from None
        option = str(first["loc"][0])
        allowed = _allowed(model.model_fields[option])
        raise InputError(
            f"codec {name!r}: {option}={options.get(option)} is not allowed; {option} is {allowed}"
        ) from None


def spell(name: str, settings: BaseModel, point: OperatingPoint | None) -> str:
    """The canonical spec of codec ``name`` with ``settings``."""
    shown = []
    for option, field in type(settings).model_fields.items():
        value = getattr(settings, option)
        if (point and option == point.name) or value != field.default:
            shown.append(f"{option}={value_text(value)}")
    return f"{name}:{','.join(shown)}" if shown else name


def options_of(model: type[BaseModel]) -> tuple[Option, ...]:
    """The options that the fields of ``model`` stand for, in declared order."""
    return tuple(
        Option(
            name=option,
            default="" if field.is_required() else value_text(field.default),
            allowed=_allowed(field),
        )
        for option, field in model.model_fields.items()
    )


def value_text(value: Any) -> str:
    """An option's value as a spec spells it: ``true``, ``75``, ``12.5``, ``420``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _allowed(field: FieldInfo) -> str:
    annotation = field.annotation
    if annotation is bool:
        return "true or false"
    if typing.get_origin(annotation) is Literal:
        *head, last = (value_text(value) for value in typing.get_args(annotation))
        return f"{', '.join(head)} or {last}" if head else last
    kinds: dict[Any, str] = {int: "a whole number", float: "a number"}
    kind = kinds.get(annotation)
    if kind is None:
        return "text"
    low, high = _bound(field, "ge"), _bound(field, "le")
    if low is not None and high is not None:
        return f"{kind} from {value_text(low)} to {value_text(high)}"
    if low is not None:
        return f"{kind} of at least {value_text(low)}"
    return kind if high is None else f"{kind} of at most {value_text(high)}"


def _bound(field: FieldInfo, side: str) -> Any:
    found = (getattr(entry, side, None) for entry in field.metadata)
    return next((value for value in found if value is not None), None)
