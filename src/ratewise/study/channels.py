"""Channels and configurations: by which way an image reaches a model in training and in test.

A configuration is spelled ``TRAIN TEST [@p%] [#n%] [(restorer)]`` without spaces: ``OO``, ``CO``,
``RO``, ``oO@12.5%``, ``CO#25%``, ``CO#500kB``, ``o+cO@12.5%#25%``, ``RO(rdn)``.

======== ==========================================================================================
O        the original
C        compressed
R        compressed and restored, by a restorer trained on privileged originals
A        the same, trained on an auxiliary data set of another domain
o        the share p of the originals alone (training side only, as those below)
r        restored, by a restorer trained on the share p of the originals
o+c o+r  that share of the originals, the other images compressed or restored
======== ==========================================================================================

``#25%`` takes a quarter of the training *images* (what a smaller budget could have collected),
``#500kB`` and ``#5%B`` as many as so many bytes buy (:mod:`ratewise.study.budget`);
``(rdn)`` chooses one of the study's restorers, which is the first without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from ratewise.errors import InputError
from ratewise.study.budget import BUDGET, Budget

ORIGINAL = "O"
COMPRESSED = "C"
RESTORED = "R"
AUXILIARY = "A"
LOSSLESS = "png"
"""The codec spec that stands for an original, which is stored as PNG."""

RESTORER_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"

_PERCENT = r"\d+(?:\.\d+)?"
_SPELLING = re.compile(
    rf"(?P<train>o\+c|o\+r|[OCRAor])(?P<test>[OCRA])(@(?P<privileged>{_PERCENT})%)?"
    rf"(#(?:(?P<images>{_PERCENT})%|(?P<budget>{BUDGET})))?(\((?P<restorer>{RESTORER_NAME})\))?"
)
_ALLOWED = (
    "O, C, R, A, o, r, o+c or o+r for training and then O, C, R or A for test (OO, CO, OC, CC, RO, "
    "...), a share of privileged originals behind the lower-case ones (rO@12.5%), and then, if "
    "wanted, an image share (CO#25%) or a budget (CO#500kB, CO#5%B) and a restorer's name (RO(rdn))"
)


@dataclass(frozen=True)
class Channel:
    """The way of an image to a model: letter, codec, restorer, share of privileged originals.

    ``codec`` is None as long as the study's sweep has not given it; of originals alone it is
    ``png``. ``restorer`` is empty where none is named.
    """

    letter: str
    codec: str | None = None
    restorer: str = ""
    share: Fraction | None = None

    @property
    def compresses(self) -> bool:
        """Whether images on it go through a codec."""
        return self.letter not in (ORIGINAL, "o")

    @property
    def restores(self) -> bool:
        """Whether images on it go through a restorer."""
        return self.letter in (RESTORED, AUXILIARY, "r", "o+r")

    @property
    def mixes(self) -> bool:
        """Whether some images on it are originals and the others are not."""
        return self.letter in ("o+c", "o+r")

    def through(self, codec: str) -> Channel:
        """The channel with its codec: ``codec`` where it has one, else ``png``."""
        return replace(self, codec=codec if self.compresses else LOSSLESS)


@dataclass(frozen=True)
class Configuration:
    """A training channel and a test channel, and a share of the training images or a budget that
    buys them."""

    train: Channel
    test: Channel
    share: Fraction = Fraction(1)
    budget: Budget | None = None

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """The configuration that ``text`` spells; InputError that says what is allowed."""
        match = _SPELLING.fullmatch(text)
        if not match:
            raise InputError(f"configuration {text!r} is not known; allowed: {_ALLOWED}")
        images = Fraction(1) if match["images"] is None else _fraction(match["images"])
        if not 0 < images <= 1:
            raise InputError(
                f"configuration {text!r}: the image share must be over 0 and up to 100 %"
            )
        letter = match["train"]
        privileged = None if match["privileged"] is None else _fraction(match["privileged"])
        if letter.islower() and privileged is None:
            raise InputError(
                f"configuration {text!r}: {letter} needs a share of privileged originals, such as "
                f"{letter}{match['test']}@12.5%"
            )
        if not letter.islower() and privileged is not None:
            raise InputError(
                f"configuration {text!r}: {letter} takes no share of privileged originals (@); o, "
                "r, o+c and o+r do"
            )
        if privileged is not None and not 0 < privileged < 1:
            raise InputError(
                f"configuration {text!r}: the share of privileged originals must be over 0 and "
                "under 100 %"
            )
        restorer = match["restorer"] or ""
        return cls(
            Channel(letter, restorer=restorer, share=privileged),
            Channel(match["test"], restorer=restorer),
            images,
            None if match["budget"] is None else Budget.parse(match["budget"]),
        )

    def through(self, codec: str) -> Configuration:
        """The configuration with ``codec`` on each side that has one."""
        return replace(self, train=self.train.through(codec), test=self.test.through(codec))

    @property
    def share_name(self) -> str:
        """``'@12.5%#25%'``: the shares that are not implied, and the budget."""
        privileged = "" if self.train.share is None else f"@{percent(self.train.share)}"
        return privileged + self.images_name

    @property
    def images_name(self) -> str:
        """``'#25%'`` or ``'#500kB'``; empty where all training images are used."""
        if self.budget is not None:
            return f"#{self.budget.name}"
        return "" if self.share == 1 else f"#{percent(self.share)}"

    @property
    def name(self) -> str:
        """The configuration's one spelling."""
        restorer = f"({self.restorer})" if self.restorer else ""
        return f"{self.train.letter}{self.test.letter}{self.share_name}{restorer}"

    @property
    def restorer(self) -> str:
        """The restorer that is named, or nothing."""
        return self.train.restorer or self.test.restorer

    @property
    def compresses(self) -> bool:
        """Whether any side of it needs a codec."""
        return self.train.compresses or self.test.compresses

    @property
    def restores(self) -> bool:
        """Whether any side of it needs a restorer."""
        return self.train.restores or self.test.restores

    @property
    def auxiliary(self) -> bool:
        """Whether any side of it needs a restorer of an auxiliary data set."""
        return AUXILIARY in (self.train.letter, self.test.letter)


def percent(share: Fraction) -> str:
    """``'12.5%'`` for 1/8: as many decimals as it takes."""
    value = Decimal(share.numerator * 100) / Decimal(share.denominator)
    return f"{value.normalize():f}%"


def _fraction(text: str) -> Fraction:
    return Fraction(text) / 100
