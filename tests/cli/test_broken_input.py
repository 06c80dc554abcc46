"""What a user can get wrong on the command line ends in a sentence, never in a traceback."""

from __future__ import annotations

import json
import os
import pty
import struct
import subprocess
import sys
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import numpy as np
import pytest
from typer.testing import CliRunner

from ratewise.cli.main import app
from ratewise.images import write_png

_PROGRAM = [sys.executable, "-m", "ratewise"]


def _refused(*arguments: object) -> str:
    """The error of a command that must end with exit code 2."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_png(tmp_path / "photos/0.png", np.full((8, 8, 3), 90, np.uint8))
    return tmp_path / "photos"


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> Path:
    made = [str(photos), str(tmp_path / "s"), "-c", "png", "-j", "1"]
    assert CliRunner().invoke(app, ["store", "compress", *made]).exit_code == 0
    return tmp_path / "s"


def test_files_that_cannot_be_written_are_named(photos: Path, store: Path) -> None:
    inside = photos / "0.png" / "x"  # in a file, so nobody can write it, not even root
    assert "there is no folder" in _refused(
        "codec", "encode", photos / "0.png", inside, "-c", "png"
    )
    long = photos / ("a" * 300)
    assert "name too long" in _refused("codec", "encode", photos / "0.png", long, "-c", "png")
    one = photos / "0.png"
    assert "cannot be made" in _refused("codec", "bench", one, "-c", "png", "-o", inside)
    assert "cannot be written" in _refused("store", "decompress", store, inside, "-j", 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"codec": 5}, "codec"),
        ({"classes": {"names": 3}}, "not the description"),
        ({"x": 1}, "'x'"),
    ],
)
def test_a_damaged_store_json_is_named(
    store: Path, change: dict[str, object], problem: str
) -> None:
    file = store / "store.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    for command in ("info", "verify"):
        assert problem in _refused("store", command, store)
    assert "store.json" in _refused("store", "info", store)


def test_a_damaged_mark_of_decoded_images_is_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/decompressed.json").write_text("{")
    assert "decompressed.json" in _refused("store", "decompress", store, tmp_path / "d", "-j", 1)


def test_a_resize_beyond_the_largest_image_is_refused_before_any_work(
    photos: Path, tmp_path: Path
) -> None:
    arguments = (photos, tmp_path / "x", "-c", "png", "--resize", "60000x60000")
    assert "60000x60000 is more than" in _refused("store", "compress", *arguments)
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full")
def test_a_full_disk_behind_standard_output_is_a_sentence() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*_PROGRAM, "data", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


def test_a_table_fits_a_narrow_terminal(photos: Path, tmp_path: Path) -> None:
    command = [*_PROGRAM, "codec", "bench", str(photos), "-o", str(tmp_path / "b"), "-q"]
    terminal, end = pty.openpty()
    ioctl(end, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "dumb"}
    codec = "jpeg:quality=10,subsampling=444"
    subprocess.run([*command, "-c", codec], stdout=end, check=True, env=environment)
    os.close(end)
    lines = os.read(terminal, 65536).decode().splitlines()
    os.close(terminal)
    assert codec in lines
    assert "MS-SSIM dB" in lines[1]
    assert max(map(len, lines)) <= 80
    assert len({len(line) for line in lines[1:] if line.startswith("  ")}) == 1
