"""Training a family of codecs: once together, then each for its lambda."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ratewise.errors import InputError
from ratewise.files import fingerprint, sha256_file
from ratewise.images import Image
from ratewise.neural.compressai import load_compressai
from ratewise.neural.models import Architecture, CompressionModel
from ratewise.neural.training.objective import CALIBRATION, RateDistortion
from ratewise.neural.training.patches import PatchSource, Photographs
from ratewise.neural.training.settings import CodecTrainingSettings, PhaseSettings
from ratewise.neural.weights import FORMAT, pack
from ratewise.training.loop import fit
from ratewise.training.seeding import Purpose, generator, torch_seed
from ratewise.training.settings import TrainingSettings
from ratewise.training.weights import apply_weights, load_weights, save_weights


def train_codecs(
    settings: CodecTrainingSettings,
    photographs: Photographs,
    folder: Path,
    *,
    base: Path = Path(),
    quiet: bool = False,
) -> list[Path]:
    """Train the codecs of ``settings``; the weights files in ``folder``, one for each lambda.

    They are packed: ready to code with (:func:`ratewise.neural.weights.load`). Beside each lies
    ``quality-1-training.safetensors``, the float weights, which another training may start from.
    Killed and called again it goes on, and finished codecs are not trained again. Paths in the
    settings are relative to ``base``. Raises :class:`InputError` if there are no images beside
    those held out, or ``settings.start`` does not fit.
    """
    held_out, indices = split(photographs, settings)
    source = PatchSource(photographs, indices, settings.patch, settings.scale)
    family = _Family(settings, source, [photographs.load(i) for i in held_out], folder, quiet)
    identity: dict[str, Any] = {"images": photographs.fingerprint(), "held_out": held_out}
    state = None
    if settings.start is not None:
        state = starting_weights(base / settings.start, _architecture(settings))
        identity["start"] = sha256_file(base / settings.start)
    if settings.shared is not None:
        state = family.train("shared", settings.common_lambda, settings.shared, state, identity)
    paths = []
    for quality, lambda_ in enumerate(settings.lambdas, 1):
        name = f"quality-{quality}"
        own = family.train(name, lambda_, settings.each, state, identity)
        path = folder / f"{name}.safetensors"
        header = {
            "lambda": lambda_,
            "distortion": settings.distortion,
            "name": settings.name,
            "settings": fingerprint(deciding(settings)),
        }
        save_weights(folder / f"{name}-training.safetensors", own, header)
        model = new_model(settings)
        model.load_state_dict(own)
        pack(model, family.calibration, header, half=settings.storage == "fp16").save(path)
        paths.append(path)
    return paths


def split(photographs: Photographs, settings: CodecTrainingSettings) -> tuple[list[int], list[int]]:
    """The images held out, and those of an epoch, each as often as it repeats."""
    count = len(photographs)
    if count <= settings.validation:
        raise InputError(
            f"{count} images are too few: {settings.validation} are held out for validation"
        )
    order = generator(Purpose.VALIDATION, settings.seed).permutation(count)
    held_out = sorted(int(i) for i in order[: settings.validation])
    gone = set(held_out)
    every = [i for i in range(count) if i not in gone for _ in range(photographs.repeats[i])]
    return held_out, every


def starting_weights(path: Path, architecture: Architecture) -> dict[str, Tensor]:
    """The float weights in ``path``: of an earlier training, or a checkpoint of CompressAI.

    Raises :class:`InputError` if they do not fit ``architecture``, or were packed.
    """
    if path.suffix == ".safetensors":
        state, header = load_weights(path)
        if header.get("format") == FORMAT:
            raise InputError(
                f"start = {path}: is packed to code with; give the -training file beside it"
            )
    else:
        state = dict(load_compressai(path).state_dict())
    with torch.random.fork_rng(devices=[]):  # the weights it is built with do not matter
        apply_weights(architecture.build(), state, f"start = {path}")
    return state


class _Family:
    """What the phases of a run have in common."""

    def __init__(
        self,
        settings: CodecTrainingSettings,
        source: PatchSource,
        held_out: Sequence[Image],
        folder: Path,
        quiet: bool,
    ) -> None:
        self.settings, self.source, self.held_out = settings, source, held_out
        self.folder, self.quiet = folder, quiet

    @property
    def calibration(self) -> list[Image]:
        """Some of the images held out, or of the others where none are."""
        if self.held_out:
            return list(self.held_out[:CALIBRATION])
        photographs, indices = self.source.photographs, self.source.indices[:CALIBRATION]
        return [photographs.load(index) for index in indices]

    def train(
        self,
        name: str,
        lambda_: float,
        phase: PhaseSettings,
        start: dict[str, Any] | None,
        identity: dict[str, Any],
    ) -> dict[str, Any]:
        """One phase from ``start``, or from random weights; its state dict."""
        settings = self.settings
        model = new_model(settings)
        if start is not None:
            model.load_state_dict(start)
        objective = RateDistortion(
            model,
            lambda_,
            settings.distortion,
            settings.optimiser(phase),
            settings.quantile_optimiser(),
            self.held_out,
        )
        own = {"lambda": lambda_, "phase": phase.model_dump(mode="json"), **identity}
        result = fit(
            objective,
            self.source,
            self._training(phase),
            self.folder / "training" / name,
            identity=own | {"settings": fingerprint(deciding(settings))},
            title=f"{name}, lambda {lambda_:g}",
            quiet=self.quiet,
        )
        return result.weights["model"]

    def _training(self, phase: PhaseSettings) -> TrainingSettings:
        settings = self.settings
        per_epoch = max(1, len(self.source) // min(settings.batch_size, len(self.source)))
        return TrainingSettings(
            steps=phase.steps,
            batch_size=settings.batch_size,
            clip_norm=settings.clip_norm,
            precision=settings.precision,
            ema=settings.ema,
            seed=settings.seed,
            validate_every=max(1, round(settings.validate_every / per_epoch)),
            workers=settings.workers,
            device=settings.device,
            devices=settings.devices,
            nodes=settings.nodes,
            tensorboard=settings.tensorboard,
        )


def new_model(settings: CodecTrainingSettings) -> CompressionModel:
    """The network with random weights that follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(Purpose.STEP, settings.seed))
        return _architecture(settings).build()


def _architecture(settings: CodecTrainingSettings) -> Architecture:
    shape = settings.architecture
    return Architecture(shape.kind, shape.N, shape.M)


_ELSEWHERE = {"name", "description", "lambdas", "shared", "each", "shared_lambda", "storage"}
_ELSEWHERE |= {
    "device",
    "workers",
    "tensorboard",
    "validate_every",
    "validation",
    "images",
}


def deciding(settings: CodecTrainingSettings) -> dict[str, Any]:
    """The settings that decide the weights of each phase, beside lambda, phase and images."""
    return settings.model_dump(mode="json", exclude=_ELSEWHERE)
