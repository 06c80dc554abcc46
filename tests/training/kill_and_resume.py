"""Run by test_training_resume.py: trains in forked children, some of which die by SIGKILL.

A process of its own, which computes nothing before it forks: torch's threads do not survive a fork.
Prints JSON: the hash of weights and the log without its time column, for each way to die.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import training_examples as examples

from ratewise.files import sha256_file
from ratewise.training import checkpoint, loop
from ratewise.training.loop import fit
from ratewise.training.settings import TrainingSettings
from ratewise.training.weights import save_weights

SETTINGS = TrainingSettings(
    epochs=5, batch_size=4, accumulate=2, ema=0.9, clip_norm=1.0, checkpoint_seconds=0,
    device="cpu", precision="fp32",
)  # fmt: skip


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(calls: int, function: Callable, dying: Callable[..., None]) -> Callable:
    """``function``, but call number ``calls`` (from 1) goes to ``dying``."""
    count = 0

    def counted(*args, **kwargs):
        nonlocal count
        count += 1
        return dying(*args, **kwargs) if count == calls else function(*args, **kwargs)

    return counted


def half_written(payload, handle) -> None:
    buffer = io.BytesIO()
    ORIGINAL_SAVE(payload, buffer)
    handle.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    handle.flush()
    die()


ORIGINAL_SAVE = checkpoint.torch.save
GAN = examples.SmallGan


def in_step(calls: int):
    def arm() -> None:
        GAN.losses = after(calls, GAN.losses, lambda *_: die())

    return arm


def between_optimisers() -> None:
    original = GAN.losses
    count = 0

    def losses(self, modules, batch):
        nonlocal count
        for number, loss in enumerate(original(self, modules, batch)):
            count += 1
            if number == 1 and count > 20:
                die()
            yield loss

    GAN.losses = losses


def in_validation() -> None:
    GAN.validate = after(2, GAN.validate, lambda *_: die())


def in_checkpoint(calls: int):
    def arm() -> None:
        checkpoint.torch.save = after(calls, ORIGINAL_SAVE, half_written)

    return arm


def before_checkpoint_is_in_place() -> None:
    replace = Path.replace

    def dying(self, target):
        if Path(target).name == checkpoint.NAME and (Path(target).parent / "log.csv").exists():
            die()
        return replace(self, target)

    Path.replace = dying


def after_log() -> None:
    original = loop.write_log

    def writes_then_dies(folder, history):
        original(folder, history)
        if len(history) == 3:
            die()

    loop.write_log = writes_then_dies


WAYS = {
    "in the first step": in_step(1),
    "in step 4": in_step(7),
    "in the last step": in_step(30),
    "between two optimisers": between_optimisers,
    "in validation": in_validation,
    "writing the first checkpoint": in_checkpoint(1),
    "writing a checkpoint": in_checkpoint(9),
    "before a checkpoint is in place": before_checkpoint_is_in_place,
    "after a row of the log": after_log,
}


def child(folder: Path, arm: Callable[[], None] | None, settings: TrainingSettings) -> int:
    pid = os.fork()
    if pid == 0:
        if arm is not None:
            arm()
        result = fit(GAN(), examples.Pictures(), settings, folder, quiet=True)
        flat = {f"{m}.{k}": v for m, state in result.weights.items() for k, v in state.items()}
        save_weights(folder / "weights.safetensors", flat, {"by": "test"})
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def outcome(folder: Path) -> dict:
    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    for row in rows:
        row.pop("seconds")
    return {"weights": sha256_file(folder / "weights.safetensors"), "log": rows}


def main(base: Path) -> None:
    os.fsync = lambda descriptor: None  # it is the process that dies, not the machine
    results = {}
    assert child(base / "whole", None, SETTINGS) == 0
    results["whole"] = outcome(base / "whole")
    for number, (name, arm) in enumerate(WAYS.items()):
        folder = base / str(number)
        status = child(folder, arm, SETTINGS)
        assert os.WIFSIGNALED(status), f"{name}: was not killed"
        left = list(folder.glob(".tmp-*"))
        assert child(folder, None, SETTINGS) == 0, name
        results[name] = {
            **outcome(folder),
            "left": len(left),
            "after": len(list(folder.glob(".tmp-*"))),
        }
    folder = base / "again and again"
    kills = 0
    while os.WIFSIGNALED(child(folder, in_step(8), SETTINGS)):
        kills += 1
    results["again and again"] = {**outcome(folder), "kills": kills}
    folder = base / "with workers"
    child(folder, in_step(13), SETTINGS.model_copy(update={"workers": 1}))
    assert child(folder, None, SETTINGS.model_copy(update={"workers": 2})) == 0
    results["with workers"] = outcome(folder)
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
