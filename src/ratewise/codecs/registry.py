"""Finding codecs: by name, by spec, by the bytes of a file.

Ratewise's own formats stand in a table and are imported when they are needed. Other packages
join through the entry-point group ``ratewise.codecs``: the entry point's name is the codec's
name, and it leads to a :class:`ratewise.codecs.base.CodecKind`. A plugin that cannot be loaded
gives a warning that names it, and the others go on.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from ratewise.codecs import spec as specs
from ratewise.codecs.base import Codec, CodecKind
from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.validation import suggestion

GROUP = "ratewise.codecs"

_BUILTIN = {
    "png": "ratewise.codecs.png:PngCodec",
    "jpeg": "ratewise.codecs.jpeg:JpegCodec",
    "jpeg2000": "ratewise.codecs.jpeg2000:Jpeg2000Codec",
    "webp": "ratewise.codecs.webp:WebpCodec",
    "avif": "ratewise.codecs.avif:AvifCodec",
    "bpg": "ratewise.codecs.bpg.codec:BpgCodec",
}


_NUMBERED = re.compile(r"-\d+(\.\d+)?(\.safetensors)?$")
"""The end of the name of a file of weights that tells it from others of its family."""


def names() -> list[str]:
    """The names of all codecs, ratewise's own first; those that are not available here too."""
    return [*_BUILTIN, *_plugins()]


def kind(name: str) -> CodecKind:
    """The codec called ``name`` before its options are chosen.

    Raises :class:`InputError` if there is none, or if its package cannot be loaded.
    """
    if name in _BUILTIN:
        return _builtin(name)
    plugin = _plugins().get(name)
    if plugin is None:
        known = names()
        raise InputError(
            f"unknown codec {name!r}{suggestion(name, known)} (codecs: {', '.join(known)})"
        )
    try:
        return _load(plugin)
    except Exception as error:
        raise InputError(
            f"codec {name!r} ({plugin.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def codec(spec: str) -> Codec:
    """The codec that ``spec`` spells, such as ``jpeg:quality=10,subsampling=444``.

    Raises :class:`InputError` on an unknown codec or option, or a value that is not allowed.
    """
    name, options = specs.parse(spec)
    return kind(name).from_options(options)


def expand(spec: str) -> list[str]:
    """The canonical specs of a sweep: ``jpeg:quality=5,10,subsampling=444`` gives two.

    Several values of several options give every combination, in order, without repetitions.
    Raises :class:`InputError` like :func:`codec`.
    """
    name, values = specs.parse_sweep(spec)
    found = kind(name)
    every = (found.from_options(options).spec for options in specs.combinations(values))
    return list(dict.fromkeys(every))


def family(spec: str) -> str:
    """``spec`` without its operating point: what one line of a plot has in common.

    Files of weights whose names differ in a number at their end are of one family
    (``weights=runs/a/quality-1.safetensors``, ``...-2``): trainings name what they leave so.
    """
    name, options = specs.parse(spec)
    point = kind(name).range()
    kept = [
        f"{key}={_NUMBERED.sub('', value) if key == 'weights' else value}"
        for key, value in options.items()
        if not point or key != point.name
    ]
    return f"{name}:{','.join(kept)}" if kept else name


def identify(data: bytes) -> Codec:
    """A codec, with default options, that decodes ``data``.

    Raises :class:`CodecError` if no codec takes the bytes for a file of its format, or if the
    one that does is not available here.
    """
    for name in _BUILTIN:
        found = _builtin(name)
        if found.recognises(data):
            return _default(name, found)
    for name, plugin in _plugins().items():
        try:
            found = _load(plugin)
            recognised = found.recognises(data)
        except Exception as error:
            warnings.warn(
                f"codec {name!r} ({plugin.value}) cannot be loaded: {error}", stacklevel=2
            )
            continue
        if recognised:
            return _default(name, found)
    raise CodecError(f"no codec recognises these {len(data)} bytes (codecs: {', '.join(names())})")


def decode(data: bytes) -> Image:
    """The image in the bytes of a file of any codec's format; raises :class:`CodecError`."""
    data = bytes(data)  # a bytearray or a memoryview will do
    return identify(data).decode(data)


def _default(name: str, found: CodecKind) -> Codec:
    reason = found.unavailable()
    if reason:
        raise CodecError(f"the data is of codec {name!r}, which is not available here: {reason}")
    return found.from_options({})


@functools.cache
def _builtin(name: str) -> CodecKind:
    module, _, attribute = _BUILTIN[name].partition(":")
    return cast(CodecKind, getattr(import_module(module), attribute))


@functools.cache
def _load(plugin: EntryPoint) -> CodecKind:
    return cast(CodecKind, plugin.load())


@functools.cache
def _plugins() -> Mapping[str, EntryPoint]:
    """Entry points by name; asking the installed packages takes milliseconds, so once."""
    found: dict[str, EntryPoint] = {}
    for plugin in entry_points(group=GROUP):
        if plugin.name in _BUILTIN or plugin.name in found:
            warnings.warn(
                f"codec {plugin.name!r} ({plugin.value}) is ignored: the name is taken",
                stacklevel=2,
            )
            continue
        found[plugin.name] = plugin
    return found
