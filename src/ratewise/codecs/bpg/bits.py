"""Bits as HEVC's headers use them: most significant first, with Exp-Golomb codes (9.2 of H.265)."""

from __future__ import annotations

_LONGEST_PREFIX = 32


class BitReader:
    """Reads bits from ``data``; ValueError at its end or on a code that is too long."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """The next ``count`` bits as an unsigned number."""
        if count > self._left:
            raise ValueError("the bits end too early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.bits(1))

    def ue(self) -> int:
        """The next unsigned Exp-Golomb code."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > _LONGEST_PREFIX:
                raise ValueError("an Exp-Golomb code is too long")
        return (1 << zeros) - 1 + self.bits(zeros)


class BitWriter:
    """Collects bits; ``to_bytes`` pads with zeros to a whole byte."""

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    def bits(self, value: int, count: int) -> None:
        """Append ``value`` as ``count`` bits."""
        if value < 0 or value >> count:
            raise ValueError(f"{value} does not fit {count} bits")
        self._value = (self._value << count) | value
        self._count += count

    def flag(self, value: bool) -> None:
        """Append one bit."""
        self.bits(int(value), 1)

    def ue(self, value: int) -> None:
        """Append ``value`` as an unsigned Exp-Golomb code."""
        self.bits(value + 1, 2 * (value + 1).bit_length() - 1)

    def to_bytes(self) -> bytes:
        """All bits so far, with zeros up to a whole byte."""
        padding = -self._count % 8
        return (self._value << padding).to_bytes((self._count + padding) // 8, "big")
