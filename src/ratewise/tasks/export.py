"""A trained model as an ONNX file, checked against PyTorch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ratewise.errors import InputError, RatewiseError, first_line
from ratewise.files import write_atomically
from ratewise.tasks.classification import ClassificationModel
from ratewise.tasks.classification_predictor import LoadedClassifier
from ratewise.tasks.models import TrainedModel, class_names
from ratewise.tasks.timm_models import published

LIMIT = 1e-3
"""Largest difference to PyTorch that is taken, as a share of the range of the logits."""

OPSET = 17

INPUT, OUTPUT = "images", "logits"

_OTHER = (40, 24)
"""Added to width and height, it is the second size that a model is tried at."""

_SEGMENTED = (256, 256)


@dataclass(frozen=True)
class Checked:
    """A comparison on random images: their number and size, the largest difference of a logit, and
    the range of the logits."""

    images: int
    width: int
    height: int
    difference: float
    range: float

    @property
    def relative(self) -> float:
        """The difference as a share of the range."""
        return self.difference / self.range if self.range else self.difference

    @property
    def passed(self) -> bool:
        """Whether it is within :data:`LIMIT`; a NaN is not."""
        return self.relative <= LIMIT


@dataclass(frozen=True)
class Exported:
    """What was written. ``fixed`` says why the sides are fixed; None where any will do."""

    path: Path
    bytes: int
    width: int
    height: int
    fixed: str | None
    checks: tuple[Checked, ...]


def export_onnx(
    model: TrainedModel, path: Path, *, size: tuple[int, int] | None = None, check: bool = True
) -> Exported:
    """Write a model as ONNX: ``images`` float32 (N, 3, H, W) in [0, 1] -> ``logits``.

    Normalisation is inside. ``logits`` are ``(N, C, H, W)`` of segmentation and ``(N, C)`` of
    classification, C being the data set's classes also where a classifier has more outputs. N is
    free. H and W are too, unless the model works or converts at ``size`` (width, height) alone;
    by default it is what the classifier was published for, else 256x256. The metadata holds the
    names of the classes and where the weights came from.

    With ``check`` random images of two sizes (two numbers where the sides are fixed) go through
    PyTorch and onnxruntime. Raises :class:`InputError` if a package of the extra ``onnx`` is
    missing, and :class:`RatewiseError` if the model cannot be converted, or a logit differs by more
    than :data:`LIMIT` of their range; nothing is written then.
    """
    _check_installed(check)
    width, height = size or _size(model)
    network = _OfClasses(model.model).eval()
    larger = (width + _OTHER[0], height + _OTHER[1])
    fixed = _refusal(network, larger)
    if fixed is None:
        try:
            data = _converted(model, network, (width, height), dynamic=True)
            checks = _checks(data, network, [(1, width, height), (3, *larger)]) if check else ()
            if all(one.passed for one in checks):
                return _written(path, data, (width, height), None, checks)
            fixed = "the converted model differs from PyTorch at another size"
        except Exception as error:  # exporter and runtime raise many kinds
            fixed = f"it does not convert for any size: {first_line(error)}"
    try:
        data = _converted(model, network, (width, height), dynamic=False)
        checks = _checks(data, network, [(1, width, height), (3, width, height)]) if check else ()
    except Exception as error:
        raise RatewiseError(
            f"the model cannot be converted to ONNX at {width}x{height}: {first_line(error)}"
        ) from error
    bad = [one for one in checks if not one.passed]
    if bad:
        raise RatewiseError(
            f"the converted model's logits differ from PyTorch's by {bad[0].relative:.1e} of their "
            f"range at {width}x{height}, which is more than {LIMIT:g}"
        )
    return _written(path, data, (width, height), fixed, checks)


class _OfClasses(nn.Module):
    """The logits of the data set's classes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        if isinstance(self.model, ClassificationModel):
            return self.model.of_classes(logits)
        return logits


def _check_installed(check: bool) -> None:
    needed = ("onnx", "onnxruntime") if check else ("onnx",)
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise InputError(
            f"exporting needs {' and '.join(missing)}, which is not installed: "
            "pip install 'ratewise[onnx]'"
        )


def _size(model: TrainedModel) -> tuple[int, int]:
    if not isinstance(model, LoadedClassifier):
        return _SEGMENTED
    known = published(model.settings.model)
    _, height, width = (3, 224, 224) if known is None else known.input_size
    return width, height


def _refusal(network: nn.Module, size: tuple[int, int]) -> str | None:
    """Why PyTorch itself does not take a size; None if it does."""
    try:
        _reference(network, _images(1, *size))
    except Exception as error:
        return f"the model does not take {size[0]}x{size[1]} ({first_line(error)})"
    return None


def _converted(
    model: TrainedModel, network: nn.Module, size: tuple[int, int], *, dynamic: bool
) -> bytes:
    """The bytes of the ONNX file, with its metadata."""
    import onnx

    width, height = size
    axes: dict[str, dict[int, str]] = {INPUT: {0: "N"}, OUTPUT: {0: "N"}}
    if dynamic:
        axes[INPUT] |= {2: "H", 3: "W"}
        if not isinstance(model, LoadedClassifier):
            axes[OUTPUT] |= {2: "H", 3: "W"}
        # The trace follows one image, and only one of odd sides is padded on its way.
        width, height = width + 1 - width % 2, height + 1 - height % 2
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of every branch that tracing decides once and for all
        torch.onnx.export(
            network,
            (_images(2, width, height),),
            file := Path(folder) / "model.onnx",
            dynamo=False,  # the other exporter needs onnxscript
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=axes,
        )
        graph = onnx.load(file)
    onnx.helper.set_model_props(graph, _metadata(model))
    onnx.checker.check_model(graph)
    data: bytes = graph.SerializeToString()
    return data


def _metadata(model: TrainedModel) -> dict[str, str]:
    """Text by name; what is not plain text is JSON."""
    restricted = isinstance(model, LoadedClassifier) and model.settings.head == "restricted"
    return {
        "task": model.settings.kind,
        "model": model.settings.title,
        "classes": json.dumps(list(class_names(model)), ensure_ascii=False),
        "images": "float32 (N, 3, H, W), RGB in [0, 1]; they are normalised inside",
        "logits": "of the data set's classes"
        + (", picked from all outputs of the model" if restricted else ""),
        "origin": json.dumps(model.origin, sort_keys=True),
    }


def _checks(
    data: bytes, network: nn.Module, shapes: Sequence[tuple[int, int, int]]
) -> tuple[Checked, ...]:
    """onnxruntime against PyTorch on random images of each (number, width, height)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # its warnings are of graphs that it improves
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found = []
    for number, width, height in shapes:
        images = _images(number, width, height)
        expected = _reference(network, images)
        (logits,) = session.run([OUTPUT], {INPUT: images.numpy()})
        if logits.shape != expected.shape:
            raise RatewiseError(f"the logits are {logits.shape}, not {expected.shape}")
        difference, spread = float(np.abs(logits - expected).max()), float(np.ptp(expected))
        found.append(Checked(number, width, height, difference, spread))
    return tuple(found)


def _reference(network: nn.Module, images: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    with torch.no_grad():
        logits: np.ndarray[Any, np.dtype[np.float32]] = network(images).float().numpy()
    return logits


def _images(number: int, width: int, height: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.rand((number, 3, height, width), generator=generator)


def _written(
    path: Path,
    data: bytes,
    size: tuple[int, int],
    fixed: str | None,
    checks: tuple[Checked, ...],
) -> Exported:
    write_atomically(path, data)
    return Exported(path, len(data), *size, fixed, checks)
