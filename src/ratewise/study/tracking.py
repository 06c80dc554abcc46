"""The results of a study in MLflow (optional extra ``ratewise[mlflow]``): a run for each row.

The columns that say what a row is are its parameters, the others its metrics. A row that is there
already, from the same stages, is not logged again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratewise.errors import InputError, RatewiseError
from ratewise.study.engine import open_run
from ratewise.study.results import COLUMNS, results_table

_TAG = "ratewise.evaluate"
_LONGEST = 500  # characters of a parameter that every backend takes


def tracking_client(uri: str) -> Any:
    """A client of the MLflow at ``uri``; InputError without the extra, or where there is none."""
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise InputError(
            "tracking in MLflow needs an extra: pip install 'ratewise[mlflow]'"
        ) from None
    if uri.startswith("file:"):  # MLflow keeps folders for those who say that they want them
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except (MlflowException, ValueError, OSError) as error:
        raise InputError(f"no MLflow at {uri} ({_first_line(error)})") from None
    return client


def track_run(client: Any, folder: Path) -> int:
    """Log the results of the run in ``folder`` that are not there yet; how many there were.

    The experiment has the study's name. Raises :class:`RatewiseError` where the server takes no
    more.
    """
    from mlflow.exceptions import MlflowException

    settings, plan, cache = open_run(folder)
    finished = [run for run in plan.runs if cache.is_complete(plan.stages[run.evaluate])]
    rows = results_table(settings, plan, cache).to_dict(orient="records")
    count = 0
    try:
        found = client.get_experiment_by_name(settings.name)
        experiment = found.experiment_id if found else client.create_experiment(settings.name)
        logged = {
            run.data.tags.get(_TAG) for run in client.search_runs([experiment], max_results=50_000)
        }
        for run, row in zip(finished, rows, strict=True):
            if run.evaluate not in logged:
                _log(client, experiment, run.evaluate, row)
                count += 1
    except MlflowException as error:
        raise RatewiseError(f"MLflow does not take the results ({_first_line(error)})") from None
    return count


def _log(client: Any, experiment: str, stage: str, row: Mapping[Any, Any]) -> None:
    from mlflow.entities import Metric, Param

    configuration = f"{row['train_channel']}{row['test_channel']}{row['train_share']}"
    name = f"{configuration} {row['train_codec']} to {row['test_codec']}, seed {row['seed']}"
    run = client.create_run(experiment, run_name=name, tags={_TAG: stage})
    parameters = [Param(key, str(row[key])[:_LONGEST]) for key in COLUMNS if key in row]
    now = int(time.time() * 1000)
    metrics = [
        Metric(_name(str(key)), float(value), now, 0)
        for key, value in row.items()
        if key not in COLUMNS and isinstance(value, (int, float)) and value == value
    ]
    client.log_batch(run.info.run_id, metrics=metrics, params=parameters)
    client.set_terminated(run.info.run_id)


def _name(column: str) -> str:
    """A metric's name: letters, digits and a few signs are allowed."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in column)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
