"""Files of the reference encoder (libbpg 0.9.8) decode to what its decoder gives."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.codecs import codec, decode, identify
from ratewise.codecs.bpg.reading import decode_planes
from ratewise.errors import CodecError

NAMES = [
    "astronaut224_420_q29",
    "camera224_gray_q29",
    "chelsea224_420_q51",
    "chelsea_225x151_422_q41",
    "chelsea_225x151_444_q29",
    "chelsea_225x151_alpha_420_q29",
    "chelsea_225x151_bt709_limited_420video_q35",
    "coffee224_420_10bit_q41",
    "coffee224_420_q41",
    "grad7x9_420_jctvc_q29",
    "grad80x64_rgb_lossless",
    "rocket224_420_q46",
]


@pytest.fixture(params=NAMES)
def vector(request: pytest.FixtureRequest, shared_data: Path) -> tuple[Any, bytes, Path]:
    folder = shared_data / "bpg-vectors"
    files = json.loads((folder / "manifest.json").read_text())["files"]
    (entry,) = (file for file in files if file["name"] == request.param)
    return entry, (folder / entry["bpg"]).read_bytes(), folder


def test_planes_and_rgb_are_the_reference_decoders(vector: tuple[Any, bytes, Path]) -> None:
    entry, data, folder = vector
    digest = hashlib.sha256()
    for plane in decode_planes(data):
        digest.update(np.ascontiguousarray(plane).tobytes())
    assert digest.hexdigest() == entry["planes_sha256"]
    expected = np.array(PillowImage.open(folder / entry["decoded_png"]))
    assert identify(data).name == "bpg"
    assert np.array_equal(decode(data), expected[:, :, :3])
    if entry["alpha"]:
        (alpha,) = decode_planes(data, alpha=True)
        assert np.array_equal(alpha, expected[:, :, 3])


def test_parts_add_up_and_tell_the_slice(vector: tuple[Any, bytes, Path]) -> None:
    entry, data, _ = vector
    parts = codec("bpg").parts(data)
    assert sum(parts.values()) == len(data)
    assert parts["slices"] + parts["alpha"] > len(data) - 45
    assert (parts["alpha"] > 0) == entry["alpha"]


def test_a_cut_vector_is_refused_though_it_tells_no_length(
    vector: tuple[Any, bytes, Path],
) -> None:
    _, data, _ = vector
    whole = decode(data)
    for size in {*range(len(data) - 3, len(data)), *range(30, len(data), 1 + len(data) // 10)}:
        try:
            cut = decode(data[:size])
        except CodecError:
            continue
        # The last byte may hold nothing but the stop bit
        assert size >= len(data) - 2
        assert np.array_equal(cut, whole)
