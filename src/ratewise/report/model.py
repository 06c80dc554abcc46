"""What a report is made from, apart from the result rows: plain values, filled in by a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ratewise.data.classes import Classes
from ratewise.images import Image, Mask


@dataclass(frozen=True)
class StageCost:
    """The seconds that a stage took and the bytes that it left (None where not counted)."""

    kind: str
    title: str
    seconds: float
    bytes: int | None


@dataclass(frozen=True)
class StudySummary:
    """What was studied, and how and where it ran.

    ``configurations`` and ``codecs`` list what the study asked for; combinations without a result
    row (a failed stage) are shown as "-". An empty ``configurations`` means: those of the rows.
    ``paired`` are channels that were asked for with codecs of their own, not with each.
    ``restorers`` names the study's restorers, its first one first, and says which are adversarial.
    ``stages`` are those that have a result.
    """

    name: str
    description: str
    command: str
    data: str
    task: str
    model: str
    seeds: Sequence[int]
    classes: Classes | None
    codecs: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stages: Sequence[StageCost] = ()
    configurations: Sequence[str] = ()
    paired: Sequence[str] = ()
    restorers: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class StripColumn:
    """One model's view of a picture.

    ``title`` names the configuration and codec (``CC jpeg:quality=5``); ``image (H, W, 3)`` is what
    the model was shown, ``prediction (H, W)`` its class ids, ``bpp`` the rate of the shown image
    (``None`` where it has none).
    """

    title: str
    image: Image
    prediction: Mask
    bpp: float | None = None


@dataclass(frozen=True)
class Strip:
    """One picture, its truth, and what each model made of it.

    ``zoom`` is the box ``(x, y, width, height)`` in pixels that is shown enlarged, usually from
    :func:`ratewise.report.pictures.choose_zoom`. All pictures have the size of ``original``.
    """

    title: str
    original: Image
    mask: Mask
    columns: Sequence[StripColumn]
    zoom: tuple[int, int, int, int]
