"""The container of BPG files: fields, lengths, and what is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise.codecs.bpg import container
from ratewise.codecs.bpg.container import Container, read, read_ue7, write, write_ue7
from ratewise.errors import CodecError

FILE = Container(
    width=224,
    height=151,
    pixel_format=container.C420,
    bit_depth=10,
    color_space=container.BT709,
    limited_range=True,
    hevc_header=b"\x92\x47\x40",
    payload=b"\x44\x01\xc1",
    length_known=True,
)


@pytest.mark.parametrize(
    ("value", "coded"),
    [(8, "08"), (542, "841e"), (728855, "acbe17"), (0, "00"), (127, "7f"), (128, "8100")],
)
def test_ue7_is_as_the_specification_shows(value: int, coded: str) -> None:
    data = bytes.fromhex(coded)
    assert write_ue7(value) == data
    assert read_ue7(data + b"\xff", 0, len(data) + 1) == (value, len(data))


@pytest.mark.parametrize("coded", ["", "80", "8001", "81", "ffffffffff7f"])
def test_ue7_that_is_not_canonical_cut_short_or_endless_is_refused(coded: str) -> None:
    data = bytes.fromhex(coded)
    with pytest.raises(ValueError, match="not coded as the format demands"):
        read_ue7(data, 0, len(data))


def test_a_file_is_laid_out_as_the_specification_says() -> None:
    # 4:2:0 in 10 bits; BT.709, limited; 224; 151; 1 + 3 + 3 bytes; 3 bytes of header
    assert write(FILE).hex() == "425047fb" + "2232" + "8160" + "8117" + "07" + "03924740" + "4401c1"


@given(
    st.builds(
        Container,
        width=st.integers(1, 65535),
        height=st.integers(1, 65535),
        pixel_format=st.integers(1, 5),
        bit_depth=st.integers(8, 14),
        color_space=st.integers(0, 4),
        limited_range=st.booleans(),
        hevc_header=st.binary(max_size=200),
        payload=st.binary(min_size=1, max_size=20),
        length_known=st.booleans(),
    )
)
def test_what_is_written_is_read(file: Container) -> None:
    assert read(write(file)) == file


def test_extensions_alpha_and_bytes_behind_the_picture_are_told_apart() -> None:
    extensions = b"\x01\x02hi" + b"\x05\x00"
    picture = b"\x02aa" + b"\x01c" + b"payload"
    data = (
        container.MAGIC
        + bytes([1 << 5 | 16, 8 | 4])
        + b"\x07\x09"
        + bytes([len(picture), len(extensions)])
        + extensions
        + picture
        + b"behind"
    )
    file = read(data)
    assert file.extensions == ((container.EXIF, b"hi"), (5, b""))
    assert (file.alpha_header, file.hevc_header, file.payload) == (b"aa", b"c", b"payload")
    assert file.premultiplied


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (4, 6 << 5, "is not of the format"),
        (4, 1 << 5 | 7, "15 bits"),
        (5, 5 << 4, "colour space 5"),
        (5, 1, "animations are not supported"),
        (5, 4, "CMYK pictures are not supported"),
        (4, 0, "grey picture cannot have colour space 3"),
        (6, 0x80, "not coded as the format demands"),
        (10, 0x7F, "goes past the end"),
        (11, 0x7F, "goes past the end"),
        (11, 0x06, "no picture data"),
    ],
)
def test_a_wrong_field_is_named(position: int, value: int, message: str) -> None:
    data = bytearray(write(FILE))
    data[position] = value
    with pytest.raises(CodecError, match=f"^BPG data: .*{message}"):
        read(bytes(data))


def test_every_cut_of_a_file_that_tells_its_length_is_refused() -> None:
    data = write(FILE)
    for size in range(len(data)):
        with pytest.raises(CodecError, match=r"^BPG data: |not a BPG file"):
            read(data[:size])


@pytest.mark.parametrize("side", [0, 65536])
def test_sides_outside_of_the_format_are_refused(side: int) -> None:
    data = write(FILE).replace(b"\x81\x60", write_ue7(side))
    with pytest.raises(CodecError, match="not from 1x1 to 65535x65535"):
        read(data)
