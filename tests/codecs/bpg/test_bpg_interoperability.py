"""Files hold what x265 coded: any decoder that rebuilds the SPS as BPG says gets its picture.

x265 writes the MD5 of each plane that it reconstructed beside its stream (H.265, D.3.19), so that
neither its own sequence parameters nor a second decoder need to be trusted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ratewise.codecs import codec, decode
from ratewise.codecs.bpg import container, hevc, nal, parameter_sets, reading
from ratewise.images import Image

SUFFIX_SEI = 40
PICTURE_HASH = 132
MD5 = 0

SIZES = [
    (1, 1),
    (1, 2),
    (2, 1),
    (7, 9),
    (9, 7),
    (8, 8),
    (8, 17),
    (9, 16),
    (16, 9),
    (31, 33),
    (63, 65),
    (65, 63),
    (97, 40),
    (1, 300),
    (300, 1),
    (10, 700),
    (700, 10),
]


def busy(height: int, width: int) -> Image:
    """Waves with noise, so that every tool of the encoder has something to do."""
    y, x = np.mgrid[:height, :width]
    waves = 128 + 90 * np.sin(x / 9)[..., None] * np.cos(y[..., None] / np.array([5.0, 11.0, 23.0]))
    noise = np.random.default_rng(0).normal(0, 12, waves.shape)
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Coded:
    """A file, and x265's whole stream that it was made of."""

    file: bytes
    stream: bytes


def coded(spec: str, image: Image) -> Coded:
    """``image`` through the codec, where x265 adds the hashes of its reconstruction."""
    streams: list[bytes] = []
    encode = hevc.encode

    def hashing(*planes: object, **options: object) -> bytes:
        streams.append(encode(*planes, **options, more="info=0:hash=1"))  # type: ignore[arg-type]
        return streams[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hevc, "encode", hashing)
        file = codec(spec).encode(image)
    return Coded(file, streams[0])


def hashes(stream: bytes) -> list[str]:
    """The MD5s of the planes that x265 reconstructed."""
    (sei,) = (unit for unit in nal.split(stream) if unit.kind == SUFFIX_SEI)
    payload = nal.unescape(sei.data[2:])
    assert payload[0] == PICTURE_HASH
    assert payload[2] == MD5
    digests = payload[3 : 2 + payload[1]]
    return [digests[i : i + 16].hex() for i in range(0, len(digests), 16)]


def check(spec: str, image: Image) -> None:
    height, width = image.shape[:2]
    made = coded(spec, image)
    assert codec(spec).encode(image) == made.file  # hashing changes nothing else
    file = container.read(made.file)
    header = parameter_sets.read_header(file.hevc_header)
    whole = replace(file, height=header.coded(height), width=header.coded(width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(container, "LARGEST_SIDE", 65536)  # 65535 in whole blocks
        planes = reading.decode_planes(container.write(whole))
    assert [hashlib.md5(plane.tobytes()).hexdigest() for plane in planes] == hashes(made.stream)
    cropped = reading.decode_planes(made.file)
    for plane, part in zip(planes, cropped, strict=True):
        assert np.array_equal(plane[: part.shape[0], : part.shape[1]], part)
    assert cropped[0].shape == (height, width)
    assert decode(made.file).shape == image.shape


@pytest.mark.parametrize("bit_depth", ["8", "10"])
@pytest.mark.parametrize("chroma", ["420", "422", "444", "gray"])
def test_every_format_and_size_decodes_to_what_x265_reconstructed(
    chroma: str, bit_depth: str
) -> None:
    for index, size in enumerate(SIZES):
        qp = (4, 29, 46)[index % 3]
        check(f"bpg:qp={qp},chroma={chroma},bit_depth={bit_depth},preset=slow", busy(*size))


@pytest.mark.parametrize("preset", ["ultrafast", "medium", "veryslow", "placebo"])
def test_every_effort_keeps_to_the_format(preset: str) -> None:
    check(f"bpg:qp=30,preset={preset}", busy(97, 131))


@pytest.mark.parametrize(("chroma", "bit_depth"), [("420", "8"), ("422", "10"), ("444", "8")])
@pytest.mark.parametrize("size", [(1, 65535), (65535, 1), (40, 5000)])
def test_elongated_pictures_decode_to_what_x265_reconstructed(
    size: tuple[int, int], chroma: str, bit_depth: str
) -> None:
    check(f"bpg:qp=40,chroma={chroma},bit_depth={bit_depth},preset=ultrafast", busy(*size))


def test_a_file_has_the_parameters_that_readers_of_bpg_rebuild() -> None:
    # They make an SPS of id 0 and take nothing but a PPS for it and the slices of an IDR picture
    for spec, size in (("bpg", (97, 131)), ("bpg:chroma=444,bit_depth=10", (7, 9))):
        made = coded(spec, busy(*size))
        file = container.read(made.file)
        (sps,) = (
            parameter_sets.read_sps(unit.data)
            for unit in nal.split(made.stream)
            if unit.kind == nal.SPS
        )
        assert (sps.width, sps.height) == (sps.header.coded(size[1]), sps.header.coded(size[0]))
        assert parameter_sets.read_header(file.hevc_header) == sps.header
        pps, picture = nal.split(file.payload)
        assert pps.data[:2] == bytes([nal.PPS << 1, 1])
        assert pps.data[2] & 0xC0 == 0xC0  # ids 0 and 0, a bit each
        assert picture.kind in nal.IDR_SLICES
        assert picture.layer == 0
        assert picture.begins_picture
        assert file.payload == pps.data + nal.START_CODE + picture.data
