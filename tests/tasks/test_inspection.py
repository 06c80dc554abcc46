"""Scores and features of a segmentation model, against the model itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.tasks.inspection import channel_averages, check_layer, class_scores
from ratewise.tasks.segmentation import SegmentationModel, encoder, initial_model
from ratewise.tasks.segmentation_settings import SegmentationSettings

_SETTINGS = SegmentationSettings(architecture="FPN", encoder="tu-mobilenetv3_small_050")


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return initial_model(_SETTINGS, 4, seed=0).eval()


def _images(count: int) -> list[Image]:
    rng = np.random.default_rng(count)
    return [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(count)]


def _pixels(image: Image) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255


def test_scores_are_the_models_logits(model: SegmentationModel) -> None:
    (image,) = _images(1)
    with torch.no_grad():
        expected = model(_pixels(image))[0].numpy()
    np.testing.assert_allclose(class_scores(model, image, "cpu"), expected, atol=1e-5)


def test_the_shallow_layer_is_at_a_quarter_of_the_sides(model: SegmentationModel) -> None:
    images = _images(3)
    found = channel_averages(model, images, device="cpu")
    assert found.stride == 4
    with torch.no_grad():
        x = [(_pixels(image) - model.mean) / model.std for image in images]
        maps = [encoder(model)(y)[2] for y in x]
    assert maps[0].shape[-2:] == (16, 24)
    expected = torch.cat(maps).mean((0, 2, 3)).numpy()
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_a_layer_can_be_named(model: SegmentationModel) -> None:
    named = channel_averages(model, _images(1), "conv_stem", "cpu")
    assert named.stride == 2
    whole = channel_averages(model, _images(1), "encoder.model.conv_stem", "cpu")
    assert named == whole


def test_the_average_is_over_the_places_of_all_images(model: SegmentationModel) -> None:
    """A larger image has more places, and so more weight."""
    small, large = _images(1)[0][:32, :32], _images(2)[1]
    (a, b, both) = (
        np.array(channel_averages(model, x, device="cpu").values)
        for x in ([small], [large], [small, large])
    )
    np.testing.assert_allclose(both, (a * 64 + b * 384) / 448, atol=1e-9)


def test_a_layer_that_is_not_there_is_named(model: SegmentationModel) -> None:
    with pytest.raises(InputError, match=r"no part 'conv9' \(allowed: shallow"):
        channel_averages(model, _images(1), "conv9", "cpu")
    with pytest.raises(InputError, match="no part 'conv9'"):
        check_layer(_SETTINGS, 4, "conv9")
    check_layer(_SETTINGS, 4, "conv_stem")
    with pytest.raises(InputError, match="there are no images"):
        channel_averages(model, [], device="cpu")
