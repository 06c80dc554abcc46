"""What is seen of a run: the event log, the live view, MLflow, bytes in the report."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ratewise.errors import InputError
from ratewise.execution.progress import progress, shown_on
from ratewise.study.cache import Cache
from ratewise.study.engine import open_run
from ratewise.study.events import EventLog
from ratewise.study.live import LiveView
from ratewise.study.plan import Stage
from ratewise.study.scheduler import Finished

ONE, TWO = Stage("train", "train one", {"n": 1}), Stage("train", "train two", {"n": 2})


def test_every_event_of_a_run_is_a_line(finished_run: Path) -> None:
    lines = [json.loads(line) for line in (finished_run / "events.jsonl").read_text().splitlines()]
    _, plan, _ = open_run(finished_run)
    assert (lines[0]["event"], lines[0]["to_run"]) == ("run", len(plan.stages))
    first = lines[1 : 2 * len(plan.stages) + 1]
    assert [line["event"] for line in first] == ["started", "finished"] * len(plan.stages)
    assert {line["fingerprint"] for line in first} == set(plan.stages)
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert times == sorted(times)
    assert times[0].utcoffset() is not None
    compressed = next(line for line in first if line["kind"] == "compress" and "bytes" in line)
    folder = open_run(finished_run)[2].folder(plan.stages[compressed["fingerprint"]])
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert compressed["bytes"] == sum(sizes.values()) - sizes["stage.json"]
    assert compressed["seconds"] > 0


def test_failures_and_what_others_did_are_events_too(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", Cache(tmp_path))
    log.begins([ONE, TWO], [])
    log.finished(Finished(ONE, 1.23456, "it\nburns é"))
    log.elsewhere(TWO)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["run", "failed", "elsewhere"]
    assert (lines[1]["why"], lines[1]["seconds"]) == ("it\nburns é", 1.235)


def test_the_report_says_time_and_bytes_of_stages(finished_run: Path) -> None:
    text = (finished_run / "report.html").read_text()
    table = text[text.index(">Stages<") :].partition("</table>")[0]
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", table)
    rows = {cells[i]: cells[i + 1 : i + 4] for i in range(0, len(cells), 4)}
    _, plan, cache = open_run(finished_run)
    trained = [stage for stage in plan.stages.values() if stage.kind == "train"]
    size = sum(cache.manifest(stage)["bytes"] for stage in trained)
    assert rows["train"][0] == str(len(trained))
    assert rows["train"][2] == f"{size:,}"


@pytest.fixture
def view() -> LiveView:
    """A view on a terminal that is a text."""
    view = LiveView()
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    view._console = view._bars.live.console = console
    return view


def _seen(view: LiveView) -> list[str]:
    """The lines of the view at this moment."""
    console = Console(file=io.StringIO(), width=120)
    console.print(view._bars.get_renderable())
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_view_shows_all_stages_and_what_they_are_at(view: LiveView) -> None:
    with view.shown(), shown_on(view):
        view.begins([ONE, TWO], [Stage("prepare", "p", {})])
        view.started(ONE)
        view.started(TWO)
        assert "stages" in _seen(view)[0]
        assert "1/3" in _seen(view)[0]
        assert [line.split(" \u2501")[0].strip() for line in _seen(view)[1:]] == [
            "train one",
            "train two",
        ]
        with progress("train one", 10, unit="steps") as bar:
            bar.advance(4, "loss 0.5")
            assert "4/10" in _seen(view)[1]
            assert len(_seen(view)) == 3
        with progress("steps of one", 10, unit="steps") as bar:
            bar.advance(4, "loss 0.5")
            assert "steps of one" in _seen(view)[3]
            assert "4/10" in _seen(view)[3]
            assert "loss 0.5" in _seen(view)[3]
        assert len(_seen(view)) == 3
        work: dict[str, Any] = {"description": "far away", "total": 8, "unit": "images"}
        view.reported({"x": work | {"done": 2, "status": ""}})
        view.reported({"x": work | {"done": 6, "status": "2 MB out"}})
        assert "6/8" in _seen(view)[3]
        assert "2 MB out" in _seen(view)[3]
        view.reported({})
        view.finished(Finished(ONE, 1.0))
        view.elsewhere(TWO)
        assert len(_seen(view)) == 1
        assert "3/3" in _seen(view)[0]
        view.say("[1/2] a line")
    assert "[1/2] a line" in view._console.file.getvalue()  # type: ignore[attr-defined]


def test_results_are_logged_once_in_mlflow(finished_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow is optional")
    from ratewise.study.results import read_results
    from ratewise.study.tracking import track_run, tracking_client

    client = tracking_client((tmp_path / "mlruns").as_uri())
    rows = read_results(finished_run)
    assert track_run(client, finished_run) == len(rows)
    assert track_run(client, finished_run) == 0
    experiment = client.get_experiment_by_name("miniature")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == len(rows)
    by_name = {
        run.data.params["train_channel"] + run.data.params["test_channel"]: run for run in runs
    }
    (row,) = rows[(rows.train_channel == "O") & (rows.test_channel == "C")].to_dict("records")
    assert by_name["OC"].data.metrics["miou"] == pytest.approx(row["miou"])
    assert by_name["OC"].data.params["test_codec"] == "jpeg:quality=5"
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_no_mlflow_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is optional")
    from ratewise.study.tracking import tracking_client

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match=r"no MLflow at http://127\.0\.0\.1:1 "):
        tracking_client("http://127.0.0.1:1")
    with pytest.raises(InputError, match="no MLflow at nosuch://x"):
        tracking_client("nosuch://x")
