"""Pillow's formats as codecs: any size, own format only, bounded, damage is a CodecError."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import AvifImagePlugin, features
from PIL import Image as PillowImage

from ratewise.codecs import Codec, codec, decode, identify, kind, names
from ratewise.errors import CodecError, InputError
from ratewise.images import Image, read_image

SPECS = ["png", "jpeg", "jpeg2000:ratio=4", "jpeg2000:ratio=4,mode=paper", "webp", "avif:speed=9"]
SIZES = [(1, 1), (2, 3), (1, 500), (500, 1), (17, 33)]


def smooth(height: int, width: int) -> Image:
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 // max(width, 2), y * 255 // max(height, 2), (x + y) % 256]
    return np.stack(channels, axis=-1).astype(np.uint8)


def saved(picture: PillowImage.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiny_and_odd_sizes_come_back_in_their_size(spec: str, height: int, width: int) -> None:
    coder = codec(spec)
    image = smooth(height, width)
    data = coder.encode(image)
    back = coder.decode(data)
    assert isinstance(coder, Codec)
    assert (back.shape, back.dtype) == (image.shape, np.uint8)
    if min(height, width) > 2:  # subsampled colour of a few pixels tells nothing
        assert np.abs(back.astype(int) - image).mean() < 6
    assert sum(coder.parts(data).values()) == len(data)
    assert min(coder.parts(data).values()) >= 0
    assert identify(data).name == coder.name
    assert coder.encode(image) == data


def test_png_is_lossless_at_every_level() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    for level in (0, 6, 9):
        assert np.array_equal(decode(codec(f"png:level={level}").encode(image)), image)


@pytest.mark.parametrize(
    ("spec", "shape", "limit"),
    [
        ("jpeg", (1, 65501, 3), "65500"),
        ("webp", (16384, 1, 3), "16383"),
        ("avif", (1, 32769, 3), "32768"),
    ],
)
def test_a_side_over_the_limit_of_the_format_is_one_sentence(
    spec: str, shape: tuple[int, int, int], limit: str
) -> None:
    with pytest.raises(CodecError, match=f"at most {limit} pixels a side"):
        codec(spec).encode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(("spec", "side"), [("jpeg", 65500), ("webp", 16383), ("avif", 32768)])
def test_the_longest_side_is_encoded_and_decoded(spec: str, side: int) -> None:
    coder = codec(spec)
    assert coder.decode(coder.encode(np.zeros((1, side, 3), np.uint8))).shape == (1, side, 3)


def test_what_is_no_image_is_a_codec_error() -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(CodecError, match="uint8 of shape"):
            codec("jpeg").encode(wrong)  # type: ignore[arg-type]


def test_more_pixels_than_allowed_are_refused_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {spec: codec(spec).encode(smooth(20, 20)) for spec in SPECS}
    monkeypatch.setattr("ratewise.images.MAX_PIXELS", 399)
    monkeypatch.setattr("ratewise.codecs.pillow.MAX_PIXELS", 399)
    for spec in SPECS:
        with pytest.raises(CodecError, match="more than 399 pixels"):
            codec(spec).decode(data[spec])
        with pytest.raises(CodecError, match="more than 399 pixels"):
            codec(spec).encode(smooth(20, 20))


def test_a_png_header_that_declares_billions_of_pixels_is_refused() -> None:
    data = bytearray(codec("png").encode(smooth(8, 8)))
    data[16:24] = struct.pack(">II", 2**20, 2**20)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(CodecError, match="pixels"):
        codec("png").decode(bytes(data))


def test_a_codestream_larger_than_its_jp2_header_says_is_refused() -> None:
    data = bytearray(codec("jpeg2000").encode(smooth(8, 8)))
    at = data.index(b"\xff\x4f\xff\x51")
    struct.pack_into(">2I", data, at + 8, 2**20, 2**20)
    with pytest.raises(CodecError, match="pixels"):
        codec("jpeg2000").decode(bytes(data))


def test_a_codec_decodes_its_own_format_only() -> None:
    without_weights = [name for name in names() if kind(name).unavailable() is None]
    files = {name: codec(name).encode(smooth(8, 8)) for name in without_weights}
    for name in without_weights:
        for other, data in files.items():
            if other != name:
                with pytest.raises(CodecError, match="is not a"):
                    codec(name).decode(data)


@pytest.mark.parametrize("spec", SPECS)
def test_a_file_cut_anywhere_is_a_codec_error(spec: str) -> None:
    coder = codec(spec)
    data = coder.encode(smooth(33, 40))
    for length in [*range(0, len(data), 23), len(data) - 2, len(data) - 1]:
        with pytest.raises(CodecError):
            coder.decode(data[:length])


@pytest.mark.parametrize("spec", SPECS)
def test_mutated_files_give_an_image_or_a_codec_error(spec: str) -> None:
    coder = codec(spec)
    original = coder.encode(smooth(19, 23))
    chance = random.Random(7)
    refused = 0
    for _ in range(120):
        data = bytearray(original)
        for _ in range(chance.choice([1, 1, 4, 30])):
            # Half of the changes in the header, where they do most harm.
            last = len(data) if chance.random() < 0.5 else min(len(data), 150)
            data[chance.randrange(last)] = chance.randrange(256)
        try:
            image = decode(bytes(data))
        except CodecError:
            refused += 1
        else:
            assert image.dtype == np.uint8
            assert image.shape[2] == 3
    assert refused > 0


def test_garbage_is_recognised_by_no_codec() -> None:
    for data in (b"", b"\x00" * 40, b"not an image", b"GIF89a" + b"\x00" * 20):
        with pytest.raises(CodecError, match="no codec recognises"):
            decode(data)


def test_foreign_files_of_a_format_are_identified() -> None:
    picture = PillowImage.fromarray(smooth(16, 20))
    raw = saved(picture, "JPEG2000", no_jp2=True)
    assert raw.startswith(b"\xff\x4f")
    assert identify(raw).name == "jpeg2000"
    assert np.array_equal(decode(raw), np.asarray(picture))
    assert sum(codec("jpeg2000").parts(raw).values()) == len(raw)
    lossless = saved(picture, "WEBP", lossless=True)
    assert identify(lossless).name == "webp"
    avif = saved(picture, "AVIF")
    assert identify(avif).name == "avif"
    # Files of other makers put another brand first.
    assert identify(avif.replace(b"ftypavif", b"ftypmif1", 1)).name == "avif"
    several = [picture, PillowImage.fromarray(255 - smooth(16, 20))]
    sequence = saved(several[0], "AVIF", save_all=True, append_images=several[1:])
    assert sequence[8:12] == b"avis"
    assert identify(sequence).name == "avif"
    with pytest.raises(CodecError, match="several frames"):
        decode(sequence)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "JPEG2000", "WEBP", "AVIF"])
def test_grey_files_decode_to_three_equal_channels(form: str) -> None:
    grey = PillowImage.fromarray(smooth(16, 20)[..., 0])
    image = decode(saved(grey, form))
    assert image.shape == (16, 20, 3)
    assert np.ptp(image.astype(int), axis=-1).max() <= 3


def test_orientation_is_applied_as_by_read_image() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    data = saved(PillowImage.fromarray(smooth(16, 24)), "JPEG", exif=exif)
    assert decode(data).shape == (24, 16, 3)
    assert np.array_equal(decode(data), read_image(data))


def test_what_would_be_mangled_is_refused_by_name() -> None:
    cmyk = saved(PillowImage.fromarray(smooth(8, 8)).convert("CMYK"), "JPEG")
    with pytest.raises(CodecError, match="CMYK"):
        decode(cmyk)
    deep = PillowImage.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
    for form in ("PNG", "JPEG2000"):
        with pytest.raises(CodecError, match="16-bit"):
            decode(saved(deep, form))
    clear = PillowImage.fromarray(np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(CodecError, match="transparent"):
        decode(saved(clear, "WEBP", lossless=True))


def test_deep_jpeg2000_and_avif_are_refused_where_pillow_would_drop_bits() -> None:
    jp2 = bytearray(codec("jpeg2000").encode(smooth(8, 8)))
    jp2[jp2.index(b"\xff\x4f\xff\x51") + 42] = 11
    with pytest.raises(CodecError, match="12-bit"):
        decode(bytes(jp2))
    avif = bytearray(codec("avif").encode(smooth(8, 8)))
    avif[avif.index(b"av1C") + 6] |= 0x40
    depths = avif.index(b"pixi") + 9  # libavif opens no file whose two boxes differ
    avif[depths : depths + 3] = b"\x0a" * 3
    with pytest.raises(CodecError, match="10-bit"):
        decode(bytes(avif))


def test_jpeg_parts_tell_scan_from_tables() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    few, many = (codec(f"jpeg:quality={q}") for q in (10, 90))
    low, high = few.parts(few.encode(image)), many.parts(many.encode(image))
    # Two DQT of 69 bytes and four DHT: 33, 183, 33, 183 (Annex K's tables)
    assert low["tables"] == high["tables"] == 2 * 69 + 2 * 33 + 2 * 183
    assert low["headers"] == high["headers"]
    assert high["scan"] > 2 * low["scan"]
    wavy = codec("jpeg:progressive=true")
    assert sum(wavy.parts(wavy.encode(image)).values()) == len(wavy.encode(image))


def test_jpeg_defaults_are_pillows() -> None:
    picture = PillowImage.fromarray(smooth(40, 50))
    assert codec("jpeg:quality=30").encode(smooth(40, 50)) == saved(picture, "JPEG", quality=30)


def test_fingerprints_follow_spec_and_library_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert codec("jpeg").fingerprint == codec("jpeg:quality=75").fingerprint
    assert codec("jpeg").fingerprint != codec("jpeg:quality=74").fingerprint
    before = codec("jpeg").fingerprint
    monkeypatch.setattr("PIL.__version__", "0.0")
    assert codec("jpeg").fingerprint != before


def test_a_format_that_pillow_lacks_is_unavailable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec("avif").encode(smooth(8, 8))
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name != "avif" and check(name))
    assert "avif" in names()
    with pytest.raises(InputError, match=r"'avif' is not available here: .* built without AVIF"):
        codec("avif")
    with pytest.raises(CodecError, match=r"avif.* not available"):
        decode(data)
    assert codec("webp").spec == "webp:quality=75"


def test_avif_leaves_pillows_threads_as_they_were() -> None:
    before = AvifImagePlugin.DEFAULT_MAX_THREADS
    decode(codec("avif").encode(smooth(8, 8)))
    assert before == AvifImagePlugin.DEFAULT_MAX_THREADS


def test_batches_are_the_single_calls() -> None:
    coder = codec("jpeg")
    images = [smooth(8, 8), smooth(9, 5)]
    data = coder.encode_batch(images)
    assert data == [coder.encode(image) for image in images]
    assert [image.shape for image in coder.decode_batch(data)] == [(8, 8, 3), (9, 5, 3)]
