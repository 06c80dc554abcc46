"""The weights that a classifier starts from: files of timm, runs of our own, the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from ratewise.errors import InputError
from ratewise.images import read_image
from ratewise.tasks.classification import ClassificationModel, check, initial_model
from ratewise.tasks.classification_predictor import ClassificationPredictor, save_model
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.training.normalisation import Normalisation
from ratewise.training.weights import save_weights

NAME = "mobilenetv3_small_050"
LABELS = ("cat", "dog", "owl")
HEAD, STEM = "classifier.weight", "conv_stem.weight"


def _settings(**values: Any) -> ClassificationSettings:
    return ClassificationSettings(**{"model": NAME, **values})


def _timm_file(file: Path, outputs: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(9)
        state: dict[str, torch.Tensor] = timm.create_model(NAME, num_classes=outputs).state_dict()
    if file.suffix == ".pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, file)
    return state


def _of(model: ClassificationModel, key: str) -> torch.Tensor:
    return model.network.state_dict()[key]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("outputs", [3, 7])
def test_a_new_head_leaves_out_that_of_a_file_of_timm(
    tmp_path: Path, suffix: str, outputs: int
) -> None:
    state = _timm_file(tmp_path / f"w{suffix}", outputs)
    model = initial_model(_settings(weights=f"w{suffix}"), LABELS, seed=0, base=tmp_path)
    plain = initial_model(_settings(), LABELS, seed=0)
    assert torch.equal(_of(model, STEM), state[STEM])
    assert torch.equal(_of(model, HEAD), _of(plain, HEAD))


def test_a_restricted_head_is_that_of_the_file(tmp_path: Path) -> None:
    state = _timm_file(tmp_path / "w.safetensors", 4)
    values: dict[str, Any] = {"weights": "w.safetensors", "head": "restricted"}
    names = ["ant", *LABELS]
    model = initial_model(_settings(**values, head_classes=names), LABELS, seed=0, base=tmp_path)
    assert all(torch.equal(_of(model, key), value) for key, value in state.items())
    with pytest.raises(InputError, match=r"w\.safetensors.* 4 outputs .* 3: "):
        check(_settings(**values, head_classes=list(LABELS)), LABELS, base=tmp_path)


def test_statistics_that_count_no_batches_are_taken(tmp_path: Path) -> None:
    state = _timm_file(tmp_path / "w.safetensors", 3)
    few = {k: v.contiguous() for k, v in state.items() if "num_batches_tracked" not in k}
    save_file(few, tmp_path / "few.safetensors")
    check(_settings(weights="few.safetensors"), LABELS, base=tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors: the weights do not fit the model"):
        check(_settings(weights="other.safetensors"), LABELS, base=tmp_path)
    with pytest.raises(InputError, match="no such weights file"):
        check(_settings(weights="none.safetensors"), LABELS, base=tmp_path)
    save_weights(
        tmp_path / "masks.safetensors", {"a": torch.zeros(1)}, {"format": "ratewise segmentation 1"}
    )
    with pytest.raises(InputError, match=r"masks\.safetensors: not the weights of a classifier"):
        check(_settings(weights="masks.safetensors"), LABELS, base=tmp_path)


# A model that was trained here ------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassificationModel]:
    """A run's file and model: LABELS, seen with a normalisation of its own."""
    settings = _settings(normalisation=Normalisation(mean=(0.4,) * 3))
    model = initial_model(settings, LABELS, seed=4)
    file = tmp_path_factory.mktemp("run") / "run.safetensors"
    save_model(file, model, settings, LABELS)
    return file, model


def test_a_run_gives_its_head_and_normalisation_to_the_same_classes(
    trained: tuple[Path, ClassificationModel],
) -> None:
    file, origin = trained
    model = initial_model(_settings(weights=str(file)), LABELS, seed=0)
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in origin.state_dict().items())
    own = _settings(weights=str(file), normalisation=Normalisation(mean=(0.3,) * 3))
    assert initial_model(own, LABELS, seed=0).mean.flatten().tolist() == pytest.approx([0.3] * 3)


def test_classes_in_another_order_keep_their_rows_of_the_head(
    trained: tuple[Path, ClassificationModel],
) -> None:
    file, origin = trained
    images = torch.rand(2, 3, 32, 32)
    turned = initial_model(_settings(weights=str(file)), LABELS[::-1], seed=0).eval()
    restricted = _settings(weights=str(file), head="restricted", head_classes=["owl", "cat", "dog"])
    some = initial_model(restricted, ("dog",), seed=0).eval()
    with torch.no_grad():
        expected = origin.eval()(images)
        torch.testing.assert_close(turned(images), expected.flip(1))
        torch.testing.assert_close(some.of_classes(some(images)), expected[:, 1:2])


def test_other_classes_get_a_new_head_or_are_refused(
    trained: tuple[Path, ClassificationModel],
) -> None:
    file, origin = trained
    model = initial_model(_settings(weights=str(file)), ("cat", "dog", "fox"), seed=0)
    assert torch.equal(_of(model, STEM), _of(origin, STEM))
    assert not torch.equal(_of(model, HEAD), _of(origin, HEAD))
    for names, message in (
        (["cat", "dog", "fox"], "the head lacks owl; the file lacks fox"),
        (["cat", "dog"], "3 outputs and the restricted head 2"),
    ):
        settings = _settings(weights=str(file), head="restricted", head_classes=names)
        with pytest.raises(InputError) as caught:
            check(settings, ("cat",))
        assert message in str(caught.value)


def test_a_run_of_another_model_is_refused(trained: tuple[Path, ClassificationModel]) -> None:
    file, _ = trained
    with pytest.raises(InputError, match=rf"weights of model {NAME}, not of resnet18"):
        check(_settings(model="resnet18", weights=str(file)), LABELS)
    check(_settings(model=f"{NAME}.lamb_in1k", weights=str(file)), LABELS)


# timm's hub -------------------------------------------------------------------------------------


def _hub(monkeypatch: pytest.MonkeyPatch, answer: Exception | None) -> None:
    """Stands for the hub: random weights, or an error. Nothing is downloaded."""
    create = timm.create_model

    def created(name: str, *, pretrained: bool = False, **options: Any) -> torch.nn.Module:
        if pretrained and answer is not None:
            raise answer
        network: torch.nn.Module = create(name, **options)
        if pretrained:
            torch.nn.init.constant_(network.get_submodule("conv_stem").weight, 0.25)
            torch.nn.init.constant_(network.get_submodule("classifier").weight, 0.5)
        return network

    monkeypatch.setattr(timm, "create_model", created)


def test_weights_of_the_hub_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    _hub(monkeypatch, None)
    new = initial_model(_settings(weights="imagenet"), LABELS, seed=0)
    assert (_of(new, STEM) == 0.25).all()
    assert not (_of(new, HEAD) == 0.5).any()
    settings = _settings(weights="imagenet", head="restricted")
    assert (_of(initial_model(settings, ["n01440764"], seed=0), HEAD) == 0.5).all()


def test_a_hub_that_is_out_of_reach_is_named_and_checking_does_not_ask_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _hub(monkeypatch, OSError("no route to the hub\nand more"))
    settings = _settings(weights="imagenet")
    check(settings, LABELS)
    with pytest.raises(InputError) as caught:
        initial_model(settings, LABELS, seed=0)
    assert str(caught.value) == (
        f"weights = imagenet: those of {NAME} cannot be downloaded (no route to the hub); give a "
        "file instead"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "mobilenetv3_small_051"}, "timm has no such model; did you mean mobilenetv3"),
        ({"model": "mobilenetv3_large_075"}, "timm has none for mobilenetv3_large_075"),
        (
            {"head": "restricted", "head_classes": list(LABELS)},
            "have 1000 outputs and the restricted head 3",
        ),
    ],
)
def test_weights_that_the_hub_does_not_have_are_named_without_asking_it(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(_settings(**{"weights": "imagenet", **values}), LABELS)
    assert message in str(caught.value)


# Real weights -----------------------------------------------------------------------------------


def test_real_weights_recognise_real_images(shared_data: Path) -> None:
    folder = shared_data / "imagenette" / "val"
    labels = sorted(entry.name for entry in folder.iterdir())
    settings = ClassificationSettings(
        model="mobilenetv2_100",
        model_options={"pad_type": "same"},
        weights="mobilenetv2_100.safetensors",
        head="restricted",
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3),
    )
    model = initial_model(settings, labels, seed=0, base=shared_data / "weights")
    images = [
        read_image(sorted((folder / label).glob("ILSVRC2012_val_*"))[place])
        for label in labels
        for place in (0, 1)
    ]
    predictor = ClassificationPredictor(model, batch_size=5)
    said = np.array(predictor.predict(images))
    assert (said == np.arange(10).repeat(2)).mean() >= 0.9
    assert predictor.scores(images[:1])[0].shape == (1000,)
