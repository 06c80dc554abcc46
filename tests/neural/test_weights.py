"""Packed models on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import CompressionModel, Kind
from ratewise.neural.weights import PackedModel, load, pack
from ratewise.training.weights import load_weights, save_weights

KINDS: list[Kind] = ["factorized", "hyperprior", "msh"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_codes_as_the_saved_one(
    kind: Kind,
    packed: Callable[[Kind], PackedModel],
    texture: Callable[..., Image],
    tmp_path: Path,
) -> None:
    model = packed(kind)
    model.save(tmp_path / "a.safetensors")
    loaded = load(tmp_path / "a.safetensors")
    loaded.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert loaded.fingerprint == model.fingerprint
    images = [texture(i, 48, 64) for i in range(2)]
    files = [
        NeuralCoder(one, device="cpu", precision="fp32").encode(images) for one in (model, loaded)
    ]
    assert files[0] == files[1]


def test_packing_twice_gives_the_same_model_and_half_another(
    network: Callable[..., CompressionModel], texture: Callable[..., Image], tmp_path: Path
) -> None:
    images = [texture(0, 64, 64)]
    one, two = (pack(network("msh", 4, 6), images, {"note": n}) for n in ("a", "b"))
    assert one.fingerprint == two.fingerprint
    half = pack(network("msh", 4, 6), images, half=True)
    assert half.fingerprint != one.fingerprint
    assert all(value.dtype == torch.float16 for value in half.floats.values())
    one.save(tmp_path / "one.safetensors")
    assert load(tmp_path / "one.safetensors").header == {"note": "a"}


def test_the_priors_density_is_kept_to_train_on_and_changes_no_stream(
    network: Callable[..., CompressionModel], texture: Callable[..., Image], tmp_path: Path
) -> None:
    trained = network("msh", 4, 6)
    model = pack(trained, [texture(0, 64, 64)])
    model.save(tmp_path / "a.safetensors")
    loaded = load(tmp_path / "a.safetensors")
    wanted = {k: v for k, v in trained.state_dict().items() if k.startswith("prior.")}
    assert wanted.keys() == loaded.density.keys()
    assert "prior.matrices.0" in wanted
    assert all(torch.equal(value, loaded.density[key]) for key, value in wanted.items())
    without = replace(model, density={})
    without.save(tmp_path / "b.safetensors")
    assert load(tmp_path / "b.safetensors").fingerprint == loaded.fingerprint


def test_every_number_that_is_coded_with_is_in_the_fingerprint(
    packed: Callable[[Kind], PackedModel],
) -> None:
    model = packed("msh")
    layers = list(model.layers)
    steps = layers[1].steps.clone()
    steps[2, 3] += 1
    layers[1] = replace(layers[1], steps=steps)
    assert replace(model, layers=tuple(layers)).fingerprint != model.fingerprint
    assert replace(model, medians=model.medians + 1).fingerprint != model.fingerprint
    floats = {**model.floats, "g_s.6.bias": model.floats["g_s.6.bias"] + 1}
    assert replace(model, floats=floats).fingerprint != model.fingerprint


def _damaged(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    state, header = load_weights(path)
    change(state)
    save_weights(path.with_name("damaged.safetensors"), state, header)
    return path.with_name("damaged.safetensors")


def _set(key: str, value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(state: dict[str, torch.Tensor]) -> None:
        state[key].view(-1)[0] = value

    return change


def _shortened(key: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(state: dict[str, torch.Tensor]) -> None:
        state[key] = state[key][:-1]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("g_a.0.weight", float("nan")), "not finite, in 'g_a.0.weight'"),
        (_set("g_s.3.gamma", float("inf")), "not finite, in 'g_s.3.gamma'"),
        (lambda state: state.pop("g_s.0.weight"), "g_s.0.weight"),
        (lambda state: state.pop("h_s.1.bias"), "lacks 'h_s.1.bias'"),
        (lambda state: state.pop("gaussian.firsts"), "lacks 'gaussian.firsts'"),
        (lambda state: state.update(h_s=torch.zeros(1)), "unknown part 'h_s'"),
        (_shortened("g_a.2.bias"), "g_a.2.bias"),
        (_shortened("medians"), "feature maps"),
        (_shortened("prior.frequencies"), "add up"),
        (_shortened("thresholds"), "thresholds"),
        (_shortened("h_s.0.weight"), "another shape"),
        (_set("thresholds", 10**6), "do not rise"),
        (_set("gaussian.frequencies", 5), "add up"),
        (_set("h_s.2.weight", 20000), "too large to be exact"),
        (_set("h_s.2.steps", 2**40), "too large to be exact"),
        (lambda s: s.update(medians=s["medians"].long()), "feature maps"),
        (lambda s: s.update({"g_a.0.bias": s["g_a.0.bias"].double()}), "neither float32 nor"),
    ],
)
def test_damaged_files_are_refused_by_name(
    change: Callable[[dict[str, torch.Tensor]], None],
    message: str,
    packed: Callable[[Kind], PackedModel],
    tmp_path: Path,
) -> None:
    packed("msh").save(tmp_path / "model.safetensors")
    path = _damaged(tmp_path / "model.safetensors", change)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert "damaged.safetensors" in str(caught.value)


def test_what_is_no_packed_model_is_refused(
    network: Callable[..., CompressionModel],
    packed: Callable[[Kind], PackedModel],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="no such weights file"):
        load(tmp_path / "none.safetensors")
    save_weights(tmp_path / "raw.safetensors", network("msh", 4, 6), {"lambda": 0.01})
    with pytest.raises(InputError, match="must be packed"):
        load(tmp_path / "raw.safetensors")
    packed("msh").save(tmp_path / "whole.safetensors")
    data = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut.safetensors"):
        load(tmp_path / "cut.safetensors")
    for architecture in ({"kind": "msh", "N": 8}, {"kind": "x", "N": 8, "M": 12}, 3):
        state, header = load_weights(tmp_path / "whole.safetensors")
        header["architecture"] = architecture
        save_weights(tmp_path / "odd.safetensors", state, header)
        with pytest.raises(InputError, match=r"odd.safetensors"):
            load(tmp_path / "odd.safetensors")


def test_models_that_cannot_be_packed_are_refused(
    network: Callable[..., CompressionModel], texture: Callable[..., Image]
) -> None:
    with pytest.raises(InputError, match="calibration images: none given"):
        pack(network("msh", 4, 6), [])
    for key in ("g_a.0.weight", "h_s.2.bias", "prior.biases.0"):
        model = network("msh", 4, 6)
        with torch.no_grad():
            model.get_parameter(key).view(-1)[0] = float("nan")
        with pytest.raises(InputError, match="not finite"):
            pack(model, [texture(0, 64, 64)])
    model = network("msh", 4, 6)
    with torch.no_grad():
        model.get_parameter("g_s.0.bias")[0] = 1e6
    with pytest.raises(InputError, match="not finite"):
        pack(model, [texture(0, 64, 64)], half=True)
