"""Training a restorer: the losses of a step, who gets gradients, and what validation says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ratewise.errors import InputError, TrainingError
from ratewise.metrics.distortion import decibels, ms_ssim, psnr
from ratewise.restoration.discriminators import Discriminators
from ratewise.restoration.features import FeatureNetwork
from ratewise.restoration.generators import build_generator
from ratewise.restoration.objective import Restoration, to_float, to_image
from ratewise.restoration.pairs import Pair, PixelPair, collate
from ratewise.restoration.settings import RestorerSettings
from ratewise.training.loop import fit
from ratewise.training.normalisation import Normalisation
from ratewise.training.settings import TrainingSettings

_GENERATOR = {"kind": "finenet", "width": 4, "blocks": 1, "downsamplings": 1, "output_norm": False}


class _Stages(nn.Module):
    """A classifier of one linear stage."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.conv(x)]


def _settings(**values: Any) -> RestorerSettings:
    base: dict[str, Any] = {
        "generator": _GENERATOR,
        "discriminators": {"count": 2, "width": 2, "layers": 2},
        "optimiser": {"kind": "adam", "lr": 5e-3, "betas": [0.5, 0.9]},
        "patch": 176,
    }
    return RestorerSettings.model_validate({**base, **values})


_PLAIN: dict[str, Any] = {
    "discriminators": None,
    "losses": {"adversarial": 0, "l1": 1, "ms_ssim": 0, "features": 0, "matching": 0},
    "patch": 32,
}


def _objective(settings: RestorerSettings, **values: Any) -> Restoration:
    torch.manual_seed(0)
    discriminators = settings.discriminators and Discriminators(settings.discriminators)
    features = FeatureNetwork(_Stages(), Normalisation()) if settings.losses.features else None
    return Restoration(
        settings, build_generator(settings.generator), discriminators, features, **values
    )


def _image(side: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (side // 8, side // 8, 3)).repeat(8, 0).repeat(8, 1)
    return blocks.astype(np.uint8)


def _darker(image: np.ndarray) -> np.ndarray:
    return (image * 0.7).astype(np.uint8)


def _pair(side: int, seed: int = 0) -> PixelPair:
    image = _image(side, seed)
    return PixelPair(_darker(image), image)


def _modules(objective: Restoration) -> dict[str, nn.Module]:
    return {**objective.modules(), **objective.frozen()}


def test_the_first_steps_losses_are_the_papers_formula() -> None:
    objective = _objective(_settings())
    batch = collate([_pair(176, 0), _pair(176, 1)])
    first, second = objective.losses(_modules(objective), batch)

    original = torch.from_numpy(np.stack([_image(176, i) for i in (0, 1)])).permute(0, 3, 1, 2)
    y = original.double().div(127.5).sub(1).float()
    x = to_float(batch.compressed)
    judge, stages = objective.discriminators, objective.features
    assert judge is not None
    assert stages is not None
    with torch.no_grad():
        made = objective.generator(x)
        fake, real = judge(x, made), judge(x, y)
        d = sum(
            -torch.log(b.logits.sigmoid()).mean() - torch.log(1 - a.logits.sigmoid()).mean()
            for a, b in zip(fake, real, strict=True)
        )
        gan = sum(-torch.log(a.logits.sigmoid()).mean() for a in fake)
        matching = sum(
            (p - q).abs().mean()
            for a, b in zip(fake, real, strict=True)
            for p, q in zip(a.features, b.features, strict=True)
        )
        features = (stages(made)[0] - stages(y)[0]).abs().mean()
    images = [to_image(made[i : i + 1]) for i in (0, 1)]
    similar = np.mean([ms_ssim(a, _image(176, i)) for i, a in enumerate(images)])
    assert (first.optimiser, second.optimiser) == ("discriminator", "generator")
    torch.testing.assert_close(first.value, d)
    logs = second.logs
    torch.testing.assert_close(logs["adversarial"], gan)
    torch.testing.assert_close(logs["matching"], matching)
    torch.testing.assert_close(logs["features"], features)
    torch.testing.assert_close(logs["l1"], (made - y).abs().mean())
    assert float(logs["ms_ssim"]) == pytest.approx(1 - similar, abs=2e-3)  # of clamped levels
    total = gan + 10 * (2 * (made - y).abs().mean() + features + logs["ms_ssim"] + matching)
    torch.testing.assert_close(second.value, total)


def test_the_mean_probabilities_of_both_kinds_of_images_are_logged() -> None:
    objective = _objective(_settings())
    batch = collate([_pair(176)])
    loss = next(objective.losses(_modules(objective), batch))
    judge = objective.discriminators
    assert judge is not None
    x, y = to_float(batch.compressed), to_float(batch.original)
    real = torch.stack([j.logits.sigmoid().mean() for j in judge(x, y)]).mean()
    torch.testing.assert_close(loss.logs["judged_original"], real.detach())
    assert 0 < float(loss.logs["judged_restored"]) < 1


def test_terms_without_weight_are_not_computed() -> None:
    """Patches of 32 have no MS-SSIM, so computing it would raise."""
    objective = _objective(_settings(**_PLAIN))
    (loss,) = objective.losses(_modules(objective), collate([_pair(32)]))
    assert set(loss.logs) == {"l1"}
    assert list(objective.optimisers()) == ["generator"]


def test_a_feature_term_without_its_network_cannot_be_all_there_is() -> None:
    weights = {"adversarial": 0, "l1": 0, "ms_ssim": 0, "features": 1, "matching": 0}
    settings = _settings(discriminators=None, losses=weights)
    with pytest.raises(InputError, match="nothing to minimise"):
        Restoration(settings, build_generator(settings.generator))


def test_each_loss_brings_gradients_to_its_own_network_only() -> None:
    objective = _objective(_settings())
    generator, judge = objective.generator, objective.discriminators
    assert judge is not None
    losses = objective.losses(_modules(objective), collate([_pair(176)]))
    next(losses).value.backward()
    assert all(p.grad is not None for p in judge.parameters())
    assert all(p.grad is None for p in generator.parameters())
    judge.zero_grad()
    next(losses).value.backward()
    assert all(p.grad is None for p in judge.parameters())
    assert all(p.grad is not None for p in generator.parameters())
    assert all(p.requires_grad for p in judge.parameters())


def test_the_generator_is_restored_with_once_a_step() -> None:
    objective = _objective(_settings())
    calls = []
    objective.generator.register_forward_hook(lambda *_: calls.append(1))
    for loss in objective.losses(_modules(objective), collate([_pair(176)])):
        loss.value.backward()
    assert len(calls) == 1


def test_patches_too_small_for_the_discriminators_are_refused_at_once() -> None:
    settings = _settings(patch=176, discriminators={"count": 4, "width": 2})
    with pytest.raises(InputError, match="patch = 176 is too small"):
        _objective(settings)


def test_levels_become_minus_one_to_one_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    x = to_float(levels)
    assert (float(x.min()), float(x.max())) == (-1, 1)
    assert np.array_equal(to_image(x), levels[0].permute(1, 2, 0).numpy())
    assert to_image(x * 3).min() == 0


def test_validation_compares_with_the_compressed_images_and_shows_the_restored() -> None:
    image = _image(176, 3)
    small = _image(40, 4)
    shown: list[np.ndarray] = []

    def show(step: int, pictures: Sequence[np.ndarray]) -> None:
        assert step == 7
        shown.extend(pictures)

    objective = _objective(
        _settings(),
        held_out=[(image, _darker(image)), (small, _darker(small))],
        perceptual=lambda picture: float(picture.shape[0]),
        pictures=show,
    )
    with torch.no_grad():
        metrics = objective.validate(_modules(objective), 7)
    assert [picture.shape for picture in shown] == [(176, 176, 3), (40, 40, 3)]
    pairs = [(image, shown[0]), (small, shown[1])]
    before = [(image, _darker(image)), (small, _darker(small))]
    assert metrics == pytest.approx(
        {
            "psnr": np.mean([psnr(a, b) for a, b in pairs]),
            "ms_ssim_db": decibels(ms_ssim(image, shown[0])),
            "psnr_compressed": np.mean([psnr(a, b) for a, b in before]),
            "ms_ssim_db_compressed": decibels(ms_ssim(image, _darker(image))),
            "perceptual": 108,
        }
    )
    assert _objective(_settings()).validate({}, 0) == {}


class _Toy:
    """Dark patches and their originals."""

    def __len__(self) -> int:
        return 8

    def get(self, index: int, rng: np.random.Generator) -> PixelPair:
        return _pair(32, index)


def _run(folder: Path, settings: RestorerSettings, **values: Any) -> Any:
    training = TrainingSettings.model_validate(
        {"epochs": 15, "batch_size": 4, "precision": "bf16", "workers": 0, "device": "cpu"}
    )
    objective = _objective(settings)
    values = {"collate": collate, **values}
    return fit(objective, _Toy(), training, folder, quiet=True, **values)


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_short_training_brings_restored_images_closer(adversarial: bool, tmp_path: Path) -> None:
    against = {
        "discriminators": {"count": 1, "width": 2, "layers": 2},
        "losses": {"ms_ssim": 0, "features": 0},
        "patch": 32,
    }
    result = _run(tmp_path, _settings(**against if adversarial else _PLAIN))
    losses = [row["l1"] for row in result.history]
    assert losses[-1] < 0.6 * losses[0]
    assert set(result.weights) == {"generator"} | ({"discriminators"} if adversarial else set())


def test_a_loss_that_is_no_number_stops_training(tmp_path: Path) -> None:
    def poisoned(samples: list[PixelPair]) -> Pair:
        compressed, original = collate(samples)
        return Pair(torch.full_like(compressed, float("nan"), dtype=torch.float32), original)

    with pytest.raises(TrainingError, match="the loss of optimiser 'generator' is nan in step 1"):
        _run(tmp_path, _settings(**_PLAIN), collate=poisoned)


@pytest.mark.parametrize("preset", ["paper", "rdn-paper"])
def test_the_papers_presets_build(preset: str) -> None:
    settings = RestorerSettings.model_validate(preset)
    with torch.device("meta"):
        generator = build_generator(settings.generator)
        judge = settings.discriminators and Discriminators(settings.discriminators)
    objective = Restoration(settings, generator, judge)
    names = {"generator"} | ({"discriminators"} if judge else set())
    assert set(objective.modules()) == names
    assert objective.selection() is None
