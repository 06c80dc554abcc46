"""A codec with adaptations at hand: the source unchanged, each file decoded with its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from adaptation_examples import (
    LAMBDA,
    decoder_finetune,
    encoder_finetune,
    layout,
    pictures,
    random_cawf,
    small_source,
    stored,
)

from ratewise import codecs
from ratewise.data.compress import compress_store
from ratewise.data.contents import verify_store
from ratewise.data.sources import FolderSource
from ratewise.data.store import open_store
from ratewise.errors import CodecError, InputError
from ratewise.files import fingerprint, sha256_file
from ratewise.images import Image, encode_png, read_image
from ratewise.metrics.distortion import mse
from ratewise.neural import bitstream
from ratewise.neural.adaptation.adaptation import Adaptation
from ratewise.neural.adaptation.custom import widened
from ratewise.neural.adaptation.library import AdaptedCoder, Library
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.bitstream import Header
from ratewise.neural.codec import MshCodec
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.loading import packaged
from ratewise.neural.weights import PackedModel, load

GOLDEN = Path(__file__).with_name("golden")
GOLDEN_PACKAGED = Path(__file__).with_name("golden_packaged")


@pytest.fixture(scope="module")
def source() -> PackedModel:
    return small_source()


@pytest.fixture(scope="module")
def several(source: PackedModel) -> dict[str, Adaptation]:
    return {
        "encoder": encoder_finetune(source),
        "other": decoder_finetune(source, 0.2),
        "r1": random_cawf(source, 1),
        "r2": random_cawf(source, 2, width=3, kernel=5),
    }


@pytest.fixture(scope="module")
def folder(
    source: PackedModel,
    several: dict[str, Adaptation],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """``source.safetensors`` and the folder ``adaptations`` of ``several``."""
    path = tmp_path_factory.mktemp("adapted")
    source.save(path / "source.safetensors")
    (path / "adaptations").mkdir()
    for name, one in several.items():
        one.save(path / f"adaptations/{name}.safetensors")
    return path


@pytest.fixture(scope="module")
def plain(folder: Path) -> MshCodec:
    return MshCodec(weights=str(folder / "source.safetensors"))


def _with(plain: MshCodec, folder: Path, choice: str = "auto") -> MshCodec:
    return MshCodec(
        weights=plain.weights, adaptations=str(folder / "adaptations"), adaptation=choice
    )


@pytest.fixture(scope="module")
def packaged_adaptation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cawf adaptation of the packaged quality 3."""
    path = tmp_path_factory.mktemp("packaged") / "mine.safetensors"
    random_cawf(load(packaged(3))).save(path)
    return path


# ----- the source stays -----------------------------------------------------------------------


def test_none_gives_the_bytes_of_the_codec_without_adaptations(
    plain: MshCodec, folder: Path
) -> None:
    images = pictures(5)
    files = plain.encode_batch(images)
    assert _with(plain, folder, "none").encode_batch(images) == files
    assert all(data[3] >> 4 == bitstream.VERSION for data in files)


def test_a_hundred_images_of_the_packaged_codec_are_as_before(packaged_adaptation: Path) -> None:
    images = pictures(100, height=96, width=160)
    before = MshCodec(quality=3)
    after = MshCodec(quality=3, adaptations=str(packaged_adaptation), adaptation="none")
    files = before.encode_batch(images)
    assert after.encode_batch(images) == files
    decoded = before.decode_batch(files)
    for choice in ("none", "auto", "mine"):
        codec = after.model_copy(update={"adaptation": choice})
        for one, other in zip(decoded, codec.decode_batch(files), strict=True):
            np.testing.assert_array_equal(one, other)
    # ... and the adaptation is there
    assert codec.encode(images[0]) != files[0]
    assert (codec.decode(codec.encode(images[0])) != decoded[0]).any()
    # ... and has left nothing behind
    assert before.encode_batch(images[:8]) == files[:8]
    for one, other in zip(decoded[:8], before.decode_batch(files[:8]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_golden_files_decode_to_the_same_pixels(packaged_adaptation: Path) -> None:
    files = [path.read_bytes() for path in sorted(GOLDEN_PACKAGED.glob("*.rwn"))]
    assert len(files) == 5
    before = MshCodec(quality=3).decode_batch(files)
    adapted = MshCodec(quality=3, adaptations=str(packaged_adaptation))
    adapted.encode(pictures(1)[0])
    golden = [read_image(path) for path in sorted(GOLDEN_PACKAGED.glob("*.png"))]
    for one, other, kept in zip(before, adapted.decode_batch(files), golden, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.abs(other.astype(int) - kept).max() <= 2  # a level or two between processors
    none = adapted.model_copy(update={"adaptation": "none"})
    assert none.encode_batch(golden) == MshCodec(quality=3).encode_batch(golden)


def test_golden_files_of_the_first_version_do_too() -> None:
    model = load(GOLDEN / "msh.safetensors")
    library = Library(Path("here"), {"other": decoder_finetune(model, 0.1)})
    adapted, coder = AdaptedCoder(model, library), NeuralCoder(model)
    files = [path.read_bytes() for path in sorted(GOLDEN.glob("msh-*.rwn"))]
    assert len(files) == 4
    for one, other in zip(coder.decode(files), adapted.decode(files), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("width", [0, 2])
def test_an_untrained_adaptation_writes_the_sources_payload(
    source: PackedModel, width: int
) -> None:
    own = layout(width)
    untrained = stored(source, widened(unpacked(source), own), own).applied(source)
    images = pictures(4)
    files = [
        NeuralCoder(model, device="cpu", precision="fp32").encode(images)
        for model in (source, untrained)
    ]
    for before, after in zip(*files, strict=True):
        assert bitstream.read(before)[1] == bitstream.read(after)[1]


# ----- each file with its own -----------------------------------------------------------------


def test_files_of_several_adaptations_decode_together_each_with_its_own(
    plain: MshCodec,
    source: PackedModel,
    several: dict[str, Adaptation],
    folder: Path,
) -> None:
    images = pictures(2)
    files, expected = [], []
    for image in images:
        for name in ("r2", "none", "other", "r1", "encoder"):
            model = several[name].applied(source) if name in several else source
            files.append(_with(plain, folder, name).encode(image))
            expected.append(NeuralCoder(model).decode([files[-1]])[0])
    assert len({bitstream.read(data)[0].adaptation for data in files}) == 4
    for choice in ("auto", "none", "other"):
        decoded = _with(plain, folder, choice).decode_batch(files)
        for one, other in zip(decoded, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_source_alone_decodes_what_an_adapted_encoder_wrote(
    plain: MshCodec, folder: Path
) -> None:
    image = pictures(1)[0]
    data = _with(plain, folder, "encoder").encode(image)
    assert data != plain.encode(image)
    assert bitstream.read(data)[0].adaptation == b""
    np.testing.assert_array_equal(plain.decode(data), _with(plain, folder).decode(data))


def test_auto_keeps_what_costs_least(
    source: PackedModel, several: dict[str, Adaptation], plain: MshCodec, folder: Path
) -> None:
    # The decoder of 'other' is brighter by 51 levels: good for pictures that are, bad for the rest
    images = [
        np.clip(image.astype(int) + more, 0, 255).astype(np.uint8)
        for image in pictures(3)
        for more in (-100, 0, 100)
    ]
    chosen = []
    for image, data in zip(images, _with(plain, folder).encode_batch(images), strict=True):
        tried: dict[str, tuple[float, bytes]] = {}
        for name in ("none", *several):
            coder = NeuralCoder(several[name].applied(source) if name in several else source)
            (file,) = coder.encode([image])
            (decoded,) = coder.decode([file])
            pixels = image.shape[0] * image.shape[1]
            tried[name] = (LAMBDA * mse(image, decoded) + 8 * len(file) / pixels, file)
        best = min(tried, key=lambda name: tried[name][0])
        assert data == tried[best][1]
        chosen.append(best)
    assert len(set(chosen)) >= 2


def test_auto_falls_back_to_the_source(source: PackedModel) -> None:
    library = Library(Path("here"), {"dark": decoder_finetune(source, -3.0)})
    images = pictures(3)
    assert AdaptedCoder(source, library).encode(images) == NeuralCoder(source).encode(images)


def test_auto_without_the_sources_lambda_is_refused_and_decoding_is_not(
    source: PackedModel, several: dict[str, Adaptation]
) -> None:
    silent = dataclasses.replace(source, header={})
    library = Library(Path("here"), several)
    data = AdaptedCoder(silent, library, "r1").encode(pictures(1))
    coder = AdaptedCoder(silent, library)
    assert coder.decode(data)[0].shape == (64, 96, 3)
    with pytest.raises(InputError, match=f"{source.fingerprint.hex()} does not say its lambda"):
        coder.encode(pictures(1))


def test_a_file_whose_adaptation_is_not_at_hand_names_the_fingerprints(
    plain: MshCodec, source: PackedModel, several: dict[str, Adaptation], folder: Path
) -> None:
    data = _with(plain, folder, "r1").encode(pictures(1)[0])
    wanted, own = several["r1"].fingerprint.hex(), source.fingerprint.hex()
    with pytest.raises(CodecError, match=wanted) as caught:
        plain.decode(data)
    assert own in str(caught.value)
    assert "adaptations=PATH" in str(caught.value)
    alone = plain.model_copy(update={"adaptations": str(folder / "adaptations/r2.safetensors")})
    with pytest.raises(CodecError, match=wanted) as caught:
        alone.decode(data)
    for part in (own, several["r2"].fingerprint.hex(), "r2.safetensors"):
        assert part in str(caught.value)


def test_a_file_of_another_source_names_both(plain: MshCodec, folder: Path) -> None:
    (data,) = NeuralCoder(load(GOLDEN / "msh.safetensors")).encode(pictures(1))
    with pytest.raises(CodecError, match=data[4:8].hex()) as caught:
        _with(plain, folder).decode(data)
    assert load(Path(plain.weights)).fingerprint.hex() in str(caught.value)


def test_a_file_of_an_adaptation_of_another_source_names_its_source(
    plain: MshCodec, folder: Path
) -> None:
    other = small_source(seed=1)
    adaptation = random_cawf(other)
    (data,) = NeuralCoder(adaptation.applied(other)).encode(pictures(1))
    with pytest.raises(CodecError, match=other.fingerprint.hex()) as caught:
        _with(plain, folder).decode(data)
    assert adaptation.fingerprint.hex() in str(caught.value)


def test_a_damaged_file_stops_only_what_wants_it(
    plain: MshCodec, source: PackedModel, several: dict[str, Adaptation], tmp_path: Path
) -> None:
    (tmp_path / "adaptations").mkdir()
    for name in ("r1", "r2"):
        several[name].save(tmp_path / f"adaptations/{name}.safetensors")
    source.save(tmp_path / "adaptations/weights.safetensors")  # none: it is passed over
    image = pictures(1)[0]
    files = {name: _with(plain, tmp_path, name).encode(image) for name in ("none", "r1", "r2")}
    broken = tmp_path / "adaptations/r2.safetensors"
    broken.write_bytes(broken.read_bytes()[:-100])
    fingerprints = (several["r2"].fingerprint.hex(), source.fingerprint.hex())

    for name in ("none", "r1"):
        assert _with(plain, tmp_path, name).encode(image) == files[name]
        for choice in ("auto", "none"):
            assert _with(plain, tmp_path, choice).decode(files[name]).shape == image.shape
    for choice in ("auto", "r2"):
        with pytest.raises(InputError, match=r"r2\.safetensors") as caught:
            _with(plain, tmp_path, choice).encode(image)
        assert all(part in str(caught.value) for part in fingerprints)
    with pytest.raises(CodecError, match=r"r2\.safetensors: not a readable") as missed:
        _with(plain, tmp_path).decode(files["r2"])
    assert all(part in str(missed.value) for part in fingerprints)


def test_a_folder_without_any_adaptation_is_refused(
    plain: MshCodec, source: PackedModel, tmp_path: Path
) -> None:
    (tmp_path / "adaptations").mkdir()
    source.save(tmp_path / "adaptations/weights.safetensors")
    with pytest.raises(InputError, match="none of its"):
        _with(plain, tmp_path).encode(pictures(1)[0])


def test_a_name_is_of_one_adaptation_of_the_source(source: PackedModel) -> None:
    mine, copy, foreign = (
        dataclasses.replace(made, about={"name": "mine"})
        for made in (random_cawf(source, 1), random_cawf(source, 2), random_cawf(small_source(1)))
    )
    images = pictures(1)
    hidden = Library(Path("here"), {"mine": foreign, "mine-s": mine})
    assert AdaptedCoder(source, hidden, "mine").encode(images) == NeuralCoder(
        mine.applied(source)
    ).encode(images)
    two = Library(Path("here"), {"mine-a": mine, "mine-b": copy})
    with pytest.raises(InputError, match=r"several of this name.* \(mine-a, mine-b\)"):
        AdaptedCoder(source, two, "mine")
    assert AdaptedCoder(source, two, "mine-b").encode(images)


def test_symbols_of_an_adapted_file_are_checked(plain: MshCodec, folder: Path) -> None:
    codec = _with(plain, folder, "r1")
    data = codec.encode(pictures(1)[0])
    for broken in (data[:-3], data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        with pytest.raises(CodecError, match="cut short"):
            codec.decode(broken)


# ----- the header -----------------------------------------------------------------------------


def test_the_header_of_the_second_version_holds_both_fingerprints() -> None:
    header = Header("msh", b"\1\2\3\4", 300, 7, b"\0\0\0\0")
    data = bitstream.write(header, b"payload")
    assert data == b"RWN\x23\1\2\3\4\0\0\0\0" + bytes([0x82, 0x2C, 7]) + b"payload"
    assert bitstream.read(data) == (header, b"payload")
    assert bitstream.recognises(data, "msh")
    first = dataclasses.replace(header, adaptation=b"")
    assert bitstream.write(first, b"payload") == b"RWN\x13" + data[4:8] + data[12:]
    for length in range(len(data) - len(b"payload")):
        with pytest.raises(CodecError):
            bitstream.read(data[:length])
    with pytest.raises(CodecError, match="version 3"):
        bitstream.read(b"RWN\x33" + data[4:])


def test_files_of_both_versions_are_known_by_their_content(
    plain: MshCodec, folder: Path, several: dict[str, Adaptation]
) -> None:
    codec = _with(plain, folder, "r1")
    data = codec.encode(pictures(1)[0])
    assert codec.recognises(data)
    assert codecs.identify(data).name == "msh"
    assert data[8:12] == several["r1"].fingerprint
    assert codec.parts(data) == {"header": 14, "symbols": len(data) - 14}


# ----- the codec ------------------------------------------------------------------------------


def test_specs_parse_back(plain: MshCodec, folder: Path, packaged_adaptation: Path) -> None:
    path = folder / "adaptations"
    for spec, canonical in [
        (f"{plain.spec},adaptations={path},adaptation=auto", f"{plain.spec},adaptations={path}"),
        (f"msh:adaptation=r1,adaptations={path},weights={plain.weights}", None),
        (f"msh:adaptations={path}", f"msh:quality=3,adaptations={path}"),
        (f"msh:quality=3,adaptations={packaged_adaptation},adaptation=none", None),
    ]:
        codec = codecs.codec(spec)
        again = codecs.codec(codec.spec)
        assert again == codec
        assert again.fingerprint == codec.fingerprint
        assert canonical in (None, codec.spec)


def test_the_fingerprint_follows_adaptations_and_choice(plain: MshCodec, folder: Path) -> None:
    without = {
        "codec": "msh",
        "versions": dict(plain.versions),
        "weights": sha256_file(Path(plain.weights)),
    }
    assert plain.fingerprint == fingerprint(without)
    found = {_with(plain, folder, choice).fingerprint for choice in ("auto", "none", "r1", "r2")}
    assert len(found | {plain.fingerprint}) == 5
    one = folder / "adaptations/r1.safetensors"
    alone = plain.model_copy(update={"adaptations": str(one)})
    before = alone.fingerprint
    kept = one.read_bytes()
    try:
        one.write_bytes((folder / "adaptations/r2.safetensors").read_bytes())
        assert alone.fingerprint != before
    finally:
        one.write_bytes(kept)


def test_a_changed_folder_is_read_again(
    plain: MshCodec, several: dict[str, Adaptation], tmp_path: Path
) -> None:
    several["r1"].save(tmp_path / "a.safetensors")
    codec = MshCodec(weights=plain.weights, adaptations=str(tmp_path), adaptation="a")
    image = pictures(1)[0]
    first = codec.encode(image)
    several["other"].save(tmp_path / "a.safetensors")
    assert codec.encode(image)[8:12] == several["other"].fingerprint
    with pytest.raises(CodecError, match=several["r1"].fingerprint.hex()):
        codec.decode(first)
    (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="no such adaptation"):
        codec.encode(image)


def test_an_adaptation_is_found_by_the_name_it_was_given(plain: MshCodec, folder: Path) -> None:
    image = pictures(1)[0]
    for name in ("r1", "r2"):
        renamed = folder / f"adaptations/{name}.safetensors"
        alone = MshCodec(weights=plain.weights, adaptations=str(renamed), adaptation=name)
        assert alone.encode(image) == _with(plain, folder, name).encode(image)


def test_wrong_names_and_paths_are_one_sentence(
    plain: MshCodec, folder: Path, packaged_adaptation: Path, tmp_path: Path
) -> None:
    image = pictures(1)[0]
    here = folder / "adaptations"
    specs = [
        (f"{plain.spec},adaptations={tmp_path / 'none'}", "none: no such file or folder"),
        (f"{plain.spec},adaptation=r1", "adaptation needs adaptations=PATH"),
        (f"{plain.spec},adaptations={here},adaption=r1", "unknown option 'adaption'"),
        (f"{plain.spec},adaptations={here},adaptation=r3", r"r3: .* has no such .* none, encoder"),
        (f"{plain.spec},adaptations={tmp_path}", "holds no adaptations"),
        (f"{plain.spec},adaptations={plain.weights}", "is no adaptation of a codec"),
        (f"{plain.spec},adaptations={packaged_adaptation}", "has no adaptation of the codec"),
        (f"msh:quality=3,adaptations={here},adaptation=r1", "has no adaptation of the codec"),
    ]
    for spec, message in specs:
        with pytest.raises(InputError, match=message) as caught:
            codecs.codec(spec).encode(image)
        assert "\n" not in str(caught.value)
    # A name is wrong before anything is done
    with pytest.raises(InputError, match=r"allowed: auto, none, encoder, other, r1, r2\)"):
        codecs.codec(f"{plain.spec},adaptations={here},adaptation=r3")
    with pytest.raises(InputError) as caught:
        codecs.codec(f"{plain.spec},adaptations={packaged_adaptation}").encode(image)
    for path in (Path(plain.weights), packaged(3)):
        assert load(path).fingerprint.hex() in str(caught.value)


def test_another_quality_of_the_package_is_decoded_beside_adaptations(
    packaged_adaptation: Path,
) -> None:
    image = pictures(1)[0]
    low = MshCodec(quality=1)
    data = low.encode(image)
    adapted = MshCodec(quality=3, adaptations=str(packaged_adaptation), adaptation="mine")
    np.testing.assert_array_equal(adapted.decode(data), low.decode(data))
    # ... a source's own files, where there are adaptations of another quality alone
    auto = MshCodec(quality=1, adaptations=str(packaged_adaptation))
    np.testing.assert_array_equal(auto.decode(data), low.decode(data))
    # ... and a file of an adaptation, by a codec of another quality that has it at hand
    data = adapted.encode(image)
    np.testing.assert_array_equal(auto.decode(data), adapted.decode(data))


def test_a_store_is_made_and_read_with_adaptations(
    plain: MshCodec, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    photos: dict[str, Image] = {f"{i}.png": image for i, image in enumerate(pictures(3))}
    for name, image in photos.items():
        (tmp_path / "photos" / name).write_bytes(encode_png(image))
    codec = _with(plain, folder)
    compress_store(FolderSource(tmp_path / "photos"), tmp_path / "s", codec.spec)
    store = open_store(tmp_path / "s")
    assert [record.key for record in store.records] == list(photos)
    for index, record in enumerate(store.records):
        assert store.data(index) == codec.encode(read_image(tmp_path / "photos" / record.key))
    assert verify_store(store, decode=True) == []
