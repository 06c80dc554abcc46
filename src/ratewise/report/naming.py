"""The names of configurations in reports, and what they tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "OO"
_TEST_SPLITS = ("test", "val", "validation")

_CHANNELS = re.compile(r"(o\+c|o\+r|[OCRAor])[OCRA](?![A-Za-z])")


def channels_of(configuration: str) -> str:
    """The channels at the start of a configuration's name: ``o+rO`` of ``o+rO@12.5%#25%(rdn)``."""
    found = _CHANNELS.match(configuration)
    return found[0] if found else configuration


def on_originals(channels: str) -> bool:
    """Whether channels such as ``OO`` and ``oO`` need no codec."""
    return channels in (REFERENCE, "oO")


def spelled(configurations: Iterable[str], results: pd.DataFrame, first: str) -> list[str]:
    """Configurations as a study spells them, under the names that :func:`tidy` gives the rows.

    ``first`` is the restorer that a name without one means.
    """
    known = list(dict.fromkeys(results["restorer"].dropna())) if "restorer" in results else []
    known = [name for name in known if name]
    found = []
    for configuration in configurations:
        bare, _, named = configuration.partition("(")
        if not set(channels_of(bare)) & set("RAr") or not first:
            found.append(configuration)
            continue
        restorer = named.removesuffix(")") or first
        found.append(bare if known in ([], [restorer]) else f"{bare}({restorer})")
    return found


def share(configuration: str) -> float:
    """The per cent in a configuration's name (``CO#25%`` is 25), 100 where it has none."""
    for mark in "#@":
        tail = configuration.partition(mark)[2].partition("%")[0]
        try:
            return float(tail)
        except ValueError:
            continue
    return 100.0


def shown_split(splits: Iterable[str]) -> str:
    """The one of ``splits`` (not none) that models are tested on, where it is named so; else the
    last."""
    known = list(dict.fromkeys(splits))
    return next((name for name in _TEST_SPLITS if name in known), known[-1])
