"""The picture strips of a report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ratewise.data.classes import Classes
from ratewise.images import Image, Mask
from ratewise.report.html import element, picture, wrap
from ratewise.report.model import Strip
from ratewise.report.pictures import colourise, crop, scale

PICTURE_BYTES = 3_500_000
"""What the pictures of a report may take; wide ones are shrunk until they fit."""

_WIDTHS = (480, 360, 280, 220, 160, 120)


def gallery(strips: Sequence[Strip], classes: Classes | None) -> str:
    """All strips with the legend of class colours, or nothing without strips or classes."""
    if not strips or classes is None:
        return ""
    html = ""
    for width in _WIDTHS:
        html = "".join(_strip(strip, classes, width) for strip in strips)
        if len(html) <= PICTURE_BYTES:
            break
    text = (
        "In each card, from above: what the model was shown, its prediction in the colours below, "
        "and the box around a small object enlarged, picture and prediction. A codec without a "
        "rate was used in training only."
    )
    title = element("h2", "What the models see")
    return wrap("section", [title, element("p", text, class_="quiet"), _legend(classes), html])


def _legend(classes: Classes) -> str:
    pairs = [*zip(classes.names, classes.colours, strict=True), ("not counted", (0, 0, 0))]
    return wrap(
        "div",
        [
            f'<span><i class="swatch" style="background:rgb({r} {g} {b})"></i>{escape(name)}</span>'
            for name, (r, g, b) in pairs
        ],
        class_="legend",
    )


def _strip(strip: Strip, classes: Classes, width: int) -> str:
    cards = [_card("original", "and the truth", strip, strip.original, strip.mask, classes, width)]
    for column in strip.columns:
        name, _, codec = column.title.partition(" ")
        rate = "" if column.bpp is None or column.bpp != column.bpp else f"{column.bpp:.2f} bpp"
        note = "\n".join(part for part in (codec, rate) if part)
        cards.append(_card(name, note, strip, column.image, column.prediction, classes, width))
    return element("h3", strip.title) + wrap("div", cards, class_="strip")


def _card(
    title: str, note: str, strip: Strip, image: Image, mask: Mask, classes: Classes, width: int
) -> str:
    coloured = colourise(mask, classes)
    small = min(width, image.shape[1])
    about = " ".join([title, *note.split()])
    crops = [
        picture(_at_most(crop(pixels, strip.zoom), width), f"{what}, enlarged", pixelated=True)
        for what, pixels in (("picture", image), ("classes", coloured))
    ]
    return wrap(
        "div",
        [
            element("b", title) + element("small", note),
            _frame(picture(scale(image, small), f"{about}: picture"), strip),
            _frame(picture(scale(coloured, small, smooth=False), f"{about}: classes"), strip),
            wrap("div", crops, class_="pair"),
        ],
    )


def _at_most(pixels: Image, width: int) -> Image:
    return pixels if pixels.shape[1] <= width else scale(pixels, width, smooth=False)


def _frame(img: str, strip: Strip) -> str:
    """The picture with the zoom box drawn over it."""
    height, width = strip.original.shape[:2]
    x, y, w, h = strip.zoom
    box = (
        f"left:{100 * x / width:.2f}%;top:{100 * y / height:.2f}%;"
        f"width:{100 * w / width:.2f}%;height:{100 * h / height:.2f}%"
    )
    return f'<div class="frame">{img}<i style="{box}"></i></div>'
