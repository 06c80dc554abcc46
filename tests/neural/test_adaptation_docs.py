"""The table of docs/adaptation.md is what the code above it prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "adaptation.md"


def test_the_sizes_of_adaptations_are_those_that_the_page_prints() -> None:
    page = PAGE.read_text()
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", page, re.S) if "layout_for" in one)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    lines = printed.getvalue().splitlines()
    assert len(lines) == 3
    assert "\n".join(lines) in page
