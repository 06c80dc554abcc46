"""Which stages a study needs, and which of them configurations share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from study_examples import RESTORED, write_study

from ratewise.study import graph, planner
from ratewise.study.graph import Contents
from ratewise.study.plan import Plan, Stage
from ratewise.study.planner import make_plan
from ratewise.study.settings import Study, StudySettings
from ratewise.validation import validate

_CONTENTS = Contents({"train": "a", "val": "b"})


def _settings(base: StudySettings, **changes: object) -> StudySettings:
    return validate(StudySettings, base.model_dump(mode="json") | changes, "test")


_FOUR = ["OO", "CO", "OC", "CC"]


def _kinds(plan: Plan) -> dict[str, int]:
    return {kind: plan.count(kind) for kind in ("prepare", "compress", "train", "evaluate")}


def test_configurations_share_stages(miniature_study: Study) -> None:
    plan = make_plan(_settings(miniature_study.settings, configurations=_FOUR), _CONTENTS)
    assert _kinds(plan) == {"prepare": 2, "compress": 2, "train": 2, "evaluate": 4}
    trained = {run.configuration: run.train for run in plan.runs}
    assert trained["CO"] == trained["CC"]
    assert trained["OO"] == trained["OC"]
    assert trained["OO"] != trained["CO"]


def test_the_reference_is_run_once_however_many_codecs_there_are(miniature_study: Study) -> None:
    changes = {"configurations": _FOUR, "codecs": ["jpeg:quality=5,10,20"]}
    settings = _settings(miniature_study.settings, **changes)
    plan = make_plan(settings, _CONTENTS)
    assert [run.configuration for run in plan.runs].count("OO") == 1
    assert _kinds(plan) == {"prepare": 2, "compress": 6, "train": 4, "evaluate": 10}


def test_a_study_of_originals_compresses_nothing(miniature_study: Study) -> None:
    plan = make_plan(_settings(miniature_study.settings, configurations=["OO"]), _CONTENTS)
    assert _kinds(plan) == {"prepare": 2, "compress": 0, "train": 1, "evaluate": 1}


def test_seeds_and_shares_are_trainings_of_their_own(miniature_study: Study) -> None:
    settings = _settings(
        miniature_study.settings, configurations=["OO", "OO#50%", "OO#25%"], seeds=[0, 1]
    )
    assert make_plan(settings, _CONTENTS).count("train") == 6


def test_the_two_sides_may_use_different_codecs(miniature_study: Study) -> None:
    pair = {"train": "jpeg:quality=5", "test": "webp:quality=50"}
    plan = make_plan(_settings(miniature_study.settings, configurations=[pair]), _CONTENTS)
    (run,) = plan.runs
    assert (run.configuration, run.train_codec, run.test_codec) == ("CC", *pair.values())
    assert _kinds(plan) == {"prepare": 2, "compress": 2, "train": 1, "evaluate": 1}


def test_stages_come_after_their_inputs(miniature_study: Study) -> None:
    seen: set[str] = set()
    for name, stage in make_plan(miniature_study.settings, _CONTENTS).stages.items():
        assert set(stage.inputs.values()) <= seen
        seen.add(name)


def test_what_decides_a_result_changes_its_fingerprint(miniature_study: Study) -> None:
    def trainings(settings: StudySettings, contents: Contents = _CONTENTS) -> set[str]:
        stages = make_plan(settings, contents).stages.values()
        return {stage.fingerprint for stage in stages if stage.kind == "train"}

    base = miniature_study.settings
    task = base.model_dump(mode="json")["task"]
    longer = task | {"training": task["training"] | {"epochs": 3}}
    elsewhere = task | {"training": task["training"] | {"checkpoint_seconds": 7}}
    assert not trainings(base) & trainings(base, Contents({"train": "other", "val": "b"}))
    assert trainings(base) == trainings(base, Contents({"train": "a", "val": "other"}))
    assert not trainings(base) & trainings(_settings(base, task=longer))
    assert trainings(base) == trainings(_settings(base, task=elsewhere))
    assert trainings(base) == trainings(_settings(base, name="renamed"))
    assert not trainings(base) & trainings(_settings(base, prepare={"resize": [32, 32]}))


_PINNED = {
    "prepare train": "0b3ca3eb08e7b9e706f8cc52eb292d97411d224d681ae5832356cb02c4c7daff",
    "prepare val": "46319b4babe30f0476281b38c671a8d30eb0f92bbdfc61375b7076d19d8a72be",
    "train segmentation on originals, seed 0": (
        "281d7f7eaeb6804dc84ab638aaf1f5abc86a0b6205a94a79d214aa145a286182"
    ),
    "segmentation on originals, seed 0, on originals": (
        "5bb173af208c68054f2f9cd1ec0ad5e82b4f9b9c7e0945cc9faa67868f4c7fff"
    ),
    "compress train with jpeg:quality=5": (
        "fcbb7546fb2fd68aacc93d6fa4c0426104d439d4bad7e939f46a9d1aa243350d"
    ),
    "train segmentation on jpeg:quality=5, seed 0": (
        "ebbd7d6d9e0a21e60dfbd553968d897cf67bf32f953c0d86ed9d48f772300894"
    ),
    "segmentation on jpeg:quality=5, seed 0, on originals": (
        "6fb4c3474b344191b89c1d9477c0352876ae80f465786aa72e1054cafc6de788"
    ),
    "compress val with jpeg:quality=5": (
        "7bbb9a2474f3bce3ccc8d47b1248e5cfca5b88ebf76c6fcefe6c2d1cd4cf4e05"
    ),
    "segmentation on originals, seed 0, on jpeg:quality=5": (
        "ff0644ace9b754759245673a8d86e9863b53034e1371f2cdac18a91a43fde2c3"
    ),
    "segmentation on jpeg:quality=5, seed 0, on jpeg:quality=5": (
        "a80afdc5f209b13040c57e83e39ff693099b20cc52104ce3d0ece7d1804c39aa"
    ),
    "train segmentation on jpeg:quality=5#50%, seed 0": (
        "c3fb788beb1f04b66a52b2b7b915669838638d54b35685a70026acb817248afa"
    ),
    "segmentation on jpeg:quality=5#50%, seed 0, on originals": (
        "bf228113280f8ab9313d7f8117fcb9d7eba20fda5768677485f820c4af838d6f"
    ),
}
"""The stages of the miniature, with library versions taken out, from before there was
restoration: a cache that was filled then still counts."""


def test_stages_of_old_studies_keep_their_fingerprints(
    miniature_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = SimpleNamespace(codec=lambda spec: SimpleNamespace(fingerprint=f"of {spec}"))
    monkeypatch.setattr(graph, "codecs", stand_in)
    monkeypatch.setattr(planner, "library_version", lambda name: "1")
    stages = make_plan(miniature_study.settings, _CONTENTS).stages
    assert {stage.title: name for name, stage in stages.items()} == _PINNED


def test_an_earlier_plan_file_can_be_read(miniature_study: Study) -> None:
    plan = make_plan(miniature_study.settings, _CONTENTS)
    earlier = plan.to_json()
    for run in earlier["runs"]:
        del run["restorer"]
    assert Plan.from_json(earlier) == plan


def test_a_title_is_no_part_of_a_fingerprint() -> None:
    assert Stage("train", "a", {"x": 1}).fingerprint == Stage("train", "b", {"x": 1}).fingerprint
    assert Stage("train", "a", {"x": 1}).fingerprint != Stage("train", "a", {"x": 2}).fingerprint


def test_a_plan_survives_being_written_down(miniature_study: Study) -> None:
    plan = make_plan(miniature_study.settings, _CONTENTS)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_planning_imports_neither_torch_nor_timm(tmp_path: Path) -> None:
    study = write_study(tmp_path, RESTORED)
    code = (
        "import sys; from pathlib import Path; import ratewise.study.engine as e;"
        "from ratewise.study.settings import load_study;"
        f"e.plan_study(load_study({str(study)!r}), Path({str(tmp_path / 'out')!r}));"
        "print(sorted({'torch', 'timm', 'torchvision', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
