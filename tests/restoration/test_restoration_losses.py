"""The terms of the restorer's loss, against formulas written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ratewise.errors import InputError
from ratewise.metrics.distortion import ms_ssim
from ratewise.restoration import losses
from ratewise.restoration.discriminators import Judgement


def _judged(*maps: list[float]) -> list[Judgement]:
    return [Judgement(torch.tensor(values).view(1, 1, 1, -1), []) for values in maps]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_gan_losses_are_the_papers_sums_of_logarithms() -> None:
    real, made = [[1.0, 3.0], [-2.0]], [[0.5, -1.0], [2.0]]
    of_g = sum(np.mean([-math.log(_sigmoid(v)) for v in values]) for values in made)
    of_d = sum(
        np.mean([-math.log(_sigmoid(v)) for v in a])
        + np.mean([-math.log(1 - _sigmoid(v)) for v in b])
        for a, b in zip(real, made, strict=True)
    )
    assert float(losses.adversarial_loss(_judged(*made))) == pytest.approx(of_g)
    assert float(losses.discriminator_loss(_judged(*real), _judged(*made))) == pytest.approx(of_d)


def test_the_probability_is_the_mean_of_d() -> None:
    expected = (_sigmoid(1) + _sigmoid(3)) / 4 + _sigmoid(-2) / 2
    assert float(losses.probability(_judged([1.0, 3.0], [-2.0]))) == pytest.approx(expected)


def test_a_certain_discriminator_costs_no_infinity() -> None:
    assert float(losses.adversarial_loss(_judged([-300.0]))) == pytest.approx(300)


def test_feature_losses_divide_each_layer_by_its_number_of_elements() -> None:
    a, b = (
        [torch.full((2, 3, 4, 4), 1.0), torch.zeros(2, 8, 1, 1)],
        [
            torch.full((2, 3, 4, 4), -1.0),
            torch.full((2, 8, 1, 1), 0.5),
        ],
    )
    assert float(losses.feature_loss(a, b)) == pytest.approx(2.5)
    one, other = (Judgement(torch.zeros(1), features) for features in (a, b))
    assert float(losses.matching_loss([one, one], [other, other])) == pytest.approx(5)


def test_originals_features_get_no_gradient() -> None:
    made, real = (torch.rand(2, 3, requires_grad=True) for _ in range(2))
    losses.feature_loss([made], [real]).backward()
    assert made.grad is not None
    assert real.grad is None


def _pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (side // 8 + 1, side // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)
    image = smooth[:side, :side].astype(np.uint8)
    noise = rng.normal(0, 20, image.shape)
    return image, np.clip(image + noise, 0, 255).astype(np.uint8)


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_ms_ssim_is_the_metrics_and_each_image_counts_for_itself() -> None:
    a, b = _pair(179)
    batch = torch.cat([_tensor(a), _tensor(a)]), torch.cat([_tensor(b), _tensor(a)])
    expected = 1 - (ms_ssim(a, b) + 1) / 2
    assert float(losses.ms_ssim_loss(*batch)) == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_of_opposite_images_has_a_finite_gradient() -> None:
    a, _ = _pair(176)
    restored = (-_tensor(a)).requires_grad_()
    losses.ms_ssim_loss(restored, _tensor(a)).backward()
    assert restored.grad is not None
    assert restored.grad.isfinite().all()


def test_ms_ssim_of_a_small_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"176 pixels .* not 200x175"):
        losses.ms_ssim_loss(torch.zeros(1, 3, 175, 200), torch.zeros(1, 3, 175, 200))


def test_l1_and_mse_are_means_in_float32() -> None:
    a, b = torch.full((1, 3, 2, 2), 0.5, dtype=torch.bfloat16), torch.zeros(1, 3, 2, 2)
    assert (float(losses.l1_loss(a, b)), float(losses.mse_loss(a, b))) == (0.5, 0.25)
    assert losses.l1_loss(a, b).dtype == torch.float32
    assert float(F.l1_loss(a.float(), b)) == 0.5
