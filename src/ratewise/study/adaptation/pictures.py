"""Pictures of a comparison of adaptations: a test image, and an old file, as each way has them.

The sheets of a target: ``camvid``, an image of it coded by the source and each way;
``camvid-source``, one of the source's domain, likewise; ``camvid-old-file``, the file that the
source wrote of it, decoded afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratewise.errors import CodecError
from ratewise.images import Image
from ratewise.metrics.distortion import psnr
from ratewise.metrics.rate import bits_per_pixel
from ratewise.neural.adaptation.adaptation import Adaptation
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.weights import PackedModel
from ratewise.study.adaptation.measures import codec_afterwards


@dataclass(frozen=True)
class Shown:
    """A picture and what to say of it; None where a file cannot be decoded."""

    title: str
    note: str
    image: Image | None


@dataclass(frozen=True)
class Sheet:
    """Pictures of one size that all show ``original``."""

    original: Image
    shown: tuple[Shown, ...]


def sheets(
    target: str,
    source: PackedModel,
    ways: Mapping[str, Adaptation],
    image: Image,
    of_source: Image,
) -> dict[str, Sheet]:
    """The sheets of adaptations of ``source`` to ``target``, by name.

    ``ways`` are the adaptations by what they are called, ``image`` is one of the target and
    ``of_source`` one of the source's domain.
    """
    models = {"source": source, **{name: one.applied(source) for name, one in ways.items()}}
    return {
        target: _coded(models, image),
        f"{target}-source": _coded(models, of_source),
        f"{target}-old-file": _old_file(source, ways, of_source),
    }


def _coded(models: Mapping[str, PackedModel], image: Image) -> Sheet:
    """``image``, and what each model's own file makes of it."""
    found = [Shown("original", "", image)]
    for name, model in models.items():
        coder = NeuralCoder(model)
        (file,) = coder.encode([image])
        (decoded,) = coder.decode([file])
        rate = bits_per_pixel(len(file), *image.shape[:2])
        found.append(Shown(name, f"{rate:.3f} bpp, {psnr(image, decoded):.2f} dB", decoded))
    return Sheet(image, tuple(found))


def _old_file(source: PackedModel, ways: Mapping[str, Adaptation], image: Image) -> Sheet:
    """What the file that ``source`` wrote of ``image`` decodes to after each way of adapting."""
    coder = NeuralCoder(source)
    files = coder.encode([image])
    (before,) = coder.decode(files)
    found = [Shown("before", f"{psnr(image, before):.2f} dB", before)]
    for name, adaptation in ways.items():
        try:
            (decoded,) = codec_afterwards(adaptation, source).decode(files)
        except CodecError:
            found.append(Shown(name, "cannot be decoded", None))
            continue
        note = "the same" if (decoded == before).all() else f"{psnr(image, decoded):.2f} dB"
        found.append(Shown(name, note, decoded))
    return Sheet(image, tuple(found))
