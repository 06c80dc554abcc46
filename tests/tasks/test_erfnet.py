"""ERFNet: its blocks, and how it is used as an architecture of the segmentation task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ratewise.data.classes import Classes, default_colours
from ratewise.errors import InputError
from ratewise.recipes import recipe
from ratewise.recipes.assembly import Ingredients
from ratewise.tasks import predictor
from ratewise.tasks.erfnet import Downsampler, ErfNet, NonBottleneck1d, Upsampler
from ratewise.tasks.export import export_onnx
from ratewise.tasks.inspection import channel_averages
from ratewise.tasks.models import load_any
from ratewise.tasks.segmentation import build_model, check, encoder, initial_model
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.tasks.segmentation_task import SegmentationTask
from ratewise.training.loop import fit
from ratewise.training.normalisation import Normalisation
from ratewise.training.settings import TrainingSettings
from ratewise.validation import validate

SETTINGS = SegmentationSettings(architecture="ERFNet")
CLASSES = Classes(("sky", "road", "pole"), default_colours(3))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# The network -----------------------------------------------------------------------------------


def test_blocks_keep_halve_and_double_the_sides() -> None:
    x = torch.rand(2, 8, 12, 20)
    assert NonBottleneck1d(8, dilation=4, dropout=0.1)(x).shape == (2, 8, 12, 20)
    assert Downsampler(8, 24)(x).shape == (2, 24, 6, 10)
    assert Upsampler(8, 5)(x).shape == (2, 5, 24, 40)


def test_the_encoder_is_at_an_eighth_and_the_logits_at_full_size() -> None:
    network = ErfNet(5).eval()
    features = network.encoder(torch.rand(1, 3, 24, 40))
    assert features.shape == (1, 128, 3, 5)
    assert network.encoder.output_stride == 8
    assert network.decoder(features).shape == (1, 5, 24, 40)


def test_the_number_of_weights_is_the_papers() -> None:
    def block(width: int) -> int:  # four convolutions of 3 taps with biases, two batch norms
        return 4 * (3 * width * width + width) + 2 * (2 * width)

    def down(a: int, b: int) -> int:
        return 9 * a * (b - a) + (b - a) + 2 * b

    def up(a: int, b: int) -> int:
        return 9 * a * b + b + 2 * b

    encoder = down(3, 16) + down(16, 64) + 5 * block(64) + down(64, 128) + 8 * block(128)
    decoder = up(128, 64) + 2 * block(64) + up(64, 16) + 2 * block(16) + (4 * 16 * 20 + 20)
    network = ErfNet(20)
    assert _count(network.encoder) == encoder
    assert _count(network.decoder) == decoder
    assert _count(network) == 2_064_256
    # The authors' release counts a 1x1 convolution to classes, of the encoder's own training, too.
    assert round((_count(network) + 128 * 20 + 20) / 1e6, 2) == 2.07


def test_dilation_and_dropout_follow_the_paper() -> None:
    blocks = [m for m in ErfNet(3).modules() if isinstance(m, NonBottleneck1d)]
    assert [m.conv3x1_2.dilation for m in blocks] == [
        *[(1, 1)] * 5,
        *[(2, 1), (4, 1), (8, 1), (16, 1)] * 2,
        *[(1, 1)] * 4,
    ]
    assert [m.conv1x3_2.dilation[::-1] for m in blocks] == [m.conv3x1_2.dilation for m in blocks]
    assert [m.dropout.p for m in blocks] == [0.03] * 5 + [0.3] * 8 + [0.0] * 4
    norms = [m for m in ErfNet(3).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.eps for m in norms} == {1e-3}


def test_a_block_sees_as_far_as_its_dilation_says() -> None:
    block = NonBottleneck1d(1, dilation=3).eval()
    for parameter in block.parameters():
        nn.init.ones_(parameter)
    image = torch.zeros(1, 1, 21, 21, requires_grad=True)
    block(image)[0, 0, 10, 10].backward()
    assert image.grad is not None
    rows, columns = np.nonzero(image.grad[0, 0].numpy())
    assert set(rows - 10) == set(columns - 10) == {-4, -3, -2, -1, 0, 1, 2, 3, 4}


# As an architecture of the task ----------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (32, 48), (45, 60)])
def test_any_size_gives_logits_of_that_size(size: tuple[int, int]) -> None:
    model = initial_model(SETTINGS, 5, seed=0).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, *size)).shape == (2, 5, *size)


def test_it_takes_images_in_0_to_1_unless_told_otherwise() -> None:
    model = build_model(SETTINGS, 2)
    assert model.mean.flatten().tolist() == [0.0] * 3
    assert model.std.flatten().tolist() == [1.0] * 3
    half = SETTINGS.model_copy(update={"normalisation": Normalisation(mean=(0.5,) * 3)})
    assert build_model(half, 2).mean.flatten().tolist() == [0.5] * 3


def test_rows_call_it_by_its_name_and_what_decides_it_reads_back() -> None:
    assert (SETTINGS.title, SETTINGS.network) == ("ERFNet", "erfnet")
    for dump in (SETTINGS.deciding(), SETTINGS.model_dump(mode="json")):
        assert validate(SegmentationSettings, dump, "header").deciding() == SETTINGS.deciding()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder": "resnet18"}, "has an encoder and a decoder of its own: leave out encoder"),
        ({"encoder_options": {"pad_type": "same"}}, "leave out encoder_options"),
        ({"decoder_options": {"decoder_channels": 16}}, "leave out decoder_options"),
        ({"encoder_weights": "imagenet"}, "there are none of ERFNet on the hub"),
        ({"architecture": "ErfNet"}, "did you mean ERFNet?"),
    ],
)
def test_what_it_does_not_have_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        validate(SegmentationSettings, {"architecture": "ERFNet", **values}, "study.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "encoder.", "network.encoder.", "module.features.encoder."])
def test_its_encoder_starts_from_a_file(tmp_path: Path, prefix: str) -> None:
    state = encoder(initial_model(SETTINGS, 5, seed=1)).state_dict()
    file = tmp_path / "encoder.pth"
    torch.save({"state_dict": {prefix + key: value for key, value in state.items()}}, file)
    settings = SETTINGS.model_copy(update={"encoder_weights": "encoder.pth"})
    loaded = encoder(initial_model(settings, 3, seed=0, base=tmp_path)).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_a_file_of_another_encoder_is_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    settings = SETTINGS.model_copy(update={"encoder_weights": "a.safetensors"})
    with pytest.raises(InputError, match="not the weights of encoder erfnet"):
        check(settings, 3, base=tmp_path)


def test_frozen_parts_are_named_like_those_of_the_encoder() -> None:
    frozen = SETTINGS.model_copy(update={"encoder_frozen": ["initial_block", "layers.0"]})
    model = initial_model(frozen, 3, seed=0)
    still = {name for name, p in encoder(model).named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in still} == {"initial_block", "layers"}
    assert {name for name in still if name.startswith("layers.")} == {
        f"layers.0.{name}" for name in ("conv.weight", "conv.bias", "bn.weight", "bn.bias")
    }
    wrong = SETTINGS.model_copy(update={"encoder_frozen": ["layer1"]})
    with pytest.raises(InputError, match=r"no part 'layer1' \(some that it has: initial_block"):
        check(wrong, 3)


def test_a_model_file_builds_it_again_and_converts_to_onnx(tmp_path: Path) -> None:
    model = initial_model(SETTINGS, 3, seed=0).eval()
    predictor.save_model(tmp_path / "m.safetensors", model, SETTINGS, CLASSES)
    loaded = load_any(tmp_path / "m.safetensors")
    images = torch.rand(1, 3, 30, 50)
    with torch.no_grad():
        assert torch.equal(loaded.model(images), model(images))
    done = export_onnx(loaded, tmp_path / "m.onnx", size=(64, 48))
    assert done.fixed is None
    assert all(one.passed for one in done.checks)
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert metadata["model"] == "ERFNet"
    assert json.loads(metadata["classes"]) == ["sky", "road", "pole"]


def test_its_features_can_be_looked_at() -> None:
    model = initial_model(SETTINGS, 3, seed=0)
    images = [np.zeros((32, 48, 3), np.uint8)]
    shallow = channel_averages(model, images, device="cpu")
    assert (len(shallow.values), shallow.stride) == (128, 8)
    assert channel_averages(model, images, "encoder.layers.0", "cpu").stride == 4


class _Store:
    """Images whose left half is dark and of class 0, the right one bright and of class 1."""

    def __init__(self) -> None:
        self.records: Any = [_Record(f"{i}.png") for i in range(2)]

    def __len__(self) -> int:
        return len(self.records)

    def mask(self, index: int) -> np.ndarray:
        return np.repeat(np.uint8([[0, 1]]), 16, axis=1).repeat(32, axis=0)

    def image(self, index: int) -> np.ndarray:
        return np.repeat(self.mask(index)[..., None] * np.uint8(255), 3, axis=2)


class _Record:
    width = height = 32

    def __init__(self, key: str) -> None:
        self.key = key


def test_it_trains_by_the_standard_recipe(tmp_path: Path) -> None:
    settings = SegmentationSettings(
        architecture="ERFNet",
        encoder_frozen=["initial_block"],
        augmentation={"scale": (1, 1)},  # type: ignore[arg-type]
        training=TrainingSettings(steps=2, batch_size=2, precision="fp32", device="cpu"),
    )
    task = SegmentationTask(settings, CLASSES)
    assembly = recipe("standard")(Ingredients(task, [_Store()], seed=0))
    before = {key: value.clone() for key, value in assembly.model.state_dict().items()}
    fit(
        assembly.objective,
        assembly.source,
        settings.training,
        tmp_path,
        collate=assembly.collate,
        quiet=True,
    )
    after = assembly.model.state_dict()
    changed = {key for key, value in before.items() if not torch.equal(after[key], value)}
    assert "network.decoder.output_conv.weight" in changed
    assert "network.encoder.layers.0.conv.weight" in changed
    assert not any(key.startswith("network.encoder.initial_block") for key in changed)
    assert task.last_layer(assembly.model).out_channels == 3
    assert len(task.groups(assembly.model)) == 2
