"""The adaptations that a codec has at hand, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.metrics.distortion import ms_ssim, mse
from ratewise.neural import bitstream
from ratewise.neural.adaptation.adaptation import Adaptation, load_adaptation
from ratewise.neural.adaptation.settings import AUTO, NONE
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.loading import adaptation_files
from ratewise.neural.weights import PackedModel


@dataclass(frozen=True)
class Library:
    """Adaptations by their names, in the order of the names."""

    path: Path
    adaptations: Mapping[str, Adaptation]

    def named(self, name: str) -> dict[str, Adaptation]:
        """That of the file ``name``, or those whose ``about`` has this name."""
        if name in self.adaptations:
            return {name: self.adaptations[name]}
        return {key: one for key, one in self.adaptations.items() if one.about.get("name") == name}

    def of(self, source: PackedModel) -> dict[str, Adaptation]:
        """Those of ``source``, by name."""
        own = source.fingerprint
        return {name: one for name, one in self.adaptations.items() if one.source == own}


def open_library(path: Path) -> Library:
    """The adaptations in a file, or in all safetensors files of a folder that hold one.

    A name is that of the file, without its ending. Raises :class:`InputError` if there is none, or
    one is damaged.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of adaptations")
    files = adaptation_files(path)
    if not files:
        raise InputError(f"{path}: holds no adaptations (*.safetensors)")
    return Library(path, {file.stem: load_adaptation(file) for file in files})


class AdaptedCoder:
    """Codes with ``source`` or one of its adaptations, and decodes what any of them coded.

    ``choice`` is :data:`AUTO` (for each image, source or adaptation, whichever has the least
    lambda D + R), :data:`NONE` (the source: its bytes, exactly), or the name of an adaptation:
    that of its file, or the one in ``about``, which adaptations of several sources may share.
    Raises :class:`InputError` for a name that is not there, and where no adaptation is of
    ``source``, with the fingerprints.
    """

    def __init__(self, source: PackedModel, library: Library, choice: str = AUTO) -> None:
        self.source = source
        own = library.of(source)
        named = own
        if choice not in (AUTO, NONE):
            named = library.named(choice)
            if not named:
                raise InputError(
                    f"adaptation={choice}: {library.path} has no such adaptation (allowed: {AUTO}, "
                    f"{NONE}, {', '.join(library.adaptations)})"
                )
        tried = {name: one for name, one in named.items() if name in own}
        if not tried and choice != NONE:
            of = sorted(
                {one.source.hex() for one in named.values() or library.adaptations.values()}
            )
            raise InputError(
                f"{library.path}: has no adaptation of the codec {source.fingerprint.hex()}, only "
                f"of {', '.join(of)}"
            )
        self._own, self._path, self._coders = own, library.path, dict[bytes, NeuralCoder]()
        self._tried: list[Adaptation | None] = [None] if choice in (AUTO, NONE) else []
        self._tried += tried.values() if choice != NONE else ()

    def encode(self, images: Sequence[Image]) -> list[bytes]:
        """A file for each of ``images``; see :meth:`ratewise.neural.coder.NeuralCoder.encode`."""
        if len(self._tried) == 1:
            return self._coder(self._tried[0]).encode(images)
        if not self.source.header.get("lambda"):
            raise InputError(
                f"the codec {self.source.fingerprint.hex()} does not say its lambda, which files "
                "are compared by: give adaptation=none, or the name of one"
            )
        best: list[tuple[float, bytes]] = []
        for adaptation in self._tried:
            coder = self._coder(adaptation)
            files = coder.encode(images)
            costs = [
                (cost(self.source, image, decoded, file), file)
                for image, decoded, file in zip(images, coder.decode(files), files, strict=True)
            ]
            best = [min(pair, key=_first) for pair in zip(best or costs, costs, strict=True)]
        return [file for _, file in best]

    def decode(self, data: Sequence[bytes]) -> list[Image]:
        """The image in each of ``data``, each with what it was coded with.

        Raises :class:`CodecError` for a file whose adaptation is not at hand, with the
        fingerprints.
        """
        by_coder: dict[bytes, list[int]] = {}
        for position, one in enumerate(data):
            by_coder.setdefault(bitstream.read(one)[0].adaptation, []).append(position)
        images: dict[int, Image] = {}
        for wanted, positions in by_coder.items():
            found = [one for one in self._own.values() if one.fingerprint == wanted]
            if wanted and not found:
                known = ", ".join(one.fingerprint.hex() for one in self._own.values())
                raise CodecError(
                    f"the data was coded with the adaptation {wanted.hex()} of the codec "
                    f"{self.source.fingerprint.hex()}, and {self._path} has {known or 'none of it'}"
                )
            coder = self._coder(found[0] if wanted else None)
            decoded = coder.decode([data[position] for position in positions])
            images |= dict(zip(positions, decoded, strict=True))
        return [images[position] for position in range(len(data))]

    def _coder(self, adaptation: Adaptation | None) -> NeuralCoder:
        key = adaptation.fingerprint if adaptation else b""
        if key not in self._coders:
            model = adaptation.applied(self.source) if adaptation else self.source
            self._coders[key] = NeuralCoder(model)
        return self._coders[key]


def cost(source: PackedModel, image: Image, decoded: Image, file: bytes) -> float:
    """lambda D + R of ``image``, with the lambda and distortion that ``source`` was trained for."""
    weight = float(source.header.get("lambda", 0))
    bits = 8 * len(file) / (image.shape[0] * image.shape[1])
    structural = source.header.get("distortion") == "ms_ssim"
    distortion = float(1 - ms_ssim(image, decoded) if structural else mse(image, decoded))
    return float(weight * distortion + bits)


def _first(pair: tuple[float, bytes]) -> float:
    return pair[0]
