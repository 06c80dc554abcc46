"""The expert-training paper's study files: their settings, and every stage on a miniature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from paper_layouts import make_imagenet

from ratewise.execution import Resources
from ratewise.recipes.settings import ExpertSettings, StabilitySettings, adapted
from ratewise.study.engine import plan_study, run_study
from ratewise.study.planner import configurations
from ratewise.study.results import read_results
from ratewise.study.settings import Study, load_study
from ratewise.training.weights import save_weights

PAPER = Path(__file__).parents[2] / "configs" / "paper"
FILES = ("expert-mnasnet", "expert-resnet50")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet in miniature, and weights of a small network with all its outputs."""
    made = tmp_path_factory.mktemp("imagenet")
    make_imagenet(made / "imagenet")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(made / "model.safetensors", timm.create_model("mobilenetv3_small_050"))
    return made


def _small(name: str, folder: Path) -> Study:
    changes = {
        "data.root": str(folder / "imagenet"),
        "prepare": {"short_side": 40, "crop": [32, 32]},
        "task.model": "mobilenetv3_small_050",
        "task.weights": str(folder / "model.safetensors"),
        "task.training": {"steps": 1, "batch_size": 2, "device": "cpu", "precision": "fp32"},
        "task.holdout": 0.2,
        "codecs": ["jpeg:quality=10"],
    }
    return load_study(
        PAPER / f"{name}.yaml", {key: json.dumps(value) for key, value in changes.items()}
    )


@pytest.mark.parametrize("name", FILES)
def test_every_stage_runs(name: str, folder: Path, tmp_path: Path) -> None:
    planned = plan_study(_small(name, folder), tmp_path / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    rows = read_results(planned.folder)
    assert len(rows) == len(planned.plan.runs)
    assert rows["top1"].between(0, 1).all()
    assert {"pretrained", "stability", "finetune", "expert"} <= set(rows["recipe"])
    assert rows[rows["test_codec"] == "jpeg:quality=10"]["test_ssim"].notna().all()


@pytest.mark.parametrize(
    ("name", "batch", "weight", "rates", "sigma", "stability_rate"),
    [
        ("expert-mnasnet", 320, 3.2, {1e-5}, 0.04, 1e-6),
        ("expert-resnet50", 384, 3.84, {1e-5, 5e-6, 1e-6}, 5e-4, 1e-7),
    ],
)
def test_the_files_say_what_the_paper_says(
    name: str, batch: int, weight: float, rates: set[float], sigma: float, stability_rate: float
) -> None:
    settings = load_study(PAPER / f"{name}.yaml").settings
    assert len(settings.codecs) == 9  # and lossless
    assert settings.task.training.batch_size == batch
    assert settings.task.training.epochs == 45
    assert settings.task.augmentation is None
    for recipe in settings.recipes:
        optimiser = adapted(settings.task, recipe).optimiser
        assert (optimiser.kind, optimiser.betas) == ("adam", (0.5, 0.99))
        schedule = optimiser.schedule
        assert schedule.kind == "plateau"
        assert (schedule.factor, schedule.patience) == (0.2, 3)
        assert schedule.minimum == pytest.approx(1 / 125)
        if isinstance(recipe, StabilitySettings):
            assert (recipe.weight, recipe.sigma, optimiser.lr) == (0.005, sigma, stability_rate)
        tested = {configuration.test.codec for configuration in configurations(settings, recipe)}
        assert len(tested) == 10
    experts = [recipe for recipe in settings.recipes if isinstance(recipe, ExpertSettings)]
    assert {one.effective_weight(settings.task.network) for one in experts} == {weight}
    assert {adapted(settings.task, one).optimiser.lr for one in experts} == rates


def test_the_matrix_has_ten_rows_and_columns() -> None:
    settings = load_study(PAPER / "expert-mnasnet.yaml").settings
    finetune = next(recipe for recipe in settings.recipes if recipe.kind == "finetune")
    assert len(configurations(settings, finetune)) == 100
