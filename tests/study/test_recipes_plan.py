"""Which stages the recipes of a study need, and which configurations they are used for."""

from __future__ import annotations

from typing import Any

import pytest
from study_examples import MINIATURE

from ratewise.errors import InputError
from ratewise.study.graph import Contents
from ratewise.study.plan import Plan, Run, Stage
from ratewise.study.planner import make_plan
from ratewise.study.settings import StudySettings
from ratewise.study.spelling import CodecPair
from ratewise.validation import validate

_CONTENTS = Contents({"train": "a", "val": "b"}, weights="w")
CLASSIFIER: dict[str, Any] = {
    "name": "classes",
    "data": {"name": "image_folder", "root": "photographs"},
    "task": {
        "kind": "classification",
        "model": "mobilenetv3_small_050",
        "weights": "model.safetensors",
        "head": "restricted",
        "head_classes": ["cat", "dog", "owl"],
    },
    "codecs": ["jpeg:quality=5", "bpg:qp=46"],
    "configurations": ["OO", "CC"],
}


def _settings(study: dict[str, Any], **changes: Any) -> StudySettings:
    return validate(StudySettings, study | changes, "test")


def _plan(study: dict[str, Any], **changes: Any) -> Plan:
    return make_plan(_settings(study, **changes), _CONTENTS)


def _run(plan: Plan, configuration: str, recipe: str, codec: str = "jpeg:quality=5") -> Run:
    (found,) = [
        run
        for run in plan.runs
        if (run.configuration, run.recipe) == (configuration, recipe)
        and codec in (run.train_codec, run.test_codec)
    ]
    return found


def _of(plan: Plan, kind: str) -> list[Stage]:
    return [stage for stage in plan.stages.values() if stage.kind == kind]


def test_a_study_without_recipes_is_planned_as_before_there_were_any() -> None:
    plain, named = _plan(MINIATURE), _plan(MINIATURE, recipes=["standard"])
    assert plain == named
    assert {stage.params["recipe"] for stage in _of(plain, "train")} == {"standard"}
    assert all("start" not in stage.inputs for stage in _of(plain, "train"))


def test_whole_weights_are_the_model_that_all_recipes_begin_with_and_the_teacher() -> None:
    plan = _plan(CLASSIFIER, recipes=["pretrained", "finetune", "expert"], seeds=[0, 1])
    (start,), (teacher,) = _of(plan, "pretrained"), _of(plan, "teacher")
    assert teacher.inputs["model"] == start.fingerprint
    expert = plan.stages[_run_of_seed(plan, "CC", "expert", 1).train]
    assert expert.inputs["start"] == start.fingerprint
    assert expert.inputs["teacher"] == teacher.fingerprint
    assert expert.inputs["originals"] == teacher.inputs["images"]
    finetune = plan.stages[_run_of_seed(plan, "CC", "finetune", 1).train]
    assert "teacher" not in finetune.inputs
    assert _run_of_seed(plan, "OO", "pretrained", 0).train == start.fingerprint


def _run_of_seed(plan: Plan, configuration: str, recipe: str, seed: int) -> Run:
    wanted = (configuration, recipe, seed)
    return next(r for r in plan.runs if (r.configuration, r.recipe, r.seed) == wanted)


def test_without_whole_weights_they_begin_with_the_standard_model_of_their_seed() -> None:
    plan = _plan(MINIATURE, configurations=["OO", "CC"], recipes=["standard", "expert"])
    expert = plan.stages[_run(plan, "CC", "expert").train]
    standard = next(r for r in plan.runs if (r.configuration, r.recipe) == ("OO", "standard"))
    assert expert.inputs["start"] == standard.train
    assert not _of(plan, "teacher")  # crops are drawn by chance: the teacher sees the same ones
    alone = _plan(MINIATURE, configurations=["CC"], recipes=["expert"])
    assert standard.train in alone.stages


def test_a_recipe_has_its_own_configurations_optimiser_and_length() -> None:
    optimiser = {"kind": "adam", "lr": 1e-7}
    recipes = [
        {"kind": "stability", "configurations": ["OC"], "optimiser": optimiser},
        {"kind": "finetune", "epochs": 7},
        {"kind": "finetune", "name": "longer", "epochs": 9, "configurations": ["CC"]},
    ]
    plan = _plan(CLASSIFIER, recipes=recipes)
    stability = plan.stages[_run(plan, "OC", "stability").train]
    assert stability.params["task"]["optimiser"]["lr"] == 1e-7
    lengths = {
        name: plan.stages[_run(plan, "CC", name).train].params["task"]["training"]["epochs"]
        for name in ("finetune", "longer")
    }
    assert lengths == {"finetune": 7, "longer": 9}
    assert [r.configuration for r in plan.runs if r.recipe == "longer"] == ["CC", "CC"]
    assert not [r for r in plan.runs if r.recipe == "stability" and r.configuration != "OC"]


def test_of_the_studys_configurations_a_recipe_on_originals_takes_those_that_train_on_them() -> (
    None
):
    plan = _plan(CLASSIFIER, configurations=["OO", "OC", "CC"], recipes=["pretrained", "finetune"])
    assert {r.configuration for r in plan.runs if r.recipe == "pretrained"} == {"OO", "OC"}
    assert {r.configuration for r in plan.runs if r.recipe == "finetune"} == {"OO", "OC", "CC"}


def test_a_matrix_is_every_pair_lossless_included() -> None:
    settings = _settings(CLASSIFIER, configurations=[{"train": "all", "test": "all"}])
    assert len(settings.configurations) == 9
    assert settings.configurations[:2] == [
        CodecPair(train="png", test="png"),
        CodecPair(train="png", test="jpeg:quality=5"),
    ]
    rows = _settings(
        CLASSIFIER, configurations=[{"train": ["png", "bpg:qp=41,46"], "test": "jpeg:quality=5"}]
    )
    assert [entry.train for entry in rows.configurations] == ["png", "bpg:qp=41", "bpg:qp=46"]  # type: ignore[union-attr]


def test_classifiers_see_crops_of_the_papers_size_unless_the_study_says_otherwise() -> None:
    assert _settings(CLASSIFIER).prepare.label == "short side 256, crop 224x224"
    assert _settings(CLASSIFIER, prepare={}).prepare.label == "none"
    assert _settings(MINIATURE).prepare.label == "none"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipes": ["expart"]}, "recipe 'expart' is not known; did you mean expert"),
        ({"recipes": ["expert", {"kind": "expert", "weight": 1}]}, "expert stands twice"),
        (
            {"recipes": [{"kind": "stability", "configurations": ["CC"]}]},
            "stability learns from originals alone, so it cannot be used for CC",
        ),
        (
            {"configurations": ["CC"], "recipes": ["pretrained"]},
            "no configuration trains on them",
        ),
        ({"recipes": [{"kind": "finetune", "configurations": ["CX"]}]}, "configuration 'CX'"),
        ({"task": {"kind": "detection"}}, "task 'detection' is not known"),
        ({"analysis": {"timing": {}}}, "analysis.timing is for segmentation"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _settings(CLASSIFIER, **changes)


def test_further_seeds_repeat_a_part_of_the_study() -> None:
    matrix = [{"train": "all", "test": "all"}]
    plan = _plan(
        CLASSIFIER,
        configurations=matrix,
        recipes=["finetune"],
        repeats={
            "seeds": [1, 2],
            "codecs": ["bpg:qp=46"],
            "configurations": ["OO", {"train": "bpg:qp=46", "test": "bpg:qp=46"}],
        },
    )
    repeated = [(r.seed, r.train_codec, r.test_codec) for r in plan.runs if r.seed]
    cells = [("png", "png"), ("bpg:qp=46", "bpg:qp=46")]
    assert repeated == [(seed, *cell) for seed in (1, 2) for cell in cells]
    assert len(plan.runs) == 9 + len(repeated)
    with pytest.raises(InputError, match="jpeg:quality=9 is none of the study's"):
        _settings(CLASSIFIER, repeats={"seeds": [1], "codecs": ["jpeg:quality=9"]})
    with pytest.raises(InputError, match="0 stands twice in seeds and repeats"):
        _settings(CLASSIFIER, repeats={"seeds": [0]})


def test_what_decides_an_expert_is_the_weight_that_is_used() -> None:
    """However it is spelled, and so that a change of the defaults is a change of the stage."""
    spelled = ["expert", {"kind": "expert", "name": "same", "weight": 3.2, "start": "weights"}]
    plan = _plan(CLASSIFIER, configurations=["CC"], recipes=spelled)
    assert _run(plan, "CC", "expert").train == _run(plan, "CC", "same").train
    other = _plan(CLASSIFIER, configurations=["CC"], recipes=[{"kind": "expert", "weight": 1}])
    assert _run(other, "CC", "expert").train != _run(plan, "CC", "expert").train


def test_an_expert_of_weight_0_is_the_fine_tuned_model_and_has_no_teacher() -> None:
    recipes = ["finetune", {"kind": "expert", "weight": 0}]
    plan = _plan(CLASSIFIER, configurations=["CC"], recipes=recipes)
    assert _run(plan, "CC", "expert").train == _run(plan, "CC", "finetune").train
    assert not _of(plan, "teacher")


def test_precision_decides_what_an_untrained_model_is_worth_and_what_a_teacher_says() -> None:
    plans = []
    for precision in ("fp32", "bf16"):
        training = {"epochs": 1, "batch_size": 2, "precision": precision}
        task = CLASSIFIER["task"] | {"training": training}
        plans.append(_plan(CLASSIFIER, task=task, recipes=["pretrained", "expert"]))
    one, other = plans
    assert _of(one, "pretrained")[0].fingerprint == _of(other, "pretrained")[0].fingerprint
    assert _of(one, "teacher")[0].fingerprint != _of(other, "teacher")[0].fingerprint
    evaluated = [_run_of_seed(plan, "OO", "pretrained", 0).evaluate for plan in plans]
    assert evaluated[0] != evaluated[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"recipes": ["finetune"], "budgets": {"bytes": ["500kB"]}},
            "budgets are for the standard recipe",
        ),
        (
            {
                "task": CLASSIFIER["task"] | {"weights": None},
                "recipes": [{"kind": "finetune", "start": "weights"}],
            },
            "start = weights needs task.weights of a whole model",
        ),
    ],
)
def test_recipes_and_what_they_rest_on_must_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _settings(CLASSIFIER, **changes)


def test_repeats_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="no recipe is used for any of these"):
        _plan(CLASSIFIER, repeats={"seeds": [1], "configurations": ["OC"]})
