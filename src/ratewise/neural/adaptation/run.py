"""Adapting a packed codec to images: training what is added, and writing it down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ratewise.errors import InputError
from ratewise.files import fingerprint
from ratewise.images import Image
from ratewise.neural.adaptation import custom, low_rank
from ratewise.neural.adaptation.adaptation import (
    Adaptation,
    custom_numbers,
    custom_structure,
    tables_of,
)
from ratewise.neural.adaptation.integers import custom_integers
from ratewise.neural.adaptation.objective import HELD_OUT_LOSS, LEAST_SIDE, AdaptationObjective
from ratewise.neural.adaptation.settings import AdaptationSettings
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.models import CompressionModel
from ratewise.neural.tables import factorised_tables
from ratewise.neural.training.objective import CALIBRATION
from ratewise.neural.training.patches import PatchSource, Photographs
from ratewise.neural.weights import PackedModel, calibration_symbols, pack
from ratewise.training.loop import fit
from ratewise.training.seeding import Purpose, generator, torch_seed

_PARTS = {
    "all": ("g_a", "g_s", "h_a", "h_s", "prior"),
    "encoder": ("g_a", "h_a"),
    "decoder": ("g_s",),
}
_LEAST_IMAGES = 2
_VISITS = 800
"""An epoch has about so many patches, however few the images are."""


def adapt(
    source: PackedModel,
    photographs: Photographs,
    settings: AdaptationSettings,
    folder: Path,
    *,
    name: str = "adaptation",
    quiet: bool = False,
) -> Adaptation:
    """Train an adaptation of ``source`` to ``photographs``; logs and checkpoint are in ``folder``.

    ``name`` is what the adaptation is called. Some images are held out: the weights that do best on
    them are kept. Killed and called again it goes on. What was found on them, before and after, is
    in ``about``. Raises :class:`InputError` for fewer than two images, a source that cannot be
    adapted, and a size that adds nothing.
    """
    held_out, indices = _split(photographs, settings)
    images = [photographs.load(index) for index in held_out]
    model = _model(source, settings)
    lambda_ = settings.rd_lambda or float(source.header.get("lambda", 0))
    if not lambda_:
        raise InputError("the source does not say its lambda: give rd_lambda")
    distortion = source.header.get("distortion", "mse")
    if distortion == "ms_ssim" and settings.patch < LEAST_SIDE:
        raise InputError(f"patch = {settings.patch}: MS-SSIM needs {LEAST_SIDE} at least")
    visits = max(1, round(_VISITS / len(indices)))
    patches = PatchSource(photographs, indices * visits, settings.patch, settings.scale)
    objective = AdaptationObjective(model, lambda_, distortion, settings.optimiser, images)
    before = dict(objective.validate({"model": model.eval()}, 0))
    result = fit(
        objective,
        patches,
        settings.training(len(patches)),
        folder,
        identity={
            "source": source.fingerprint.hex(),
            "images": photographs.fingerprint(),
            "held_out": held_out,
            "lambda": lambda_,
            "settings": fingerprint(settings.deciding()),
        },
        title=name,
        quiet=quiet,
    )
    model = model.cpu().eval()
    after = dict(objective.validate({"model": model}, result.steps))
    calibration = images[:CALIBRATION] or [photographs.load(i) for i in indices[:CALIBRATION]]
    structure, tensors = _stored(source, model, settings, calibration)
    about: dict[str, Any] = {
        "name": name,
        "lambda": lambda_,
        "distortion": distortion,
        "parameters": added_parameters(source, settings),
        "settings": settings.deciding(),
        "images": len(photographs),
        "held_out": len(held_out),
        "steps": result.steps,
        "before": before,
        "after": after,
        "helped": after[HELD_OUT_LOSS] < before[HELD_OUT_LOSS],
    }
    return Adaptation(source.fingerprint, settings.method, structure, tensors, about)


def added_parameters(source: PackedModel, settings: AdaptationSettings) -> int:
    """How many numbers an adapted codec has beside the source's, encoder and decoder together.

    For finetune, those that are other than the source's.
    """
    architecture = source.architecture
    if settings.method == "low_rank":
        return low_rank.size(architecture, low_rank.rank_for(architecture, settings.size))
    if settings.method == "cawf":
        return custom.size(architecture, _layout(source, settings), prior=settings.prior)
    with torch.device("meta"):
        model = CompressionModel(architecture)
    parts = _PARTS[settings.part]
    return sum(p.numel() for name, p in model.named_parameters() if name.split(".")[0] in parts)


def _split(photographs: Photographs, settings: AdaptationSettings) -> tuple[list[int], list[int]]:
    """The images held out, and the others."""
    count = len(photographs)
    if count < _LEAST_IMAGES:
        raise InputError(f"{count} images are too few to adapt to: {_LEAST_IMAGES} at least")
    wanted = settings.held_out or min(16, max(1, count // 5))
    if wanted >= count:
        raise InputError(f"held_out = {wanted}: leaves none of {count} images to learn from")
    order = [int(i) for i in generator(Purpose.VALIDATION, settings.seed).permutation(count)]
    return sorted(order[:wanted]), sorted(order[wanted:])


def _model(source: PackedModel, settings: AdaptationSettings) -> CompressionModel:
    """The network that learns; what does not learn requires no gradient."""
    model = unpacked(source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(Purpose.STEP, settings.seed))
        if settings.method == "cawf":
            layout = _layout(source, settings)
            least = custom.size(source.architecture, layout, prior=settings.prior)
            total = sum(p.numel() for p in model.parameters())
            if least > settings.size * total:  # biases and density alone
                raise InputError(
                    f"size = {settings.size:g}: too small, cawf adds {least / total:.4f} at least"
                )
            wide = custom.widened(model, layout)
            custom.learn_only(wide, custom.custom_masks(wide, layout, prior=settings.prior))
            if layout.rank:
                low_rank.add_low_rank(wide, layout.rank, layout.mixed)
            return wide
        if settings.method == "low_rank":
            rank = low_rank.rank_for(source.architecture, settings.size)
            if not rank:
                raise InputError(f"size = {settings.size:g}: adds nothing to so small a codec")
            model.requires_grad_(False)
            low_rank.add_low_rank(model, rank)
            return model
    parts = _PARTS[settings.part]
    for name, parameter in model.named_parameters():
        # The medians stay: h_s has been given them
        learns = name.split(".")[0] in parts and not name.endswith("quantiles")
        parameter.requires_grad_(learns)
    return model


def _layout(source: PackedModel, settings: AdaptationSettings) -> custom.Layout:
    return custom.layout_for(
        source.architecture,
        settings.size,
        form=settings.form,
        kernel=settings.kernel,
        prior=settings.prior,
    )


def _stored(
    source: PackedModel,
    model: CompressionModel,
    settings: AdaptationSettings,
    calibration: Sequence[Image],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Structure and tensors of an :class:`Adaptation`."""
    if settings.method == "low_rank":
        return {}, low_rank.take_low_rank(model)
    if settings.method == "finetune":
        half = all(value.dtype == torch.float16 for value in source.floats.values())
        made = pack(model, calibration, half=half)
        parts = _PARTS[settings.part]
        return {}, {key: v for key, v in made.tensors().items() if key.split(".")[0] in parts}
    layout = _layout(source, settings)
    structure = custom_structure(layout)
    mixed = low_rank.take_low_rank(model)
    numbers = custom_numbers(model, source, layout) | mixed
    if settings.prior:
        outside = Adaptation(source.fingerprint, "cawf", structure, numbers, {}).applied(source)
        symbols = calibration_symbols(outside, calibration)
        numbers |= custom_integers(source, model, symbols, settings.kernel)
        numbers |= tables_of(factorised_tables(model.prior)[0])
    return structure, numbers
