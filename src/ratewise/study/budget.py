"""A budget: how many bytes may be collected to train a model.

Spelled behind a configuration's ``#``: ``500kB``, ``1.5MB``, ``2GB`` (powers of 1000), or ``5%B``,
five per cent of the bytes of the originals that OO is trained on. What is counted, and which
images a budget buys, is said in :mod:`ratewise.study.spending`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ratewise.errors import InputError

BUDGET = r"\d{1,15}(?:\.\d{1,15})?(?:B|kB|MB|GB|%B)"
"""The spellings of a budget, as a regular expression."""

_UNITS = {"GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}


@dataclass(frozen=True)
class Budget:
    """A number of bytes, or a share of the bytes of all originals; one of the two."""

    bytes: int | None = None
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """The budget that ``text`` spells; InputError that says what is allowed."""
        if not re.fullmatch(BUDGET, text):
            raise InputError(
                f"budget {text!r} is not known; allowed: bytes such as 500kB, 1.5MB or 2GB, or a "
                "share of the originals' bytes such as 5%B"
            )
        found = re.match(r"[\d.]+", text)
        assert found is not None  # the pattern starts with digits
        value, unit = Fraction(found.group()), text[found.end() :]
        if unit == "%B":
            return cls.of_percent(value)
        size = value * _UNITS[unit]
        if size < 1 or size.denominator != 1:
            raise InputError(f"budget {text!r} is no whole number of bytes over 0")
        return cls(bytes=int(size))

    @classmethod
    def of_percent(cls, percent: Fraction) -> Budget:
        """So many per cent of the originals' bytes; InputError outside 0 to 100."""
        if not 0 < percent <= 100:
            raise InputError("a budget in per cent must be over 0 and up to 100 %")
        return cls(share=percent / 100)

    @property
    def name(self) -> str:
        """The budget's one spelling."""
        if self.share is not None:
            return f"{_decimal(self.share * 100)}%B"
        size = self.bytes or 0
        unit, factor = next((u, f) for u, f in _UNITS.items() if size >= f or f == 1)
        return f"{_decimal(Fraction(size, factor))}{unit}"

    def limit(self, whole: int) -> int:
        """The bytes that may be spent where all originals have ``whole`` bytes."""
        return int(self.share * whole) if self.share is not None else (self.bytes or 0)

    def to_json(self) -> dict[str, Any]:
        """JSON-able; :meth:`from_json` gives it back."""
        return {"bytes": self.bytes} if self.share is None else {"share": str(self.share)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Budget:
        """The budget that :meth:`to_json` described; other keys are ignored."""
        share = value.get("share")
        return cls(value.get("bytes"), None if share is None else Fraction(share))


def _decimal(value: Fraction) -> str:
    return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"
