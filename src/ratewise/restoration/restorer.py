"""Applying a restorer: a weights file, and images of any size.

Images go through the network whole, since instance norm looks at all of a picture; only above a
number of pixels in tiles (:mod:`ratewise.restoration.tiles`), which changes the result by
rounding errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ratewise.codecs import spec as specs
from ratewise.codecs.registry import family, kind
from ratewise.errors import InputError
from ratewise.images import Image, check_image
from ratewise.restoration.generators import build_generator
from ratewise.restoration.settings import Generator
from ratewise.restoration.tiles import Tile, reach, tiles, whole_image_statistics, whole_up_to
from ratewise.training.device import resolve_device, resolve_precision
from ratewise.training.weights import apply_weights, load_weights, save_weights
from ratewise.validation import Settings, validate

FORMAT = "ratewise restorer 1"
"""What the header of a weights file says that it is."""

_BATCH_PIXELS = 2**20
"""Images of one size go through the network together up to this number of pixels."""

_OTHERS = {
    "ratewise packed codec 1": "a learned codec",
    "ratewise segmentation 1": "a segmentation model",
}

PrecisionName = Literal["auto", "fp32", "bf16"]


class RestorerHeader(Settings):
    """What a weights file says about its restorer."""

    format: Literal["ratewise restorer 1"]
    generator: Generator
    trained_for: tuple[str, ...] = Field(description="Canonical specs of codecs.")
    origin: dict[str, Any] = Field(default={}, description="How it came about.")


class Restorer:
    """A generator that gives compressed images back what compression took.

    ``network`` takes float images ``(N, 3, H, W)`` in [-1, 1] to the same shape. ``distance`` is
    its reach in pixels (:func:`ratewise.restoration.tiles.reach`), needed for images of more than
    ``tile_above`` pixels. The network is moved to ``device`` and put in ``eval()``.
    """

    def __init__(
        self,
        network: nn.Module,
        trained_for: Sequence[str] = (),
        *,
        distance: int = 256,
        device: str = "auto",
        precision: PrecisionName = "auto",
        tile_above: int = 2**20,
    ) -> None:
        self._device = resolve_device(device)
        self._bfloat16 = resolve_precision(precision, self._device) == "bf16-mixed"
        self._network = network.to(self._device).eval()
        self._distance, self._tile_above = distance, tile_above
        self.trained_for = tuple(trained_for)
        """Canonical specs of the codecs whose images it was trained on."""

    def cast_convolutions(self) -> None:
        """Keep the convolutions' weights in bfloat16 if that is what they are computed in.

        Otherwise they are converted anew for each image. A network in training must keep its own.
        """
        if self._bfloat16:
            for module in self._network.modules():
                if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                    module.to(torch.bfloat16)

    def restore(self, image: Image) -> Image:
        """The restored image, ``uint8 (H, W, 3)`` like ``image``, of any size from 1x1 up."""
        return self.restore_batch([image])[0]

    def restore_batch(self, images: Sequence[Image]) -> list[Image]:
        """:meth:`restore` of each; neighbours of one size go through the network together."""
        return [image for batch in self._batches(images) for image in self._restored(batch)]

    def mismatch(self, spec: str) -> str | None:
        """A sentence if images of the codec ``spec`` are not what the restorer was trained for.

        Trained on several operating points of one codec, it is for those between them too.
        """
        return mismatch(self.trained_for, spec)

    def _batches(self, images: Sequence[Image]) -> Iterator[Sequence[Image]]:
        start = 0
        while start < len(images):
            height, width = check_image(images[start]).shape[:2]
            most = max(1, min(_BATCH_PIXELS, self._tile_above) // (height * width))
            stop = start + 1
            while stop < min(len(images), start + most) and (
                images[stop].shape == images[start].shape
            ):
                stop += 1
            yield images[start:stop]
            start = stop

    @torch.inference_mode()
    def _restored(self, images: Sequence[Image]) -> list[Image]:
        height, width = images[0].shape[:2]
        if height * width > self._tile_above:  # such an image is alone
            return [self._in_tiles(images[0])]
        return list(self._forward(np.stack(images)))

    def _in_tiles(self, image: Image) -> Image:
        height, width = image.shape[:2]
        parts = tiles(height, width, pixels=self._tile_above, halo=self._distance)

        def run(tile: Tile) -> Image:
            rows, columns = tile.rows, tile.columns
            seen = image[None, rows.start : rows.stop, columns.start : columns.stop]
            return self._forward(seen)

        restored = np.empty_like(image)
        with whole_image_statistics(self._network, run, parts):
            for tile in parts:
                rows, columns = tile.rows, tile.columns
                kept = run(tile)[
                    0,
                    rows.first - rows.start : rows.last - rows.start,
                    columns.first - columns.start : columns.last - columns.start,
                ]
                restored[rows.first : rows.last, columns.first : columns.last] = kept
        return restored

    def _forward(self, images: Image) -> Image:
        """``uint8 (N, H, W, 3)`` through the network."""
        # (N, H, W, 3) seen as (N, 3, H, W) is channels_last already.
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self._device)
        with self._precision():
            y: Tensor = self._network(pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1))
        levels = y.float().add(1).mul_(127.5).round_().clamp_(0, 255)
        result: Image = levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return result

    def _precision(self) -> Any:
        if not self._bfloat16:
            return nullcontext()
        return torch.autocast(torch.device(self._device).type, torch.bfloat16)


def save_restorer(
    path: Path,
    weights: nn.Module | Mapping[str, Tensor],
    generator: Generator,
    trained_for: Sequence[str],
    *,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a generator's weights with all that :func:`load_restorer` needs to build it again.

    ``trained_for`` are canonical specs of codecs; ``origin`` (JSON-able) says how it came about.
    """
    header = RestorerHeader(
        format=FORMAT,
        generator=generator,
        trained_for=tuple(trained_for),
        origin=dict(origin or {}),
    )
    save_weights(path, weights, header.model_dump(mode="json"))


def load_restorer(
    path: Path,
    *,
    device: str = "auto",
    precision: PrecisionName = "auto",
    tile_above: int | None = None,
) -> Restorer:
    """The restorer of a weights file, ready to restore.

    ``precision`` auto takes bfloat16 where the device computes in it. Images of more than
    ``tile_above`` pixels are restored in tiles, by default of more than fit in some gigabytes
    (:func:`ratewise.restoration.tiles.whole_up_to`).

    Raises :class:`InputError` if the file is missing, damaged, of something else, or holds weights
    that are not finite.
    """
    state, header = read_restorer(path)
    with torch.random.fork_rng(devices=[]):
        network = build_generator(header.generator)
    apply_weights(network, state, str(path))
    network.to(memory_format=torch.channels_last)
    restorer = Restorer(
        network,
        header.trained_for,
        distance=reach(header.generator),
        device=device,
        precision=precision,
        tile_above=whole_up_to(header.generator) if tile_above is None else tile_above,
    )
    restorer.cast_convolutions()
    return restorer


def read_restorer(path: Path) -> tuple[dict[str, Tensor], RestorerHeader]:
    """The weights of a restorer's file, and its header. Errors: :func:`load_restorer`."""
    try:
        state, header = load_weights(path)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: the header cannot be read ({error})") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        what = _OTHERS.get(str(found))
        raise InputError(
            f"{path}: holds {what}, not a restorer"
            if what
            else f"{path}: is no restorer of ratewise ('ratewise restorer train' makes one)"
        )
    broken = next((key for key, value in state.items() if not value.isfinite().all()), None)
    if broken is not None:
        raise InputError(f"{path}: the weights {broken} are not finite; train the restorer again")
    return state, validate(RestorerHeader, header, f"{path} (header)")


def mismatch(trained_for: Sequence[str], spec: str) -> str | None:
    """See :meth:`Restorer.mismatch`. ``spec`` is canonical, like those of ``trained_for``."""
    if spec in trained_for or _lies_between(trained_for, spec):
        return None
    return f"the restorer was trained for {', '.join(trained_for) or 'no codec'}, not for {spec}"


def _lies_between(trained_for: Sequence[str], spec: str) -> bool:
    try:
        name, options = specs.parse(spec)
        point = kind(name).range()
        if point is None or point.name not in options:
            return False
        alike = [other for other in trained_for if family(other) == family(spec)]
        values = [float(specs.parse(other)[1][point.name]) for other in alike]
        return bool(values) and min(values) <= float(options[point.name]) <= max(values)
    except (InputError, KeyError, ValueError):
        return False  # a codec that is not installed here, or not spelled as it is today
