"""How fast training samples come out of a store, beside torchvision's ImageFolder.

    python benchmarks/input_pipeline.py                                # generated images
    python benchmarks/input_pipeline.py --images imagenette/train      # class folders of your own

Both read the same JPEG files, on the same cores, with the same transforms: none, and a random
resized crop with a flip. Both give batches of uint8, and normalise on the way into the model.
Rounds alternate, and the median ratio counts. Prints

- images per second of a store over those of ImageFolder, with one thread or process beside
  training and with two processes (limit 1.0);
- those of a store over what the model takes in training, one core for each (limit 1.0: then the
  model is the bottleneck).

Nothing is kept in memory between epochs, as a store too large for it would have it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from ratewise.data.compress import compress_store
from ratewise.data.datasets import dataset_settings, open_dataset
from ratewise.data.sources import DatasetSource
from ratewise.data.store import Store, open_store
from ratewise.images import write_png
from ratewise.tasks.classification import build_model
from ratewise.tasks.classification_settings import (
    ClassificationAugmentation,
    ClassificationSettings,
)
from ratewise.tasks.classification_task import LABELS
from ratewise.tasks.samples import StoreSource, collate
from ratewise.training.settings import TrainingSettings
from ratewise.training.source import Plan, load

SIDE, BATCH, ROUNDS = 224, 32, 5


def prepared(images: Path | None, count: int, folder: Path) -> tuple[Store, Path]:
    """A JPEG store of labelled images, and its files in class folders for torchvision."""
    root = folder / "photographs"
    if images is None:
        rng = np.random.default_rng(0)
        for index in range(count):
            coarse = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8)
            picture = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
            noise = rng.integers(-20, 20, picture.shape)
            path = root / "train" / f"class{index % 10}" / f"{index}.png"
            write_png(path, np.clip(picture + noise, 0, 255).astype(np.uint8))
    else:
        found = sorted(path for path in images.glob("*/*") if path.is_file())
        for path in found[:: max(1, len(found) // count)][:count]:
            copy = root / "train" / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    data = open_dataset(dataset_settings({"name": "image_folder", "root": str(root)}), root)
    compress_store(DatasetSource(data, "train"), folder / "store", "jpeg:quality=75")
    store = open_store(folder / "store")
    for record in store.records:
        copy = folder / "files" / str(record.label) / Path(record.path).name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store.path / record.path, copy)
    return store, folder / "files"


def from_store(store: Store, augmented: bool, workers: int, seconds: float) -> float:
    """Images per second that come out of a store."""
    settings = ClassificationAugmentation(size=(SIDE, SIDE)) if augmented else None
    source = StoreSource([store], settings, form=LABELS, batched=True, cache_bytes=0)
    training = TrainingSettings(epochs=10_000, batch_size=BATCH, workers=workers)
    with load(source, Plan(len(source), training), start=0, collate=collate) as batches:
        return rate((len(batch.targets) for batch in batches), seconds)


def from_torchvision(files: Path, augmented: bool, workers: int, seconds: float) -> float:
    """Images per second that come out of ImageFolder and DataLoader."""
    crop = [v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()]
    transform = v2.Compose([*(crop if augmented else []), v2.PILToTensor()])
    dataset = torchvision.datasets.ImageFolder(str(files), transform)
    loader: Any = DataLoader(
        dataset,
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        prefetch_factor=4,
        persistent_workers=True,
    )

    def sizes() -> Iterator[int]:
        while True:
            for _, targets in loader:
                yield len(targets)

    return rate(sizes(), seconds)


def rate(sizes: Iterator[int], seconds: float) -> float:
    """Images per second, once the first batches are there."""
    for _ in range(4):
        next(sizes)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += next(sizes)
    return count / (time.perf_counter() - started)


def of_model(seconds: float) -> float:
    """Images per second that MobileNetV2 is trained on, in one thread and float32."""
    torch.set_num_threads(1)
    labels = [str(i) for i in range(10)]
    model = build_model(ClassificationSettings(model="mobilenetv2_100"), labels).train()
    images, targets = torch.rand(BATCH, 3, SIDE, SIDE), torch.zeros(BATCH, dtype=torch.int64)
    optimiser = torch.optim.Adam(model.parameters())

    def steps() -> Iterator[int]:
        while True:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(images), targets).backward()
            optimiser.step()
            yield BATCH

    return rate(steps(), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, help="a folder of class folders")
    parser.add_argument("--count", type=int, default=640)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, files = prepared(arguments.images, arguments.count, Path(folder))
        alone = 0.0
        for augmented in (False, True):
            for own, theirs, name in ((0, 1, "one beside training"), (2, 2, "two processes")):
                pairs = [
                    (
                        from_store(store, augmented, own, arguments.seconds),
                        from_torchvision(files, augmented, theirs, arguments.seconds),
                    )
                    for _ in range(ROUNDS)
                ]
                ratio = statistics.median(a / b for a, b in pairs)
                mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
                if not own:
                    alone = mine
                how = "crop and flip" if augmented else "no transform"
                print(
                    f"{how}, {name}: {ratio:.2f} of ImageFolder "
                    f"({mine:.0f} and {other:.0f} images/s; limit 1.0)"
                )
        model = of_model(arguments.seconds)
        print(
            f"a store (crop and flip) over MobileNetV2 in training: {alone / model:.1f} "
            f"({alone:.0f} and {model:.0f} images/s; limit 1.0)"
        )


if __name__ == "__main__":
    main()
