"""What ``ratewise restorer train`` reads: images, codecs, the restorer. Imports no torch."""

from __future__ import annotations

from pydantic import Field, field_validator

from ratewise import codecs
from ratewise.data.prepare import PrepareSettings
from ratewise.errors import InputError
from ratewise.neural.training.settings import ImagesSettings
from ratewise.restoration.settings import RestorerSettings
from ratewise.validation import Settings


class RestorerTrainingSettings(Settings):
    """A restorer of its own, outside of a study.

    ``images`` are originals; they are prepared, compressed by each of ``codecs``, and one restorer
    is trained on all of these versions: of one operating point, or over a range.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    images: tuple[ImagesSettings, ...] = Field(min_length=1)
    prepare: PrepareSettings = PrepareSettings()
    codecs: tuple[str, ...] = Field(
        min_length=1, description="Specs or sweeps: bpg:qp=46, bpg:qp=41,46,51."
    )
    restorer: RestorerSettings
    perception: str | None = Field(
        default=None,
        description="Folder of the parameters of HOSA or NIQE, for the perceptual index; null: "
        "the one that RATEWISE_IQA names, if it is set.",
    )

    @field_validator("codecs")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = [spec for sweep in value for spec in codecs.expand(sweep)]
        except InputError as error:
            raise ValueError(str(error)) from None
        return tuple(dict.fromkeys(found))
