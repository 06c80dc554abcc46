"""A checkpoint: one file that is there whole or not at all, and is never unpickled."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ratewise.errors import TrainingError

NAME = "checkpoint.pt"
FORMAT = 1


def write_checkpoint(folder: Path, state: Mapping[str, Any], deciding: Mapping[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) as the folder's checkpoint.

    ``deciding`` (JSON-able) is what the state depends on; :func:`read_checkpoint` compares it.
    The previous checkpoint stays until the new one is on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    payload = {"format": FORMAT, "deciding": json.dumps(flatten(deciding)), **state}
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            torch.save(payload, handle)
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).replace(folder / NAME)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_checkpoint(folder: Path, deciding: Mapping[str, Any]) -> dict[str, Any] | None:
    """The folder's checkpoint on the CPU; None when there is none.

    Raises :class:`TrainingError` when the file is damaged, or names what has changed when it was
    written by a run with another ``deciding``. What killed runs left half-written is removed.
    """
    for left in folder.glob(".tmp-*"):
        left.unlink(missing_ok=True)
    path = folder / NAME
    if not path.exists():
        return None
    again = "delete it to train from the start"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        known = isinstance(state, dict) and state.get("format") == FORMAT
        saved = json.loads(state["deciding"]) if known else {}
    except Exception as error:  # zip, pickle and torch each have their own for a damaged file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise TrainingError(
            f"{path}: the checkpoint is damaged ({type(error).__name__}: {reason}); {again}"
        ) from error
    if not known:
        raise TrainingError(f"{path}: not a checkpoint of this version; {again}")
    changed = _changes(saved, flatten(deciding))
    if changed:
        raise TrainingError(
            f"{path}: the checkpoint is of a run with other settings: {'; '.join(changed)}; {again}"
        )
    return dict(state)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; leaves are as JSON would give them back."""
    if isinstance(value, Mapping) and (value or not prefix):
        flat: dict[str, Any] = {}
        for key, item in value.items():
            flat.update(flatten(item, f"{prefix}.{key}" if prefix else str(key)))
        return flat
    return {prefix: json.loads(json.dumps(value))}


def _changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    absent = "absent"
    return [
        f"{key} was {saved.get(key, absent)} and is {now.get(key, absent)}"
        for key in dict.fromkeys((*saved, *now))
        if saved.get(key, absent) != now.get(key, absent)
    ]
