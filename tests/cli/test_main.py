"""The program itself: its help, its version, its imports."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from typer.testing import CliRunner

import ratewise
from ratewise.cli.main import app

_HEAVY = ("torch", "pandas", "matplotlib", "pyarrow", "timm", "lightning", "numpy")


def test_the_help_names_every_noun() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for noun in ("codec", "store", "study", "data"):
        assert noun in result.stdout


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout.strip() == f"ratewise {version('ratewise')}"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from ratewise.cli.main import app;"
        "assert CliRunner().invoke(app, ['study', '--help']).exit_code == 0;"
        f"print(sorted(set({_HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_of_the_package_are_there() -> None:
    for name in ratewise.__all__:
        assert callable(getattr(ratewise, name))
