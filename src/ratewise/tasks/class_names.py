"""Comparing the names of classes: a model's with a data set's, a head's with a file's."""

from __future__ import annotations

from collections.abc import Sequence

from ratewise.errors import InputError


def check_same_classes(of_model: Sequence[str], of_data: Sequence[str], where: str) -> None:
    """Raise an :class:`InputError` that names what differs, unless both are the same in order.

    ``where`` names the model, by its file.
    """
    if tuple(of_model) != tuple(of_data):
        unlike = differences(of_model, of_data, "the model", "the data set")
        raise InputError(f"{where}: the model's classes are not the data set's: {unlike}")


def differences(first: Sequence[str], second: Sequence[str], one: str, other: str) -> str:
    """Which names ``first`` and ``second`` do not share, and which of the two lacks them."""
    found = [
        f"{who} lacks {some(names)}"
        for who, names in (
            (other, [name for name in first if name not in set(second)]),
            (one, [name for name in second if name not in set(first)]),
        )
        if names
    ]
    return "; ".join(found) or "their order differs"


def some(names: Sequence[str]) -> str:
    """The first three of ``names``, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
