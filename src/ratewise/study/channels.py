"""Channels and configurations: by which way an image reaches a model in training and in test.

A configuration is spelled by two letters, training side first: ``OO CO OC CC``. ``#25%`` behind
it takes a quarter of the training *images* (what a smaller budget could have collected).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ratewise.errors import InputError

ORIGINAL = "O"
COMPRESSED = "C"
LOSSLESS = "png"
"""The codec spec that stands for an original, which is stored as PNG."""

_SPELLING = re.compile(r"(?P<train>[OC])(?P<test>[OC])(#(?P<share>\d+(\.\d+)?)%)?")


@dataclass(frozen=True)
class Configuration:
    """A training channel and a test channel, by their letters, and a share of the images."""

    train: str
    test: str
    share: Fraction = Fraction(1)

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """The configuration that ``text`` spells, such as ``CO`` or ``CO#25%``."""
        match = _SPELLING.fullmatch(text)
        if not match:
            raise InputError(
                f"configuration {text!r} is not known; allowed: OO, CO, OC, CC, each with an "
                "image share such as CO#25% if wanted"
            )
        share = Fraction(match["share"]) / 100 if match["share"] else Fraction(1)
        if not 0 < share <= 1:
            raise InputError(
                f"configuration {text!r}: the image share must be over 0 and up to 100 %"
            )
        return cls(match["train"], match["test"], share)

    @property
    def share_name(self) -> str:
        """``'#25%'``, or nothing for all images."""
        return "" if self.share == 1 else f"#{float(self.share * 100):g}%"

    @property
    def name(self) -> str:
        """The configuration's one spelling."""
        return f"{self.train}{self.test}{self.share_name}"

    @property
    def compresses(self) -> bool:
        """Whether any side of it needs a codec."""
        return COMPRESSED in (self.train, self.test)
