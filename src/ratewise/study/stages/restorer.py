"""Train a restorer on originals and their compressed versions; exactly resumable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.data.store import open_store
from ratewise.errors import StageError
from ratewise.files import sha256_file, write_json
from ratewise.metrics.perception import perceptual_index
from ratewise.restoration.pairs import Pairs
from ratewise.restoration.settings import RestorerSettings
from ratewise.restoration.training import train_restorer
from ratewise.study.outputs import SEEN, STORE
from ratewise.study.plan import Stage
from ratewise.study.privileged import frames_of, trained
from ratewise.study.restoration_settings import deciding
from ratewise.study.scheduler import StageContext


def run(
    stage: Stage, inputs: Mapping[str, Path], folder: Path, context: StageContext
) -> list[Path]:
    """The stage runner: leaves the weights, the list of images, the training log and pictures."""
    originals = open_store(inputs["originals"] / STORE)
    roles = sorted(
        (role for role in inputs if role.startswith("compressed ")),
        key=lambda role: int(role.split()[1]),
    )
    compressed = tuple(open_store(inputs[role] / STORE) for role in roles)
    indices = trained(stage.params["images"], frames_of(originals.records))
    path = train_restorer(
        _settings(stage, context),
        Pairs(originals, compressed, tuple(indices)),
        folder,
        trained_for=tuple(store.codec for store in compressed),
        identity={"stage": stage.fingerprint},
        origin={"stage": stage.fingerprint, "title": stage.title},
        base=context.base,
        seed=int(stage.params["seed"]),
        title=stage.title,
        quiet=context.quiet,
        perceptual=perceptual_index(None),
    )
    records = [originals.records[i] for i in indices]
    write_json(folder / SEEN, [{"key": r.key, "sha256": r.sha256} for r in records])
    return [path, folder / SEEN]


def _settings(stage: Stage, context: StageContext) -> RestorerSettings:
    """The restorer of the study file that the stage describes, with where and how it runs."""
    restoration = context.settings.restoration
    for settings in restoration.restorers.values() if restoration else ():
        weights = settings.features.weights if settings.losses.features else None
        digest = sha256_file(context.base / weights) if weights else None
        if deciding(settings, digest) == stage.params["restorer"]:
            return settings
    raise StageError(f"{stage.title}: the study file describes no such restorer")
