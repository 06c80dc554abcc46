"""What a model gains where the bytes of a store are spent on its predictions.

    python benchmarks/task_rate_control.py m.safetensors originals/ --bytes 2000 4000
    python benchmarks/task_rate_control.py m.safetensors originals/ --bytes 800 --codec bpg

`originals/` is a store with labels or masks. For each number of bytes per image: a store at the
best fixed operating point that keeps to it, and two stores whose budget is what that takes, for the
objectives psnr and task. Prints bytes per image, the model's top-1 accuracy or mean IoU against the
labels or masks, its mean divergence from its own predictions on the originals, and mean PSNR.
Exit code 1 if a store takes more bytes than the fixed one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ratewise import codecs
from ratewise.data.rate_control import budget_ladder
from ratewise.data.sources import Entry, StoreSource
from ratewise.data.store import Store, open_store
from ratewise.execution import Resources, map_items


@dataclass(frozen=True)
class Spread(StoreSource):
    """Some images of a store, spread evenly over it; all where ``count`` is 0."""

    count: int = 0

    def entries(self) -> list[Entry]:
        every = super().entries()
        count = min(self.count, len(every)) or len(every)
        return [every[i * len(every) // count] for i in range(count)]


def size_at(source: StoreSource, item: tuple[Entry, str]) -> int:
    entry, spec = item
    return sum(len(codecs.codec(spec).encode(i)) for _, i, _ in source.load(entry).images)


def best_fixed(source: StoreSource, codec: str, limit: float, resources: Resources) -> str | None:
    """The best operating point with which all images take ``limit`` bytes or less."""
    rungs = budget_ladder(codec)
    entries = source.entries()

    def fits(rung: int) -> bool:
        work = [(entry, rungs.spec(rung)) for entry in entries]
        outcomes = map_items(size_at, work, resources, context=source)
        return sum(outcome.value or 0 for outcome in outcomes) <= limit

    if not fits(0):
        return None
    low, high = 0, len(rungs)  # the first fits; the other is the first that does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return rungs.spec(low)


def figures(store: Store, source: Spread, model: Any, trained: Any, name: str) -> list[float]:
    """The metric, the mean divergence, and mean PSNR of a store."""
    from ratewise.tasks.models import evaluate_on

    metric = evaluate_on(trained, store, "the model").metrics[name]
    originals = (image for entry in source.entries() for _, image, _ in source.load(entry).images)
    divergences = [
        model.divergence.measure(original, [store.image(index)])[0]
        for index, original in enumerate(originals)
    ]
    psnrs = [record.psnr for record in store.records]
    return [metric, sum(divergences) / len(divergences), sum(psnrs) / len(psnrs)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="weights file of a task")
    parser.add_argument("store", type=Path, help="store of the originals")
    parser.add_argument("--codec", default="jpeg", help="and maybe its allowed operating points")
    parser.add_argument("--bytes", type=int, nargs="+", required=True, help="per image")
    parser.add_argument("--images", type=int, default=0, help="so many, spread evenly (0: all)")
    parser.add_argument("--workers", type=int, default=0, help="processes (0: one per core)")
    options = parser.parse_args(arguments)

    from ratewise.data.budget import compress_to_budget
    from ratewise.data.compress import compress_store
    from ratewise.tasks.models import load_any
    from ratewise.tasks.rate_objective import predicting_model

    source = Spread(open_store(options.store), count=options.images)
    model = predicting_model(options.model)
    model.check(source)
    trained = load_any(options.model)
    name = "top1" if model.of == "images" else "miou"
    resources = Resources(options.workers)
    count = len(source.entries())
    print(f"{count} images of {options.store.name}, {options.codec}, {options.model.name}")
    print(f"{'store':<22} {'bytes/image':>11} {name:>7} {'divergence':>11} {'PSNR':>6}")
    wrong = False
    for size in options.bytes:
        fixed = best_fixed(source, options.codec, size * count, resources)
        if fixed is None:
            print(f"{size} bytes per image: less than the worst operating point takes")
            continue
        with tempfile.TemporaryDirectory() as folder:
            compress_store(source, Path(folder) / "fixed", fixed, resources=resources)
            budget = open_store(Path(folder) / "fixed").total_bytes
            for objective in ("psnr", model.divergence):
                called = objective if isinstance(objective, str) else objective.name
                compress_to_budget(
                    source,
                    Path(folder) / called,
                    options.codec,
                    budget,
                    objective=objective,
                    resources=resources,
                )
            for kind, told in (("fixed", fixed), ("psnr", "  psnr"), ("task", "  task")):
                store = open_store(Path(folder) / kind)
                wrong |= store.total_bytes > budget
                metric, divergence, psnr = figures(store, source, model, trained, name)
                print(
                    f"{told:<22} {store.total_bytes / count:>11.1f} {metric:>7.4f} "
                    f"{divergence:>11.5f} {psnr:>6.2f}",
                    flush=True,
                )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
