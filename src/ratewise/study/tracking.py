"""The results of a study in MLflow (optional extra ``ratewise[mlflow]``): a run for each row.

The columns that say what a row is are its parameters, the others its metrics. A row that is there
already, from the same stages, is not logged again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ratewise.errors import InputError, RatewiseError
from ratewise.study.plan import Plan
from ratewise.study.results import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

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


def track(client: Any, study: str, plan: Plan, rows: pd.DataFrame) -> int:
    """Log the rows of ``plan`` that were not yet logged in the experiment ``study``; how many.

    ``rows`` are in the order of the plan's runs, those without results left out; each is known by
    its ``evaluate`` stage in the column ``stage``. Raises :class:`RatewiseError` where the server
    takes them no more.
    """
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_experiment_by_name(study)
        experiment = found.experiment_id if found else client.create_experiment(study)
        logged = {
            run.data.tags.get(_TAG) for run in client.search_runs([experiment], max_results=50_000)
        }
        count = 0
        for row in rows.to_dict(orient="records"):
            stage = str(row.pop("stage"))
            if stage in logged:
                continue
            name = f"{row['train_channel']}{row['test_channel']}{row['train_share']}"
            run = client.create_run(
                experiment,
                run_name=f"{name} {row['train_codec']} to {row['test_codec']}, {row['seed']}",
                tags={_TAG: stage},
            )
            parameters = [Param(k, str(row[k])[:_LONGEST]) for k in COLUMNS if k in row]
            metrics = [
                Metric(_name(str(key)), float(value), 0, 0)
                for key, value in row.items()
                if key not in COLUMNS and isinstance(value, (int, float)) and value == value
            ]
            tags = [RunTag("study", study)]
            client.log_batch(run.info.run_id, metrics=metrics, params=parameters, tags=tags)
            client.set_terminated(run.info.run_id)
            count += 1
    except MlflowException as error:
        raise RatewiseError(f"MLflow does not take the results ({_first_line(error)})") from None
    return count


def _name(column: str) -> str:
    """A metric's name: letters, digits and a few signs are allowed."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in column)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
