"""Which stages restored and mixed channels need, and what makes them differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from study_examples import RESTORATION, RESTORED

from ratewise.study.graph import Contents
from ratewise.study.plan import Plan, Run, Stage
from ratewise.study.planner import make_plan
from ratewise.study.settings import StudySettings
from ratewise.validation import validate

_CONTENTS = Contents({"train": "a", "val": "b"}, others={"auxiliary": "c", "privileged": "d"})


def _settings(configurations: list[str], **changes: Any) -> StudySettings:
    restoration = RESTORATION | changes.pop("restoration", {})
    study = RESTORED | changes
    study |= {"restoration": restoration, "configurations": configurations}
    return validate(StudySettings, study, "test")


def _plan(*configurations: str, contents: Contents = _CONTENTS, **changes: Any) -> Plan:
    return make_plan(_settings(list(configurations), **changes), contents)


def _run(plan: Plan, configuration: str) -> Run:
    (found,) = [run for run in plan.runs if run.configuration == configuration]
    return found


def _kinds(plan: Plan) -> dict[str, int]:
    kinds = ("prepare", "compress", "restorer", "restore", "train", "evaluate")
    return {kind: plan.count(kind) for kind in kinds if plan.count(kind)}


def _stages(plan: Plan, kind: str) -> list[Stage]:
    return [stage for stage in plan.stages.values() if stage.kind == kind]


def test_a_set_of_its_own_takes_one_restorer_for_training_and_test() -> None:
    privileged = {"privileged": {"groups": ["drive"]}}
    plan = _plan("OO", "CO", "RO", "OR", "RR", restoration=privileged)
    expected = {"prepare": 2, "compress": 2, "restorer": 1, "restore": 2, "train": 3, "evaluate": 5}
    assert _kinds(plan) == expected
    assert _run(plan, "RO").train == _run(plan, "RR").train
    assert _run(plan, "RO").restorer == "tiny"
    assert _run(plan, "CO").restorer == ""


def test_groups_leave_the_training_set_in_every_configuration() -> None:
    privileged = {"privileged": {"groups": ["drive"]}}
    names = ["OO", "CO", "RO", "AO", "oO@50%", "rO@50%", "o+cO@50%", "o+rO@50%"]
    for stage in _stages(_plan(*names, restoration=privileged), "train"):
        assert stage.params["images"]["without"] == ["drive"]
    assert all(
        "images" not in stage.params for stage in _stages(_plan("OO", "CO", "RO", "AO"), "train")
    )


def test_restored_by_half_is_what_restored_means_without_a_set_of_its_own() -> None:
    plan = _plan("RO", "rO@50%")
    assert _run(plan, "RO").train == _run(plan, "rO@50%").train
    assert len(plan.runs) == 2


def test_another_share_is_another_restorer_and_another_training() -> None:
    plan = _plan("RO", "rO@25%", "rO@12.5%")
    for what in ("train_store", "train", "evaluate"):
        assert len({getattr(run, what) for run in plan.runs}) == 3
    whole = [s for s in _stages(plan, "restorer") if s.params["images"]["part"] == "whole"]
    assert sorted(stage.params["images"]["share"] for stage in whole) == ["1/2", "1/4", "1/8"]


def test_cross_fitting_takes_three_restorers_and_the_others_one() -> None:
    assert _plan("RO").count("restorer") == 3
    assert _plan("RO", restoration={"overlap": "exclude"}).count("restorer") == 1
    assert _plan("RO", restoration={"overlap": "allow"}).count("restorer") == 1


def test_only_what_may_overlap_is_trained_on_all_that_is_privileged() -> None:
    margins = {
        overlap: {
            stage.params["images"]["margin"]
            for stage in _stages(_plan("RO", restoration={"overlap": overlap}), "restorer")
        }
        for overlap in ("cross_fit", "exclude", "allow")
    }
    assert margins == {"cross_fit": {1}, "exclude": {1}, "allow": {0}}


def test_where_privileged_images_are_excluded_the_others_train_the_task() -> None:
    (train,) = _stages(_plan("RO", restoration={"overlap": "exclude"}), "train")
    assert train.params["images"] == {"use": "outside", "share": "1/2", "seed": 0, "without": []}


@pytest.mark.parametrize(
    ("name", "restorers", "use"), [("o+cO@25%", 0, "replaced"), ("o+rO@25%", 1, "replaced")]
)
def test_a_mixture_has_originals_in_the_place_of_their_twins(
    name: str, restorers: int, use: str
) -> None:
    plan = _plan(name)
    (train,) = _stages(plan, "train")
    assert plan.count("restorer") == restorers
    assert train.params["images"]["use"] == use
    assert train.params["images"]["original_weight"] == 5
    assert plan.stages[train.inputs["originals"]].kind == "prepare"
    assert plan.stages[train.inputs["images"]].kind == ("restore" if restorers else "compress")


def test_the_weight_of_originals_counts_where_there_are_any() -> None:
    plans = [
        _plan("RO", "o+cO@50%", restoration={"original_weight": weight}) for weight in (5.0, 2.0)
    ]
    trainings = [[_run(plan, name).train for plan in plans] for name in ("RO", "o+cO@50%")]
    assert trainings[0][0] == trainings[0][1]
    assert trainings[1][0] != trainings[1][1]


def test_what_the_test_images_are_restored_by_follows_the_privileged_share() -> None:
    plan = _plan("OR", "RR", "rR@25%", "oR@25%", "CA", "rA@25%")
    stores = {run.configuration: run.test_store for run in plan.runs}
    assert stores["OR"] == stores["RR"]
    assert stores["rR@25%"] == stores["oR@25%"] != stores["OR"]
    assert stores["CA"] == stores["rA@25%"]


def test_an_auxiliary_restorer_is_trained_on_the_auxiliary_set_alone() -> None:
    plan = _plan("AO")
    (restorer,) = _stages(plan, "restorer")
    originals = plan.stages[restorer.inputs["originals"]]
    assert originals.params["content"] == "c"
    assert restorer.params["images"] == {"rule": "all"}
    other = Contents({"train": "other", "val": "b"}, others={"auxiliary": "c"})
    assert restorer.fingerprint in _plan("AO", contents=other).stages


def test_another_data_set_can_be_privileged() -> None:
    data = {"privileged": {"data": {"name": "streets"}, "split": "train"}}
    (restorer,) = _stages(plan := _plan("RO", restoration=data), "restorer")
    assert plan.stages[restorer.inputs["originals"]].params["content"] == "d"
    extra = Contents({"train": "a", "val": "b", "extra": "e"})
    split = {"privileged": {"split": "extra"}}
    (restorer,) = _stages(plan := _plan("RO", contents=extra, restoration=split), "restorer")
    assert plan.stages[restorer.inputs["originals"]].params["content"] == "e"


def test_a_restorer_is_trained_per_operating_point_or_over_their_range() -> None:
    codecs = {"codecs": ["jpeg:quality=5,10", "webp:quality=10"]}
    groups = {"privileged": {"groups": ["drive"]}}
    single = _plan("RO", **codecs, restoration=groups)
    ranged = _plan("RO", **codecs, restoration=groups | {"range": True})
    assert single.count("restorer") == 3
    assert ranged.count("restorer") == 2
    assert ranged.count("restore") == single.count("restore") == 3
    jpeg = next(s for s in _stages(ranged, "restorer") if "compressed 1" in s.inputs)
    specs = {ranged.stages[jpeg.inputs[f"compressed {i}"]].params["codec"] for i in (0, 1)}
    assert specs == {"jpeg:quality=5", "jpeg:quality=10"}


def test_a_lossless_point_is_neither_restored_nor_mixed() -> None:
    plan = _plan("CO", "RO", "o+cO@50%", "oO@50%", codecs=["png", "jpeg:quality=5"])
    names = [(run.configuration, run.train_codec) for run in plan.runs]
    assert names == [
        ("CO", "png"),
        ("CO", "jpeg:quality=5"),
        ("RO", "jpeg:quality=5"),
        ("o+cO@50%", "jpeg:quality=5"),
        ("oO@50%", "png"),
    ]


def test_a_named_restorer_is_used() -> None:
    plan = _plan("RO", "RO(plain)", restoration={"overlap": "allow"})
    assert [run.restorer for run in plan.runs] == ["tiny", "plain"]
    kinds = {s.params["restorer"]["generator"]["kind"] for s in _stages(plan, "restorer")}
    assert kinds == {"finenet", "rdn"}


def test_restorers_are_shared_by_the_seeds_of_a_study() -> None:
    plan = _plan("RO", seeds=[0, 1, 2])
    assert plan.count("restorer") == 3
    assert plan.count("train") == 3


def _restorers(contents: Contents = _CONTENTS, **restoration: Any) -> set[str]:
    plan = _plan("RO", contents=contents, restoration=restoration)
    return {stage.fingerprint for stage in _stages(plan, "restorer")}


def test_what_decides_a_restorer_changes_its_fingerprint() -> None:
    tiny = RESTORATION["restorers"]["tiny"]
    training = tiny["training"]

    def changed(**values: Any) -> set[str]:
        return _restorers(restorers={"tiny": tiny | values})

    assert not _restorers() & changed(training=training | {"steps": 3})
    assert not _restorers() & changed(generator=tiny["generator"] | {"width": 5})
    assert not _restorers() & _restorers(seed=1)
    assert _restorers() == changed(training=training | {"checkpoint_seconds": 7})
    assert _restorers() == _restorers(restorers={"renamed": tiny})
    assert not _restorers() & _restorers(Contents({"train": "other", "val": "b"}))


def test_the_weights_of_a_feature_network_count_by_content_where_they_are_used() -> None:
    def restorers(digest: str, path: str, weight: float) -> set[str]:
        tiny = {"preset": "tiny", "features": {"weights": path}, "losses": {"features": weight}}
        contents = Contents(_CONTENTS.splits, feature_weights={"tiny": digest})
        return _restorers(contents, restorers={"tiny": tiny})

    assert restorers("1", "a.pth", 10) == restorers("1", "b.pth", 10)
    assert not restorers("1", "a.pth", 10) & restorers("2", "a.pth", 10)
    assert restorers("1", "a.pth", 0) == restorers("2", "b.pth", 0)


def test_plain_configurations_do_not_notice_the_section() -> None:
    plain = validate(
        StudySettings,
        {k: v for k, v in RESTORED.items() if k != "restoration"}
        | {"configurations": ["OO", "CO", "CC"]},
        "test",
    )
    assert set(make_plan(plain, _CONTENTS).stages) == set(_plan("OO", "CO", "CC").stages)


def test_a_plan_with_restoration_survives_being_written_down() -> None:
    plan = make_plan(_settings(RESTORED["configurations"]), _CONTENTS)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    seen: set[str] = set()
    for name, stage in plan.stages.items():
        assert set(stage.inputs.values()) <= seen
        seen.add(name)
