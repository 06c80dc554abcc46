"""Images to files of a joint model, and files to pictures and segmentation maps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ratewise.errors import CodecError, RatewiseWarning
from ratewise.images import Image, Mask
from ratewise.joint import bitstream
from ratewise.joint.bitstream import JointFile, Part
from ratewise.joint.packed import PackedJoint
from ratewise.joint.transforms import JointTransforms
from ratewise.neural.coder import batches_of_one_size, check_codable
from ratewise.neural.latent_coder import LatentCoder


class SemanticPartWarning(RatewiseWarning):
    """The picture of a file is the plain one, since its semantic part is missing or damaged."""


class JointCoder:
    """Codes images with ``model``; see :class:`ratewise.neural.coder.NeuralCoder`."""

    def __init__(
        self, model: PackedJoint, *, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.model = model
        self._transforms = JointTransforms(model.network(), device, precision)
        self._image = LatentCoder(model.image, self._transforms.device)
        self._semantic: LatentCoder | None = None
        if model.semantic is not None:
            self._semantic = LatentCoder(model.semantic, self._transforms.device)

    def encode(self, images: Sequence[Image]) -> list[bytes]:
        """A file for each of ``images``, ``uint8 (H, W, 3)`` of any sizes.

        Raises :class:`CodecError` for what is no such image or is too large, and if the model
        gives latents that are not finite.
        """
        for image in images:
            check_codable(image)
        files: dict[int, bytes] = {}
        for batch in batches_of_one_size([(image.shape[0], image.shape[1]) for image in images]):
            height, width = images[batch[0]].shape[:2]
            y, s = self._transforms.analysis(np.stack([images[i] for i in batch]))
            z = self._transforms.hyper_analysis(y)
            pictures = self._image.payloads(y, z, height, width)
            maps = [b""] * len(batch)
            if self._semantic is not None and s is not None:
                z = self._transforms.semantic_hyper_analysis(s)
                maps = self._semantic.payloads(s, z, height, width)
            for i, picture, map_ in zip(batch, pictures, maps, strict=True):
                file = JointFile(self.model.fingerprint, width, height, map_, picture)
                files[i] = file.to_bytes()
        return [files[i] for i in range(len(images))]

    def decode(self, data: Sequence[bytes], *, enhance: bool = True) -> list[Image]:
        """The picture in each of the files ``data``; enhanced where the semantic part is there.

        Where it is missing or damaged, a :class:`SemanticPartWarning` says so and the picture is
        the plain one, as it is without ``enhance``. Raises :class:`CodecError` for a file of
        another model, and for one whose image part is missing, cut short or altered.
        """
        files = [self._opened(one) for one in data]
        for file in files:
            if not file.image:
                raise CodecError("the file of a joint codec has no image part")
        enhance = enhance and self.model.architecture.enhancement is not None
        images: dict[int, Image] = {}
        for batch in batches_of_one_size([(file.height, file.width) for file in files]):
            height, width = files[batch[0]].height, files[batch[0]].width
            y_hat = self._latents(self._image, [files[i] for i in batch], "image")
            pictures = self._transforms.picture.synthesis(y_hat, height, width)
            for i, picture in zip(batch, pictures, strict=True):
                images[i] = self._enhanced(picture, files[i]) if enhance else picture
        return [images[i] for i in range(len(data))]

    def predict(self, data: Sequence[bytes]) -> list[Mask]:
        """The most likely class of each pixel, ``uint8 (H, W)``, of each of the files ``data``.

        Their image parts are not looked at. Raises :class:`CodecError` for a file of another
        model, one without a semantic part, and one whose semantic part is cut short or altered.
        """
        files = [self._opened(one) for one in data]
        masks: dict[int, Mask] = {}
        for batch in batches_of_one_size([(file.height, file.width) for file in files]):
            found = self._masks([files[i] for i in batch])
            masks |= dict(zip(batch, found, strict=True))
        return [masks[i] for i in range(len(data))]

    def _masks(self, files: Sequence[JointFile]) -> list[Mask]:
        s_hat = self._semantic_latents(files)
        return list(self._transforms.masks(s_hat, files[0].height, files[0].width))

    def _semantic_latents(self, files: Sequence[JointFile]) -> Tensor:
        """s_hat of files of one size."""
        if self._semantic is None:
            raise CodecError("this joint codec does not segment: it has no semantic part")
        for file in files:
            if not file.semantic:
                raise CodecError("the file of a joint codec has no semantic part")
        return self._latents(self._semantic, files, "semantic")

    def _enhanced(self, picture: Image, file: JointFile) -> Image:
        try:
            s_hat = self._semantic_latents([file])
        except CodecError as error:
            warnings.warn(
                f"{error}; the picture of {file.width}x{file.height} pixels "
                f"({len(file.image)} bytes) is the plain one, without the enhancement",
                SemanticPartWarning,
                stacklevel=2,
            )
            return picture
        enhanced: Image = self._transforms.enhanced(picture[None], s_hat)[0]
        return enhanced

    def _latents(self, coder: LatentCoder, files: Sequence[JointFile], part: Part) -> Tensor:
        height, width = files[0].height, files[0].width
        payloads: list[bytes] = [getattr(file, part) for file in files]
        least = coder.least_bytes(height, width)
        for payload in payloads:
            if len(payload) < least:
                raise CodecError(
                    f"the {part} part of the joint codec's file is cut short: {len(payload)} bytes "
                    f"cannot hold {width}x{height} pixels"
                )
        try:
            return coder.latents(payloads, height, width)
        except CodecError:
            raise CodecError(
                f"the {part} part of the joint codec's file is cut short or altered: its symbols "
                "do not fit their checksum"
            ) from None

    def _opened(self, data: bytes) -> JointFile:
        file = bitstream.read(data)
        if file.fingerprint != self.model.fingerprint:
            raise CodecError(
                f"the data was coded with the joint model {file.fingerprint.hex()}, not with this "
                f"one, {self.model.fingerprint.hex()}"
            )
        return file
