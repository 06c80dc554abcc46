"""The joint codec as a codec, and as a predictor on its own files: ``joint:weights=PATH``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ratewise.errors import InputError
from ratewise.images import Image, Mask
from ratewise.joint import bitstream
from ratewise.joint.architecture import check_format
from ratewise.neural.codec import LearnedCodec
from ratewise.training.header import read_header

if TYPE_CHECKING:
    from ratewise.joint.coder import JointCoder


class JointCodec(LearnedCodec):
    """The mutual enhancement network of Chen, Yao, Liu and Zhao (2021): pictures and masks.

    ``weights`` is a file that ``ratewise codec train`` left for settings of ``kind: joint``. With
    ``enhance=false`` pictures are decoded without the enhancement module; files are the same.
    """

    codec_name: ClassVar[str] = "joint"
    title: ClassVar[str] = "mutual enhancement network"
    file_suffix: ClassVar[str] = ".rwj"

    weights: str
    enhance: bool = True

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins like a file of a joint codec."""
        return bitstream.recognises(data)

    @property
    def fingerprint(self) -> str:
        """Hex digest of library versions, the content of the weights, and how it decodes."""
        own = super().fingerprint
        return own if self.enhance else f"{own}-plain"

    def encode_batch(self, images: Sequence[Image]) -> list[bytes]:
        """``encode`` of each image; those of one size go through the network together."""
        for image in images:
            self._checked_size(image)
        return self.coder().encode(images)

    def decode_batch(self, data: Sequence[bytes]) -> list[Image]:
        """``decode`` of each byte string; see :meth:`ratewise.joint.coder.JointCoder.decode`."""
        return self.coder().decode(data, enhance=self.enhance)

    def class_names(self) -> tuple[str, ...]:
        """The classes of the masks, in the order of their ids.

        Read from the header of the weights alone, without torch: studies are planned with it.
        """
        status = self.path.stat()
        classes = _header(self.path, status.st_mtime_ns, status.st_size)["classes"]
        return tuple(str(name) for name in classes["names"])

    @property
    def segments(self) -> bool:
        """Whether its files have masks; from the header of the weights, without torch."""
        status = self.path.stat()
        architecture = _header(self.path, status.st_mtime_ns, status.st_size)["architecture"]
        return bool(architecture.get("segmentation", True))

    def predict_batch(self, data: Sequence[bytes]) -> list[Mask]:
        """The mask ``uint8 (H, W)`` in each file; needs no more than its semantic part."""
        return self.coder().predict(data)

    def parts(self, data: bytes) -> dict[str, int]:
        """Bytes of the header, of the semantic and of the image part."""
        return bitstream.sizes(data)

    def coder(self) -> JointCoder:
        """What codes with the weights, made once in each process."""
        status = self.path.stat()
        return _loaded(self.path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, *state: Any) -> JointCoder:
    from ratewise.joint.coder import JointCoder
    from ratewise.joint.packed import load

    return JointCoder(load(path))


@functools.lru_cache(maxsize=16)
def _header(path: Path, *state: Any) -> dict[str, Any]:
    """The header of packed weights, with classes and architecture."""
    try:
        header = read_header(path)
        list(header["classes"]["names"])
        dict(header["architecture"])
    except (InputError, KeyError, TypeError, ValueError):
        header = {}
    check_format(path, header)
    return header
