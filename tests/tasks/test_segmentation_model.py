"""The segmentation network, its initial weights and its loss."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ratewise.errors import InputError
from ratewise.tasks.segmentation import (
    SegmentationModel,
    build_model,
    check,
    class_weights_of,
    encoder,
    initial_model,
    segmentation_loss,
)
from ratewise.tasks.segmentation_settings import SegmentationSettings
from ratewise.training.normalisation import Normalisation


def _settings(**values: Any) -> SegmentationSettings:
    return SegmentationSettings(**{"decoder_options": {"decoder_channels": 16}, **values})


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return initial_model(_settings(), 5, seed=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 31), (32, 48), (45, 60)])
def test_any_size_gives_logits_of_that_size(
    model: SegmentationModel, size: tuple[int, int]
) -> None:
    with torch.no_grad():
        assert model.eval()(torch.rand(2, 3, *size)).shape == (2, 5, *size)


def test_the_network_sees_normalised_pixels_padded_with_their_edge() -> None:
    class Spy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.Module()
            self.encoder.output_stride = 32  # type: ignore[assignment]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = x
            return x

    spy = Spy()
    images = torch.rand(1, 3, 33, 30)
    out = SegmentationModel(spy, Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3))(images)
    assert spy.seen.shape == (1, 3, 64, 32)
    assert spy.seen.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, (images - 0.5) / 0.25)
    torch.testing.assert_close(spy.seen[:, :, 33:, :30], out[:, :, -1:].expand(-1, -1, 31, -1))


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "PSPNet"])
@pytest.mark.parametrize("size", [(16, 16), (40, 24)])
def test_a_training_batch_of_one_works(architecture: str, size: tuple[int, int]) -> None:
    model = initial_model(SegmentationSettings(architecture=architecture), 3, seed=0).train()
    loss = segmentation_loss(model(torch.rand(1, 3, *size)), torch.zeros(1, *size))
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(bool(buffer.isfinite().all()) for buffer in model.buffers())


def test_forward_and_backward_give_the_same_gradients_twice() -> None:
    images, targets = torch.rand(2, 3, 48, 64), torch.randint(0, 5, (2, 48, 64))

    def gradients() -> list[torch.Tensor]:
        model = initial_model(_settings(), 5, seed=3).train()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images)
        segmentation_loss(logits, targets, torch.rand(5), torch.ones(2)).backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    one, other = gradients(), gradients()
    assert len(one) > 60
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_seed_decides_the_weights_and_the_global_state_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (initial_model(_settings(), 5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    weight = "network.decoder.aspp.0.convs.0.0.weight"
    assert torch.equal(first.state_dict()[weight], again.state_dict()[weight])
    assert not torch.equal(first.state_dict()[weight], other.state_dict()[weight])


# Encoder weights -------------------------------------------------------------------------------

_TIMM = _settings(
    encoder="tu-mobilenetv2_100",
    encoder_options={"pad_type": "same"},
    normalisation=Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3),
)


def test_the_encoder_computes_what_timm_computes_from_the_same_file(shared_data: Path) -> None:
    file = shared_data / "weights" / "mobilenetv2_100.safetensors"
    settings = _TIMM.model_copy(update={"encoder_weights": file.name})
    model = initial_model(settings, 5, seed=0, base=file.parent).eval()
    theirs = timm.create_model("mobilenetv2_100", pad_type="same")
    theirs.load_state_dict(load_file(file))
    pixels = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        ours = encoder(model)(pixels * 2 - 1)
        stages = theirs.eval().forward_intermediates(pixels * 2 - 1, intermediates_only=True)
    # The last stage is dilated in the encoder (output stride 16); those before must agree.
    by_width = {stage.shape[1]: stage for stage in stages}
    compared = [f for f in ours[1:5] if f.shape[1] in by_width]
    assert len(compared) >= 3
    for feature in compared:
        torch.testing.assert_close(feature, by_width[feature.shape[1]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("prefix", ["", "encoder.", "network.encoder."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_of_an_encoder_and_of_whole_models_are_taken(
    tmp_path: Path, prefix: str, suffix: str
) -> None:
    origin = initial_model(_settings(), 5, seed=7)
    state = {
        prefix + key: value.contiguous() for key, value in encoder(origin).state_dict().items()
    }
    state["classifier.weight"] = torch.zeros(2)
    file = tmp_path / f"encoder{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state}, file)
    else:
        save_file(state, file)
    model = initial_model(_settings(encoder_weights=str(file)), 5, seed=0)
    for key, value in encoder(origin).state_dict().items():
        assert torch.equal(encoder(model).state_dict()[key], value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    state = encoder(initial_model(_settings(encoder="resnet34"), 5, seed=0)).state_dict()
    save_file(
        {k: v.contiguous() for k, v in state.items() if "layer1" in k}, tmp_path / "a.safetensors"
    )
    with pytest.raises(
        InputError, match=r"a\.safetensors: these are not the weights of .*resnet18"
    ):
        check(_settings(encoder_weights="a.safetensors"), 5, base=tmp_path)
    state = encoder(initial_model(_settings(), 5, seed=0)).state_dict()
    state["conv1.weight"] = state["conv1.weight"][:, :1]
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "b.safetensors")
    with pytest.raises(InputError, match=r"'conv1.weight' is \(64, 1, 7, 7\), not \(64, 3, 7, 7\)"):
        check(_settings(encoder_weights="b.safetensors"), 5, base=tmp_path)
    with pytest.raises(InputError, match="no such weights file"):
        check(_settings(encoder_weights="c.safetensors"), 5, base=tmp_path)


def test_frozen_parts_keep_weights_and_statistics_and_the_rest_learns() -> None:
    model = initial_model(_settings(encoder_frozen=["conv1", "bn1", "layer1"]), 5, seed=0)
    before = {key: value.clone() for key, value in encoder(model).state_dict().items()}
    loss = segmentation_loss(model(torch.rand(2, 3, 32, 32)), torch.zeros(2, 32, 32))
    loss.backward()
    after = encoder(model).state_dict()
    still = ("conv1", "bn1", "layer1")
    assert all(torch.equal(after[k], v) for k, v in before.items() if k.startswith(still))
    assert not torch.equal(after["layer2.0.bn1.running_mean"], before["layer2.0.bn1.running_mean"])
    learning = {name for name, p in encoder(model).named_parameters() if p.grad is not None}
    assert learning
    assert not any(name.startswith(still) for name in learning)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder": "resnet81"}, "did you mean resnet18?"),
        ({"encoder": "tu-mobilenetv2_10"}, "did you mean tu-mobilenetv2_"),
        ({"encoder": "mobilenetv2_100"}, "did you mean "),
        ({"encoder_options": {"pad_type": "same"}}, "start with 'tu-'"),
        ({"decoder_options": {"decoder_chanels": 4}}, "decoder_chanels"),
        ({"decoder_options": {"classes": 4}}, "no option 'classes'"),
        ({"encoder_frozen": ["layer9"]}, "no part 'layer9'"),
        ({"class_weights": [1.0, 2.0]}, "class_weights has 2 values for 5 classes"),
    ],
)
def test_what_cannot_be_built_is_named_before_any_work(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(_settings(**values), 5)
    assert message in str(caught.value)


def test_normalisation_is_that_of_the_encoder_unless_set() -> None:
    assert build_model(_settings(), 5).mean.flatten().tolist() == pytest.approx(
        [0.485, 0.456, 0.406]
    )
    half = build_model(_settings(encoder="tu-tf_mobilenetv3_small_minimal_100"), 5)
    cfg = timm.get_pretrained_cfg("tf_mobilenetv3_small_minimal_100")
    assert cfg is not None
    assert half.mean.flatten().tolist() == pytest.approx(cfg.mean)
    assert build_model(_TIMM, 5).std.flatten().tolist() == [0.5] * 3


# Loss ------------------------------------------------------------------------------------------


def _example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator)
    targets = torch.randint(0, 4, (3, 5, 6), generator=generator)
    targets[0, :2] = 255
    return logits, targets.to(torch.uint8)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 3.0])])
def test_the_loss_is_the_cross_entropy_of_torch(weights: torch.Tensor | None) -> None:
    logits, targets = _example()
    expected = F.cross_entropy(logits, targets.long(), weights, ignore_index=255)
    torch.testing.assert_close(segmentation_loss(logits, targets, weights), expected)
    ones = segmentation_loss(logits, targets, weights, torch.ones(3))
    torch.testing.assert_close(ones, expected)


def test_sample_weights_multiply_the_share_of_their_sample() -> None:
    logits, targets = _example()
    weights = torch.tensor([5.0, 1.0, 0.0])
    sums = [
        F.cross_entropy(
            logits[i : i + 1], targets[i : i + 1].long(), ignore_index=255, reduction="sum"
        )
        for i in range(3)
    ]
    expected = (5 * sums[0] + sums[1]) / (targets != 255).sum()
    torch.testing.assert_close(segmentation_loss(logits, targets, None, weights), expected)


def test_a_batch_that_is_ignored_throughout_has_loss_zero() -> None:
    logits = torch.randn(1, 4, 2, 2, requires_grad=True)
    for weights in (None, torch.ones(4)):
        loss = segmentation_loss(logits, torch.full((1, 2, 2), 255), weights)
        loss.backward()
        assert loss.item() == 0
        assert logits.grad is not None
        assert float(logits.grad.abs().sum()) == 0


def test_median_frequency_weights_by_hand() -> None:
    # Class 0: 6 of the 8 pixels of both images; class 1: 1 of 4; class 2: 1 of 4; class 3: nowhere.
    masks = [np.array([[0, 0], [0, 1]]), np.array([[0, 0, 255], [0, 2, 255]])]
    assert class_weights_of(masks, 4) == pytest.approx([0.25 / 0.75, 1, 1, 1])
    with pytest.raises(InputError, match="class id 4"):
        class_weights_of([np.array([[4]])], 4)
