"""Encoding and decoding in one go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ratewise import codecs
from ratewise.codecs.rate import encode_to_psnr
from ratewise.codecs.round_trip import round_trip
from ratewise.errors import CodecError
from ratewise.images import Image

PICTURE = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)


@dataclass(frozen=True)
class Turned:
    """A codec whose pictures come out turned."""

    spec: str = "turned"

    def encode(self, image: Image) -> bytes:
        return codecs.codec("png").encode(image)

    def decode(self, data: bytes) -> Image:
        return codecs.codec("png").decode(data).transpose(1, 0, 2)


def test_the_file_and_what_it_decodes_to_are_given() -> None:
    jpeg = codecs.codec("jpeg:quality=50")
    data, decoded = round_trip(jpeg, PICTURE)
    assert data == jpeg.encode(PICTURE)
    assert (decoded == jpeg.decode(data)).all()


def test_a_picture_of_another_shape_is_refused() -> None:
    with pytest.raises(CodecError, match=r"turned: decodes to shape \(12, 8, 3\), not \(8, 12, 3"):
        round_trip(Turned(), PICTURE)  # type: ignore[arg-type]


def test_a_target_psnr_is_not_measured_on_a_picture_of_another_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ratewise.codecs.registry.codec", lambda spec: Turned())
    with pytest.raises(CodecError, match="decodes to shape"):
        encode_to_psnr("jpeg", PICTURE, 30.0)
