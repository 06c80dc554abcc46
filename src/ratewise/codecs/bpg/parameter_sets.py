"""HEVC's sequence parameters: BPG's short form of them, and the full VPS and SPS.

A BPG file leaves out the VPS and SPS and keeps only what its format does not fix: the
*hevc_header*, :class:`SequenceHeader` here. Writing takes it from the encoder's SPS
(:func:`read_sps`), reading rebuilds a VPS and an SPS from it (:func:`write_vps`,
:func:`write_sps`). Names and numbers of clauses are those of H.265.
"""

from __future__ import annotations

from dataclasses import dataclass

from ratewise.codecs.bpg.bits import BitReader, BitWriter
from ratewise.codecs.bpg.nal import SPS, VPS, escape, unescape

_PROFILE = 4  # format range extensions
_LEVEL = 186  # 6.2
_EXTENDED_SAR = 255
_LONGEST_HEADER = 64  # bytes; twice what the longest codes take


@dataclass(frozen=True)
class Pcm:
    """The PCM fields of an SPS, as coded."""

    luma_depth_minus1: int
    chroma_depth_minus1: int
    log2_min_size_minus3: int
    log2_diff_size: int
    loop_filter_disabled: bool


@dataclass(frozen=True)
class RangeExtension:
    """The nine flags of sps_range_extension, in order (7.3.2.2.2)."""

    transform_skip_rotation: bool = False
    transform_skip_context: bool = False
    implicit_rdpcm: bool = False
    explicit_rdpcm: bool = False
    extended_precision: bool = False
    intra_smoothing_disabled: bool = False
    high_precision_offsets: bool = False
    persistent_rice_adaptation: bool = False
    cabac_bypass_alignment: bool = False

    def flags(self) -> tuple[bool, ...]:
        """The flags in coded order."""
        return tuple(vars(self).values())


@dataclass(frozen=True)
class SequenceHeader:
    """What a BPG file keeps of an SPS. ``extension`` is None where the SPS has none."""

    log2_min_cb: int
    log2_diff_cb: int
    log2_min_tb: int
    log2_diff_tb: int
    intra_depth: int
    sao: bool
    pcm: Pcm | None
    strong_intra_smoothing: bool
    extension: RangeExtension | None = None

    @property
    def log2_ctb(self) -> int:
        """log2 of the side of a coding tree block."""
        return self.log2_min_cb + self.log2_diff_cb

    def coded(self, side: int) -> int:
        """The coded length of a side of ``side`` luma samples: whole smallest coding blocks."""
        return -(-side >> self.log2_min_cb) << self.log2_min_cb


@dataclass(frozen=True)
class Sequence:
    """An SPS: its picture and its header."""

    chroma_format: int
    width: int
    height: int
    bit_depth: int
    header: SequenceHeader


def read_header(data: bytes) -> SequenceHeader:
    """The hevc_header in ``data``; ValueError if it is cut short or out of H.265's ranges."""
    return _read_fields(BitReader(data[:_LONGEST_HEADER]), None)


def write_header(header: SequenceHeader) -> bytes:
    """The hevc_header of a BPG file, without its length."""
    bits = BitWriter()
    _write_blocks(bits, header)
    bits.ue(header.intra_depth)
    bits.flag(header.sao)
    _write_pcm(bits, header)
    bits.flag(header.strong_intra_smoothing)
    _write_extension(bits, header)
    return bits.to_bytes()


def read_sps(nal: bytes) -> Sequence:
    """The sequence parameters in an SPS NAL unit.

    Raises ValueError if it uses what a BPG file cannot tell: a conformance window, scaling
    lists, reference picture sets, several sub-layers, unequal bit depths, other extensions.
    """
    bits = BitReader(unescape(nal[2:]))
    bits.bits(4)  # sps_video_parameter_set_id
    _demand(bits.bits(3) == 0, "one sub-layer")
    bits.flag()  # sps_temporal_id_nesting_flag
    bits.bits(8 + 32 + 48 + 8)  # profile_tier_level of one sub-layer
    _demand(bits.ue() == 0, "SPS number 0")
    chroma_format = bits.ue()
    _demand(chroma_format <= 3 and not (chroma_format == 3 and bits.flag()), "joint planes")
    width, height = bits.ue(), bits.ue()
    _demand(not bits.flag(), "no conformance window")
    luma, chroma = bits.ue() + 8, bits.ue() + 8
    _demand(luma == chroma, "one bit depth")
    poc_bits = bits.ue() + 4
    bits.flag()  # sps_sub_layer_ordering_info_present_flag
    for _ in range(3):
        bits.ue()
    header = _read_fields(bits, poc_bits)
    return Sequence(chroma_format, width, height, luma, header)


def write_vps() -> bytes:
    """A VPS NAL unit for one picture of one layer."""
    bits = BitWriter()
    bits.bits(0, 4)
    bits.bits(3, 2)  # base layer internal and available
    bits.bits(0, 6)
    bits.bits(0, 3)
    bits.flag(True)  # temporal id nesting
    bits.bits(0xFFFF, 16)
    _write_profile(bits)
    _write_buffering(bits)
    bits.bits(0, 6)  # vps_max_layer_id
    bits.ue(0)  # one layer set
    bits.bits(0, 2)  # no timing, no extension
    return _nal(VPS, bits)


def write_sps(sequence: Sequence) -> bytes:
    """The SPS NAL unit of ``sequence``, with everything that BPG fixes."""
    header = sequence.header
    bits = BitWriter()
    bits.bits(0, 4)
    bits.bits(0, 3)
    bits.flag(True)
    _write_profile(bits)
    bits.ue(0)
    bits.ue(sequence.chroma_format)
    if sequence.chroma_format == 3:
        bits.flag(False)  # separate_colour_plane_flag
    bits.ue(sequence.width)
    bits.ue(sequence.height)
    bits.flag(False)  # conformance window
    bits.ue(sequence.bit_depth - 8)
    bits.ue(sequence.bit_depth - 8)
    bits.ue(4)  # log2_max_pic_order_cnt_lsb - 4
    _write_buffering(bits)
    _write_blocks(bits, header)
    bits.ue(header.intra_depth)  # of inter blocks, which there are none of
    bits.ue(header.intra_depth)
    bits.flag(False)  # scaling lists
    bits.flag(True)  # asymmetric motion partitions
    bits.flag(header.sao)
    _write_pcm(bits, header)
    bits.ue(0)  # short-term reference picture sets
    bits.flag(False)  # long-term reference pictures
    bits.flag(True)  # temporal motion vector prediction
    bits.flag(header.strong_intra_smoothing)
    bits.flag(False)  # VUI
    _write_extension(bits, header)
    return _nal(SPS, bits)


def _read_fields(bits: BitReader, poc_bits: int | None) -> SequenceHeader:
    """The fields of a hevc_header, or, with ``poc_bits``, those of an SPS from the same place."""
    log2_min_cb, diff_cb, log2_min_tb, diff_tb = (
        bits.ue() + 3,
        bits.ue(),
        bits.ue() + 2,
        bits.ue(),
    )
    log2_ctb = log2_min_cb + diff_cb
    if not 4 <= log2_ctb <= 6 or log2_min_tb >= log2_min_cb:
        raise ValueError("the coding blocks are not of HEVC's sizes")
    if log2_min_tb + diff_tb > min(log2_ctb, 5):
        raise ValueError("the transform blocks are not of HEVC's sizes")
    if poc_bits is not None:
        bits.ue()  # max_transform_hierarchy_depth_inter
    depth = bits.ue()
    if depth > log2_ctb - log2_min_tb:
        raise ValueError("the transform hierarchy is deeper than HEVC's")
    if poc_bits is not None:
        _demand(not bits.flag(), "no scaling lists")
        bits.flag()  # asymmetric motion partitions
    sao = bits.flag()
    pcm = (
        Pcm(bits.bits(4), bits.bits(4), bits.ue(), bits.ue(), bits.flag()) if bits.flag() else None
    )
    if pcm and pcm.log2_min_size_minus3 + 3 + pcm.log2_diff_size > min(log2_ctb, 5):
        raise ValueError("the PCM blocks are not of HEVC's sizes")
    if poc_bits is not None:
        _demand(bits.ue() == 0, "no short-term reference picture sets")
        _demand(not bits.flag(), "no long-term reference pictures")
        bits.flag()  # temporal motion vector prediction
    strong = bits.flag()
    if poc_bits is not None and bits.flag():
        _skip_vui(bits)
    return SequenceHeader(
        log2_min_cb, diff_cb, log2_min_tb, diff_tb, depth, sao, pcm, strong, _read_extension(bits)
    )


def _read_extension(bits: BitReader) -> RangeExtension | None:
    if not bits.flag():
        return None
    ranged = bits.flag()
    _demand(bits.bits(7) == 0, "no extension but that of ranges")
    return RangeExtension(*(bits.flag() for _ in range(9))) if ranged else RangeExtension()


def _write_extension(bits: BitWriter, header: SequenceHeader) -> None:
    bits.flag(header.extension is not None)
    if header.extension is not None:
        bits.bits(0x80, 8)
        for flag in header.extension.flags():
            bits.flag(flag)


def _write_blocks(bits: BitWriter, header: SequenceHeader) -> None:
    bits.ue(header.log2_min_cb - 3)
    bits.ue(header.log2_diff_cb)
    bits.ue(header.log2_min_tb - 2)
    bits.ue(header.log2_diff_tb)


def _write_pcm(bits: BitWriter, header: SequenceHeader) -> None:
    bits.flag(header.pcm is not None)
    if header.pcm is not None:
        bits.bits(header.pcm.luma_depth_minus1, 4)
        bits.bits(header.pcm.chroma_depth_minus1, 4)
        bits.ue(header.pcm.log2_min_size_minus3)
        bits.ue(header.pcm.log2_diff_size)
        bits.flag(header.pcm.loop_filter_disabled)


def _write_profile(bits: BitWriter) -> None:
    bits.bits(_PROFILE, 8)  # profile space 0, main tier
    bits.bits(1 << (31 - _PROFILE), 32)
    bits.bits(0b1001, 4)  # progressive, frames only
    bits.bits(0, 44)
    bits.bits(_LEVEL, 8)


def _write_buffering(bits: BitWriter) -> None:
    bits.flag(True)
    bits.ue(1)  # max_dec_pic_buffering_minus1
    bits.ue(0)
    bits.ue(0)


def _skip_vui(bits: BitReader) -> None:
    """Read over vui_parameters (E.2.1), which say nothing that a BPG file keeps."""
    if bits.flag() and bits.bits(8) == _EXTENDED_SAR:
        bits.bits(32)
    if bits.flag():  # overscan_info_present_flag
        bits.flag()
    if bits.flag():  # video_signal_type_present_flag
        bits.bits(4)
        if bits.flag():
            bits.bits(24)
    if bits.flag():  # chroma_loc_info_present_flag
        bits.ue()
        bits.ue()
    bits.bits(3)
    if bits.flag():  # default_display_window_flag
        for _ in range(4):
            bits.ue()
    if bits.flag():  # vui_timing_info_present_flag
        bits.bits(64)
        if bits.flag():
            bits.ue()
        _demand(not bits.flag(), "no HRD parameters")
    if bits.flag():  # bitstream_restriction_flag
        bits.bits(3)
        for _ in range(5):
            bits.ue()


def _nal(kind: int, bits: BitWriter) -> bytes:
    bits.flag(True)  # rbsp_stop_one_bit
    return bytes([kind << 1, 1]) + escape(bits.to_bytes())


def _demand(fulfilled: bool, what: str) -> None:
    if not fulfilled:
        raise ValueError(f"the sequence parameters cannot be kept in a BPG file ({what} needed)")
