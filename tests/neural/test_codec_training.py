"""Training learned codecs: patches, the loss, families, resuming."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratewise.codecs import codec
from ratewise.errors import InputError
from ratewise.images import Image, write_png
from ratewise.neural.models import Architecture, estimated_bpp
from ratewise.neural.training.objective import distortion_of
from ratewise.neural.training.patches import PatchSource
from ratewise.neural.training.run import new_model, split, train_codecs
from ratewise.neural.training.settings import CodecTrainingSettings
from ratewise.training.weights import load_weights
from ratewise.validation import validate


@dataclass(frozen=True)
class Made:
    """Smooth textures, made on the spot."""

    sizes: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def repeats(self) -> list[int]:
        return [1 + index % 2 for index in range(len(self))]

    def load(self, index: int) -> Image:
        height, width = self.sizes[index]
        y, x = np.mgrid[:height, :width]
        waves = [np.sin((x * (c + 1) + y * (index + 1)) / 9) for c in range(3)]
        return (127 + 120 * np.stack(waves, axis=2)).astype(np.uint8)

    def fingerprint(self) -> str:
        return str(self.sizes)


def settings(**changes: Any) -> CodecTrainingSettings:
    value: dict[str, Any] = {
        "name": "tiny",
        "images": [{"root": "unused"}],
        "validation": 1,
        "architecture": {"kind": "msh", "N": 8, "M": 12},
        "lambdas": [0.001, 0.02],
        "shared": {"steps": 3, "lr": 1e-3},
        "each": {"steps": 2, "lr": 1e-3},
        "patch": 64,
        "batch_size": 2,
        "precision": "fp32",
    }
    return validate(CodecTrainingSettings, value | changes, "tiny")


def test_a_patch_is_cut_from_images_of_any_size_and_follows_from_the_generator() -> None:
    source = PatchSource(Made([(80, 200), (20, 300), (64, 64)]), [0, 1, 2], 64, (0.5, 1.0))
    for index in range(3):
        patch = source.get(index, np.random.default_rng(5))
        assert patch.shape == (3, 64, 64)
        assert 0 <= float(patch.min()) < float(patch.max()) <= 1
        assert torch.equal(patch, source.get(index, np.random.default_rng(5)))


def test_an_image_is_never_shrunk_below_a_patch() -> None:
    source = PatchSource(Made([(64, 64)]), [0], 64, (0.1, 0.2))
    image = source.photographs.load(0)
    patch = np.round(255 * source.get(0, np.random.default_rng(0)).permute(1, 2, 0).numpy())
    assert any(np.array_equal(patch, image[:, ::step]) for step in (1, -1))


def test_the_rate_is_the_likelihoods_bits_per_pixel() -> None:
    half = {"y": torch.full((2, 4, 1, 1), 0.5), "z": torch.full((2, 1, 1, 1), 0.25)}
    coded: Any = {"x_hat": torch.zeros(2, 3, 4, 8), "likelihoods": half}
    assert float(estimated_bpp(coded)) == pytest.approx((2 * 4 * 1 + 2 * 2) / (2 * 4 * 8))


def test_the_distortion_is_in_8_bit_units() -> None:
    coded: Any = {"x_hat": torch.full((1, 3, 8, 8), 2 / 255), "likelihoods": {}}
    assert float(distortion_of(coded, torch.zeros(1, 3, 8, 8), "mse")) == pytest.approx(4)


@pytest.mark.parametrize("kind", ["factorized", "hyperprior", "msh"])
def test_training_lowers_the_loss_of_every_kind(kind: Any) -> None:
    torch.manual_seed(0)
    model = Architecture(kind, 8, 12).build()
    x = torch.from_numpy(Made([(64, 64)]).load(0)).permute(2, 0, 1)[None].float() / 255
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(25):
        coded = model(x)
        loss = 0.01 * distortion_of(coded, x, "mse") + estimated_bpp(coded)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert coded["x_hat"].shape == x.shape
    assert losses[-1] < 0.7 * losses[0]


def test_the_quantile_loss_leads_to_the_median_and_the_tails() -> None:
    torch.manual_seed(0)
    prior = Architecture("msh", 4, 4).build().prior
    optimiser = torch.optim.Adam([prior.quantiles], 0.3)
    for _ in range(600):
        optimiser.zero_grad()
        prior.quantile_loss().backward()
        optimiser.step()
        optimiser.param_groups[0]["lr"] *= 0.99
    logits = prior.logits(prior.quantiles.detach())
    assert torch.allclose(logits[..., 1], torch.zeros(4, 1), atol=1e-3)
    assert (prior.quantiles[..., 0] < -30).all()  # on their way from 10 to about 200
    assert (prior.quantiles[..., 2] > 30).all()
    assert all(p.grad is None for p in prior.matrices)


def test_every_lambda_starts_from_the_shared_weights(tmp_path: Path) -> None:
    made = Made([(70, 90)] * 5)
    chosen = settings(each={"steps": 2, "lr": 1e-9})
    paths = train_codecs(chosen, made, tmp_path, quiet=True)
    assert [path.name for path in paths] == ["quality-1.safetensors", "quality-2.safetensors"]
    first, second = (
        load_weights(tmp_path / f"quality-{quality}-training.safetensors")[0] for quality in (1, 2)
    )
    start = new_model(settings()).state_dict()
    key = "g_a.0.weight"
    # The second phase has next to no learning rate here, so both are what the first one left
    assert torch.allclose(first[key], second[key], atol=1e-6)
    assert float((first[key] - start[key]).abs().mean()) > 1e-4


def test_a_finished_run_is_not_trained_again_and_another_lambda_is_added(tmp_path: Path) -> None:
    made = Made([(70, 90)] * 5)
    first = train_codecs(settings(), made, tmp_path, quiet=True)
    before = {path: path.read_bytes() for path in first}
    log = tmp_path / "training" / "shared" / "log.csv"
    written = log.read_text()  # it holds the seconds of each epoch
    more = train_codecs(settings(lambdas=[0.001, 0.02, 0.1]), made, tmp_path)
    assert len(more) == 3
    assert all(path.read_bytes() == data for path, data in before.items())
    assert log.read_text() == written


def test_what_was_trained_codes_images_and_validation_measured_real_files(tmp_path: Path) -> None:
    made = Made([(70, 90)] * 5)
    path, _ = train_codecs(settings(storage="fp16"), made, tmp_path, quiet=True)
    coder = codec(f"msh:weights={path}")
    image = made.load(0)
    assert coder.decode(coder.encode(image)).shape == image.shape
    (row,) = csv.DictReader((tmp_path / "training/quality-1/log.csv").open())
    assert float(row["bpp"]) > 0
    assert float(row["psnr"]) > 5


def test_training_starts_from_earlier_weights_and_refuses_packed_ones(tmp_path: Path) -> None:
    made = Made([(70, 90)] * 5)
    train_codecs(settings(), made, tmp_path / "first", quiet=True)
    again = {"shared": None, "lambdas": [0.02], "each": {"steps": 1, "lr": 1e-9}}
    start = settings(start="first/quality-1-training.safetensors", **again)
    train_codecs(start, made, tmp_path / "second", base=tmp_path, quiet=True)
    weights = [
        load_weights(tmp_path / run / "quality-1-training.safetensors")[0]["g_a.0.weight"]
        for run in ("first", "second")
    ]
    assert torch.allclose(*weights, atol=1e-6)
    with pytest.raises(InputError, match="is packed to code with"):
        train_codecs(
            settings(start="first/quality-1.safetensors"), made, tmp_path / "third", base=tmp_path
        )


def test_held_out_images_are_not_trained_on_and_repeats_are_visited() -> None:
    made = Made([(64, 64)] * 9)
    held_out, indices = split(made, settings(validation=3))
    assert len(held_out) == 3
    assert not set(held_out) & set(indices)
    rest = [i for i in range(9) if i not in held_out]
    assert indices == [i for i in rest for _ in range(made.repeats[i])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lambdas": [0.0]}, "lambdas.0 = 0.0"),
        ({"lambdas": [0.1, 0.01]}, "must rise"),
        ({"lambdas": [-1]}, "greater than 0"),
        ({"patch": 100}, "patch = 100"),
        ({"scale": [1.0, 0.5]}, "scale must be a range"),
        ({"images": []}, "images"),
        ({"images": [{"data": "camvid", "splits": ["train"]}], "lr": 3}, "unknown key 'lr'"),
        ({"architecture": {"M": 11}}, "M = 11 must be even"),
        ({"distortion": "ms_ssim"}, "patches of 192"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings(**changes)


def test_too_few_images_are_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 images are too few: 1 are held out"):
        train_codecs(settings(), Made([(64, 64)]), tmp_path, quiet=True)


def test_photographs_come_from_folders_and_data_sets(tmp_path: Path) -> None:
    from ratewise.data.photographs import open_photographs
    from ratewise.neural.training.settings import ImagesSettings

    write_png(tmp_path / "photos/a.png", Made([(8, 9)]).load(0))
    (tmp_path / "empty").mkdir()
    chosen = [
        ImagesSettings(root="photos", repeat=3),
        ImagesSettings(data="streets", options={"train": 2, "val": 0, "width": 32, "height": 32}),
    ]
    photographs = open_photographs(chosen, tmp_path)
    assert [photographs.load(i).shape for i in range(3)] == [(8, 9, 3), (32, 32, 3), (32, 32, 3)]
    assert list(photographs.repeats) == [3, 1, 1]
    with pytest.raises(InputError, match="empty: no images"):
        open_photographs([ImagesSettings(root="empty")], tmp_path)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        open_photographs([ImagesSettings(root="nowhere")], tmp_path)
