"""What decides the shapes of a mutual enhancement network. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from ratewise.errors import InputError
from ratewise.validation import Settings

_PACKED = "ratewise packed joint codec"

FORMAT = f"{_PACKED} 2"
"""In the header of a file of weights to code with.

2: the enhancement module scales the logits that it looks at.
"""


def check_format(path: Path, header: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` unless ``header`` is that of a packed joint codec of today."""
    found = str(header.get("format"))
    if found != FORMAT:
        other = f" of this version (it is a {found})" if found.startswith(f"{_PACKED} ") else ""
        raise InputError(f"{path}: is no packed joint codec{other}")


class EnhancementSettings(Settings):
    """The module that improves the decoded picture by the segmentation map."""

    width: int = Field(default=16, ge=1, le=512, description="Feature maps at full resolution.")
    blocks: int = Field(default=2, ge=1, le=32, description="Residual blocks on the picture.")


class JointArchitecture(Settings):
    """The network: widths, and which of its modules are there.

    The paper leaves every size open; the defaults are those of the packaged ``msh`` for the image,
    and half of ERFNet's for the semantic branch.
    """

    N: int = Field(default=64, ge=1, le=1024, description="Width of the image transforms.")
    M: int = Field(default=96, ge=2, le=2048, multiple_of=2, description="Maps of y.")
    S: int = Field(
        default=64, ge=8, le=1024, multiple_of=8, description="Width of the semantic branch."
    )
    K: int = Field(default=48, ge=2, le=1024, multiple_of=2, description="Maps of the latent s.")
    hyper: int = Field(default=32, ge=1, le=1024, description="Width of the hyperprior of s.")
    aggregation: bool = Field(
        default=True, description="A: inner layers of the base network are fused into s."
    )
    quantisation: bool = Field(
        default=True,
        description="Q: s is rounded and coded; without it there is no bitstream to predict from.",
    )
    segmentation: bool = Field(
        default=True, description="Without the semantic branch it is the hyperprior alone."
    )
    enhancement: EnhancementSettings | None = EnhancementSettings()

    @model_validator(mode="before")
    @classmethod
    def _enhancement_needs_a_map(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("segmentation") is False:
            if values.get("enhancement") is not None:
                raise ValueError("enhancement needs segmentation: it looks at the segmentation map")
            return {**values, "enhancement": None}
        return values

    @property
    def has_bitstream(self) -> bool:
        """Whether files can be written: not by a semantic branch that is not quantised."""
        return self.quantisation or not self.segmentation

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; the constructor takes them back."""
        return self.model_dump(mode="json")
