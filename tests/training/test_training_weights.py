"""Weights on disk and the moving average."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from ratewise.errors import InputError
from ratewise.files import sha256_file
from ratewise.training.ema import Ema, decay_at
from ratewise.training.weights import apply_weights, load_foreign, load_weights, save_weights


def test_weights_and_header_come_back_and_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    header = {"made": "by a test", "seed": 3, "of": "a", "with": ["b", "c"]}
    save_weights(tmp_path / "a.safetensors", model, header)
    save_weights(tmp_path / "b.safetensors", model, dict(reversed(header.items())))
    state, read = load_weights(tmp_path / "a.safetensors")
    assert read == header
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert sha256_file(tmp_path / "a.safetensors") == sha256_file(tmp_path / "b.safetensors")


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_foreign_weights_are_found_in_checkpoints_of_others(tmp_path: Path, key: str) -> None:
    state = {f"module.{k}": v for k, v in nn.Linear(2, 1).state_dict().items()}
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "w.pth")
    assert set(load_foreign(tmp_path / "w.pth")) == {"weight", "bias"}


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    for name, save in (("a.pth", torch.save), ("b.pth", _plain_pickle)):
        save({"w": Evil()}, tmp_path / name)
        with pytest.raises(InputError, match="cannot be read as plain weights"):
            load_foreign(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def _plain_pickle(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_damaged_or_missing_weights_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such weights file"):
        load_foreign(tmp_path / name)
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(InputError, match=name):
        load_foreign(tmp_path / name)


def test_weights_that_do_not_fit_name_keys_and_shapes() -> None:
    model = nn.Linear(2, 3)
    before = model.weight.clone()
    state = {"weight": torch.zeros(3, 4), "scale": torch.zeros(1)}
    with pytest.raises(InputError) as caught:
        apply_weights(model, state, "w.pth")
    assert str(caught.value) == (
        "w.pth: the weights do not fit the model: it lacks bias; it has unknown scale; "
        "it has other shapes for weight ((3, 4) in the file, (3, 2) here)"
    )
    assert torch.equal(model.weight, before)


def test_ema_follows_its_formula_and_gives_the_weights_back() -> None:
    model = nn.BatchNorm1d(2)
    average = model.weight.detach().clone().double()
    statistic = model.running_mean.clone().double()
    ema = Ema({"m": model}, 0.9)
    for update in range(1, 101):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([update, -update / 3]))
        model(torch.full((4, 2), float(update)))
        ema.update()
        d = min(0.9, (1 + update) / (10 + update))
        average = d * average + (1 - d) * model.weight.detach()
        statistic = d * statistic + (1 - d) * model.running_mean
    live = {key: value.clone() for key, value in model.state_dict().items()}
    with ema.applied():
        assert torch.allclose(model.weight.double(), average, rtol=1e-5)
        assert torch.allclose(model.running_mean.double(), statistic, rtol=1e-5)
        assert int(model.num_batches_tracked) == 100
    assert all(torch.equal(model.state_dict()[key], value) for key, value in live.items())
    assert decay_at(0.9, 1) == pytest.approx(2 / 11)
