"""Pictures of a comparison of adaptations: crops of a test image, and of an old file, by each way.

::

    OUT/pictures/camvid.png            an image of the target, coded by the source and each way
    OUT/pictures/camvid-source.png     one of the source's domain, likewise
    OUT/pictures/camvid-old-file.png   the file that the source wrote of it, decoded afterwards
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.errors import CodecError
from ratewise.files import write_atomically
from ratewise.images import Image, encode_png
from ratewise.metrics.distortion import psnr
from ratewise.metrics.rate import bits_per_pixel
from ratewise.neural.adaptation.adaptation import Adaptation
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.weights import PackedModel
from ratewise.report.bench_crops import detailed_box
from ratewise.report.crop_sheet import TitledCrop, crop_sheet
from ratewise.report.pictures import crop
from ratewise.study.adaptation.measures import codec_afterwards

_COLUMNS = 4


def draw_pictures(
    folder: Path,
    target: str,
    source: PackedModel,
    ways: Mapping[str, Adaptation],
    image: Image,
    of_source: Image,
) -> list[Path]:
    """Write the pictures of adaptations of ``source`` to ``target``; their paths.

    ``ways`` are the adaptations by what they are called, ``image`` is one of the target and
    ``of_source`` one of the source's domain.
    """
    models = {"source": source, **{name: one.applied(source) for name, one in ways.items()}}
    sheets = {
        target: _coded(models, image),
        f"{target}-source": _coded(models, of_source),
        f"{target}-old-file": _old_file(source, ways, of_source),
    }
    paths = []
    for name, crops in sheets.items():
        paths.append(folder / f"{name}.png")
        write_atomically(paths[-1], encode_png(crop_sheet(crops, columns=_COLUMNS)))
    return paths


def _coded(models: Mapping[str, PackedModel], image: Image) -> list[TitledCrop]:
    """The most detailed part of ``image``, and what each model's own file makes of it."""
    box = detailed_box(image)
    found = [TitledCrop("original", "", crop(image, box))]
    for name, model in models.items():
        coder = NeuralCoder(model)
        (file,) = coder.encode([image])
        (decoded,) = coder.decode([file])
        rate = bits_per_pixel(len(file), *image.shape[:2])
        note = f"{rate:.3f} bpp, {psnr(image, decoded):.2f} dB"
        found.append(TitledCrop(name, note, crop(decoded, box)))
    return found


def _old_file(
    source: PackedModel, ways: Mapping[str, Adaptation], image: Image
) -> list[TitledCrop]:
    """What the file that ``source`` wrote of ``image`` decodes to after each way of adapting."""
    box, coder = detailed_box(image), NeuralCoder(source)
    files = coder.encode([image])
    (before,) = coder.decode(files)
    found = [TitledCrop("before", f"{psnr(image, before):.2f} dB", crop(before, box))]
    for name, adaptation in ways.items():
        try:
            (decoded,) = codec_afterwards(adaptation, source).decode(files)
        except CodecError:
            found.append(TitledCrop(name, "cannot be decoded", None))
            continue
        note = "the same" if (decoded == before).all() else f"{psnr(image, decoded):.2f} dB"
        found.append(TitledCrop(name, note, crop(decoded, box)))
    return found
