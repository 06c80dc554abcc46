"""Which stages a study needs, and which of them configurations share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ratewise.study.plan import Plan, Stage, make_plan
from ratewise.study.settings import Study, StudySettings
from ratewise.validation import validate

_CONTENTS = {"train": "a", "val": "b"}


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
    def trainings(settings: StudySettings, contents: dict[str, str] = _CONTENTS) -> set[str]:
        stages = make_plan(settings, contents).stages.values()
        return {stage.fingerprint for stage in stages if stage.kind == "train"}

    base = miniature_study.settings
    task = base.model_dump(mode="json")["task"]
    longer = task | {"training": task["training"] | {"epochs": 3}}
    elsewhere = task | {"training": task["training"] | {"checkpoint_seconds": 7}}
    assert not trainings(base) & trainings(base, {"train": "other", "val": "b"})
    assert trainings(base) == trainings(base, {"train": "a", "val": "other"})
    assert not trainings(base) & trainings(_settings(base, task=longer))
    assert trainings(base) == trainings(_settings(base, task=elsewhere))
    assert trainings(base) == trainings(_settings(base, name="renamed"))
    assert not trainings(base) & trainings(_settings(base, prepare={"resize": [32, 32]}))


def test_a_title_is_no_part_of_a_fingerprint() -> None:
    assert Stage("train", "a", {"x": 1}).fingerprint == Stage("train", "b", {"x": 1}).fingerprint
    assert Stage("train", "a", {"x": 1}).fingerprint != Stage("train", "a", {"x": 2}).fingerprint


def test_a_plan_survives_being_written_down(miniature_study: Study) -> None:
    plan = make_plan(miniature_study.settings, _CONTENTS)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_planning_imports_neither_torch_nor_timm(miniature: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import ratewise.study.engine as e;"
        "from ratewise.study.settings import load_study;"
        f"e.plan_study(load_study({str(miniature)!r}), Path({str(tmp_path / 'out')!r}));"
        "print(sorted({'torch', 'timm', 'torchvision', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
