"""How a model learns from what arrives. A recipe's name finds its builder.

Importing this imports no torch; a builder is loaded when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ratewise.errors import InputError
from ratewise.validation import suggestion

if TYPE_CHECKING:
    from ratewise.recipes.assembly import Builder

RECIPES = {
    "standard": "ratewise.recipes.standard",
    "finetune": "ratewise.recipes.standard",
    "stability": "ratewise.recipes.stability",
    "expert": "ratewise.recipes.expert",
}
"""Each name with the module whose ``build`` makes the recipe ready to train."""


def recipe(name: str) -> Builder:
    """The builder of recipe ``name``. Raises :class:`InputError` for an unknown one."""
    if name not in RECIPES:
        raise InputError(
            f"recipe {name!r} is not known{suggestion(name, RECIPES)} "
            f"(allowed: {', '.join(RECIPES)})"
        )
    builder: Builder = import_module(RECIPES[name]).build
    return builder
