"""Symbols to bytes and back: asymmetric numeral systems over integer tables.

constriction's ``AnsCoder`` is a stack of 32-bit words below a 64-bit state. Symbols are pushed
last to first, so that they come off in order, and all symbols of one table go in one call. At the
bottom lies a check value, which costs nothing beyond its 32 bits because the state needs a start
anyway; what is left when all symbols are off must be that value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import constriction
import numpy as np
from numpy.typing import NDArray

from ratewise.neural.tables import Tables

LEAST_SYMBOL, LARGEST_SYMBOL = -(1 << 15), (1 << 15) - 1
"""Symbols are of 16 bits."""

Symbols = NDArray[np.int16]
Indices = NDArray[np.integer]

_BYPASS = 1 << 16


class Models:
    """The tables of a :class:`Tables` as constriction takes them, each made when first needed."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._made: dict[int, object] = {}

    def __getitem__(self, index: int) -> object:
        """The model of one table, with exactly the table's frequencies.

        ``Categorical(perfect=False)`` gives every symbol 1 and shares the rest out in proportion
        to what it is given; the frequencies less 1 add up to that rest.
        """
        if index not in self._made:
            rest = (self.tables[index] - 1).astype(np.float64)
            self._made[index] = constriction.stream.model.Categorical(rest, perfect=False)
        return self._made[index]


_UNIFORM = constriction.stream.model.Uniform(_BYPASS)


@dataclass(frozen=True)
class Part:
    """Symbols that are coded together: each under the table of its index; both of one length."""

    models: Models
    indices: Indices
    symbols: Symbols


def encode(parts: Sequence[Part], check: int) -> bytes:
    """The bytes that hold ``parts`` in order, on top of ``check`` (32 bits)."""
    coder = constriction.stream.stack.AnsCoder(np.array([check], np.uint32), seal=True)
    for part in reversed(parts):
        tables = part.models.tables
        order, counts = grouped(part.indices, len(tables))
        sorted_symbols = part.symbols[order].astype(np.int32)
        ends = np.cumsum(counts)
        entries = sorted_symbols - np.repeat(tables.firsts, counts)
        escapes = np.repeat(tables.lengths - 1, counts)
        escaped = (entries < 0) | (entries >= escapes)
        if escaped.any():
            coder.encode_reverse(sorted_symbols[escaped] - LEAST_SYMBOL, _UNIFORM)
            entries[escaped] = escapes[escaped]
        for index in reversed(np.flatnonzero(counts).tolist()):
            begin, end = ends[index] - counts[index], ends[index]
            coder.encode_reverse(entries[begin:end], part.models[index])
    words = np.asarray(coder.get_compressed())
    return words.astype("<u4").tobytes().rstrip(b"\0")


class Decoder:
    """Takes the symbols off again. Bytes that nobody wrote give symbols too: see ``check``."""

    def __init__(self, data: bytes) -> None:
        padded = data.rstrip(b"\0")
        padded += bytes(-len(padded) % 4)
        words = np.frombuffer(padded, "<u4").astype(np.uint32)
        self._coder = constriction.stream.stack.AnsCoder(words)

    def take(self, models: Models, indices: Indices) -> Symbols:
        """The next symbols, one for each of ``indices``, in their order."""
        tables = models.tables
        order, counts = grouped(indices, len(tables))
        entries = np.empty(len(indices), np.int32)
        begin = 0
        for index in np.flatnonzero(counts).tolist():
            end = begin + int(counts[index])
            entries[begin:end] = self._coder.decode(models[index], end - begin)
            begin = end
        escaped = np.flatnonzero(entries == np.repeat(tables.lengths - 1, counts))
        entries += np.repeat(tables.firsts, counts)
        if len(escaped):
            entries[escaped] = self._coder.decode(_UNIFORM, len(escaped)) + LEAST_SYMBOL
        symbols = np.empty(len(indices), np.int16)
        symbols[order] = entries
        return symbols

    def check(self) -> int | None:
        """What :func:`encode` put at the bottom; None if something else is left."""
        words = np.asarray(self._coder.get_compressed())
        return int(words[0]) if len(words) == 2 and words[1] == 1 else None


def grouped(indices: Indices, tables: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order that brings equal ``indices`` together and keeps theirs; how many of each."""
    return np.argsort(indices, kind="stable"), np.bincount(indices, minlength=tables)
