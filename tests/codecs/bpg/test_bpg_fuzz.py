"""Damaged files: each is a picture or a CodecError, soon and in little memory."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from ratewise.codecs import codec
from ratewise.codecs.bpg import container, hevc, reading
from ratewise.errors import CodecError
from ratewise.images import Image

FILES = 10_000
SPECS = (
    "bpg:qp=20",
    "bpg:qp=35,chroma=gray",
    "bpg:qp=30,chroma=444",
    "bpg:qp=30,chroma=422,bit_depth=10",
)


def picture() -> Image:
    y, x = np.mgrid[:16, :16]
    noise = np.random.default_rng(0).integers(0, 20, (16, 16, 3))
    return (np.stack([x * 15, y * 15, (x + y) * 7], axis=-1) + noise).astype(np.uint8)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """``data`` with bits flipped, cut short, with bytes put in, or with bytes left out."""
    changed = bytearray(data)
    place = chance.randrange(len(data))
    kind = chance.random()
    if kind < 0.6:
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind < 0.75:
        del changed[place:]
    elif kind < 0.9:
        changed[place:place] = chance.randbytes(chance.randint(1, 8))
    else:
        del changed[place : place + chance.randint(1, 8)]
    return bytes(changed)


def test_damaged_files_are_pictures_or_codec_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    # The length is written, or not, so that damage meets both ways of finding the end
    whole = [codec(spec).encode(picture()) for spec in SPECS]
    seeds = [*whole, container.write(replace(container.read(whole[0]), length_known=True))]
    reached = 0
    decode_hevc = hevc.decode

    def counted(*arguments: object, **options: object) -> object:
        nonlocal reached
        reached += 1
        return decode_hevc(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.hevc, "decode", counted)
    chance = random.Random(1)
    coder = codec("bpg")
    started, slowest, pictures = time.perf_counter(), 0.0, 0
    for index in range(FILES):
        data = mutated(seeds[index % len(seeds)], chance)
        begun = time.perf_counter()
        try:
            image = coder.decode(data)
            assert image.dtype == np.uint8
            assert image.ndim == 3
            pictures += 1
        except CodecError:
            pass
        slowest = max(slowest, time.perf_counter() - begun)
    assert reached >= FILES / 2
    assert 0 < pictures < FILES
    assert slowest < 10
    assert time.perf_counter() - started < 60


def test_the_largest_picture_takes_less_than_a_gigabyte() -> None:
    # A slice of noise that is said to be as large as is decoded; in a process of its own
    program = """
import dataclasses, re, numpy as np
from pathlib import Path
from ratewise.codecs import codec
from ratewise.codecs.bpg import container
coder = codec("bpg:qp=10,chroma=444,preset=ultrafast")
noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
file = container.read(coder.encode(noise))
payload = file.payload + bytes([0x55, 0xAA, 0x33]) * 20000
large = dataclasses.replace(file, width=9459, height=9457, payload=payload)
assert coder.decode(container.write(large)).shape == (9457, 9459, 3)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
    # getrusage would count the process that this one was forked from too.
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells the peak memory of a process apart from its parent's")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    peak = int(done.stdout) if done.stdout else pytest.fail(done.stderr)
    assert peak * 1024 < 10**9


def test_noise_behind_the_signature_is_a_codec_error() -> None:
    chance = random.Random(2)
    coder = codec("bpg")
    for _ in range(2000):
        data = container.MAGIC + chance.randbytes(chance.randrange(200))
        with pytest.raises(CodecError):
            coder.decode(data)
