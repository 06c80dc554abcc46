"""Files of a joint codec: two parts that stand alone, exact symbols, damage that is noticed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from joint_examples import CLASSES, SMALL, make_model, make_packed, make_picture

from ratewise import codecs
from ratewise.codecs.base import Codec, predicts
from ratewise.errors import CodecError, InputError
from ratewise.joint import bitstream
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.bitstream import JointFile
from ratewise.joint.coder import JointCoder, SemanticPartWarning
from ratewise.joint.packed import PackedJoint, load
from ratewise.joint.transforms import JointTransforms
from ratewise.neural.bitstream import ue7
from ratewise.neural.loading import packaged
from ratewise.neural.tables import MEAN_UNIT
from ratewise.training.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def packed() -> PackedJoint:
    return make_packed()


@pytest.fixture(scope="module")
def coder(packed: PackedJoint) -> JointCoder:
    return JointCoder(packed, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def weights(packed: PackedJoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joint") / "small.safetensors"
    packed.save(path)
    return path


# ----- pictures and maps ------------------------------------------------------------------------


def test_a_file_gives_what_the_network_makes_of_the_image(coder: JointCoder) -> None:
    image = make_picture(3, 64, 128)
    model = make_model()
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        features, y = model.features(x)
        assert model.aggregation is not None
        assert model.decoder is not None
        assert model.semantic is not None
        assert model.enhancement is not None
        s_hat, _ = model.semantic.coded(model.aggregation(features, y))
        logits = model.decoder(s_hat)
        plain = model.image.g_s(model.image.coded(y)[0]).clamp(0, 1)

    (data,) = coder.encode([image])
    (picture,) = coder.decode([data], enhance=False)
    (mask,) = coder.predict([data])

    # The integer h_s has other means by a rounding, so some symbols differ by one
    assert np.abs(picture - (plain[0].permute(1, 2, 0) * 255).numpy()).mean() < 2
    assert (mask == logits[0].argmax(0).numpy()).mean() > 0.95
    (enhanced,) = coder.decode([data])
    with torch.no_grad():
        x_hat = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        wanted = model.enhancement(x_hat, logits).clamp(0, 1)[0].permute(1, 2, 0) * 255
    assert np.abs(enhanced - wanted.numpy()).mean() < 2
    assert np.abs(enhanced.astype(int) - picture).mean() > 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 300), (96, 112)])
def test_any_size_comes_back(coder: JointCoder, height: int, width: int) -> None:
    image = make_picture(0, height, width)

    (data,) = coder.encode([image])

    assert coder.decode([data])[0].shape == image.shape
    assert coder.predict([data])[0].shape == image.shape[:2]


def test_images_of_several_sizes_keep_their_order(coder: JointCoder) -> None:
    images = [make_picture(i, *size) for i, size in enumerate([(64, 96), (32, 32), (64, 96)])]

    files = coder.encode(images)

    assert [coder.encode([image])[0] for image in images] == files
    assert [one.shape for one in coder.decode(files)] == [one.shape for one in images]


def test_enhancement_in_strips_has_no_seams(
    coder: JointCoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data,) = coder.encode([make_picture(1, 90, 64)])
    (whole,) = coder.decode([data])

    monkeypatch.setattr("ratewise.joint.transforms._STRIP_PIXELS", 64 * 7)
    (strips,) = coder.decode([data])

    assert np.abs(whole.astype(int) - strips).max() <= 1


def test_large_images_are_analysed_in_strips(
    packed: PackedJoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    transforms = JointTransforms(packed.network(), device="cpu", precision="fp32")
    image = make_picture(2, 1000, 48)[None]
    y, s = transforms.analysis(image)

    monkeypatch.setattr("ratewise.joint.transforms._ANALYSIS_PIXELS", 48 * 64)
    y_strips, s_strips = transforms.analysis(image)

    assert s is not None
    assert s_strips is not None
    assert torch.allclose(y, y_strips, atol=1e-3)
    assert torch.allclose(s, s_strips, atol=1e-3 * float(s.abs().max()))


def test_maps_in_strips_have_no_seams(coder: JointCoder, monkeypatch: pytest.MonkeyPatch) -> None:
    (data,) = coder.encode([make_picture(1, 400, 64)])
    (whole,) = coder.predict([data])

    monkeypatch.setattr("ratewise.joint.transforms._STRIP_PIXELS", 64 * 50)
    (strips,) = coder.predict([data])

    assert len(np.unique(whole)) > 1
    assert np.array_equal(whole, strips)


def test_symbols_do_not_depend_on_precision_or_batch(packed: PackedJoint) -> None:
    images = [make_picture(i, 64, 96) for i in range(4)]
    files = JointCoder(packed, device="cpu", precision="fp32").encode(images)
    other = JointCoder(packed, device="cpu", precision="bf16")

    alone = [other.decode([one], enhance=False)[0] for one in files]  # checksums hold
    together = other.decode(files, enhance=False)
    masks = other.predict(files)

    for one, two in zip(alone, together, strict=True):
        assert np.abs(one.astype(int) - two).max() <= 1
    for file, mask in zip(files, masks, strict=True):
        assert (other.predict([file])[0] == mask).mean() > 0.99
    exact = JointCoder(packed, device="cpu", precision="fp32")
    assert exact.encode(images) == [exact.encode([image])[0] for image in images]


def test_maps_of_many_pictures_are_made_a_few_at_a_time(
    packed: PackedJoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    coder = JointCoder(packed, device="cpu", precision="fp32")
    files = coder.encode([make_picture(i, 64, 96) for i in range(5)])
    masks, pictures = coder.predict(files), coder.decode(files)
    monkeypatch.setattr("ratewise.joint.transforms._STRIP_PIXELS", 2 * 64 * 96)
    for one, two in zip(masks, coder.predict(files), strict=True):
        assert np.array_equal(one, two)
    for one, two in zip(pictures, coder.decode(files), strict=True):
        assert np.array_equal(one, two)


# ----- parts ------------------------------------------------------------------------------------


def test_the_parts_add_up(weights: Path) -> None:
    codec = codecs.codec(f"joint:weights={weights}")
    data = codec.encode(make_picture(0, 64, 96))

    parts = codec.parts(data)

    assert set(parts) == {"header", "semantic", "image"}
    assert sum(parts.values()) == len(data)
    assert min(parts.values()) > 0


def test_parts_of_a_cut_file_are_what_is_there(weights: Path) -> None:
    codec = codecs.codec(f"joint:weights={weights}")
    data = codec.encode(make_picture(0, 64, 96))
    whole = codec.parts(data)
    for length in range(whole["header"], len(data)):
        parts = codec.parts(data[:length])
        assert sum(parts.values()) == length
        assert parts["header"] == whole["header"]
        assert parts["semantic"] == min(whole["semantic"], length - whole["header"])
    beginning = data[: whole["header"] + whole["semantic"]]
    assert not bitstream.read(beginning).image
    with pytest.raises(CodecError, match="no image part"):
        codec.decode(beginning)


def test_predicting_needs_the_semantic_part_alone(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 64, 96)])
    semantic = bitstream.keep(data, "semantic")

    assert len(semantic) < len(data)
    assert np.array_equal(coder.predict([semantic])[0], coder.predict([data])[0])
    with pytest.raises(CodecError, match="no image part"):
        coder.decode([semantic])


def test_the_beginning_of_a_file_is_enough_to_predict(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 64, 96)])
    file = bitstream.read(data)
    beginning = data[: len(file.header()) + len(file.semantic)]

    assert np.array_equal(coder.predict([beginning])[0], coder.predict([data])[0])


def test_the_picture_needs_the_image_part_alone(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 64, 96)])
    (plain,) = coder.decode([data], enhance=False)

    with pytest.warns(
        SemanticPartWarning,
        match=r"no semantic part; the picture of 96x64 pixels",
    ):
        (picture,) = coder.decode([bitstream.keep(data, "image")])

    assert np.array_equal(picture, plain)


def test_a_damaged_semantic_part_still_gives_the_plain_picture(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 64, 96)])
    (plain,) = coder.decode([data], enhance=False)
    file = bitstream.read(data)
    position = len(file.header()) + len(file.semantic) // 2
    damaged = data[:position] + bytes([data[position] ^ 64]) + data[position + 1 :]

    with pytest.warns(SemanticPartWarning, match=r"semantic part .* cut short or altered"):
        (picture,) = coder.decode([damaged])

    assert np.array_equal(picture, plain)
    with pytest.raises(CodecError, match=r"semantic part .* cut short or altered"):
        coder.predict([damaged])


@pytest.mark.parametrize("change", ["lost bytes", "wrong length"])
def test_the_image_part_is_found_whatever_became_of_the_semantic_one(
    coder: JointCoder, change: str
) -> None:
    (data,) = coder.encode([make_picture(0, 64, 96)])
    (plain,) = coder.decode([data], enhance=False)
    file = bitstream.read(data)
    start = len(file.header())
    damaged = data[: start + 5] + data[start + 20 :]
    if change == "wrong length":
        position = start - len(ue7(len(file.image))) - 1
        damaged = data[:position] + bytes([data[position] ^ 8]) + data[position + 1 :]

    with pytest.warns(SemanticPartWarning):
        (picture,) = coder.decode([damaged])

    assert np.array_equal(picture, plain)


def test_a_part_that_is_not_there_cannot_be_kept(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 64, 96)])

    with pytest.raises(CodecError, match="no image part"):
        bitstream.keep(bitstream.keep(data, "semantic"), "image")


# ----- bad files --------------------------------------------------------------------------------


def test_every_changed_byte_is_noticed_or_harmless(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 32, 48)])
    (plain,) = coder.decode([data], enhance=False)
    (mask,) = coder.predict([data])
    rng = np.random.default_rng(0)
    for position in range(len(data)):
        value = (data[position] + int(rng.integers(1, 256))) % 256
        changed = data[:position] + bytes([value]) + data[position + 1 :]
        for decode, wanted in (
            (lambda one: coder.decode([one], enhance=False)[0], plain),
            (lambda one: coder.predict([one])[0], mask),
        ):
            try:
                found = decode(changed)
            except CodecError:
                continue
            assert np.array_equal(found, wanted)


def test_every_file_that_is_cut_is_refused(coder: JointCoder) -> None:
    (data,) = coder.encode([make_picture(0, 32, 48)])
    for length in range(len(data)):
        with pytest.raises(CodecError):
            coder.decode([data[:length]], enhance=False)


def test_a_file_that_claims_many_pixels_is_refused_unread(coder: JointCoder) -> None:
    file = JointFile(coder.model.fingerprint, 8000, 8000, b"1234", b"5678")

    with pytest.raises(CodecError, match="cannot hold 8000x8000 pixels"):
        coder.decode([file.to_bytes()])
    with pytest.raises(CodecError, match="cannot hold 8000x8000 pixels"):
        coder.predict([file.to_bytes()])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"RWN", "does not begin with 'RWJ'"),
        (b"RWJ\1abc", "cut short: 7 bytes"),
        (b"RWJ\2abcdefgh", "version 2"),
        (b"RWJ\1abcd\0\1\1", "1 to 65535 pixels"),
        (b"RWJ\1abcd\1\1\x80", "cut short"),
        (b"RWJ\1abcd\1\1\x80\x81\1", "damaged size"),
    ],
)
def test_bad_headers_are_named(data: bytes, sentence: str) -> None:
    with pytest.raises(CodecError, match=sentence):
        bitstream.read(data)


def test_a_file_of_another_model_names_both(coder: JointCoder) -> None:
    other = JointCoder(make_packed(seed=1), device="cpu", precision="fp32")
    (data,) = other.encode([make_picture(0, 32, 32)])

    with pytest.raises(CodecError, match=coder.model.fingerprint.hex()) as caught:
        coder.decode([data])
    assert other.model.fingerprint.hex() in str(caught.value)


# ----- models and the codec ---------------------------------------------------------------------


def test_a_saved_model_codes_the_same(packed: PackedJoint, weights: Path) -> None:
    again = load(weights)
    image = make_picture(5, 48, 64)
    first, second = (JointCoder(one, device="cpu", precision="fp32") for one in (packed, again))

    assert again.fingerprint == packed.fingerprint
    assert first.encode([image]) == second.encode([image])


def test_damaged_weights_are_named(weights: Path, tmp_path: Path) -> None:
    data = weights.read_bytes()
    short = tmp_path / "short.safetensors"
    short.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"short\.safetensors"):
        load(short)
    with pytest.raises(InputError, match="no packed joint codec"):
        load(packaged(1))


def _changed(path: Path, to: Path, tensors: dict[str, torch.Tensor], **header: object) -> Path:
    """``path`` with other tensors (an empty one is left out) and other entries of its header."""
    own, about = load_weights(path)
    own = {key: value for key, value in {**own, **tensors}.items() if value.numel()}
    save_weights(to, own, {**about, **header})
    return to


def test_what_is_wrong_with_weights_is_said(weights: Path, tmp_path: Path) -> None:
    own, about = load_weights(weights)
    key = "decoder.layers.9.bias"
    variance = next(name for name in own if name.endswith("running_var"))
    cases: list[tuple[dict[str, torch.Tensor], dict[str, object], str]] = [
        ({key: own[key] / 0}, {}, rf"'{key}' is not finite"),
        ({key: own[key][:0]}, {}, f"lacks {key}"),
        ({"strange": torch.zeros(3)}, {}, "has unknown strange"),
        ({key: own[key].bfloat16()}, {}, "neither float32 nor float16"),
        ({variance: -own[variance] - 1}, {}, "a variance below 0"),
        ({}, {"architecture": {**about["architecture"], "S": 7}}, "multiple of 8"),
        ({}, {"architecture": {**about["architecture"], "S": 1024}}, "has other shapes for"),
        ({}, {"classes": {}}, "lacks 'names'|header is damaged"),
        ({}, {"format": "other"}, "no packed joint codec"),
        ({}, {"format": "ratewise packed joint codec 1"}, r"of this version \(it is a .* codec 1"),
    ]
    for tensors, header, said in cases:
        path = _changed(weights, tmp_path / "changed.safetensors", tensors, **header)
        with pytest.raises(InputError, match=said) as caught:
            load(path)
        assert "changed.safetensors" in str(caught.value)


def test_a_map_that_is_not_finite_is_no_map_and_the_picture_is_the_plain_one(
    packed: PackedJoint,
) -> None:
    key = "decoder.layers.9.bias"
    floats = {**packed.floats, key: torch.full_like(packed.floats[key], 3e38) * 10}
    coder = JointCoder(dataclasses.replace(packed, floats=floats), device="cpu", precision="fp32")
    (data,) = coder.encode([make_picture(0, 64, 96)])
    with pytest.raises(CodecError, match="not finite"):
        coder.predict([data])
    with pytest.warns(SemanticPartWarning, match="plain one"):
        (picture,) = coder.decode([data])
    assert np.array_equal(picture, coder.decode([data], enhance=False)[0])


def test_compression_alone_has_no_semantic_part(tmp_path: Path) -> None:
    values = {**SMALL.to_json(), "segmentation": False, "enhancement": None}
    packed = make_packed(JointArchitecture(**values))
    packed.save(tmp_path / "compression.safetensors")
    assert not predicts(codecs.codec(f"joint:weights={tmp_path / 'compression.safetensors'}"))
    coder = JointCoder(packed, device="cpu", precision="fp32")
    image = make_picture(0, 32, 48)

    (data,) = coder.encode([image])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert coder.decode([data])[0].shape == image.shape
    with pytest.raises(CodecError, match="does not segment"):
        coder.predict([data])


def test_it_is_a_codec_that_is_recognised(weights: Path) -> None:
    codec = codecs.codec(f"joint:weights={weights}")
    image = make_picture(0, 64, 96)
    data = codec.encode(image)

    assert isinstance(codec, Codec)
    assert predicts(codec)
    assert codec.suffix == ".rwj"
    assert codec.spec == f"joint:weights={weights}"
    assert codec.decode(data).shape == image.shape
    plain = codecs.codec(f"joint:weights={weights},enhance=false")
    assert plain.fingerprint != codec.fingerprint
    assert plain.encode(image) == data
    assert not np.array_equal(plain.decode(data), codec.decode(data))


def test_the_classes_are_known_without_torch(weights: Path) -> None:
    code = (
        "import sys; from ratewise import codecs; "
        f"print(codecs.codec('joint:weights={weights}').class_names(), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == f"{CLASSES.names} False"


def test_weights_of_another_kind_have_no_classes() -> None:
    codec = codecs.codec(f"joint:weights={packaged(1)}")

    with pytest.raises(InputError, match="no packed joint codec"):
        codec.class_names()  # type: ignore[attr-defined]


def test_missing_weights_are_named() -> None:
    with pytest.raises(InputError, match=r"weights=none\.safetensors: no such file"):
        codecs.codec("joint:weights=none.safetensors")


def test_medians_and_means_are_in_their_units(packed: PackedJoint) -> None:
    assert packed.semantic is not None
    assert packed.semantic.medians.dtype == np.int32
    assert np.abs(packed.semantic.medians).max() / MEAN_UNIT < 16
