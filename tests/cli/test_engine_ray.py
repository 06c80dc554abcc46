"""``--engine ray``: every command that maps over images gives what it gives locally."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ratewise.cli.main import app
from ratewise.images import write_png

TASK = """
name: tiny
data: {name: streets, train: 2, val: 1, width: 64, height: 48}
codec: jpeg:quality=20
task:
  architecture: Unet
  encoder: tu-test_resnet
  decoder_options: {decoder_channels: [16, 8, 8, 4, 4]}
  training: {steps: 1, batch_size: 2, device: cpu, precision: fp32}
"""
RESTORER = """
name: tiny
images: [{root: photos}]
codecs: ["jpeg:quality=20"]
restorer:
  preset: rdn-small
  patch: 32
  validation: 1
  training: {steps: 1, batch_size: 1, device: cpu, precision: fp32}
"""
ON_RAY = ("--engine", "ray", "--workers", "2")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """A Ray of our own for all commands."""
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    from ratewise.execution import Resources
    from ratewise.execution.cluster import connect

    connect(Resources(2, "ray"))
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, a store of them, a model."""
    folder = tmp_path_factory.mktemp("ray")
    rng = np.random.default_rng(0)
    for number in range(6):
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        write_png(folder / f"photos/{number}.png", np.kron(coarse, np.ones((8, 8, 1), np.uint8)))
    (folder / "task.yaml").write_text(TASK)
    (folder / "restorer.yaml").write_text(RESTORER)
    _run("task", "train", folder / "task.yaml", "--out", folder / "model", "--workers", 1)
    _run("restorer", "train", folder / "restorer.yaml", "--out", folder / "restorer", "-j", 1)
    _run("store", "compress", folder / "photos", folder / "webps", "--codec", "webp:quality=30")
    return folder


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments), "--quiet"])
    assert result.exit_code == 0, result.output
    return result.stdout


def _files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


@pytest.mark.parametrize(
    "command",
    [
        ("store", "compress", "photos", "OUT", "--codec", "jpeg:quality=20"),
        ("store", "compress", "photos", "OUT", "--codec", "jpeg:quality=20", "--shard-images", 2),
        ("store", "compress", "photos", "OUT", "-c", "jpeg:quality=10,30,60", "--budget", 6000),
        ("store", "decompress", "webps", "OUT"),
        ("store", "restore", "webps", "OUT", "--restorer", "restorer/restorer.safetensors"),
    ],
    ids=["compress", "shards", "budget", "decompress", "restore"],
)
def test_a_command_leaves_the_same_files(
    folder: Path, tmp_path: Path, command: tuple[object, ...]
) -> None:
    for name, options in (("local", ("--workers", 2)), ("ray", ON_RAY)):
        names = {"OUT": tmp_path / name}
        paths = [names.get(str(a), a) for a in command]
        paths = [folder / str(a) if (folder / str(a)).exists() else a for a in paths]
        _run(*paths, *options)
    assert _files(tmp_path / "ray") == _files(tmp_path / "local")


def test_verify_finds_damage(folder: Path, tmp_path: Path) -> None:
    _run("store", "compress", folder / "photos", tmp_path / "s", "--codec", "png", *ON_RAY)
    _run("store", "verify", tmp_path / "s", *ON_RAY)
    (tmp_path / "s/3.png").write_bytes(b"x")
    result = CliRunner().invoke(app, ["store", "verify", str(tmp_path / "s"), *ON_RAY])
    assert result.exit_code == 1
    assert "3.png: has 1 bytes" in result.stderr


def test_a_bench_measures_the_same(folder: Path, tmp_path: Path) -> None:
    rows = {}
    for name, options in (("local", ()), ("ray", ON_RAY)):
        out = tmp_path / name
        codec = ("--codec", "jpeg:quality=20")
        _run("codec", "bench", folder / "photos", *codec, "--out", out, *options)
        with (out / "images.csv").open() as file:
            rows[name] = [
                {k: v for k, v in row.items() if not k.endswith("_ms")}
                for row in csv.DictReader(file)
            ]
    assert rows["ray"] == rows["local"]
    assert len(rows["ray"]) == 6


def test_predictions_are_the_same(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    model = folder / "model/model.safetensors"
    lines = {}
    for name, options in (("local", ()), ("ray", (*ON_RAY, "--batch-size", "2"))):
        command = ["task", "predict", model, folder / "webps", tmp_path / "bad.jpg", "--quiet"]
        masks = ["--masks", tmp_path / name]
        result = CliRunner().invoke(app, [*map(str, [*command, *masks]), *options])
        assert result.exit_code == 1  # of the bad file
        lines[name] = [json.loads(line) for line in result.stdout.splitlines()]
        for line in lines[name]:
            line.pop("mask", None)
    assert lines["ray"] == lines["local"]
    assert [("error" in line) for line in lines["ray"]] == [False] * 6 + [True]
    assert _files(tmp_path / "ray") == _files(tmp_path / "local")
