"""The pictures of a comparison of adaptations, drawn: ``OUT/pictures/camvid.png`` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ratewise.files import write_atomically
from ratewise.images import encode_png
from ratewise.report.bench_crops import detailed_box
from ratewise.report.crop_sheet import TitledCrop, crop_sheet
from ratewise.report.pictures import crop
from ratewise.study.adaptation.pictures import Sheet

_COLUMNS = 4


def write_pictures(folder: Path, sheets: Mapping[str, Sheet]) -> list[Path]:
    """Write each sheet as a PNG of crops, the most detailed part of what it shows; their paths."""
    paths = []
    for name, sheet in sheets.items():
        box = detailed_box(sheet.original)
        crops = [
            TitledCrop(one.title, one.note, None if one.image is None else crop(one.image, box))
            for one in sheet.shown
        ]
        paths.append(folder / f"{name}.png")
        write_atomically(paths[-1], encode_png(crop_sheet(crops, columns=_COLUMNS)))
    return paths
