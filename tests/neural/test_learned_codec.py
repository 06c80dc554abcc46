"""The learned codecs as codecs of the registry."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ratewise.codecs.base import Codec
from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.neural import loading
from ratewise.neural.codec import FactorizedCodec, HyperpriorCodec, MshCodec
from ratewise.neural.models import CompressionModel, Kind
from ratewise.neural.weights import PackedModel, pack


@pytest.fixture
def weights(packed: Callable[[Kind], PackedModel], tmp_path: Path) -> Path:
    packed("msh").save(tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


@pytest.fixture
def pretrained(
    network: Callable[..., CompressionModel],
    texture: Callable[..., Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A package with weights of five qualities."""
    for quality in range(1, 6):
        packed = pack(network("msh", 4, 6, quality), [texture(0, 64, 64)])
        packed.save(tmp_path / f"msh-small-{quality}.safetensors")
    monkeypatch.setattr(loading, "PACKAGED", tmp_path)
    return tmp_path


def test_weights_of_ones_own_make_a_codec(weights: Path, texture: Callable[..., Image]) -> None:
    codec = MshCodec.from_options({"weights": str(weights)})
    assert isinstance(codec, Codec)
    assert codec.spec == f"msh:weights={weights}"
    assert codec.operating_point is None
    assert codec.suffix == ".rwn"
    assert set(codec.versions) == {"torch", "constriction"}
    image = texture(0, 50, 60)
    data = codec.encode(image)
    assert codec.decode(data).shape == image.shape
    assert codec.recognises(data)
    assert not FactorizedCodec.recognises(data)
    parts = codec.parts(data)
    assert parts["header"] == 10
    assert sum(parts.values()) == len(data)
    assert pickle.loads(pickle.dumps(codec)) == codec


@pytest.mark.parametrize(
    ("kind", "codec"), [("factorized", FactorizedCodec), ("hyperprior", HyperpriorCodec)]
)
def test_the_other_kinds_code_with_weights(
    kind: Kind,
    codec: type[FactorizedCodec] | type[HyperpriorCodec],
    packed: Callable[[Kind], PackedModel],
    texture: Callable[..., Image],
    tmp_path: Path,
) -> None:
    packed(kind).save(tmp_path / "w.safetensors")
    made = codec.from_options({"weights": str(tmp_path / "w.safetensors")})
    image = texture(0, 32, 48)
    assert made.decode(made.encode(image)).shape == image.shape
    with pytest.raises(InputError, match=f"{kind}:weights=PATH"):
        codec.from_options({})


def test_the_fingerprint_follows_the_content_of_the_weights(
    weights: Path, packed: Callable[[Kind], PackedModel], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    first, second = (MshCodec(weights=str(path)).fingerprint for path in (weights, copy))
    assert first == second
    packed("hyperprior").save(copy)
    assert MshCodec(weights=str(copy)).fingerprint != first


def test_qualities_are_packaged_models(pretrained: Path, texture: Callable[..., Image]) -> None:
    assert MshCodec.unavailable() is None
    codecs = [MshCodec.from_options({"quality": str(quality)}) for quality in range(1, 6)]
    assert [codec.spec for codec in codecs] == [f"msh:quality={q}" for q in range(1, 6)]
    assert len({codec.fingerprint for codec in codecs}) == 5
    point = codecs[0].operating_point
    assert point is not None
    assert point.higher_is_better
    image = texture(0, 40, 40)
    files = [codec.encode(image) for codec in codecs]
    expected = [codec.decode(data) for codec, data in zip(codecs, files, strict=True)]
    for one, other in zip(MshCodec().decode_batch(files), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_missing_weights_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path
) -> None:
    monkeypatch.setattr(loading, "PACKAGED", tmp_path / "nothing")
    reason = MshCodec.unavailable()
    assert reason is not None
    assert "msh-small-1.safetensors" in reason
    with pytest.raises(InputError, match="not available here"):
        MshCodec.from_options({"quality": "3"})
    with pytest.raises(InputError, match="no such file"):
        MshCodec.from_options({"weights": str(tmp_path / "none")})
    with pytest.raises(InputError, match="exclude each other"):
        MshCodec.from_options({"weights": str(weights), "quality": "3"})


def test_weights_of_another_kind_or_none_are_refused(
    weights: Path, tmp_path: Path, texture: Callable[..., Image]
) -> None:
    image = texture(0, 16, 16)
    with pytest.raises(InputError, match="holds weights of the codec msh, not factorized"):
        FactorizedCodec(weights=str(weights)).encode(image)
    (tmp_path / "text").write_text("none")
    with pytest.raises(InputError, match="safetensors"):
        MshCodec(weights=str(tmp_path / "text")).encode(image)


def test_a_file_of_unknown_weights_names_both_fingerprints(
    weights: Path, pretrained: Path, texture: Callable[..., Image]
) -> None:
    mine = MshCodec(weights=str(weights))
    data = mine.encode(texture(0, 16, 16))
    with pytest.raises(CodecError, match=data[4:8].hex()):
        MshCodec().decode(data)


def test_the_codec_is_imported_without_torch() -> None:
    code = (
        "import sys; from ratewise.neural.codec import MshCodec; "
        "MshCodec.options(); MshCodec.unavailable(); MshCodec.libraries(); "
        "MshCodec.recognises(b'RWN'); print('torch' in sys.modules, 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
