"""The paper-scale study files: each runs on a made-up miniature of the data that it is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch
import yaml
from paper_layouts import make_layouts

from ratewise.data.store import open_store
from ratewise.errors import InputError
from ratewise.execution import Resources
from ratewise.images import read_image
from ratewise.joint.run import train_joint
from ratewise.joint.settings import JointTrainingSettings
from ratewise.neural.models import Architecture
from ratewise.neural.weights import pack
from ratewise.study.engine import PlannedStudy, plan_study, run_study
from ratewise.study.outputs import STORE
from ratewise.study.results import read_results
from ratewise.study.settings import Study, load_study
from ratewise.training.weights import save_weights
from ratewise.validation import validate

PAPER = Path(__file__).parents[2] / "configs" / "paper"
EXPERTS = ("expert-mnasnet", "expert-resnet50")
"""The expert-training paper's; the others are the driving paper's."""
JOINT = "joint-cityscapes"
"""No study: it trains joint codecs."""

FILES = ("cityscapes-bpg", "cityscapes-msh", "inria", "semantic-drone")
DATA = {
    "cityscapes-bpg": "cityscapes",
    "cityscapes-msh": "cityscapes",
    "inria": "inria",
    "semantic-drone": "semantic_drone",
}
SMALL = {
    "cityscapes-bpg": {"codecs": ["bpg:qp=43"]},
    "cityscapes-msh": {  # what it shares with the file above runs there
        "codecs": ["msh:weights={folder}/msh.safetensors"],
        "configurations": ["OO", "CO", "AO", "o+rO@12.5%"],
    },
    "inria": {"prepare.tile": [64, 48], "codecs": ["bpg:qp=43"]},
    "semantic-drone": {
        "prepare.resize": [80, 56],
        "prepare.tile": [48, 32],
        "prepare.grid": [2, 2],
        "codecs": ["msh:weights={folder}/msh.safetensors"],
    },
}
TASK = {
    "encoder": "tu-mobilenetv3_small_050",
    "encoder_weights": None,
    "decoder_options.decoder_channels": 8,
    "augmentation.crop": [64, 48],
    "training.steps": 1,
    "training.batch_size": 2,
    "training.workers": 0,
    "training.device": "cpu",
}
FINENET = {
    "generator.width": 4,
    "generator.blocks": 1,
    "generator.downsamplings": 1,
    "discriminators.width": 4,
    "patch": 176,
    "features.backbone": "mobilenetv3_small_050",
    "features.blocks": 2,
    "features.weights": "{folder}/features.safetensors",
}
RDN = {
    "generator.width": 4,
    "generator.blocks": 1,
    "generator.layers": 1,
    "generator.growth": 4,
    "patch": 176,
}
ONE_STEP = {"training.steps": 1, "training.device": "cpu", "validation": 0}

Load = Callable[..., Study]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets in miniature, weights of a small codec and of a small network for features."""
    made = tmp_path_factory.mktemp("paper")
    make_layouts(made / "data")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = Architecture("msh", 4, 6).build().eval()
        backbone = timm.create_model("mobilenetv3_small_050")
    images = sorted((made / "data" / "ford").iterdir())
    pack(codec, [read_image(path) for path in images]).save(made / "msh.safetensors")
    save_weights(made / "features.safetensors", backbone)
    return made


@pytest.fixture(scope="module")
def load(folder: Path) -> Load:
    """Loads a study file with all that is large in it made small."""

    def loaded(name: str, **more: object) -> Study:
        data = {"data.root": str(folder / "data" / DATA[name])}
        changes: dict[str, object] = {**data, **SMALL[name]}
        changes |= {f"task.{key}": value for key, value in TASK.items()}
        restorers = {"finenet": FINENET}
        if name.startswith("cityscapes"):
            restorers |= {"rdn_psnr": RDN, "rdn_ms_ssim": RDN}
            auxiliary = {"name": "folder", "root": str(folder / "data" / "ford")}
            changes["restoration.auxiliary.data"] = auxiliary
        for restorer, values in restorers.items():
            start = f"restoration.restorers.{restorer}"
            changes |= {f"{start}.{key}": value for key, value in {**values, **ONE_STEP}.items()}
        texts = {key: json.dumps(value) for key, value in (changes | more).items()}
        filled = {key: text.replace("{folder}", str(folder)) for key, text in texts.items()}
        return load_study(PAPER / f"{name}.yaml", filled)

    return loaded


def test_every_file_is_tried() -> None:
    tried = {*FILES, *EXPERTS, JOINT}
    assert {path.stem for path in PAPER.iterdir()} == tried


@pytest.mark.parametrize("name", FILES)
def test_every_stage_of_a_paper_study_runs(name: str, load: Load, tmp_path: Path) -> None:
    study = load(name)
    planned = plan_study(study, tmp_path / "out")
    run_study(planned, resources=Resources(1), quiet=True)
    table = read_results(planned.folder)
    spelled = [run.configuration for run in planned.plan.runs]
    assert len(table) == len(spelled)
    assert set(spelled) == set(study.settings.configurations)
    assert table.miou.between(0, 1).all()
    # FineNet's restorers saw the privileged set, which no model of the task is trained on
    assert (table[table.train_channel == "R"].restorer_overlap == 0).all()
    if name == "semantic-drone":
        record = open_store(_first(planned) / STORE).records[0]
        assert (record.width, record.height) == (48, 32)


def test_every_codec_of_the_papers_joint_training_is_made_and_measured(
    folder: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load((PAPER / f"{JOINT}.yaml").read_text())
    values["data"]["root"] = str(folder / "data" / "cityscapes")
    values["pictures"] = [{"root": str(folder / "data" / "ford")}]
    values["prepare"]["resize"] = [80, 48]
    values["architecture"] |= {"N": 4, "M": 6, "S": 8, "K": 4, "hyper": 4}
    values["architecture"]["enhancement"] = {"width": 4, "blocks": 1}
    values["lambdas"] = [2048]
    values["augmentation"]["crop"] = [64, 48]
    values["training"] |= {"steps": 1, "batch_size": 2, "device": "cpu"}

    made = train_joint(validate(JointTrainingSettings, values, JOINT), tmp_path, quiet=True)

    bitstreams = ["B+Q+A", "B+Q+A-plain", "B+Q", "compression"]
    assert [path.name for path in made] == [f"{name}-2048.safetensors" for name in bitstreams]
    table = pd.read_csv(tmp_path / "segmentation.csv")
    assert set(table.variant) == {"B+Q+A", "B+Q+A-plain", "B+Q", "B+A", "B"}
    assert table.miou.between(0, 1).all()
    assert set(pd.read_csv(tmp_path / "pictures.csv").variant) == set(bitstreams)


def _first(planned: PlannedStudy) -> Path:
    return planned.cache.folder(next(iter(planned.plan.stages.values())))


def test_the_files_say_what_the_paper_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in ("cityscapes", "inria", "semantic-drone"):
        for number in (1, 2, 3, 4):
            weights = folder / f"runs/msh-{data}/{number}/quality-1.safetensors"
            weights.parent.mkdir(parents=True)
            weights.write_bytes((folder / "msh.safetensors").read_bytes())
    monkeypatch.chdir(folder)
    for name in FILES:
        settings = load_study(PAPER / f"{name}.yaml").settings
        assert len(settings.codecs) == (4 if name.startswith("cityscapes") else 8)
        assert {"OO", "CO", "CC", "OC", "RO", "OR"} <= set(settings.configurations)
        assert settings.task.output_stride == 16
        assert settings.restoration is not None
        finenet = settings.restoration.restorers["finenet"]
        assert finenet.training.steps == 135_000
        losses = finenet.losses
        assert (losses.adversarial, losses.l1, losses.features) == (1, 20, 10)
        assert (losses.ms_ssim, losses.matching) == (10, 10)
        assert settings.restoration.original_weight == 5


def test_the_residual_is_not_normalised_unless_asked_for(load: Load) -> None:
    for name in FILES:
        for changes, expected in (({}, False), ({_NORM: True}, True)):
            restoration = load(name, **changes).settings.restoration
            assert restoration is not None
            generator = restoration.restorers["finenet"].generator
            assert generator.kind == "finenet"
            assert generator.output_norm is expected


_NORM = "restoration.restorers.finenet.generator.output_norm"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("data.root", "nowhere", "nowhere: no such folder"),
        (
            "restoration.auxiliary.data",
            {"name": "folder", "root": "no-ford"},
            "no-ford: no such folder",
        ),
        (
            "restoration.restorers.finenet.features.weights",
            "no-vgg.pth",
            "restoration.restorers.finenet.features.weights: ",
        ),
    ],
)
def test_what_a_user_has_to_bring_is_missed_in_one_sentence(
    key: str, value: object, sentence: str, load: Load, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as raised:
        plan_study(load("cityscapes-bpg", **{key: value}), tmp_path / "out")
    assert sentence in str(raised.value)
    assert "no such f" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_weights_of_a_codec_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"runs/msh-cityscapes/1/quality-1\.safetensors: no such"):
        load_study(PAPER / "cityscapes-msh.yaml")
