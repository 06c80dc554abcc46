"""How long inference takes on this machine: segment alone, or after encode, decode and restore.

What comes out is a measurement: it is kept with the machine that it was made on, and another run
gives another one.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from ratewise import codecs
from ratewise.data.store import open_store
from ratewise.execution import progress
from ratewise.files import write_json
from ratewise.images import Image
from ratewise.restoration.restorer import load_restorer
from ratewise.study.outputs import ANALYSIS, MODEL, RESTORER, STORE, evenly
from ratewise.study.plan import Stage
from ratewise.study.scheduler import StageContext
from ratewise.tasks.predictor import load_predictor
from ratewise.training.device import resolve_device

T = TypeVar("T")


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the median milliseconds per image of each step."""
    params = stage.params
    device = resolve_device(params["device"])
    store = open_store(inputs["originals"] / STORE)
    predictor = load_predictor(
        inputs["model"] / MODEL, device=device, precision=params["precision"]
    )
    codec = codecs.codec(params["codec"]) if "codec" in params else None
    restorer = (
        load_restorer(
            inputs["restorer"] / RESTORER, device=device, precision=params["restorer_precision"]
        )
        if "restorer" in inputs
        else None
    )
    indices = evenly(len(store), params["images"])
    steps: dict[str, list[float]] = {}

    def timed(step: str, function: Callable[[], T]) -> T:
        seconds, value = _timed(function, int(params["repeats"]), device)
        steps.setdefault(step, []).append(1000 * seconds)
        return value

    def once(image: Image) -> None:
        if codec is not None:
            data = timed("encode", lambda: codec.encode(image))
            image = timed("decode", lambda: codec.decode(data))
        if restorer is not None:
            image = timed("restore", lambda: restorer.restore(image))
        timed("segment", lambda: predictor.predict([image]))

    once(store.image(indices[0]))  # the first call of everything is slow, and does not count
    steps.clear()
    with progress(stage.title, len(indices), quiet=context.quiet) as bar:
        for index in indices:
            once(store.image(index))
            bar.advance()
    found = {
        "images": len(indices),
        "repeats": params["repeats"],
        "milliseconds": {step: statistics.median(values) for step, values in steps.items()},
        "lowest": {step: min(values) for step, values in steps.items()},
        "highest": {step: max(values) for step, values in steps.items()},
        "size": f"{store.records[indices[0]].width}x{store.records[indices[0]].height}",
        "machine": machine(device),
    }
    write_json(folder / ANALYSIS, found)
    return [folder / ANALYSIS]


def machine(device: str) -> dict[str, Any]:
    """What the times were measured on."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": str(torch.__version__),
    }


def _timed(function: Callable[[], T], repeats: int, device: str) -> tuple[float, T]:
    """The median seconds of some calls, and the value of the last."""
    seconds = []
    for _ in range(repeats):
        started = _now(device)
        value = function()
        seconds.append(_now(device) - started)
    return statistics.median(seconds), value


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
