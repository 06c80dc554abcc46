"""What a run leaves to read: one row per epoch in ``log.csv``, and TensorBoard on request."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ratewise.files import write_atomically

NAME = "log.csv"
TIME_COLUMNS = ("seconds",)
"""Columns that differ between two runs of the same settings."""

Row = dict[str, float]


def write_log(folder: Path, history: list[Row]) -> None:
    """Write all rows; the columns are those of any row, and a cell without a value is empty.

    The history is part of the checkpoint and the file is made from it, so rows that a killed run
    wrote after its last checkpoint go when it resumes.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    last = [name for name in TIME_COLUMNS if name in names]
    columns = [name for name in names if name not in last] + last
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in history:
        writer.writerow([_cell(row[name]) if name in row else "" for name in columns])
    write_atomically(folder / NAME, text.getvalue())


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"


class Means:
    """Means of named values over an epoch, kept on the device so that no step waits for it."""

    def __init__(self, totals: Mapping[str, tuple[float, float]] | None = None) -> None:
        self._sums: dict[str, Any] = {name: total[0] for name, total in (totals or {}).items()}
        self._weights = {name: total[1] for name, total in (totals or {}).items()}

    def add(self, name: str, value: float | Tensor, weight: float) -> None:
        """One more value; ``weight`` is its share of a batch."""
        wide = value.detach().double() if isinstance(value, Tensor) else value
        self._sums[name] = self._sums.get(name, 0.0) + wide * weight
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def totals(self) -> dict[str, tuple[float, float]]:
        """Sums and weights, for a checkpoint."""
        return {name: (float(self._sums[name]), self._weights[name]) for name in self._sums}

    def means(self, fabric: Any = None) -> dict[str, float]:
        """The means, over all devices when there are several."""
        means = {name: total / weight for name, (total, weight) in self.totals().items()}
        if fabric is not None and fabric.world_size > 1 and means:
            values = torch.tensor(list(means.values()), dtype=torch.float64, device=fabric.device)
            reduced = fabric.all_reduce(values, reduce_op="mean")
            means = dict(zip(means, reduced.tolist(), strict=True))
        return means


class Board:
    """TensorBoard scalars; without ``folder`` it does nothing."""

    def __init__(self, folder: Path | None, step: int) -> None:
        self._writer: Any = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed run wrote from here on is hidden.
            self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, row: Row) -> None:
        """The numbers of an epoch, at its step."""
        if self._writer is not None:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, int(row["step"]))
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
