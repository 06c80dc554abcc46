"""The classification network, its outputs, its head and its loss."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F

from ratewise.errors import InputError
from ratewise.tasks.class_names import check_same_classes
from ratewise.tasks.classification import (
    ClassificationModel,
    build_model,
    check,
    classification_loss,
    head,
    initial_model,
)
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.tasks.timm_models import output_names
from ratewise.training.normalisation import Normalisation

LABELS = ("cat", "dog", "owl")


def _settings(**values: Any) -> ClassificationSettings:
    return ClassificationSettings(**{"model": "mobilenetv3_small_050", **values})


def test_the_network_sees_normalised_pixels_and_classes_are_picked_from_its_outputs() -> None:
    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = x
            return x.mean((2, 3))

    images = torch.rand(2, 3, 5, 7)
    model = ClassificationModel(
        spy := Spy(), Normalisation(mean=(0.1, 0.2, 0.3), std=(0.5, 1, 2)), [2, 0]
    )
    logits = model(images)
    for colour, (mean, std) in enumerate(((0.1, 0.5), (0.2, 1), (0.3, 2))):
        torch.testing.assert_close(spy.seen[:, colour], (images[:, colour] - mean) / std)
    assert spy.seen.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(model.of_classes(logits), torch.stack([logits[:, 2], logits[:, 0]], dim=1))


def test_a_new_head_has_the_classes_in_their_order() -> None:
    settings = _settings()
    model = build_model(settings, LABELS).eval()
    assert output_names(settings, LABELS) == LABELS
    logits = model(torch.rand(2, 3, 40, 32))
    assert logits.shape == (2, 3)
    assert torch.equal(model.of_classes(logits), logits)


def test_a_restricted_head_keeps_all_outputs() -> None:
    names = ["ant", "owl", "bee", "cat", "dog"]
    settings = _settings(head="restricted", head_classes=names)
    model = build_model(settings, LABELS).eval()
    assert model.outputs.tolist() == [3, 4, 1]
    assert output_names(settings) == tuple(names)
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 5)


def test_the_outputs_of_imagenet_are_its_sorted_synsets() -> None:
    settings = _settings(head="restricted")
    names = output_names(settings)
    assert len(names) == 1000
    assert list(names) == sorted(names)
    # Tench, English springer and parachute, as in torchvision's list of ImageNet's classes.
    model = build_model(settings, ["n01440764", "n02102040", "n03888257"])
    assert model.outputs.tolist() == [0, 217, 701]


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet18", "resnetv2_50"])
def test_the_head_is_the_layer_that_gives_the_logits(name: str) -> None:
    model = build_model(ClassificationSettings(model=name), LABELS).eval()
    seen: list[torch.Tensor] = []
    head(model).register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits = model(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(seen[0].flatten(1), logits)
    assert head(model).weight.shape[0] == 3


def test_the_seed_decides_the_weights_and_the_global_state_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (
        initial_model(_settings(), LABELS, seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    weight = "network.classifier.weight"
    assert torch.equal(first[weight], again[weight])
    assert not torch.equal(first[weight], other[weight])


def test_normalisation_is_that_of_timm_unless_set() -> None:
    known = timm.get_pretrained_cfg("resnetv2_50")
    assert known is not None
    assert known.mean != Normalisation().mean
    model = build_model(ClassificationSettings(model="resnetv2_50"), LABELS)
    assert model.mean.flatten().tolist() == pytest.approx(known.mean)
    own = build_model(_settings(normalisation=Normalisation(mean=(0.5,) * 3)), LABELS)
    assert own.mean.flatten().tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        ({"model": "resnet81"}, LABELS, "did you mean resnet1"),
        ({"model": "resnet18.nothing"}, LABELS, "nothing"),
        ({"model_options": {"pad_tipe": "same"}}, LABELS, "pad_tipe"),
        ({"model_options": {"num_classes": 3}}, LABELS, "'num_classes' is not set there"),
        ({"model": "deit_tiny_distilled_patch16_224"}, LABELS, "one linear layer"),
        ({}, (), "no classes of whole images"),
        ({"head": "restricted"}, LABELS, "cat, dog, owl are no output"),
        (
            {"head": "restricted", "head_classes": ["cats", "dog", "owl"]},
            LABELS,
            "cat are no output of model mobilenetv3_small_050; did you mean cats? (it has 3",
        ),
        (
            {"head": "restricted", "model": "mobilenetv3_large_100.miil_in21k"},
            LABELS,
            "11221 outputs, not the 1000 of ImageNet",
        ),
    ],
)
def test_what_cannot_be_built_is_named_before_any_work(
    values: dict[str, Any], labels: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(_settings(**values), labels)
    assert message in str(caught.value)


def test_classes_of_a_model_and_a_data_set_that_differ_are_named() -> None:
    check_same_classes(LABELS, list(LABELS), "m.safetensors")
    with pytest.raises(InputError, match=r"m\.safetensors.*the data set lacks owl$"):
        check_same_classes(LABELS, ["cat", "dog"], "m.safetensors")
    with pytest.raises(InputError, match="the data set lacks cat; the model lacks ant, bee, elk"):
        check_same_classes(LABELS, ["dog", "owl", "ant", "bee", "elk", "fox"], "m")
    with pytest.raises(InputError, match="their order differs"):
        check_same_classes(LABELS, LABELS[::-1], "m")


def test_the_loss_is_the_cross_entropy_of_torch() -> None:
    logits, targets = torch.randn(4, 6), torch.tensor([0, 5, 2, 2])
    expected = F.cross_entropy(logits, targets)
    torch.testing.assert_close(classification_loss(logits, targets), expected)
    torch.testing.assert_close(classification_loss(logits, targets, torch.ones(4)), expected)
    half = classification_loss(logits.bfloat16(), targets)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, F.cross_entropy(logits.bfloat16().float(), targets))


def test_sample_weights_multiply_the_share_of_their_image() -> None:
    logits, targets = torch.randn(3, 4), torch.tensor([0, 1, 3])
    each = [F.cross_entropy(logits[i : i + 1], targets[i : i + 1]) for i in range(3)]
    weights = torch.tensor([2.5, 0.5, 0.0])
    expected = (2.5 * each[0] + 0.5 * each[1]) / 3
    torch.testing.assert_close(classification_loss(logits, targets, weights), expected)
