"""The adaptations that a codec has at hand, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ratewise.errors import CodecError, InputError
from ratewise.images import Image
from ratewise.metrics.distortion import ms_ssim, mse
from ratewise.neural import bitstream
from ratewise.neural.adaptation.adaptation import Adaptation, is_adaptation, load_adaptation
from ratewise.neural.adaptation.settings import AUTO, NONE
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.loading import adaptation_files
from ratewise.neural.weights import PackedModel


@dataclass(frozen=True)
class Library:
    """Adaptations by their names, in the order of the names.

    ``damaged`` has what is wrong with files that cannot be read, by their names.
    """

    path: Path
    adaptations: Mapping[str, Adaptation]
    damaged: Mapping[str, str] = field(default_factory=dict)

    def of(self, source: PackedModel) -> dict[str, Adaptation]:
        """Those of ``source``, by name."""
        own = source.fingerprint
        return {name: one for name, one in self.adaptations.items() if one.source == own}

    def chosen(self, choice: str, source: PackedModel) -> list[Adaptation]:
        """What images are encoded with under ``choice``, beside the source: see AdaptedCoder."""
        if choice == NONE:
            return []
        own, called = self.of(source), choice != AUTO
        found = _named(own, choice) if called else own
        for name, problem in self.damaged.items():
            if not called or (name == choice and not found):
                raise InputError(
                    f"{problem} (adaptation={choice} wants it: repair or remove the file)"
                )
        if len(found) > 1 and called:
            raise InputError(
                f"adaptation={choice}: {self.path} has several of this name for the codec "
                f"{source.fingerprint.hex()}: give that of the file ({', '.join(found)})"
            )
        if found:
            return list(found.values())
        others = _named(self.adaptations, choice) if called else self.adaptations
        if not others:
            raise InputError(
                f"adaptation={choice}: {self.path} has no such adaptation (allowed: {AUTO}, "
                f"{NONE}, {', '.join(self.adaptations)})"
            )
        of = sorted({one.source.hex() for one in others.values()})
        raise InputError(
            f"{self.path}: has no adaptation of the codec {source.fingerprint.hex()}, only of "
            f"{', '.join(of)}"
        )


def open_library(path: Path) -> Library:
    """The adaptation in a file, or those in the safetensors files of a folder that hold one.

    A name is that of the file, without its ending. Raises :class:`InputError` if there is none, and
    for a file that is damaged; in a folder that is noted, as what it has is of use without it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of adaptations")
    files = adaptation_files(path)
    if not files:
        raise InputError(f"{path}: holds no adaptations (*.safetensors)")
    if not path.is_dir():
        return Library(path, {path.stem: load_adaptation(path)})
    found: dict[str, Adaptation] = {}
    damaged: dict[str, str] = {}
    for file in files:
        try:
            if is_adaptation(file):
                found[file.stem] = load_adaptation(file)
        except InputError as error:
            damaged[file.stem] = str(error)
    if not found and not damaged:
        raise InputError(f"{path}: none of its *.safetensors is an adaptation of a codec")
    return Library(path, found, damaged)


def _named(adaptations: Mapping[str, Adaptation], name: str) -> dict[str, Adaptation]:
    """That of the file ``name``, or those whose ``about`` has this name."""
    if name in adaptations:
        return {name: adaptations[name]}
    return {key: one for key, one in adaptations.items() if one.about.get("name") == name}


class AdaptedCoder:
    """Codes with ``source`` or one of its adaptations, and decodes what any of them coded.

    ``choice`` is :data:`AUTO` (for each image, source or adaptation, whichever has the least
    lambda D + R), :data:`NONE` (the source: its bytes, exactly), or the name of an adaptation:
    that of its file, or the one in ``about``, which adaptations of several sources may share.
    Raises :class:`InputError` for a name that is not there or stands for several, for a damaged
    file that the choice is about, and where no adaptation is of ``source``, with the fingerprints.
    """

    def __init__(self, source: PackedModel, library: Library, choice: str = AUTO) -> None:
        self.source, self._library = source, library
        self._own, self._coders = library.of(source), dict[bytes, NeuralCoder]()
        self._tried: list[Adaptation | None] = [None] if choice in (AUTO, NONE) else []
        self._tried += library.chosen(choice, source)

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
            header = bitstream.read(one)[0]
            # a file of another source is refused by this one, which names both
            wanted = header.adaptation if header.fingerprint == self.source.fingerprint else b""
            by_coder.setdefault(wanted, []).append(position)
        images: dict[int, Image] = {}
        for wanted, positions in by_coder.items():
            found = [one for one in self._own.values() if one.fingerprint == wanted]
            if wanted and not found:
                known = ", ".join(one.fingerprint.hex() for one in self._own.values())
                unread = "".join(f"; {problem}" for problem in self._library.damaged.values())
                raise CodecError(
                    f"the data was coded with the adaptation {wanted.hex()} of the codec "
                    f"{self.source.fingerprint.hex()}, and {self._library.path} has "
                    f"{known or 'none of it'}{unread}"
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
