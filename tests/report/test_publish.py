from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ratewise.errors import InputError
from ratewise.report.publish import fill_tables, main, publish
from ratewise.report.study_results import StudyResults

PAGE = (
    "# Result\n\n<!-- table:configurations -->\nold\n<!-- /table -->\n\nbetween\n\n"
    "<!-- table:classes -->\n<!-- /table -->\n\nafter\n"
)
DOCUMENTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture
def folder(tmp_path, results) -> Path:
    results.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "a.md").write_text(PAGE)
    (tmp_path / "lonely.csv").write_text("no page beside it\n")
    return tmp_path


def test_tables_are_filled_and_the_rest_is_left_alone(folder):
    assert publish(folder) == [folder / "a.md", folder / "a-accuracy.png"]
    text = (folder / "a.md").read_text()
    assert "old" not in text
    assert text.startswith("# Result\n\n<!-- table:configurations -->\n\n| codec |")
    assert "| jpeg:quality=5 | OC | 12.000 | 0.200 | 53.0 ± 4.2 | -19.0 ± 1.4 |" in text
    assert "\n<!-- /table -->\n\nbetween\n\n<!-- table:classes -->\n" in text
    assert text.endswith("<!-- /table -->\n\nafter\n")
    assert (folder / "a-accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_publishing_twice_changes_nothing(folder):
    publish(folder)
    text, figure = (folder / "a.md").read_text(), (folder / "a-accuracy.png").read_bytes()
    assert publish(folder) == []
    assert (folder / "a.md").read_text() == text
    assert (folder / "a-accuracy.png").read_bytes() == figure


def test_the_check_writes_nothing_and_fails_until_all_is_published(folder, capsys):
    assert main([str(folder), "--check"]) == 1
    assert (folder / "a.md").read_text() == PAGE
    assert "a.md: out of date" in capsys.readouterr().out
    assert main([str(folder)]) == 0
    assert main([str(folder), "--check"]) == 0
    (folder / "a.md").write_text((folder / "a.md").read_text().replace("53.0", "53.1"))
    assert main([str(folder), "--check"]) == 1


def test_an_unknown_kind_is_refused_by_name(results):
    with pytest.raises(InputError, match=r"x\.md: unknown table kind 'class' .*configurations"):
        fill_tables(
            "<!-- table:class -->\n<!-- /table -->",
            StudyResults(results, pd.DataFrame()).tables,
            "x.md",
        )


def test_a_marker_that_is_not_closed_is_refused(results):
    text = "<!-- table:classes -->\n"
    for wrong in (text, text + "<!-- table:configurations -->\n<!-- /table -->\n"):
        with pytest.raises(InputError, match=r"'classes' has no"):
            fill_tables(wrong, StudyResults(results, pd.DataFrame()).tables, "x.md")


def test_a_file_of_something_else_is_refused(folder, capsys):
    (folder / "a.csv").write_text("a,b\n1,2\n")
    assert main([str(folder)]) == 2
    assert (
        "neither the result rows of a study (no column 'train_channel') nor the"
        in capsys.readouterr().err
    )
    assert main([str(folder / "nowhere")]) == 2


def test_the_committed_documents_are_those_of_the_committed_rows():
    assert publish(DOCUMENTS, check=True) == []
