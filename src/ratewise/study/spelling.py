"""How a study file spells configurations: by letters, by a pair of codecs, by a matrix of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from ratewise import codecs
from ratewise.study.channels import COMPRESSED, LOSSLESS, ORIGINAL, Channel, Configuration
from ratewise.validation import Settings

ALL = "all"


class CodecPair(Settings):
    """A configuration whose two sides use different codecs: train on one, test on the other.

    ``png`` stands for the originals.
    """

    train: str
    test: str


class CodecMatrix(Settings):
    """Every pair of a codec to train on and one to test on (Fig. 5 of the expert-training paper).

    ``all`` stands for the originals and all codecs of the study; lists may hold sweeps.
    """

    train: Literal["all"] | str | list[str]
    test: Literal["all"] | str | list[str]

    def pairs(self, of_study: Sequence[str]) -> list[CodecPair]:
        """The pairs, row by row; InputError for a codec that is not known."""
        return [
            CodecPair(train=train, test=test)
            for train in _listed(self.train, of_study)
            for test in _listed(self.test, of_study)
        ]


Entry = str | CodecPair
"""A configuration as a study file's settings hold it."""


def entries(spelled: Iterable[Any], of_study: Sequence[str]) -> list[Entry]:
    """Configurations in their one spelling, matrices taken apart.

    ``spelled`` are strings, pairs and matrices, or the mappings that spell these. Raises
    :class:`InputError` for a configuration or a codec that is not known, and ValueError for one
    that stands twice.
    """
    found: list[Entry] = []
    for one in spelled:
        if isinstance(one, str):
            found.append(Configuration.parse(one).name)
        else:
            matrix = one if isinstance(one, CodecMatrix) else CodecMatrix.model_validate(one)
            found += matrix.pairs(of_study)
    for index, entry in enumerate(found):
        if entry in found[:index]:
            raise ValueError(f"{said(entry)} stands twice in configurations")
    return found


def configuration_of(entry: Entry) -> Configuration:
    """The configuration that an entry means; a string's has no codecs yet."""
    if isinstance(entry, str):
        return Configuration.parse(entry)
    train, test = (
        Channel(ORIGINAL if spec == LOSSLESS else COMPRESSED, spec)
        for spec in (entry.train, entry.test)
    )
    return Configuration(train, test)


def said(entry: Entry) -> str:
    """An entry in a sentence."""
    return entry if isinstance(entry, str) else f"{{train: {entry.train}, test: {entry.test}}}"


def _listed(side: str | list[str], of_study: Sequence[str]) -> list[str]:
    if side == ALL:
        return list(dict.fromkeys([LOSSLESS, *of_study]))
    sweeps = [side] if isinstance(side, str) else side
    return [codecs.codec(spec).spec for sweep in sweeps for spec in codecs.expand(sweep)]
