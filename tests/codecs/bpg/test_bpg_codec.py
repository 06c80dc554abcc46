"""BPG as a codec: any size and format, the reference encoder's rates, damage is a CodecError."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.codecs import Codec, codec, decode, identify, names, registry
from ratewise.codecs.bpg import container, hevc, nal, parameter_sets, reading
from ratewise.codecs.bpg.codec import BpgCodec
from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.metrics.distortion import psnr

FAST = "preset=ultrafast"


def smooth(height: int, width: int) -> Image:
    y, x = np.mgrid[:height, :width]
    waves = [
        128 + 100 * np.sin(x / 17),
        128 + 100 * np.cos(y / 13),
        128 + 60 * np.sin((x + y) / 29),
    ]
    return np.stack(waves, axis=-1).astype(np.uint8)


def with_alpha(data: bytes, alpha: np.ndarray) -> bytes:
    """A file with the colour of ``data`` and ``alpha`` as the reference encoder puts it."""
    colour = container.read(data)
    coded = container.read(
        codec(f"bpg:qp=20,chroma=gray,{FAST}").encode(np.repeat(alpha[:, :, None], 3, axis=2))
    )
    units = [
        nal.Nal(bytes([unit.data[0], unit.data[1] | 8]) + unit.data[2:])
        for unit in nal.split(coded.payload)
    ]
    plain = container.write(colour)
    header = bytes([plain[4] | 16]) + plain[5 : -len(colour.payload) - 1 - len(colour.hevc_header)]
    return b"".join(
        (
            plain[:4],
            header,
            bytes([len(coded.hevc_header)]) + coded.hevc_header,
            bytes([len(colour.hevc_header)]) + colour.hevc_header,
            nal.join(units + nal.split(colour.payload)),
        )
    )


def test_it_keeps_the_codec_protocol_and_has_one_spelling() -> None:
    coder = codec("bpg:preset=veryslow,chroma=420,qp=46,bit_depth=8")
    assert isinstance(coder, Codec)
    assert coder.spec == "bpg:qp=46"
    assert codec("bpg:bit_depth=10,chroma=gray").spec == "bpg:qp=29,chroma=gray,bit_depth=10"
    assert coder.suffix == ".bpg"
    assert coder.operating_point == BpgCodec.range()
    assert not BpgCodec.range().higher_is_better
    assert set(coder.versions) == {"pyav", "libavcodec", "x265"}
    assert coder.versions["x265"] != "unknown"
    assert coder.fingerprint != codec("bpg:qp=45").fingerprint
    assert "bpg" in names()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bpg:qp=52", "qp is a whole number from 0 to 51"),
        ("bpg:chroma=411", "chroma is 420, 422, 444 or gray"),
        ("bpg:bit_depth=12", "bit_depth is 8 or 10"),
        ("bpg:quality=3", "unknown option 'quality'"),
    ],
)
def test_wrong_options_are_named(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec(spec)


@pytest.mark.parametrize("bit_depth", ["8", "10"])
@pytest.mark.parametrize("chroma", ["420", "422", "444", "gray"])
def test_every_format_and_size_comes_back(chroma: str, bit_depth: str) -> None:
    coder = codec(f"bpg:qp=20,chroma={chroma},bit_depth={bit_depth},{FAST}")
    for height, width in [
        (1, 1),
        (1, 37),
        (37, 1),
        (8, 9),
        (17, 33),
        (64, 65),
        (16, 8192),
        (8192, 16),
    ]:
        image = smooth(height, width)
        if chroma == "gray":
            image = np.repeat(image[:, :, :1], 3, axis=2)
        data = coder.encode(image)
        back = decode(data)
        assert back.shape == image.shape
        assert psnr(image, back) > 42, (height, width)
        file = container.read(data)
        assert (file.width, file.height) == (width, height)
        assert file.length_known == (width * height > 65536)
        assert sum(coder.parts(data).values()) == len(data)


@pytest.mark.parametrize("shape", [(65535, 1), (1, 65535)])
def test_the_longest_sides_come_back(shape: tuple[int, int]) -> None:
    image = smooth(*shape)
    assert psnr(image, decode(codec(f"bpg:qp=20,{FAST}").encode(image))) > 42


def test_what_the_format_cannot_hold_is_refused_before_coding() -> None:
    coder = codec("bpg")
    for image, message in (
        (np.zeros((65536, 1, 3), np.uint8), "at most 65535 pixels a side, not 1x65536"),
        (np.zeros((1, 1), np.uint8), "must be uint8"),
        (np.broadcast_to(np.uint8(0), (20000, 20000, 3)), "20000x20000 is more than"),
    ):
        with pytest.raises(CodecError, match=message):
            coder.encode(image)
    with pytest.raises(CodecError, match="take 300000000 bytes"):
        codec("bpg:chroma=444").encode(np.broadcast_to(np.uint8(0), (10000, 10000, 3)))


def test_bytes_do_not_depend_on_what_was_coded_before() -> None:
    image = smooth(64, 64)
    specs = ["bpg:qp=40", f"bpg:qp=30,bit_depth=10,{FAST}", "bpg:qp=40", "bpg:qp=45", "bpg:qp=40"]
    coded = [codec(spec).encode(image) for spec in specs]
    assert coded[0] == coded[2] == coded[4]
    program = (
        "import numpy as np, sys; from ratewise.codecs import codec;"
        "y, x = np.mgrid[:64, :64]; waves = [128 + 100 * np.sin(x / 17),"
        " 128 + 100 * np.cos(y / 13), 128 + 60 * np.sin((x + y) / 29)];"
        "print(codec('bpg:qp=40').encode(np.stack(waves, -1).astype(np.uint8)).hex())"
    )
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (fresh.stdout.strip(), fresh.stderr) == (coded[0].hex(), "")


def test_threads_give_the_same_bytes() -> None:
    images = [smooth(64, 64 + 8 * i) for i in range(4)]
    coder = codec("bpg:qp=40")
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(coder.encode, images)) == coder.encode_batch(images)


def test_a_temporary_folder_that_x265_cannot_read_from_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(CodecError, match=r"colon: .*a:b.*set TMPDIR"):
        codec("bpg").encode(smooth(8, 8))
    assert not list(folder.iterdir())


def test_every_qp_is_at_most_as_good_as_the_one_before() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    sizes = [len(codec(f"bpg:qp={qp},{FAST}").encode(image)) for qp in range(0, 52, 3)]
    assert sizes == sorted(sizes, reverse=True)


def test_overhead_at_224_is_at_most_24_bytes_beyond_the_slice() -> None:
    image = smooth(224, 224)
    for qp in (29, 51):
        coder = codec(f"bpg:qp={qp}")
        data = coder.encode(image)
        parts = coder.parts(data)
        assert list(parts) == ["headers", "extensions", "parameters", "alpha", "slices"]
        assert len(data) - parts["slices"] <= 24
        slices = [unit for unit in nal.split(container.read(data).payload) if unit.kind in (19, 20)]
        assert parts["slices"] == sum(len(unit.data) for unit in slices)


@pytest.mark.parametrize(
    ("qp", "size", "quality"), [(41, 1681, 27.94), (46, 811, 25.63), (51, 375, 23.34)]
)
def test_rates_are_the_reference_encoders(
    shared_data: Path, qp: int, size: int, quality: float
) -> None:
    # bpgenc's means over these 160 photographs; its x265 is ten years older
    paths = sorted((shared_data / "imagenet-samples").iterdir())
    assert len(paths) == 160
    coder = codec(f"bpg:qp={qp}")
    found = []
    for path in paths:
        image = crop(path)
        data = coder.encode(image)
        found.append((len(data), psnr(image, coder.decode(data))))
    mean_size, mean_quality = np.mean(found, axis=0)
    assert abs(mean_size / size - 1) < 0.03
    assert abs(mean_quality - quality) < 0.2


def crop(path: Path) -> Image:
    """224x224 pixels from the centre, after the shorter side was made 256."""
    picture = PillowImage.open(path).convert("RGB")
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    picture = picture.resize((width, height), PillowImage.Resampling.BICUBIC)
    left, top = (width - 224) // 2, (height - 224) // 2
    return np.array(picture.crop((left, top, left + 224, top + 224)))


def test_each_vectors_source_comes_out_as_large_and_as_good(shared_data: Path) -> None:
    folder = shared_data / "bpg-vectors"
    for name, spec, quality in (
        ("astronaut224_420_q29", "bpg:qp=29", 33.700),
        ("chelsea_225x151_444_q29", "bpg:qp=29,chroma=444", 35.229),
        ("chelsea_225x151_422_q41", "bpg:qp=41,chroma=422", 27.783),
        ("camera224_gray_q29", "bpg:qp=29,chroma=gray", 38.460),
        ("coffee224_420_10bit_q41", "bpg:qp=41,bit_depth=10", 27.828),
    ):
        image = np.array(PillowImage.open(folder / f"{name}.src.png").convert("RGB"))
        data = codec(spec).encode(image)
        assert abs(len(data) / (folder / f"{name}.bpg").stat().st_size - 1) < 0.02
        assert abs(psnr(image, decode(data)) - quality) < 0.15


def test_opaque_alpha_is_taken_and_any_other_refused() -> None:
    image = smooth(40, 56)
    data = codec("bpg:qp=30").encode(image)
    opaque = with_alpha(data, np.full((40, 56), 255, np.uint8))
    assert np.array_equal(decode(opaque), decode(data))
    assert codec("bpg").parts(opaque)["alpha"] > 0
    alpha = np.full((40, 56), 255, np.uint8)
    alpha[:16, :16] = 100
    with pytest.raises(CodecError, match="transparent pixels"):
        decode(with_alpha(data, alpha))
    assert np.array_equal(reading.decode_colour(with_alpha(data, alpha)), decode(data))


def test_an_exif_orientation_is_applied() -> None:
    data = codec("bpg:qp=30").encode(smooth(40, 56))
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    block = exif.tobytes().removeprefix(b"Exif\x00\x00")
    extension = b"\x01" + container.write_ue7(len(block)) + block
    turned = (
        data[:5]
        + bytes([data[5] | 8])
        + data[6:9]
        + container.write_ue7(len(extension))
        + extension
    ) + data[9:]
    assert np.array_equal(decode(turned), np.rot90(decode(data), -1))


def forged(data: bytes, **changes: object) -> bytes:
    return container.write(replace(container.read(data), **changes))  # type: ignore[arg-type]


def test_sizes_that_the_data_cannot_fill_are_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = codec("bpg:qp=30").encode(smooth(40, 56))
    monkeypatch.setattr(hevc, "decode", lambda *_, **__: pytest.fail("it was decoded"))
    for changes, message in (
        ({"width": 65535, "height": 65535}, "65535x65535 is more than"),
        ({"width": 11000, "height": 12000}, "too few for 11000x12000 pixels"),
        ({"width": 11000, "height": 12000, "pixel_format": 3}, "bytes, more than"),
        ({"hevc_header": b"\xff"}, "HEVC header is damaged"),
        ({"payload": b"\x44\x01"}, "no sequence of NAL units"),
        ({"payload": b"\x44\x01\xc1"}, "holds no picture"),
        ({"payload": b"\x42\x01\xc1"}, "parameter sets that BPG leaves out"),
        ({"payload": b"\x02\x01\xc1"}, "only pictures that begin a sequence"),
        (
            {"payload": b"\0\0\1".join([b"\x44\x01\xc1"] * 5 + [b"\x26\x01\xaf"])},
            "more than 4 sets",
        ),
    ):
        with pytest.raises(CodecError, match=message):
            decode(forged(data, **changes))


def test_lossless_files_of_hm_are_refused_by_name() -> None:
    data = codec("bpg:qp=30").encode(smooth(40, 56))
    header = parameter_sets.read_header(container.read(data).hevc_header)
    for flag in ("implicit_rdpcm", "persistent_rice_adaptation", "extended_precision"):
        extension = parameter_sets.RangeExtension(**{flag: True})
        fields = vars(header) | {"extension": extension}
        encoded = parameter_sets.write_header(parameter_sets.SequenceHeader(**fields))
        with pytest.raises(CodecError, match=r"lossless files of the reference's HM|BPG forbids"):
            decode(forged(data, hevc_header=encoded))


def test_deep_and_foreign_files_are_refused_by_name() -> None:
    data = codec("bpg:qp=30").encode(smooth(40, 56))
    with pytest.raises(CodecError, match="14 bits a sample are not supported"):
        decode(forged(data, bit_depth=14))
    with pytest.raises(CodecError, match="the data is not a BPG file"):
        codec("bpg").decode(codec("png").encode(smooth(4, 4)))


def test_without_pyav_only_bpg_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec("bpg:qp=30").encode(smooth(8, 8))
    monkeypatch.setitem(sys.modules, "av.codec", None)
    hevc.unavailable.cache_clear()
    try:
        assert "bpg" in names()
        assert registry.kind("bpg").libraries() == {}
        with pytest.raises(InputError, match=r"pip install 'av>=18,<19'"):
            codec("bpg")
        with pytest.raises(CodecError, match=r"bpg.*pip install"):
            decode(data)
        with pytest.raises(CodecError, match=r"pip install"):
            BpgCodec().encode(smooth(8, 8))
        assert codec("jpeg").spec == "jpeg:quality=75"
    finally:
        hevc.unavailable.cache_clear()


def test_pyav_is_imported_only_when_bpg_is_used() -> None:
    program = (
        "import sys, ratewise.codecs as c; c.names();"
        "c.identify(c.codec('png').encode(__import__('numpy').zeros((2, 2, 3), 'uint8')));"
        "print('av' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_identify_knows_the_signature() -> None:
    assert identify(b"BPG\xfb").name == "bpg"
    with pytest.raises(CodecError, match="cut short"):
        decode(b"BPG\xfb")
