"""Entropy coding, against the coder of the specification written out in Python."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ratewise.neural import ans
from ratewise.neural.ans import Models, Part
from ratewise.neural.tables import Tables, gaussian_tables

MASK = (1 << 32) - 1


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(gaussian_tables())


def _written_out(tables: Tables, indices: np.ndarray, symbols: np.ndarray, check: int) -> bytes:
    """docs/formats/neural.md, symbol by symbol."""
    words: list[int] = []
    state = 1 << 32 | check

    def push(start: int, frequency: int) -> None:
        nonlocal state
        if state >= frequency << 40:
            words.append(state & MASK)
            state >>= 32
        state = (state // frequency << 24) + state % frequency + start

    plain: list[tuple[int, int]] = []
    escapes: list[int] = []
    for i in np.argsort(indices, kind="stable"):
        frequencies = tables[indices[i]]
        entry = int(symbols[i]) - int(tables.firsts[indices[i]])
        if not 0 <= entry < len(frequencies) - 1:
            entry = len(frequencies) - 1
            escapes.append(int(symbols[i]) + 32768)
        plain.append((int(frequencies[:entry].sum()), int(frequencies[entry])))
    for value in reversed(escapes):
        push(value << 8, 1 << 8)
    for start, frequency in reversed(plain):
        push(start, frequency)
    while state:
        words.append(state & MASK)
        state >>= 32
    return b"".join(word.to_bytes(4, "little") for word in words).rstrip(b"\0")


def _sample(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 64, count).astype(np.uint8)
    symbols = np.round(rng.normal(0, 0.11 * 1.131 ** indices.astype(float)))
    symbols[rng.random(count) < 0.01] *= 40
    return indices, np.clip(symbols, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("count", [0, 1, 2, 50, 3000])
def test_bytes_are_those_of_the_specification(models: Models, count: int) -> None:
    indices, symbols = _sample(count, count)
    check = 0 if count == 2 else 0xDEADBEEF
    data = ans.encode([Part(models, indices, symbols)], check)
    assert data == _written_out(models.tables, indices, symbols, check)


def test_parts_come_back_in_order_and_the_check_is_left(models: Models) -> None:
    first, second = _sample(1, 500), _sample(2, 700)
    data = ans.encode([Part(models, *first), Part(models, *second)], 77)
    decoder = ans.Decoder(data)
    np.testing.assert_array_equal(decoder.take(models, first[0]), first[1])
    assert decoder.check() is None
    np.testing.assert_array_equal(decoder.take(models, second[0]), second[1])
    assert decoder.check() == 77


def test_symbols_outside_of_a_table_cost_their_escape_and_16_bits(models: Models) -> None:
    indices = np.zeros(1000, np.uint8)
    symbols = np.zeros(1000, np.int16)
    none = len(ans.encode([Part(models, indices, symbols)], 1))
    symbols[::100] = [-32768, 32767, 2, -2, 99, -99, 1000, -1000, 12, 13]
    data = ans.encode([Part(models, indices, symbols)], 1)
    assert none + 10 * 40 / 8 - 2 <= len(data) <= none + 10 * 40 / 8 + 2
    np.testing.assert_array_equal(ans.Decoder(data).take(models, indices), symbols)


def test_size_is_what_the_tables_say(models: Models) -> None:
    indices, symbols = _sample(5, 50000)
    data = ans.encode([Part(models, indices, symbols)], 0xFFFFFFFF)
    bits = models.tables.bits(indices, symbols) + 33
    assert bits / 8 <= len(data) < bits / 8 * 1.00001 + 1


def test_bytes_of_a_fixed_array_are_pinned(models: Models) -> None:
    indices = (np.arange(4000) % 64).astype(np.uint8)
    symbols = ((np.arange(4000) * 7919) % 23 - 11).astype(np.int16)
    data = ans.encode([Part(models, indices, symbols)], 0x12345678)
    assert hashlib.sha256(data).hexdigest() == PINNED


PINNED = "a3ea0985176e98c4bc8cdee979876ac06589e268adb79df0c58930b1e7c0fbd9"
