"""``ratewise study``: plan, run, show and report what compression costs a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratewise.cli.support import (
    AddressOption,
    EngineOption,
    JsonOption,
    QuietOption,
    WorkersOption,
    friendly_errors,
    parse_size,
    place,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from ratewise.study.advise.advise import Advice
    from ratewise.study.engine import PlannedStudy

app = typer.Typer(no_args_is_help=True)

StudyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A study file (YAML).")]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Results and cache.", show_default="runs/NAME")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="PLACE",
        parser=place,
        help="Folder or address of what stages leave behind; runs can share it.",
        show_default="OUT/cache",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace a value: --set data.root=/data/camvid (repeatable)."),
]


@app.command()
def plan(
    file: StudyFile,
    out: OutOption = None,
    cache: CacheOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a study would run, what is cached, and how many trainings there are.

    Example: ratewise study plan configs/quickstart.yaml
    """
    with friendly_errors():
        planned = _planned(file, out, cache, overrides, quiet)
        stages = planned.plan.stages.values()
        if as_json:
            states = [(stage, planned.cache.state(stage)) for stage in stages]
            print_json(
                [
                    {"kind": stage.kind, "title": stage.title, "state": state}
                    | {"fingerprint": stage.fingerprint}
                    for stage, state in states
                ]
            )
            return
        if not quiet:
            rows = [[stage.title, planned.cache.state(stage)] for stage in stages]
            print_table(f"{planned.study.settings.name}: stages", ["stage", "state"], rows)
        print(_summary(planned))


@app.command()
def run(
    file: StudyFile,
    out: OutOption = None,
    cache: CacheOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 0,
    engine: EngineOption = "local",
    address: AddressOption = None,
    mlflow: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Log the results in the MLflow there as well."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Run a study, or go on with it; leaves results.csv, results.parquet and report.html.

    What happens to each stage is added to OUT/events.jsonl. With --engine ray the
    stages run side by side on a cluster, as far as it has cores and GPUs.

    Examples:

      ratewise study run configs/quickstart.yaml --out runs/quickstart

      ratewise study run study.yaml --engine ray --address auto --cache s3://b/cache
    """
    with friendly_errors():
        client = None
        if mlflow is not None:
            from ratewise.study.tracking import tracking_client

            client = tracking_client(mlflow)
        planned = _planned(file, out, cache, overrides, quiet)
        from ratewise.errors import StageError
        from ratewise.execution import Resources
        from ratewise.study.engine import run_study

        if not quiet:
            _say(_summary(planned))
        failure: StageError | None = None
        ran = True
        view = None
        if sys.stderr.isatty() and not quiet:
            from ratewise.study.live import LiveView

            view = LiveView()
        say = view.say if view else _say
        try:
            done = run_study(
                planned,
                resources=Resources(workers, engine, address),
                quiet=quiet,
                announce=(lambda line: None) if quiet else say,
                view=view,
            )
            ran = bool(done.ran or done.elsewhere)
        except StageError as error:
            failure = error
        report_path = planned.folder / "report.html"
        if ran or not report_path.is_file():
            from ratewise.report.run_report import report_run

            report_run(planned.folder, command=_command(file, out, overrides))
        _show(planned.folder)
        print(f"report: {report_path}")
        if client is not None:
            from ratewise.study.tracking import track_run

            count = track_run(client, planned.folder)
            print(f"MLflow: {count} results logged in the experiment {planned.study.settings.name}")
        if failure:
            raise failure


@app.command()
def show(folder: RunFolder, as_json: JsonOption = False) -> None:
    """Print the table of a run's results.

    Example: ratewise study show runs/quickstart
    """
    with friendly_errors():
        if as_json:
            from ratewise.study.results import read_results

            print_json(read_results(folder).to_dict(orient="records"))
        else:
            _show(folder)


@app.command()
def report(
    folder: RunFolder,
    pictures: Annotated[
        Path | None, typer.Option(help="Also write the picture strips as PNG into this folder.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write a run's report.html again.

    Example: ratewise study report runs/quickstart --pictures pictures
    """
    with friendly_errors():
        from ratewise.report.run_report import report_run, write_pictures

        written = [report_run(folder), *(write_pictures(folder, pictures) if pictures else [])]
        if not quiet:
            for path in written:
                print(f"wrote {path}")


@app.command()
def advise(
    folder: RunFolder,
    budget: Annotated[
        str | None, typer.Option(help="Bytes that may be collected: 500kB, 20MB, 5GB.")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="The same in per cent of OO's bytes: 2%.")
    ] = None,
    accuracy: Annotated[
        str | None, typer.Option(help="The mIoU or top-1 to reach: 0.70, or 70 (points).")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, help="Points that an estimate must lie above --accuracy.")
    ] = 0.0,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Images that you can collect.", show_default="the study's number"),
    ] = None,
    test: Annotated[
        str, typer.Option(help="The channel that models are used on: O, C, R or A.")
    ] = "O",
    auxiliary: Annotated[
        bool, typer.Option("--auxiliary", help="Count the bytes of auxiliary data sets too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what to collect for a budget, a cost or an accuracy, from a run's results.

    The exit code is 1 if the study has no answer.

    Example: ratewise study advise runs/camvid-bpg --cost 2%
    """
    with friendly_errors():
        from ratewise.study.advise.advise import Question, parse_accuracy, parse_percent
        from ratewise.study.advise.advise import advise as ask
        from ratewise.study.results import read_results

        question = Question(
            budget=None if budget is None else parse_size(budget, "--budget"),
            percent=None if cost is None else parse_percent(cost),
            accuracy=None if accuracy is None else parse_accuracy(accuracy),
            images=images,
            margin=margin / 100,
            test=test,
            auxiliary=auxiliary,
        )
        results = read_results(folder)
        advice = ask(results, question)
        if as_json:
            print_json(advice.to_json())
        else:
            _show_advice(advice, results)
        if advice.best is None:
            raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of a study file, for editors that check YAML.

    Example: ratewise study schema > study.schema.json
    """
    from ratewise.study.settings import StudySettings

    print_json(StudySettings.model_json_schema())


def _planned(
    file: Path,
    out: Path | None,
    cache: Path | None,
    overrides: list[str] | None,
    quiet: bool,
) -> PlannedStudy:
    from ratewise.settings_files import parse_overrides
    from ratewise.study.engine import plan_study
    from ratewise.study.settings import load_study

    study = load_study(file, parse_overrides(overrides or []))
    return plan_study(study, out, cache=cache, quiet=quiet)


def _summary(planned: PlannedStudy) -> str:
    stages = planned.plan.stages.values()
    cached = sum(planned.cache.is_complete(stage) for stage in stages)
    restorers = planned.plan.count("restorer")
    trainings = f"{planned.plan.count('train')} of them trainings" + (
        f" and {restorers} of restorers" if restorers else ""
    )
    return (
        f"{planned.study.settings.name}: {len(planned.plan.runs)} results from {len(stages)} "
        f"stages, {trainings}; {cached} stages are cached"
    )


def _command(file: Path, out: Path | None, overrides: list[str] | None) -> str:
    parts = ["ratewise study run", file.as_posix()]
    parts += ["--out", out.as_posix()] if out else []
    parts += [f"--set {text}" for text in overrides or []]
    return " ".join(parts)


def _show(folder: Path) -> None:
    from ratewise.study.results import read_results

    results = read_results(folder)
    if results.empty:
        print("no configuration has results yet")
        return
    from ratewise.report.text import configuration_rows

    titles, rows = configuration_rows(results)
    print_table("", titles, rows)


def _show_advice(advice: Advice, results: pd.DataFrame) -> None:
    from ratewise.report.advice_text import best_sentence, option_row, titles
    from ratewise.report.metric import metric_of

    metric = metric_of(results).title
    print("\n".join([best_sentence(advice, metric), *advice.notes]))
    for title, options in (("next best", advice.alternatives), ("Pareto front", advice.front)):
        if options:
            print()
            print_table(title, titles(metric), [option_row(advice, option) for option in options])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
