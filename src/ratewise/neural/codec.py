"""Learned codecs as codecs: ``msh:quality=3``, ``msh:weights=PATH`` and their kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from ratewise.codecs import spec
from ratewise.codecs.base import OperatingPoint
from ratewise.codecs.configured import ConfiguredCodec
from ratewise.errors import InputError
from ratewise.files import fingerprint
from ratewise.images import Image
from ratewise.neural import bitstream
from ratewise.neural.adaptation.settings import AUTO, NONE
from ratewise.neural.loading import (
    adaptation_files,
    adaptation_names,
    adapted_coder,
    digest_of,
    fingerprint_of,
    load_coder,
    packaged,
)

if TYPE_CHECKING:
    from ratewise.neural.adaptation.library import AdaptedCoder
    from ratewise.neural.coder import NeuralCoder

    Coder = NeuralCoder | AdaptedCoder


class LearnedCodec(ConfiguredCodec):
    """What codecs with packed weights (:mod:`ratewise.neural.weights`) share.

    ``weights`` names the file. A codec's fingerprint follows the file's content, not its name.
    """

    file_suffix: ClassVar[str] = ".rwn"
    largest_side: ClassVar[int] = bitstream.LARGEST_SIDE

    weights: str = ""

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
        if self.weights and not Path(self.weights).is_file():
            raise ValueError(f"weights={self.weights}: no such file")
        return self

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> Self:
        """The codec with the options of a spec; see :class:`ratewise.codecs.base.CodecKind`."""
        # Weights of one's own are used even where none are packaged
        if "weights" in options:
            return spec.build(cls, cls.codec_name, options)
        return super().from_options(options)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why the codec cannot be used without weights of one's own, or None."""
        return f"no weights come with it; give them as {cls.codec_name}:weights=PATH"

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The versions of PyTorch, which computes the latents, and of the entropy coder."""
        try:
            return {name: version(name) for name in ("torch", "constriction")}
        except PackageNotFoundError:
            return {}

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        """Whether ``data`` begins like a file of this kind of codec."""
        return bitstream.recognises(data, cls.codec_name)

    @property
    def path(self) -> Path:
        """The file of the packed weights."""
        return Path(self.weights)

    @property
    def batch_size(self) -> int:
        """8: small images take three quarters of the time on a CPU then; large ones lose none."""
        return 8

    @property
    def fingerprint(self) -> str:
        """Hex digest of library versions and the content of the weights."""
        return fingerprint(
            {"codec": self.name, "versions": dict(self.versions), "weights": digest_of(self.path)}
        )

    def encode(self, image: Image) -> bytes:
        """The bytes of a file that holds ``image``, ``uint8 (H, W, 3)`` with sides up to 65535.

        Raises :class:`CodecError` if it is no such image or larger than
        :data:`ratewise.images.MAX_PIXELS`.
        """
        return self.encode_batch([image])[0]

    def decode(self, data: bytes) -> Image:
        """The image in ``data``, a file of this codec's model.

        Raises :class:`CodecError` for anything else, and for a file cut short or altered.
        """
        return self.decode_batch([data])[0]

    def encode_batch(self, images: Sequence[Image]) -> list[bytes]:
        """``encode`` of each image; those of one size go through the network together."""
        for image in images:
            self._checked_size(image)
        return self._coder().encode(images)

    def decode_batch(self, data: Sequence[bytes]) -> list[Image]:
        """``decode`` of each byte string; those of one size go through the network together."""
        by_path: dict[Path, list[int]] = {}
        for i, one in enumerate(data):
            by_path.setdefault(self._path_for(one), []).append(i)
        images: dict[int, Image] = {}
        for path, positions in by_path.items():
            pictures = self._coder(path).decode([data[i] for i in positions])
            images |= dict(zip(positions, pictures, strict=True))
        return [images[i] for i in range(len(data))]

    def parts(self, data: bytes) -> dict[str, int]:
        """Bytes of the header and of the symbols with their checksum."""
        _, payload = bitstream.read(data)
        return {"header": len(data) - len(payload), "symbols": len(payload)}

    def _path_for(self, data: bytes) -> Path:
        """The weights that ``data`` is decoded with."""
        return self.path

    def _coder(self, path: Path | None = None) -> Coder:
        coder = load_coder(path or self.path)
        kind = coder.model.architecture.kind
        if kind != self.codec_name:
            raise InputError(f"{self.path}: holds weights of the codec {kind}, not {self.name}")
        return coder


class FactorizedCodec(LearnedCodec):
    """The factorised prior of Ballé, Minnen, Singh, Hwang and Johnston (2018)."""

    codec_name: ClassVar[str] = "factorized"
    title: ClassVar[str] = "factorised prior"

    weights: str


class HyperpriorCodec(LearnedCodec):
    """The scale hyperprior of Ballé, Minnen, Singh, Hwang and Johnston (2018)."""

    codec_name: ClassVar[str] = "hyperprior"
    title: ClassVar[str] = "scale hyperprior"

    weights: str


class MshCodec(LearnedCodec):
    """The mean-scale hyperprior of Minnen, Ballé and Toderici (2018), without context model.

    ``quality`` chooses one of the models that come with the package; ``weights`` is the file of
    another, which has no quality. A packaged model's files are decoded whatever the quality.

    ``adaptations`` is a file or folder of adaptations (:mod:`ratewise.neural.adaptation`), whose
    files are decoded then. ``adaptation`` says what is encoded with: ``auto`` (for each image the
    best of source and adaptations), ``none``, or the name of one.
    """

    codec_name: ClassVar[str] = "msh"
    title: ClassVar[str] = "mean-scale hyperprior"
    point: ClassVar[OperatingPoint | None] = OperatingPoint("quality", 1, 5, True)

    quality: int = Field(3, ge=1, le=5)
    weights: str = ""
    adaptations: str = ""
    adaptation: str = AUTO

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.weights and "quality" in self.model_fields_set:
            raise ValueError("quality and weights exclude each other: the weights have their rate")
        return self

    @model_validator(mode="after")
    def _adaptations_are_there(self) -> Self:
        if self.adaptations and not Path(self.adaptations).exists():
            raise ValueError(f"adaptations={self.adaptations}: no such file or folder")
        if not self.adaptations and self.adaptation != AUTO:
            raise ValueError("adaptation needs adaptations=PATH, a file or folder of them")
        if self.adaptations:
            names = [name for file in self._adaptation_files() for name in adaptation_names(file)]
            if not names:
                raise ValueError(f"{self.adaptations}: holds no adaptations (*.safetensors)")
            allowed = list(dict.fromkeys([AUTO, NONE, *names]))
            if self.adaptation not in allowed:
                raise ValueError(
                    f"adaptation={self.adaptation}: {self.adaptations} has no such adaptation "
                    f"(allowed: {', '.join(allowed)})"
                )
        return self

    @classmethod
    def unavailable(cls) -> str | None:
        """Which weights are missing in the package, or None."""
        missing = [path.name for path in map(packaged, cls._qualities()) if not path.is_file()]
        if not missing:
            return None
        return f"the package lacks {missing[0]} (own weights: msh:weights=PATH)"

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The setting that trades rate for quality; None with weights of one's own."""
        return None if self.weights else self.point

    @property
    def spec(self) -> str:
        """The canonical spelling."""
        if not self.weights:
            return super().spec
        fields = type(self).model_fields
        given = {name: getattr(self, name) for name in ("weights", "adaptations", "adaptation")}
        shown = [f"{name}={v}" for name, v in given.items() if v != fields[name].default]
        return f"{self.name}:{','.join(shown)}"

    @property
    def fingerprint(self) -> str:
        """Hex digest of library versions and the content of the weights and adaptations."""
        if not self.adaptations:
            return super().fingerprint
        files = self._adaptation_files()
        return fingerprint(
            {
                "source": super().fingerprint,
                "adaptations": {file.stem: digest_of(file) for file in files},
                "adaptation": self.adaptation,
            }
        )

    @property
    def path(self) -> Path:
        """The file of the packed weights."""
        return Path(self.weights) if self.weights else packaged(self.quality)

    def _adaptation_files(self) -> list[Path]:
        return adaptation_files(Path(self.adaptations))

    @classmethod
    def _qualities(cls) -> list[int]:
        assert cls.point is not None
        return list(range(int(cls.point.minimum), int(cls.point.maximum) + 1))

    def _coder(self, path: Path | None = None) -> Coder:
        coder = super()._coder(path)
        if not self.adaptations:
            return coder
        # What is encoded with is no matter to decoding, where a path is given
        choice = self.adaptation if path is None else NONE
        return adapted_coder(path or self.path, Path(self.adaptations), choice)

    def _path_for(self, data: bytes) -> Path:
        wanted = bitstream.read(data)[0].fingerprint
        if self.weights or fingerprint_of(self.path) == wanted:
            return self.path
        others = (path for path in map(packaged, self._qualities()) if path.is_file())
        return next((path for path in others if fingerprint_of(path) == wanted), self.path)
