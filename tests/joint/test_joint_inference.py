"""``ratewise task predict`` with a joint codec: maps from its files, errors file by file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from joint_examples import SMALL, make_packed, make_picture
from typer.testing import CliRunner

from ratewise.cli.main import app
from ratewise.images import read_mask, write_png
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.coder import JointCoder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joint") / "small.safetensors"
    make_packed().save(path)
    return path


def predict(*arguments: object) -> tuple[int, list[dict[str, object]], str]:
    result = CliRunner().invoke(app, ["task", "predict", *map(str, arguments), "--quiet"])
    return (
        result.exit_code,
        [json.loads(line) for line in result.stdout.splitlines()],
        result.stderr,
    )


def test_maps_are_read_from_files_and_bad_files_are_named(weights: Path, tmp_path: Path) -> None:
    coder = JointCoder(make_packed())
    pictures = [make_picture(i, *size) for i, size in enumerate([(32, 48), (32, 48), (16, 16)])]
    files = coder.encode(pictures)
    folder = tmp_path / "files"
    folder.mkdir()
    for i, data in enumerate(files):
        (folder / f"{i}.rwj").write_bytes(data)
    (folder / "3.rwj").write_bytes(files[0][:40])
    write_png(folder / "4.png", pictures[0])

    code, lines, _ = predict(weights, folder, "--masks", tmp_path / "masks")

    assert code == 1  # two files could not be predicted on
    assert [Path(str(line["file"])).name for line in lines] == [f"{i}.rwj" for i in range(4)] + [
        "4.png"
    ]
    for i in range(3):
        mask = read_mask(Path(str(lines[i]["mask"])))
        assert np.array_equal(mask, coder.predict([files[i]])[0])
        assert lines[i]["codec"] == "joint"
        assert sum(lines[i]["classes"].values()) == pytest.approx(1, abs=1e-4)  # type: ignore[attr-defined]
    assert "cut short" in str(lines[3]["error"])
    assert "3.rwj" in str(lines[3]["error"])
    assert "not a file of a joint codec" in str(lines[4]["error"])


def test_there_is_no_picture_to_prepare(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a.rwj").write_bytes(b"RWJ")

    code, _, said = predict(weights, tmp_path / "a.rwj", "--crop", "16x16")

    assert code == 2
    assert "maps are read from its files" in said


def test_a_codec_that_does_not_segment_is_refused(tmp_path: Path) -> None:
    values = {**SMALL.to_json(), "segmentation": False, "enhancement": None}
    make_packed(JointArchitecture(**values)).save(tmp_path / "plain.safetensors")
    (tmp_path / "a.rwj").write_bytes(b"RWJ")

    code, _, said = predict(tmp_path / "plain.safetensors", tmp_path / "a.rwj")

    assert code == 2
    assert "does not segment" in said
