"""Images to files and back, and what damaged files give."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ratewise.errors import CodecError
from ratewise.images import MAX_PIXELS, Image
from ratewise.neural import bitstream
from ratewise.neural import coder as coders
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import CompressionModel, Kind
from ratewise.neural.weights import PackedModel, pack

Texture = Callable[[int, int, int], Image]


def _grey(image: Image) -> Image:
    return np.repeat(image[:, :, :1], 3, axis=2)


@pytest.mark.parametrize("kind", ["factorized", "hyperprior", "msh"])
def test_latents_and_pictures_are_those_that_the_encoder_saw(
    kind: Kind, packed: Callable[[Kind], PackedModel], texture: Texture
) -> None:
    coder = NeuralCoder(packed(kind), device="cpu", precision="fp32")
    image = texture(1, 64, 96)
    y = coder._transforms.analysis(image[None])
    y_hat = coder.latents(coder.payloads(y, 64, 96), 64, 96)
    assert y_hat.shape == y.shape
    assert float((y_hat - y).abs().max()) <= 0.5 + 1e-4
    assert float((torch.round(y) != 0).float().mean()) > 0.1
    expected = coder._transforms.synthesis(y_hat, 64, 96)[0]
    np.testing.assert_array_equal(coder.decode(coder.encode([image]))[0], expected)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 2), (37, 65), (1, 5000), (5000, 1), (64, 64), (129, 16)]
)
def test_any_size_comes_back(height: int, width: int, coder: NeuralCoder, texture: Texture) -> None:
    image = texture(0, height, width)
    data = coder.encode([image])[0]
    decoded = coder.decode([data])[0]
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    assert coder.header_size(data) <= 14


def test_batches_of_mixed_sizes_keep_their_order(coder: NeuralCoder, texture: Texture) -> None:
    images = [texture(i, *((64, 48), (33, 70), (64, 48), (16, 16))[i % 4]) for i in range(9)]
    images[3] = _grey(images[3])
    files = coder.encode(images)
    decoded = coder.decode(files)
    for image, data, result in zip(images, files, decoded, strict=True):
        assert result.shape == image.shape
        np.testing.assert_allclose(coder.decode([data])[0].astype(int), result, atol=1)
    assert coder.encode([]) == []
    assert coder.decode([]) == []


def test_large_batches_are_split(
    coder: NeuralCoder, texture: Texture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = coder.encode([texture(i, 32, 32) for i in range(5)])
    monkeypatch.setattr(coders, "_BATCH_PIXELS", 2 * 32 * 32)
    assert coder.encode([texture(i, 32, 32) for i in range(5)]) == files


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 65536, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(coder: NeuralCoder, image: Image) -> None:
    with pytest.raises(CodecError, match="image"):
        coder.encode([image])


def test_latents_that_are_not_finite_are_refused(
    network: Callable[..., CompressionModel], texture: Texture
) -> None:
    model = network("msh", 4, 6)
    packed = pack(model, [texture(0, 64, 64)])
    packed.floats["g_a.6.bias"][0] = 3e38
    packed.floats["g_a.6.weight"][0] = 3e38
    coder = NeuralCoder(packed, device="cpu", precision="fp32")
    with pytest.raises(CodecError, match="not finite"):
        coder.encode([texture(1, 64, 64)])


def test_latents_beyond_16_bits_saturate(coder: NeuralCoder) -> None:
    y = torch.full((1, 12, 4, 4), 1e6)
    y[0, 0] = -1e6
    y_hat = coder.latents(coder.payloads(y, 64, 64), 64, 64)
    assert (y_hat[0, 1:] - 32767).abs().max() < 100
    assert (y_hat[0, 0] + 32768).abs().max() < 100


def test_a_file_of_another_model_names_both_fingerprints(
    coder: NeuralCoder, packed: Callable[[Kind], PackedModel], texture: Texture
) -> None:
    other = NeuralCoder(packed("hyperprior"), device="cpu", precision="fp32")
    data = other.encode([texture(0, 32, 32)])[0]
    with pytest.raises(CodecError) as caught:
        coder.decode([data])
    assert other.model.fingerprint.hex() in str(caught.value)
    assert coder.model.fingerprint.hex() in str(caught.value)


def test_every_cut_and_every_changed_byte_is_found(coder: NeuralCoder, texture: Texture) -> None:
    data = coder.encode([texture(7, 64, 64)])[0]
    for end in range(len(data)):
        with pytest.raises(CodecError):
            coder.decode([data[:end]])
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 7
        with pytest.raises(CodecError):
            coder.decode([bytes(changed)])
    with pytest.raises(CodecError):
        coder.decode([data + b"\1"])


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """``data`` with some bytes changed, cut out, put in, or all of these."""
    result = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        position = int(rng.integers(0, len(result) + 1))
        match rng.integers(0, 4):
            case 0:
                result[position : position + 1] = bytes([rng.integers(0, 256)])
            case 1:
                del result[position : position + int(rng.integers(1, 9))]
            case 2:
                result[position:position] = rng.bytes(int(rng.integers(1, 9)))
            case _:
                result[8 : 8 + int(rng.integers(1, 5))] = rng.bytes(int(rng.integers(1, 5)))
    return bytes(result)


def test_mutated_files_give_a_picture_or_a_codec_error(
    coder: NeuralCoder, texture: Texture
) -> None:
    rng = np.random.default_rng(0)
    files = coder.encode([texture(i, 40, 56) for i in range(4)])
    pictures = 0
    for i in range(400):
        try:
            (picture,) = coder.decode([mutated(files[i % 4], rng)])
        except CodecError:
            continue
        pictures += 1
        assert picture.dtype == np.uint8
    assert pictures < 40, "a mutation rarely leaves the file as it was"


def test_sizes_are_bounded_before_anything_is_decoded(coder: NeuralCoder, texture: Texture) -> None:
    data = coder.encode([texture(0, 32, 32)])[0]
    payload = data[coder.header_size(data) :]
    head = data[:8]
    for size, message in [
        (b"\x83\xff\x7f\x83\xff\x7f", str(MAX_PIXELS)),  # 65535 x 65535
        (b"\x84\x80\x00\x01", "65536x1"),
        (b"\x00\x20", "0x32"),
        (b"\x80\x20\x20", "damaged size"),
        (b"\xff\xff\xff\x7f\x20", "damaged size"),
        (b"\xa0\x00\xa0\x00", "cannot hold 4096x4096"),
        (b"\x20", "cut short in its header"),
    ]:
        with pytest.raises(CodecError, match=re.escape(message)):
            coder.decode([head + size + (payload if size != b"\x20" else b"")])


def test_other_formats_and_versions_are_named(coder: NeuralCoder, texture: Texture) -> None:
    data = coder.encode([texture(0, 16, 16)])[0]
    assert bitstream.recognises(data, "msh")
    assert not bitstream.recognises(data, "factorized")
    with pytest.raises(CodecError, match="not a file of a learned codec"):
        coder.decode([b"BPG" + data[3:]])
    with pytest.raises(CodecError, match="version 3"):
        coder.decode([data[:3] + b"\x33" + data[4:]])
