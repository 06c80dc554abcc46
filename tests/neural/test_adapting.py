"""Adapting codecs: every method trains, goes on after a kill, keeps the best weights."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adaptation_examples import LAMBDA, Drawn, pictures, trained_source
from codec_examples import make_texture

from ratewise.errors import InputError
from ratewise.neural.adaptation import run
from ratewise.neural.adaptation.adaptation import Adaptation, load_adaptation
from ratewise.neural.adaptation.low_rank import add_low_rank, rank_for
from ratewise.neural.adaptation.low_rank import size as low_rank_size
from ratewise.neural.adaptation.objective import AdaptationObjective
from ratewise.neural.adaptation.run import adapt, added_parameters
from ratewise.neural.adaptation.settings import AdaptationSettings
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.models import Architecture, CompressionModel
from ratewise.neural.training.objective import distortion_of
from ratewise.neural.training.patches import to_tensor
from ratewise.neural.weights import PackedModel, load
from ratewise.validation import validate

METHODS: dict[str, dict[str, Any]] = {
    "cawf": {"method": "cawf", "size": 0.3},
    "maps": {"method": "cawf", "size": 0.3, "form": "maps"},
    "cawf5": {"method": "cawf", "size": 0.4, "kernel": 5},
    "frozen": {"method": "cawf", "size": 0.3, "prior": False},
    "low_rank": {"method": "low_rank", "size": 0.2},
    "all": {"method": "finetune"},
    "encoder": {"method": "finetune", "part": "encoder"},
    "decoder": {"method": "finetune", "part": "decoder"},
}


@pytest.fixture(scope="module")
def source() -> PackedModel:
    return trained_source()


def settings(method: str = "cawf", **changes: Any) -> AdaptationSettings:
    value = {"steps": 6, "batch_size": 2, "patch": 64, "precision": "fp32", "device": "cpu"}
    return validate(AdaptationSettings, value | METHODS[method] | changes, "test")


@pytest.fixture(scope="module")
def made(source: PackedModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Adaptation]:
    """An adaptation of each method, after a few steps of real training."""
    folder = tmp_path_factory.mktemp("made")
    return {
        name: adapt(source, Drawn(5), settings(name), folder / name, name=name, quiet=True)
        for name in METHODS
    }


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_and_codes(
    name: str, made: dict[str, Adaptation], source: PackedModel, tmp_path: Path
) -> None:
    adaptation = made[name]
    about = adaptation.about
    assert about["after"]["holdout_loss"] < about["before"]["holdout_loss"]
    assert about["helped"]
    assert (about["name"], about["images"], about["held_out"]) == (name, 5, 1)
    assert (about["steps"], about["lambda"]) == (6, LAMBDA)
    adaptation.save(tmp_path / "a.safetensors")
    adapted = load_adaptation(tmp_path / "a.safetensors").applied(source)
    coder = NeuralCoder(adapted, device="cpu", precision="fp32")
    image = Drawn(5).load(3)
    (data,) = coder.encode([image])
    assert coder.decode([data])[0].shape == image.shape
    plain = NeuralCoder(source, device="cpu", precision="fp32")
    assert adaptation.decodes_as_source == (name == "encoder")
    if name == "encoder":
        np.testing.assert_array_equal(plain.decode([data])[0], coder.decode([data])[0])
    if name == "decoder":
        # The same symbols under another header, and another picture
        assert data[-100:] == plain.encode([image])[0][-100:]


def test_what_was_measured_in_training_is_what_files_cost(
    made: dict[str, Adaptation], source: PackedModel
) -> None:
    """The held-out loss with the float h_s, against real files with the integer one."""
    (index,) = run._split(Drawn(5), settings())[0]
    image = Drawn(5).load(index)[:64, :64]
    for name in ("cawf", "all", "low_rank"):
        coder = NeuralCoder(made[name].applied(source), device="cpu", precision="fp32")
        (data,) = coder.encode([image])
        decoded = to_tensor(coder.decode([data])[0])[None]
        bits = 8 * (len(data) - coder.header_size(data) - 4) / (64 * 64)
        coded: Any = {"x_hat": decoded, "likelihoods": {}}
        distortion = float(distortion_of(coded, to_tensor(image)[None], "mse"))
        after = made[name].about["after"]
        assert distortion == pytest.approx(after["holdout_distortion"], rel=0.02)
        assert bits == pytest.approx(after["holdout_bpp"], rel=0.05, abs=16 / 64**2)


def test_only_its_parts_are_in_an_adaptation(made: dict[str, Adaptation]) -> None:
    parts = {
        name: {key.removeprefix("custom.").split(".")[0] for key in adaptation.tensors}
        for name, adaptation in made.items()
    }
    assert parts["cawf"] == parts["maps"] == parts["cawf5"] == {"g_a", "g_s", "h_a", "h_s", "prior"}
    assert parts["frozen"] == parts["low_rank"] == {"g_a", "g_s", "h_a"}
    assert parts["all"] == {"g_a", "g_s", "h_a", "h_s", "prior"}
    assert parts["encoder"] == {"g_a", "h_a"}
    assert parts["decoder"] == {"g_s"}


def test_the_same_seed_gives_the_same_adaptation_and_another_another(
    source: PackedModel, made: dict[str, Adaptation], tmp_path: Path
) -> None:
    torch.manual_seed(99)
    again = adapt(source, Drawn(5), settings("cawf"), tmp_path / "a", quiet=True)
    other = adapt(source, Drawn(5), settings("cawf", seed=1), tmp_path / "b", quiet=True)
    assert again.fingerprint == made["cawf"].fingerprint
    assert other.fingerprint != again.fingerprint


class Killed(BaseException):
    """What ends a run at once, as a kill does: no handler of ``Exception`` sees it."""


@pytest.mark.parametrize("name", ["cawf", "low_rank"])
def test_killed_and_called_again_it_ends_with_the_same_adaptation(
    name: str,
    source: PackedModel,
    made: dict[str, Adaptation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses, calls = AdaptationObjective.losses, 0

    def dying(self: AdaptationObjective, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return losses(self, *arguments)

    every_step = type(settings()).training

    def training(self: AdaptationSettings, images: int) -> Any:
        return every_step(self, images).model_copy(update={"checkpoint_seconds": 0})

    monkeypatch.setattr(AdaptationSettings, "training", training)
    monkeypatch.setattr(AdaptationObjective, "losses", dying)
    with pytest.raises(Killed):
        adapt(source, Drawn(5), settings(name), tmp_path, name=name, quiet=True)
    resumed = adapt(source, Drawn(5), settings(name), tmp_path, name=name, quiet=True)
    assert calls == 3 + 1 + 3  # three steps, the fatal one, and the three that were left
    assert resumed.fingerprint == made[name].fingerprint
    assert resumed.about == made[name].about
    again = adapt(source, Drawn(5), settings(name), tmp_path, name=name, quiet=True)
    assert calls == 7
    assert again.fingerprint == resumed.fingerprint


def test_the_weights_that_do_best_on_held_out_images_are_kept(
    source: PackedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_VISITS", 4)  # so that an epoch, and a validation, is two steps
    wild = settings("all", lr=0.02, steps=60, validate_every=1, stop_after=3, held_out=2)
    adaptation = adapt(source, Drawn(4), wild, tmp_path, quiet=True)
    with (tmp_path / "log.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["holdout_loss"]]
    found = [float(row["holdout_loss"]) for row in rows]
    best = found.index(min(found))
    assert len(found) == best + 1 + 3
    assert 2 * len(found) == adaptation.about["steps"] < 60
    about = adaptation.about
    assert about["after"]["holdout_loss"] == pytest.approx(min(found), rel=1e-4)
    assert about["helped"] == (min(found) < about["before"]["holdout_loss"])


def test_that_it_did_not_help_is_said(source: PackedModel, tmp_path: Path) -> None:
    ruinous = settings("decoder", lr=1.0, steps=1)
    about = adapt(source, Drawn(4), ruinous, tmp_path, quiet=True).about
    assert about["after"]["holdout_loss"] > about["before"]["holdout_loss"]
    assert not about["helped"]


def test_two_images_are_enough_and_one_is_not(source: PackedModel, tmp_path: Path) -> None:
    adaptation = adapt(source, Drawn(2), settings(steps=2), tmp_path / "two", quiet=True)
    assert adaptation.about["held_out"] == 1
    assert adaptation.applied(source).adaptation == adaptation.fingerprint
    with pytest.raises(InputError, match="1 images are too few to adapt to: 2 at least"):
        adapt(source, Drawn(1), settings(), tmp_path / "one", quiet=True)
    with pytest.raises(InputError, match="held_out = 3: leaves none of 3"):
        adapt(source, Drawn(3), settings(held_out=3), tmp_path / "none", quiet=True)


def test_images_smaller_than_a_patch_do(source: PackedModel, tmp_path: Path) -> None:
    small = Drawn(3, 20, 30)
    adaptation = adapt(source, small, settings(steps=2), tmp_path, quiet=True)
    assert adaptation.about["steps"] == 2


def test_what_is_validated_on_is_neither_too_small_for_ms_ssim_nor_too_large(
    source: PackedModel,
) -> None:
    model = unpacked(source)
    adam = settings().optimiser
    small = [make_texture(0, 150, 200)]
    objective = AdaptationObjective(model, 0.01, "ms_ssim", adam, small)
    assert objective.validate({"model": model}, 0)["holdout_distortion"] < 1
    assert objective._held_out[0].shape == (3, 192, 192)
    large = [make_texture(0, 80, 3000)]
    objective = AdaptationObjective(model, 0.01, "mse", adam, large)
    assert objective._held_out[0].shape == (3, 64, 1024)


def test_images_held_out_are_not_trained_on() -> None:
    for count, expected in [(2, 1), (5, 1), (20, 4), (100, 16)]:
        held_out, rest = run._split(Drawn(count), settings())
        assert len(held_out) == expected
        assert sorted(held_out + rest) == list(range(count))
    assert run._split(Drawn(100), settings(seed=1))[0] != held_out


def test_sources_and_sizes_that_do_not_do_are_refused(source: PackedModel, tmp_path: Path) -> None:
    folder = Path(__file__).with_name("golden")
    cases: list[tuple[PackedModel, AdaptationSettings, str]] = [
        (load(folder / "factorized.safetensors"), settings(), "only msh can"),
        (load(folder / "msh.safetensors"), settings(), "lacks the density"),
        (dataclasses.replace(source, header={}), settings(), "does not say its lambda: give"),
        (source, settings(size=0.001), "size = 0.001: too small, cawf adds 0.0"),
        (source, settings("low_rank", size=0.001), "size = 0.001: adds nothing"),
    ]
    for codec, chosen, message in cases:
        with pytest.raises(InputError, match=message):
            adapt(codec, Drawn(5), chosen, tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
    told = settings(rd_lambda=0.02, steps=1)
    silent = dataclasses.replace(source, header={})
    assert adapt(silent, Drawn(2), told, tmp_path, quiet=True).about["lambda"] == 0.02


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "cawf", "part": "decoder"}, "part is an option of finetune"),
        ({"method": "low_rank", "kernel": 5}, "options of cawf, not of low_rank"),
        ({"method": "finetune", "size": 0.1}, "finetune adds nothing"),
        ({"method": "magic"}, "method = 'magic'"),
        ({"size": 0.9}, "size = 0.9"),
        ({"patch": 100}, "patch = 100"),
        ({"scale": [1.0, 0.5]}, "scale must be a range"),
        ({"setps": 5}, "unknown key 'setps'"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(AdaptationSettings, values, "codec adapt")


def test_low_rank_additions_are_nothing_at_first_and_counted(source: PackedModel) -> None:
    architecture = Architecture("msh", 64, 96)
    total = sum(p.numel() for p in CompressionModel(architecture).parameters())
    # Outputs and inputs times taps of each matrix; a transposed layer's rows are its inputs
    N, M, t = 64, 96, 25
    shapes = [(N, 3 * t), (N, N * t), (N, N * t), (M, N * t)]
    shapes += [(M, N * t), (N, N * t), (N, N * t), (N, 3 * t)]
    shapes += [(N, M * 9), (N, N * t), (N, N * t)]
    one = sum(rows + columns for rows, columns in shapes)
    assert low_rank_size(architecture, 3) == 3 * one
    for share in (0.02, 0.08):
        rank = rank_for(architecture, share)
        assert rank * one <= share * total < (rank + 1) * one
    model = unpacked(source).requires_grad_(False)
    x = torch.stack([to_tensor(image) for image in pictures(1)])
    with torch.no_grad():
        before = model.g_s(model.g_a(x))
        add_low_rank(model, 2)
        assert torch.equal(model.g_s(model.g_a(x)), before)
    learning = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in learning) == low_rank_size(source.architecture, 2)


def test_parameters_are_counted_by_method(source: PackedModel, made: dict[str, Adaptation]) -> None:
    model = CompressionModel(source.architecture)
    total = sum(p.numel() for p in model.parameters())
    count = {name: adaptation.about["parameters"] for name, adaptation in made.items()}
    assert count["all"] == total
    assert count["decoder"] == sum(p.numel() for p in model.g_s.parameters())
    for name, values in METHODS.items():
        if "size" in values:
            assert 0.1 * total < count[name] <= values["size"] * total, name
    stored = sum(v.numel() for v in made["low_rank"].tensors.values())
    assert count["low_rank"] == stored == added_parameters(source, settings("low_rank"))
    frozen = sum(v.numel() for v in made["frozen"].tensors.values())
    assert count["frozen"] == frozen


@pytest.mark.parametrize(
    ("method", "own"),
    [
        ("cawf", {"size", "form", "kernel", "prior"}),
        ("low_rank", {"size"}),
        ("finetune", {"part"}),
    ],
)
def test_options_of_other_methods_decide_nothing(method: str, own: set[str]) -> None:
    deciding = validate(AdaptationSettings, {"method": method}, "test").deciding()
    assert {"size", "form", "kernel", "prior", "part"} & set(deciding) == own
    assert {"steps", "lr", "seed", "patch"} <= set(deciding)
    assert not {"device", "workers"} & set(deciding)
