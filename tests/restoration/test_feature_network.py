"""The classifier of the feature loss and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision

from ratewise.errors import InputError
from ratewise.restoration.features import FeatureNetwork, feature_network
from ratewise.restoration.settings import FeatureSettings
from ratewise.training.weights import save_weights


def _settings(**values: Any) -> FeatureSettings:
    return FeatureSettings.model_validate(
        {"backbone": "test_convnext", "weights": "w.safetensors", "blocks": 2, **values}
    )


def _images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _network(settings: FeatureSettings, base: Path) -> FeatureNetwork:
    network = feature_network(settings, base)
    assert network is not None
    return network


def test_without_weights_there_is_none_and_a_warning() -> None:
    with pytest.warns(UserWarning, match="goes without its feature term"):
        assert feature_network(_settings(weights=None), Path()) is None


def test_a_timm_classifiers_weights_give_its_own_features(tmp_path: Path) -> None:
    """convnext calls its stages otherwise when it gives features."""
    classifier = timm.create_model("test_convnext").eval()
    save_weights(tmp_path / "w.safetensors", classifier)
    network = _network(_settings(normalisation={"mean": 0.4, "std": 0.2}), tmp_path)
    x = ((_images() + 1) / 2 - 0.4) / 0.2
    expected = classifier.forward_intermediates(x, indices=[0, 1], intermediates_only=True)
    for ours, theirs in zip(network(_images()), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_torchvision_vgg_gives_its_blocks_before_their_pooling(tmp_path: Path) -> None:
    state = {
        key: value
        for key, value in torchvision.models.vgg11().state_dict().items()
        if key.startswith("features")
    }
    torch.save(state, tmp_path / "w.pth")
    settings = _settings(backbone="torchvision:vgg11", weights="w.pth", blocks=3)
    network = _network(settings, tmp_path)
    features = network(_images())
    assert [tuple(f.shape) for f in features] == [
        (2, 64, 64, 64),
        (2, 128, 32, 32),
        (2, 256, 16, 16),
    ]
    x = (_images() + 1) / 2
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    first = torch.relu(
        torch.nn.functional.conv2d(
            x, state["features.0.weight"], state["features.0.bias"], padding=1
        )
    )
    torch.testing.assert_close(features[0], first)


def test_it_is_frozen_and_passes_gradients_to_the_images(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", timm.create_model("test_convnext"))
    network = _network(_settings(), tmp_path).train()
    images = _images().requires_grad_()
    sum(f.sum() for f in network(images)).backward()  # type: ignore[union-attr]
    assert images.grad is not None
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(module.training for module in network.modules())


def test_building_it_leaves_the_random_state_alone(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", timm.create_model("test_convnext"))
    before = torch.random.get_rng_state()
    _network(_settings(), tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"backbone": "test_convnxt"}, "timm has no such model"),
        ({"blocks": 8}, "features.blocks = 8: test_convnext has fewer stages"),
        ({"options": {"nonsense": 1}}, r"features.options = \{'nonsense': 1\} cannot be built"),
        ({"backbone": "torchvision:resnet18"}, "only the VGG"),
        ({"backbone": "torchvision:vgg11", "blocks": 6}, "vgg11 has 5 stages"),
        ({"backbone": "torchvision:vgg11", "options": {"a": 1}}, "for timm's models"),
        ({}, "w.safetensors: no such weights file"),
    ],
)
def test_what_does_not_exist_is_named(
    values: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        feature_network(_settings(**values), tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", timm.create_model("test_resnet"))
    with pytest.raises(InputError, match=r"not the weights of features.backbone test_convnext"):
        feature_network(_settings(), tmp_path)


def test_the_published_weights_of_mobilenet_load(shared_data: Path) -> None:
    settings = FeatureSettings.model_validate(
        {
            "backbone": "mobilenetv2_100",
            "options": {"pad_type": "same"},
            "weights": "weights/mobilenetv2_100.safetensors",
            "normalisation": {"mean": 0.5, "std": 0.5},
        }
    )
    network = _network(settings, shared_data)
    assert [f.shape[1] for f in network(_images())] == [16, 24, 32, 96, 320]
