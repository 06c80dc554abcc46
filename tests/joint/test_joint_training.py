"""``ratewise codec train`` of ``kind: joint``: variants trained, packed, measured; resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from ratewise import codecs
from ratewise.cli.main import app
from ratewise.errors import InputError
from ratewise.images import read_image, write_png
from ratewise.joint import bitstream, trainings
from ratewise.joint.bitstream import JointFile
from ratewise.joint.cells import cells
from ratewise.joint.measures import with_other_maps
from ratewise.joint.network import JointModel
from ratewise.joint.objective import MutualEnhancement
from ratewise.joint.run import train_joint
from ratewise.joint.samples import WithPhotographs
from ratewise.joint.semantic_half import SemanticFirst, SemanticHalf
from ratewise.joint.settings import JointTrainingSettings
from ratewise.metrics.distortion import psnr
from ratewise.neural.models import Architecture
from ratewise.tasks.segmentation_settings import AugmentationSettings
from ratewise.training.loop import fit
from ratewise.training.weights import save_weights
from ratewise.validation import validate

from joint_examples import make_picture  # isort: skip

TINY = {
    "kind": "joint",
    "name": "tiny",
    "data": {"name": "streets", "train": 3, "val": 2, "width": 96, "height": 64},
    "architecture": {
        "N": 8,
        "M": 8,
        "S": 8,
        "K": 4,
        "hyper": 4,
        "enhancement": {"width": 4, "blocks": 1},
    },
    "lambdas": [256],
    "variants": [
        {"name": "B+Q+A"},
        {"name": "B", "aggregation": False, "quantisation": False, "enhancement": False},
        {"name": "compression", "segmentation": False},
    ],
    "augmentation": {"crop": [64, 64]},
    "training": {"steps": 2, "batch_size": 2},
}


def settings(**changes: object) -> JointTrainingSettings:
    return validate(JointTrainingSettings, {**TINY, **changes}, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("joint-run")


@pytest.fixture(scope="module")
def pictures(folder: Path) -> Path:
    for i in range(2):
        write_png(folder / "pictures" / f"{i}.png", make_picture(i, 48, 80))
    return folder / "pictures"


@pytest.fixture(scope="module")
def trained(folder: Path, pictures: Path) -> Path:
    settings_file = folder / "tiny.yaml"
    values = {
        **TINY,
        "photographs": [{"root": str(pictures), "repeat": 2}],
        "pictures": [{"root": str(pictures)}],
    }
    settings_file.write_text(yaml.safe_dump(values))
    out = folder / "out"
    arguments = ["codec", "train", str(settings_file), "--out", str(out), "--json", "--quiet"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    names = [Path(one["weights"]).name for one in json.loads(result.stdout)]
    assert names == ["B+Q+A-256.safetensors", "compression-256.safetensors"]
    return out


def test_each_variant_is_measured(trained: Path) -> None:
    maps = pd.read_csv(trained / "segmentation.csv")
    pictures = pd.read_csv(trained / "pictures.csv")

    assert list(maps.variant) == ["B+Q+A", "B"]
    modules = ["aggregation", "quantisation", "enhancement"]
    assert maps[modules].to_numpy().tolist() == [[True] * 3, [False] * 3]
    assert maps.miou.between(0, 1).all()
    assert {"iou:road", "pixel_accuracy", "miou_categories"} <= set(maps.columns)
    rows = list(zip(pictures.variant, pictures.images, strict=True))
    assert rows == [
        ("B+Q+A", "test"),
        ("B+Q+A", "pictures"),
        ("compression", "test"),
        ("compression", "pictures"),
    ]
    compression = pictures[pictures.variant == "compression"]
    assert (compression.bpp_semantic == 0).all()
    assert not compression[modules].to_numpy().any()
    assert (pictures.bpp > pictures.bpp_semantic + pictures.bpp_image).all()  # and the header


def test_the_maps_share_of_the_gain_is_measured_with_another_map(trained: Path) -> None:
    pictures = pd.read_csv(trained / "pictures.csv").set_index(["variant", "images"])
    codec = codecs.codec(f"joint:weights={trained / 'B+Q+A-256.safetensors'}")
    images = [read_image(path) for path in sorted((trained.parent / "pictures").glob("*.png"))]
    first, second = (bitstream.read(codec.encode(image)) for image in images)
    swapped = [replace(first, semantic=second.semantic), replace(second, semantic=first.semantic)]

    found = [psnr(i, codec.decode(f.to_bytes())) for i, f in zip(images, swapped, strict=True)]

    assert pictures.psnr_other_map["B+Q+A", "pictures"] == pytest.approx(sum(found) / 2, abs=1e-3)
    assert pd.isna(pictures.psnr_other_map["compression", "pictures"])


def test_a_file_gets_the_map_of_another_one_of_its_size() -> None:
    def file(semantic: bytes, width: int) -> bytes:
        return JointFile(b"1234", width, 9, semantic, b"image").to_bytes()

    files = [file(b"a", 8), file(b"bb", 8), file(b"c", 5), file(b"d", 8)]
    assert with_other_maps(files) == [file(b"bb", 8), file(b"d", 8), None, file(b"a", 8)]


def test_what_was_measured_is_what_the_codec_does(trained: Path) -> None:
    codec = codecs.codec(f"joint:weights={trained / 'B+Q+A-256.safetensors'}")
    pictures = pd.read_csv(trained / "pictures.csv")
    row = pictures[(pictures.variant == "B+Q+A") & (pictures.images == "pictures")].iloc[0]
    images = [read_image(path) for path in sorted((trained.parent / "pictures").glob("*.png"))]

    bpp = [8 * len(codec.encode(one)) / (one.shape[0] * one.shape[1]) for one in images]

    assert row.bpp == pytest.approx(sum(bpp) / len(bpp), rel=1e-4)


def test_a_second_call_makes_nothing_anew(trained: Path, pictures: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*.safetensors")}
    again = settings(
        photographs=[{"root": str(pictures), "repeat": 2}], pictures=[{"root": str(pictures)}]
    )

    train_joint(again, trained, quiet=True)

    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*.safetensors")} == before


def test_the_images_codec_starts_from_given_weights(tmp_path: Path) -> None:
    start = Architecture("msh", 8, 8).build()
    save_weights(tmp_path / "start.safetensors", start, {})
    chosen = settings(
        start="start.safetensors",
        variants=[{"name": "compression", "segmentation": False}],
        optimiser={"kind": "adam", "lr": 1e-12},
    )

    (path,) = train_joint(chosen, tmp_path / "out", base=tmp_path, quiet=True)

    codec = codecs.codec(f"joint:weights={path}")
    trained = codec.coder().model.floats["image.g_a.0.weight"]  # type: ignore[attr-defined]
    assert trained.allclose(start.g_a[0].weight.detach(), atol=1e-6)


def test_a_study_predicts_from_its_files(trained: Path, tmp_path: Path) -> None:
    import ratewise

    weights = trained / "B+Q+A-256.safetensors"
    study = {
        "name": "joint-study",
        "data": TINY["data"],
        "task": {"architecture": "ERFNet", "training": {"steps": 1, "batch_size": 2}},
        "codecs": [f"joint:weights={weights}"],
        "configurations": ["OC"],
        "recipes": [{"kind": "bitstream"}, {"kind": "bitstream", "part": "semantic"}],
    }
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study))

    rows = ratewise.run(file, tmp_path / "out", quiet=True)

    maps = pd.read_csv(trained / "segmentation.csv").iloc[0]
    whole, semantic = (rows[rows.recipe == name].iloc[0] for name in rows.recipe)
    assert whole.miou == pytest.approx(
        maps.miou, abs=0.02
    )  # coded one by one there, in a batch here
    assert semantic.miou == whole.miou
    assert semantic.test_bpp < whole.test_bpp


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"start": ["msh:quality=1", "msh:quality=2"]}, "start has 2 entries for 1 lambdas"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "two variants have one name"),
        ({"variants": [{"name": "a", "lambdas": [7]}]}, "lambda 7 is none of lambdas"),
        ({"variants": [{"name": "a", "seeds": [1, 1]}]}, "variant a: one of its seeds"),
        ({"variants": [{"name": "a-seed1"}]}, "'a-seed1' ends as the files of another seed do"),
        ({"seeds": [0, 0]}, "seeds: one of them is there twice"),
        (
            {"semantic_first": {"training": {"steps": 1, "seed": 1}}},
            "seed is set in training, for all phases",
        ),
        ({"lambda": 3}, "unknown key 'lambda'"),
        ({"variants": [{"name": "a", "enhancement": True}]}, "enhancement"),
        ({"photographs": [{"root": "x"}], "augmentation": {}}, "set augmentation.crop"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        settings(**changes)


def test_a_start_of_other_widths_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="N = 64, M = 96; the architecture here has N = 8"):
        train_joint(settings(start="msh:quality=1"), tmp_path, quiet=True)
    assert not (tmp_path / "training").exists()


def test_a_missing_start_of_any_variant_is_named_before_training(tmp_path: Path) -> None:
    save_weights(tmp_path / "msh-mine.safetensors", Architecture("msh", 8, 8).build(), {})
    chosen = settings(
        lambdas=[256, 512],
        start=["msh-mine.safetensors", "gone.safetensors"],
        variants=[{"name": "a", "lambdas": [256]}, {"name": "b"}],
    )

    with pytest.raises(InputError, match=r"gone\.safetensors"):
        train_joint(chosen, tmp_path / "out", base=tmp_path, only=["a"], quiet=True)
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_measures_count_for_the_weights_that_they_are_of(trained: Path, pictures: Path) -> None:
    again = settings(
        photographs=[{"root": str(pictures), "repeat": 2}], pictures=[{"root": str(pictures)}]
    )
    path = trained / "B+Q+A-256.safetensors"
    before = path.read_bytes()
    path.unlink()

    train_joint(again, trained, quiet=True)  # from the finished training

    assert path.read_bytes() == before


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY))
    command = [sys.executable, "-m", "ratewise", "codec", "train", str(file), "--quiet"]
    command += ["--out", str(tmp_path / "out"), "--only"]

    running = [
        subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in ("B", "compression")
    ]

    errors = [one.communicate(timeout=120)[1] for one in running]
    assert [one.returncode for one in running] == [0, 0], errors
    assert (tmp_path / "out" / "B-256-network.safetensors").is_file()
    assert (tmp_path / "out" / "compression-256.safetensors").is_file()


def test_tables_without_rows_have_columns(tmp_path: Path) -> None:
    train_joint(settings(variants=[TINY["variants"][1]]), tmp_path, quiet=True)

    assert pd.read_csv(tmp_path / "pictures.csv").empty
    assert len(pd.read_csv(tmp_path / "segmentation.csv")) == 1


def test_a_misspelled_kind_is_named(tmp_path: Path) -> None:
    file = tmp_path / "joined.yaml"
    file.write_text(yaml.safe_dump({**TINY, "kind": "joined"}))

    result = CliRunner().invoke(app, ["codec", "train", str(file)])

    assert result.exit_code == 2
    assert "kind = 'joined': must be joint" in result.stderr


class _OnePhotograph:
    repeats = (1,)

    def __init__(self, image: np.ndarray) -> None:
        self.image = image

    def fingerprint(self) -> str:
        return ""

    def __len__(self) -> int:
        return 1

    def load(self, index: int) -> np.ndarray:
        return self.image


def test_a_photograph_smaller_than_the_crop_is_not_padded() -> None:
    image = np.full((20, 30, 3), 77, np.uint8)
    labelled: Any = []
    source = WithPhotographs(labelled, _OnePhotograph(image), AugmentationSettings(crop=(64, 48)))

    for seed in range(10):
        assert (source.get(0, np.random.default_rng(seed)).images[0] == 77).all()


def test_an_unknown_variant_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'X' is no variant"):
        train_joint(settings(), tmp_path, only=["X"], quiet=True)


def test_only_is_for_joint_settings(tmp_path: Path) -> None:
    file = tmp_path / "codec.yaml"
    file.write_text("name: x\nimages: [{root: .}]\nlambdas: [1]\neach: {steps: 1}\n")
    arguments = ["codec", "train", str(file), "--only", "B"]

    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert "kind: joint" in result.stderr


def test_the_papers_settings_plan_what_the_paper_has() -> None:
    file = Path(__file__).parents[2] / "configs" / "paper" / "joint-cityscapes.yaml"
    found = validate(JointTrainingSettings, yaml.safe_load(file.read_text()), str(file))

    full = [cell for cell in cells(found) if cell.variant == "B+Q+A"]
    assert [cell.lambda_ for cell in full] == [256, 512, 1024, 2048, 4096, 6144, 8192]
    assert {cell.variant for cell in cells(found)} >= {"B", "B+A", "B+Q", "compression"}
    assert found.optimiser.lr == 1e-4


FIRST = {"semantic_first": {"training": {"steps": 2, "batch_size": 2}}}


def test_variants_share_the_semantic_half_that_is_trained_first(tmp_path: Path) -> None:
    def halves() -> int:
        return len([path for path in (tmp_path / "training").glob("semantic-*") if path.is_dir()])

    plain = {"name": "plain", "enhancement": False}
    exact = {"name": "B+A", "quantisation": False, "enhancement": False}
    train_joint(settings(variants=[{"name": "joint"}, plain, exact], **FIRST), tmp_path, quiet=True)
    assert halves() == 1
    apart = {"name": "B+Q", "aggregation": False, "enhancement": False}
    train_joint(settings(variants=[apart], **FIRST), tmp_path, quiet=True)
    assert halves() == 2


def test_what_is_learned_first_is_where_all_learn_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = {}

    def noted(objective: MutualEnhancement, *rest: Any, title: str, **more: Any) -> Any:
        if isinstance(objective, MutualEnhancement):
            starts[title] = {k: v.clone() for k, v in objective.model.state_dict().items()}
        return fit(objective, *rest, title=title, **more)

    monkeypatch.setattr(trainings, "fit", noted)
    start = Architecture("msh", 8, 8).build()
    save_weights(tmp_path / "start.safetensors", start)
    given = {"start": str(tmp_path / "start.safetensors")}
    exact = {"name": "B+A", "quantisation": False, "enhancement": False}
    variants = [{"name": "joint"}, exact, {"name": "compression", "segmentation": False}]
    train_joint(settings(variants=variants, **given), tmp_path / "at-once", quiet=True)
    before = starts.pop("joint-256")
    train_joint(settings(variants=variants, **given, **FIRST), tmp_path / "first", quiet=True)
    after = starts["joint-256"]
    for key, value in starts["B+A-256"].items():
        assert torch.equal(after[key], value)
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"aggregation", "decoder", "semantic"}
    for key, value in start.state_dict().items():
        assert torch.equal(after[f"image.{key}"], value)


def test_another_seed_is_another_training_of_the_same_codec(tmp_path: Path) -> None:
    chosen = {"variants": [TINY["variants"][0]], **FIRST}
    (plain,) = train_joint(settings(**chosen), tmp_path, quiet=True)
    before = plain.read_bytes()

    first, second = train_joint(settings(**chosen, seeds=[0, 1]), tmp_path, quiet=True)

    assert first == plain
    assert first.read_bytes() == before
    assert second.name == "B+Q+A-seed1-256.safetensors"
    assert second.read_bytes() != before
    assert list(pd.read_csv(tmp_path / "segmentation.csv").seed) == [0, 1]
    alone = settings(**chosen, training={**TINY["training"], "seed": 1})
    (same,) = train_joint(alone, tmp_path / "alone", quiet=True)
    assert load_file(same)["aggregation.enter.weight"].equal(
        load_file(second)["aggregation.enter.weight"]
    )


def test_the_enhancement_module_learns_last_and_alone(tmp_path: Path) -> None:
    chosen = {"variants": TINY["variants"][:1] + TINY["variants"][2:]}
    last = {"optimiser": {"kind": "adam", "lr": 0.01}, "training": {"steps": 2, "batch_size": 2}}
    before = train_joint(settings(**chosen), tmp_path, quiet=True)
    weights = [load_file(path) for path in before]

    after = train_joint(settings(**chosen, enhancement_last=last), tmp_path, quiet=True)

    assert after == before
    joint, compression = (load_file(path) for path in after)
    assert set(compression) == set(weights[1])
    assert all(compression[key].equal(value) for key, value in weights[1].items())
    changed = {key for key, value in weights[0].items() if not joint[key].equal(value)}
    assert changed
    assert {key.removeprefix("float.").split(".")[0] for key in changed} == {"enhancement"}
    # Everything together was not trained again, only the module: in folders beside each other.
    folders = [path for path in (tmp_path / "training").glob("B+Q+A-256-*") if path.is_dir()]
    assert len(folders) == 2


def test_the_map_learns_first_from_a_latent_that_is_not_quantised() -> None:
    model = JointModel(settings().architecture, 11)
    found = SemanticHalf(model)(torch.rand(1, 3, 64, 64))
    assert model.aggregation is not None
    assert model.semantic is not None
    sum(value.sum() for value in found["likelihoods"].values()).backward()
    assert all(parameter.grad is None for parameter in model.aggregation.parameters())
    assert any(parameter.grad is not None for parameter in model.semantic.parameters())
    model.eval()
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(SemanticHalf(model)(x)["logits"], model.logits(x).float())


def test_only_the_semantic_half_learns_first() -> None:
    model = JointModel(settings().architecture, 11)
    given = settings()
    objective = SemanticFirst(
        SemanticHalf(model),
        given.loss,
        lambda logits, batch: logits.float().square().mean(),
        given.optimiser,
        given.optimiser,
    )
    owned = {
        id(parameter)
        for one in objective.optimisers().values()
        for group in one.groups
        for parameter in group.parameters
    }
    for name, parameter in model.named_parameters():
        half = name.split(".")[0] in ("aggregation", "decoder", "semantic")
        assert (id(parameter) in owned) == parameter.requires_grad == half, name
