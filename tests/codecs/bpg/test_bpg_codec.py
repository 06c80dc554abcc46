"""BPG as a codec: any size and format, the reference encoder's rates, damage is a CodecError."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.codecs import Codec, codec, decode, identify, names, registry
from ratewise.codecs.bpg import container, hevc, nal, parameter_sets, reading
from ratewise.codecs.bpg.codec import BpgCodec
from ratewise.errors import CodecError, InputError
from ratewise.execution import Resources, map_items
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


def with_alpha(data: bytes, alpha: np.ndarray, *, premultiplied: bool = False) -> bytes:
    """A file with the colour of ``data`` and ``alpha`` as the reference encoder puts it."""
    colour = container.read(data)
    spec = f"bpg:qp=4,chroma=gray,bit_depth={colour.bit_depth},{FAST}"
    coded = container.read(codec(spec).encode(np.repeat(alpha[:, :, None], 3, axis=2)))
    units = [
        nal.Nal(bytes([unit.data[0], unit.data[1] | 8]) + unit.data[2:])
        for unit in nal.split(coded.payload)
    ]
    plain = container.write(colour)
    end = len(plain) - len(colour.payload) - 1 - len(colour.hevc_header)
    header = bytes([plain[4] | 16, plain[5] | 4 * premultiplied]) + plain[6:end]
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


def noisy(size: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_a_cut_is_found_where_no_second_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec(f"bpg:qp=30,{FAST}").encode(noisy(64))
    assert len(data) > 2048  # or it is not decoded in two threads
    right = decode(data)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert np.array_equal(decode(data), right)
    with pytest.raises(CodecError, match="cut short"):
        decode(data[:-50])


def test_an_error_of_the_second_thread_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec(f"bpg:qp=30,{FAST}").encode(noisy(64))
    here = threading.current_thread()
    decoded = hevc._decoded

    def failing(*arguments: Any) -> Any:
        if threading.current_thread() is not here:
            raise CodecError("the second")
        return decoded(*arguments)

    monkeypatch.setattr(hevc, "_decoded", failing)
    with pytest.raises(CodecError, match="the second"):
        decode(data)


def test_worker_processes_decode_in_two_threads() -> None:
    data = codec(f"bpg:qp=30,{FAST}").encode(noisy(64))
    right = decode(data)  # this process has used a second thread before it forks
    outcomes = list(map_items(decode, [data] * 8, Resources(workers=2)))
    assert all(np.array_equal(outcome.value, right) for outcome in outcomes)


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


def test_alpha_is_not_applied() -> None:
    image = smooth(40, 56)
    data = codec("bpg:qp=30").encode(image)
    alpha = np.full((40, 56), 255, np.uint8)
    alpha[:16, :16] = 0
    alpha[16:24] = 100
    for plane in (np.full((40, 56), 255, np.uint8), alpha):
        file = with_alpha(data, plane)
        assert np.array_equal(decode(file), decode(data))
        assert codec("bpg").parts(file)["alpha"] > 0
        (back,) = reading.decode_planes(file, alpha=True)
        assert np.abs(back.astype(int) - plane).max() <= 8


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_colour_that_was_multiplied_by_alpha_is_divided_by_it(bit_depth: int) -> None:
    data = codec(f"bpg:qp=30,chroma=444,bit_depth={bit_depth}").encode(smooth(40, 56) // 2)
    plane = np.full((40, 56), 255, np.uint8)
    plane[:16, :16] = 0
    plane[16:32] = 150
    file = with_alpha(data, plane, premultiplied=True)
    (alpha,) = reading.decode_planes(file, alpha=True)
    share = np.rint(alpha * (255 / ((1 << bit_depth) - 1)))[:, :, None].astype(int)
    colour = decode(data).astype(int)
    right = np.floor(255 * colour / np.maximum(share, 1) + 0.5)
    right = np.where(share <= colour, 255, right)  # and so where alpha is 0
    assert (share == 0).any()
    assert (share == 255).any()
    assert np.array_equal(decode(file), right)


def test_a_file_that_lacks_its_alpha_is_refused() -> None:
    data = codec("bpg:qp=30").encode(smooth(40, 56))
    file = with_alpha(data, np.full((40, 56), 255, np.uint8))
    colour_only = file.replace(container.read(file).payload, container.read(data).payload)
    with pytest.raises(CodecError, match="holds no picture"):
        decode(colour_only)
    with pytest.raises(CodecError, match="no alpha"):
        reading.decode_planes(data, alpha=True)


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
