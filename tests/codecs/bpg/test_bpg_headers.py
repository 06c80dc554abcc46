"""HEVC's headers: bits, NAL units, and the short form of the SPS."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise.codecs.bpg import nal, parameter_sets
from ratewise.codecs.bpg.bits import BitReader, BitWriter
from ratewise.codecs.bpg.parameter_sets import Pcm, RangeExtension, Sequence, SequenceHeader

X265 = SequenceHeader(3, 3, 2, 3, 2, True, None, True)

headers = st.builds(
    SequenceHeader,
    log2_min_cb=st.just(3),
    log2_diff_cb=st.integers(1, 3),
    log2_min_tb=st.just(2),
    log2_diff_tb=st.integers(0, 2),
    intra_depth=st.integers(0, 2),
    sao=st.booleans(),
    pcm=st.none()
    | st.builds(
        Pcm,
        st.integers(0, 7),
        st.integers(0, 7),
        st.just(0),
        st.integers(0, 1),
        st.booleans(),
    ),
    strong_intra_smoothing=st.booleans(),
    extension=st.none() | st.builds(RangeExtension, *[st.booleans()] * 9),
)


@pytest.mark.parametrize(
    ("value", "code"), [(0, "1"), (1, "010"), (2, "011"), (3, "00100"), (7, "0001000")]
)
def test_exp_golomb_codes_are_those_of_h265(value: int, code: str) -> None:
    bits = BitWriter()
    bits.ue(value)
    padded = int(code.ljust(8, "0"), 2)
    assert bits.to_bytes() == bytes([padded])
    assert BitReader(bytes([padded])).ue() == value


def test_bits_that_end_too_early_or_never_are_refused() -> None:
    with pytest.raises(ValueError, match="too early"):
        BitReader(b"\xff").bits(9)
    with pytest.raises(ValueError, match="too long"):
        BitReader(bytes(100)).ue()


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4]), max_size=30).map(bytes))
def test_escaping_leaves_no_start_code_and_is_undone(payload: bytes) -> None:
    payload += b"\x80"  # as the stop bit ends it
    escaped = nal.escape(payload)
    assert not any(bytes([0, 0, k]) in escaped for k in range(3))
    assert nal.unescape(escaped) == payload


def test_nal_units_are_split_at_start_codes_of_three_and_four_bytes() -> None:
    units = nal.split(
        b"\x44\x01\xc1" + b"\0\0\0\1" + b"\x26\x09\xaf\x00\x07" + b"\0\0\1" + b"\x46\x01\x50"
    )
    assert [(unit.kind, unit.layer, len(unit.data)) for unit in units] == [
        (nal.PPS, 0, 3),
        (19, 1, 5),
        (35, 0, 3),
    ]
    assert [unit.begins_picture for unit in units] == [False, True, False]
    assert units[1].in_base_layer().data == b"\x26\x01\xaf\x00\x07"
    assert nal.split(nal.join(units)) == units


@pytest.mark.parametrize(
    "data", [b"\x44\x01", b"\xc4\x01\xc1", b"\x44\x00\xc1", b"\x44\x01\xc1\0\0\1"]
)
def test_what_is_no_nal_unit_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no sequence of NAL units"):
        nal.split(data)


def test_the_header_of_the_reference_encoder_is_read() -> None:
    assert parameter_sets.read_header(bytes.fromhex("924740")) == X265
    assert parameter_sets.write_header(X265) == bytes.fromhex("924740")


@given(headers)
def test_headers_survive_their_short_form_and_the_sps(header: SequenceHeader) -> None:
    assert parameter_sets.read_header(parameter_sets.write_header(header)) == header
    for chroma_format in range(4):
        sequence = Sequence(chroma_format, 232, 152, 10, header)
        assert parameter_sets.read_sps(parameter_sets.write_sps(sequence)) == sequence


@pytest.mark.parametrize(
    "change",
    [
        {"log2_diff_cb": 0},
        {"log2_diff_cb": 4},
        {"log2_min_tb": 3},
        {"log2_diff_tb": 4},
        {"intra_depth": 5},
        {"pcm": Pcm(7, 7, 0, 3, False)},
    ],
)
def test_headers_outside_of_hevc_are_refused(change: dict[str, object]) -> None:
    wrong = dataclasses.replace(X265, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="HEVC's"):
        parameter_sets.read_header(parameter_sets.write_header(wrong))


def test_a_cut_or_endless_header_is_refused() -> None:
    for data in (b"", b"\x92", bytes(10**6)):
        with pytest.raises(ValueError, match=r"too early|too long"):
            parameter_sets.read_header(data)
