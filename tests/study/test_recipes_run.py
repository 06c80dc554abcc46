"""Studies with recipes from end to end: a classifier on a made-up folder, and segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from study_examples import MINIATURE, write_study

from ratewise.execution import Resources
from ratewise.files import read_json
from ratewise.images import write_png
from ratewise.report.analysis.recipes import pooled_sentences
from ratewise.study.engine import PlannedStudy, plan_study, run_study
from ratewise.study.results import read_results
from ratewise.study.settings import load_study
from ratewise.tasks.classification import build_model
from ratewise.tasks.classification_settings import ClassificationSettings
from ratewise.training.weights import load_weights, save_weights

_TASK: dict[str, Any] = {
    "kind": "classification",
    "model": "mobilenetv3_small_050",
    "head": "restricted",
    "head_classes": ["cat", "dog", "owl"],
    "holdout": 0.25,
    "optimiser": {"kind": "adam", "lr": 1e-3, "betas": [0.5, 0.99]},
    "training": {"epochs": 1, "batch_size": 4, "precision": "fp32", "checkpoint_seconds": None},
}
_RECIPES: list[Any] = [
    {"kind": "pretrained", "configurations": ["OO", "OC"]},
    {"kind": "stability", "configurations": ["OC"]},
    "finetune",
    "expert",
]


def _photographs(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for label in ("dog", "owl"):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                image = rng.integers(0, 255, (40, 48, 3), np.uint8)
                write_png(root / split / label / f"{number}{'a' if number else 'b'}.png", image)


@pytest.fixture(scope="module")
def classes_run(tmp_path_factory: pytest.TempPathFactory) -> PlannedStudy:
    """A study of all recipes, run once."""
    folder = tmp_path_factory.mktemp("classes")
    _photographs(folder / "photographs")
    torch.manual_seed(0)
    model = build_model(ClassificationSettings(**_TASK), ["dog", "owl"])
    save_weights(folder / "model.safetensors", model.network, {})
    study = {
        "name": "classes",
        "data": {"name": "image_folder", "root": "photographs"},
        "originals": "PNG-8",
        "prepare": {"crop": [32, 32]},
        "task": _TASK | {"weights": "model.safetensors"},
        "codecs": ["jpeg:quality=5"],
        "configurations": [{"train": "all", "test": "all"}],
        "recipes": _RECIPES,
        "subsets": {"first": "*b.png"},
        "analysis": {"distortion": {}},
    }
    planned = plan_study(load_study(write_study(folder, study)), folder / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    return planned


def test_every_recipe_gives_rows_with_the_accuracies_of_the_images_and_of_a_subset(
    classes_run: PlannedStudy,
) -> None:
    rows = read_results(classes_run.folder)
    assert rows.groupby("recipe").size().to_dict() == {
        "pretrained": 2,
        "stability": 1,
        "finetune": 4,
        "expert": 4,
    }
    assert rows["top1"].between(0, 1).all()
    assert rows["accuracy:owl"].notna().all()
    assert rows["top1@first"].isin([0.0, 0.5, 1.0]).all()
    assert set(rows["task"]) == {"classification"}
    assert set(rows["originals"]) == {"PNG-8"}
    compressed = rows[rows["test_codec"] == "jpeg:quality=5"]
    assert compressed["test_ssim"].between(0.05, 0.999).all()
    assert (rows["test_bytes_per_image"] > 100).all()


def test_what_was_collected_counts_originals_that_a_teacher_looks_at(
    classes_run: PlannedStudy,
) -> None:
    rows = read_results(classes_run.folder)
    trained = rows[rows["train_codec"] == "jpeg:quality=5"].set_index("recipe")
    assert (trained.loc["finetune", "bytes_privileged"] == 0).all()
    assert (trained.loc["expert", "bytes_privileged"] > 0).all()
    pretrained = rows[rows["recipe"] == "pretrained"]
    assert (pretrained["train_images"] == 0).all()
    assert pretrained["train_bpp"].isna().all()


def test_pre_trained_weights_are_those_of_the_file_and_stability_changes_the_last_layer_only(
    classes_run: PlannedStudy,
) -> None:
    plan, cache = classes_run.plan, classes_run.cache
    (start,) = [stage for stage in plan.stages.values() if stage.kind == "pretrained"]
    before, _ = load_weights(cache.folder(start) / "model.safetensors")
    source, _ = load_weights(classes_run.study.base / "model.safetensors")
    assert all(torch.equal(value, before[f"network.{key}"]) for key, value in source.items())
    (run,) = [run for run in plan.runs if run.recipe == "stability"]
    after, _ = load_weights(cache.folder(plan.stages[run.train]) / "model.safetensors")
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"network.classifier.weight", "network.classifier.bias"}


def test_predictions_are_kept_by_the_names_of_their_classes(classes_run: PlannedStudy) -> None:
    run = classes_run.plan.runs[0]
    folder = classes_run.cache.folder(classes_run.plan.stages[run.evaluate])
    names = read_json(folder / "predictions.json")
    assert len(names) == 4
    assert set(names.values()) <= {"dog", "owl"}


def test_the_difference_of_the_recipes_is_pooled_over_images(classes_run: PlannedStudy) -> None:
    rows = read_results(classes_run.folder)
    pooled = pd.read_csv(classes_run.folder / "analysis" / "pooled.csv", keep_default_na=False)
    assert pooled["subset"].tolist() == ["", "first"]
    assert pooled["images"].tolist() == [4, 2]
    matched = rows[(rows["train_codec"] == "jpeg:quality=5") & (rows["test_codec"] != "png")]
    scores = matched.set_index("recipe")["top1"]
    assert pooled["difference"][0] == pytest.approx(scores["expert"] - scores["finetune"])
    assert pooled["low"][0] <= pooled["difference"][0] <= pooled["high"][0]
    (said, _) = pooled_sentences(pooled)
    assert "Over 1 operating point and the 4 test images" in said
    assert "With one seed a point" in said


def test_a_finished_study_runs_nothing_again(classes_run: PlannedStudy) -> None:
    assert not run_study(classes_run, resources=Resources(1), quiet=True).ran


def test_segmentation_learns_from_a_teacher_too(tmp_path: Path) -> None:
    training = MINIATURE["task"]["training"] | {"epochs": 1}
    study = MINIATURE | {
        "task": MINIATURE["task"] | {"training": training},
        "configurations": ["CC"],
        "recipes": ["finetune", "expert"],
    }
    planned = plan_study(load_study(write_study(tmp_path, study)), tmp_path / "out")
    report = run_study(planned, resources=Resources(1), quiet=True)
    assert len([name for name in report.ran if planned.plan.stages[name].kind == "train"]) == 3
    rows = read_results(tmp_path / "out").set_index("recipe")
    assert rows["miou"].notna().all()
    weights = [
        load_weights(planned.cache.folder(planned.plan.stages[run.train]) / "model.safetensors")[0]
        for run in planned.plan.runs
    ]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
