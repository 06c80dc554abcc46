"""The example of docs/training.md runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_example_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    exec(compile(example, str(PAGE), "exec"), {})
    assert float(capsys.readouterr().out.split()[-1]) < 1.0
    assert (tmp_path / "runs" / "line" / "log.csv").is_file()
