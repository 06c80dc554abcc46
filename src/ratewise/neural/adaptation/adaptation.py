"""An adaptation: what is added to a codec for a domain, a file of its own.

It is bound to its source by fingerprint. The source is neither changed nor contained: an adapted
codec is the two together (:meth:`Adaptation.applied`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ratewise.errors import InputError
from ratewise.neural.adaptation.custom import Layout, custom_masks
from ratewise.neural.adaptation.integers import with_custom
from ratewise.neural.adaptation.low_rank import convolutions
from ratewise.neural.integer import IntegerLayer
from ratewise.neural.models import CompressionModel, Custom
from ratewise.neural.tables import Tables
from ratewise.neural.weights import MOST_CUSTOM, PackedModel, fingerprint_of
from ratewise.training.header import read_header
from ratewise.training.weights import load_weights, save_weights

FORMAT = "ratewise codec adaptation 1"

Method = Literal["cawf", "low_rank", "finetune"]

_FLOATS = ("g_a", "g_s", "h_a")
_TABLES = ("frequencies", "lengths", "firsts")
_LAYER = ("weight", "padding", "bias", "steps")
_NAMED = ("source", "fingerprint")
_MOST_HEADER = 1 << 20
"""Bytes of a damaged file's header that are searched."""


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What ``method`` adds to the codec of fingerprint ``source``.

    ``structure`` (JSON-able) is what decides how ``tensors`` are read: of ``cawf`` its ``width``,
    the custom maps of g_a and g_s, ``hyper``, those of h_a and h_s, ``kernel``, ``beside``,
    ``mixed`` and ``rank`` (:class:`ratewise.neural.adaptation.custom.Layout`).
    ``about`` says how it came about, such as its lambda; it changes nothing.

    ========= ====================================================================================
    cawf      ``custom.<parameter>``: the custom numbers of g_a, g_s and h_a, in the order of
              :func:`ratewise.neural.adaptation.custom.custom_masks`, less the source's;
              ``<layer>.A`` and ``.B`` of mixed filters; ``h_s.*``
              (:mod:`ratewise.neural.adaptation.integers`) and ``prior.*``, the tables of z,
              unless the entropy model is frozen
    low_rank  ``<layer>.A`` and ``<layer>.B`` of g_a, g_s and h_a
    finetune  what takes the place of the source's: whole transforms, ``h_s.*``, ``prior.*``
    ========= ====================================================================================
    """

    source: bytes
    method: Method
    structure: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @cached_property
    def fingerprint(self) -> bytes:
        """Four bytes of a SHA-256 over source, method, structure and every number."""
        return fingerprint_of([self.source.hex(), self.method, dict(self.structure)], self.tensors)

    @property
    def decodes_as_source(self) -> bool:
        """Whether the source decodes what is coded with it: only its encoder is another."""
        return all(key.split(".")[0] in ("g_a", "h_a") for key in self.tensors)

    def applied(self, source: PackedModel) -> PackedModel:
        """The adapted codec.

        Raises :class:`InputError` if this is an adaptation of another codec, which names both
        fingerprints, or its parts do not fit.
        """
        if source.fingerprint != self.source:
            raise InputError(f"{self} cannot be applied to the codec {source.fingerprint.hex()}")
        try:
            return self._checked(source)
        except InputError as error:
            raise InputError(f"{self}: {error}") from None

    def __str__(self) -> str:
        """It and its source, by their fingerprints."""
        return f"the adaptation {self.fingerprint.hex()} of the codec {self.source.hex()}"

    def _checked(self, source: PackedModel) -> PackedModel:
        made = {"cawf": _with_custom, "low_rank": _with_low_rank, "finetune": _replaced}[
            self.method
        ](source, self)
        for key, value in made.floats.items():
            if not torch.isfinite(value).all():
                raise InputError(f"the adaptation has weights that are not finite, in {key!r}")
        adapted = dataclasses.replace(
            made,
            density={},
            source=source.fingerprint,
            adaptation=b"" if self.decodes_as_source else self.fingerprint,
        )
        adapted.network()  # names what does not fit
        return adapted

    def save(self, path: Path) -> None:
        """Write it as one safetensors file; same adaptation, same bytes."""
        header = {
            "format": FORMAT,
            "source": self.source.hex(),
            "method": self.method,
            "structure": dict(self.structure),
            "fingerprint": self.fingerprint.hex(),
        }
        save_weights(path, dict(self.tensors), {"about": dict(self.about), **header})


def is_adaptation(path: Path) -> bool:
    """Whether a safetensors file says that it holds an adaptation; InputError if it is damaged."""
    try:
        return read_header(path).get("format") == FORMAT
    except InputError as error:
        raise InputError(f"{error}{_was(path)}") from None


def load_adaptation(path: Path) -> Adaptation:
    """The adaptation that :meth:`Adaptation.save` wrote to ``path``.

    Raises :class:`InputError`, which names the file, and what it was as far as its header is
    readable, if it is missing, none, or damaged.
    """
    try:
        tensors, header = load_weights(path)
    except InputError as error:
        raise InputError(f"{error}{_was(path)}") from None
    if header.get("format") != FORMAT:
        raise InputError(f"{path}: is no adaptation of a codec")
    try:
        source, method = bytes.fromhex(header["source"]), header["method"]
        known, about = dict(header["structure"]), dict(header["about"])
        named = bytes.fromhex(header["fingerprint"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: the adaptation's header is damaged{_was(path)}") from None
    if method not in ("cawf", "low_rank", "finetune"):
        raise InputError(f"{path}: is an adaptation of the unknown method {method!r}")
    found = Adaptation(source, method, known, tensors, about)
    try:
        own = found.fingerprint
    except (TypeError, RecursionError):  # numbers or a structure of kinds that are in no adaptation
        raise InputError(f"{path}: the adaptation is damaged{_was(path)}") from None
    if own != named:
        raise InputError(
            f"{path}: the adaptation is damaged: its numbers are those of {own.hex()}, not of "
            f"{named.hex()}, an adaptation of the codec {source.hex()}"
        )
    return found


def _was(path: Path) -> str:
    """What a file that cannot be read was, as far as the beginning of it says so."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, _MOST_HEADER)).decode(errors="replace")
    except OSError:
        return ""
    named = [re.search(rf'{key}[\\": ]+([0-9a-f]{{8}})\b', text) for key in _NAMED]
    source, own = (match and match.group(1) for match in named)
    if FORMAT not in text or not (source or own):
        return ""
    return f"; it was the adaptation {own or '(unknown)'} of the codec {source or '(unknown)'}"


def custom_structure(layout: Layout) -> dict[str, Any]:
    """``structure`` of an adaptation of ``cawf``."""
    return {
        "width": layout.maps.image,
        "hyper": layout.maps.hyper,
        "kernel": layout.kernel,
        "beside": list(layout.beside),
        "mixed": list(layout.mixed),
        "rank": layout.rank,
    }


def custom_numbers(
    wide: CompressionModel, source: PackedModel, layout: Layout
) -> dict[str, Tensor]:
    """What a trained wide network has beside ``source``: ``custom.*``, float16.

    Of g_a, g_s and h_a; raises :class:`InputError` where float16 cannot hold it.
    """
    base = _embedded(source, layout.maps)
    masks = custom_masks(wide, layout)
    found = {}
    for name, parameter in wide.named_parameters():
        if name.split(".")[0] in _FLOATS and masks[name].any():
            more = (parameter.detach().cpu().float() - base[name])[masks[name]].half()
            if not torch.isfinite(more).all():
                raise InputError(f"the adapted model has weights that are not finite, in {name!r}")
            found[f"custom.{name}"] = more
    return found


def tables_of(prior: Tables) -> dict[str, Tensor]:
    """``prior.*`` of the tables of z."""
    return {f"prior.{part}": torch.from_numpy(getattr(prior, part)) for part in _TABLES}


def _with_custom(source: PackedModel, adaptation: Adaptation) -> PackedModel:
    tensors = adaptation.tensors
    layout = _layout(adaptation.structure)
    with torch.device("meta"):
        wide = CompressionModel(source.architecture, layout.maps)
    masks = custom_masks(wide, layout)
    chosen = {name: mask for name, mask in masks.items() if name.split(".")[0] in _FLOATS}
    for name, mask in chosen.items():
        more = tensors.get(f"custom.{name}")
        if mask.any() and (more is None or more.shape != (int(mask.sum()),)):
            raise InputError(f"the adaptation's {name!r} is missing or of another size")
    floats = _embedded(source, layout.maps)
    for name, mask in chosen.items():
        if mask.any():
            floats[name][mask] += tensors[f"custom.{name}"].float()
    mixed = convolutions(wide, layout.mixed if layout.rank else ())
    _add_products(floats, tensors, [name for name, _ in mixed])
    layers = source.layers
    if any(key.startswith("h_s.") for key in tensors):
        layers = with_custom(layers, tensors)
    return dataclasses.replace(source, floats=floats, layers=layers, prior=_tables(source, tensors))


def _layout(structure: Mapping[str, Any]) -> Layout:
    """What :func:`custom_structure` wrote.

    Older ones lack ``beside``, ``mixed`` and ``rank`` where they are empty, and ``hyper`` where it
    is the same as ``width``.
    """
    image, kernel = structure.get("width"), structure.get("kernel")
    hyper, rank = structure.get("hyper", image), structure.get("rank", 0)
    for number, what in ((image, "width"), (hyper, "width"), (rank, "rank")):
        if not isinstance(number, int) or not 0 <= number <= MOST_CUSTOM:
            raise InputError(f"the adaptation's {what} {number} cannot be")
    if not isinstance(kernel, int) or kernel not in (3, 5):
        raise InputError(f"the adaptation's kernel {kernel}, beside its width, cannot be")
    beside, mixed = (_names(structure, key) for key in ("beside", "mixed"))
    assert isinstance(image, int)
    assert isinstance(hyper, int)
    return Layout(Custom(image, hyper), beside, mixed, rank, kernel)


def _names(structure: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = structure.get(key, [])
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.startswith(("g_a", "g_s")) for name in names
    ):
        raise InputError(f"the adaptation's {key} {names} cannot be")
    return tuple(names)


def _embedded(source: PackedModel, custom: Custom) -> dict[str, Tensor]:
    """The source's floats in a network with ``custom`` maps more, 0 elsewhere; float32."""
    with torch.device("meta"):
        wide = CompressionModel(source.architecture, custom)
    found = {}
    for name, parameter in wide.named_parameters():
        if name.split(".")[0] in _FLOATS:
            own = source.floats[name].float()
            found[name] = torch.zeros(parameter.shape)
            found[name][tuple(slice(0, side) for side in own.shape)] = own
    return found


def _with_low_rank(source: PackedModel, adaptation: Adaptation) -> PackedModel:
    floats = {key: value.float() for key, value in source.floats.items()}
    layers = []
    for key in adaptation.tensors:
        layer, _, part = key.rpartition(".")
        if part not in ("A", "B") or f"{layer}.weight" not in floats:
            raise InputError(f"the adaptation has an unknown part {key!r}")
        if part == "B":
            layers.append(layer)
    _add_products(floats, adaptation.tensors, layers)
    return dataclasses.replace(source, floats=floats)


def _add_products(
    floats: dict[str, Tensor], tensors: Mapping[str, Tensor], layers: Sequence[str]
) -> None:
    """Add B A to the weight of each of ``layers``."""
    for layer in layers:
        weight = floats[f"{layer}.weight"]
        try:
            a, b = (tensors[f"{layer}.{one}"].float() for one in "AB")
            if a.ndim != 2 or b.ndim != 2 or len(b) * a.shape[1] != weight.numel():
                raise ValueError
            floats[f"{layer}.weight"] = weight + (b @ a).view_as(weight)
        except (KeyError, RuntimeError, ValueError):
            raise InputError(f"the adaptation's {layer!r} does not fit its source") from None


def _replaced(source: PackedModel, adaptation: Adaptation) -> PackedModel:
    tensors = adaptation.tensors
    floats = {key: tensors.get(key, value) for key, value in source.floats.items()}
    known = {*floats, *(f"prior.{part}" for part in _TABLES)}
    known |= {f"h_s.{number}.{part}" for number in range(len(source.layers)) for part in _LAYER}
    strange = sorted(set(tensors) - known)
    if strange:
        raise InputError(f"the adaptation has an unknown part {strange[0]!r}")
    layers = source.layers
    if any(key.startswith("h_s.") for key in tensors):
        try:
            layers = tuple(
                IntegerLayer(*(tensors[f"h_s.{number}.{part}"] for part in _LAYER))
                for number in range(len(source.layers))
            )
        except KeyError as error:
            raise InputError(f"the adaptation lacks {error.args[0]!r}") from None
        if any(
            a.weight.shape != b.weight.shape for a, b in zip(layers, source.layers, strict=True)
        ):
            raise InputError("the adaptation's h_s is not of its source's widths")
    return dataclasses.replace(source, floats=floats, layers=layers, prior=_tables(source, tensors))


def _tables(source: PackedModel, tensors: Mapping[str, Tensor]) -> Tables:
    if "prior.frequencies" not in tensors:
        return source.prior
    try:
        found = Tables(*(tensors[f"prior.{part}"].numpy() for part in _TABLES))
    except KeyError as error:
        raise InputError(f"the adaptation lacks {error.args[0]!r}") from None
    if len(found) != len(source.prior):
        raise InputError(f"the adaptation's tables are not of {len(source.prior)} feature maps")
    return found
