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
from ratewise.neural.coder import check_codable, of_one_size, shape_of
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
        return of_one_size(images, shape_of, self._files)

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
        pictures = of_one_size(files, _size, self._pictures)
        if not enhance:
            return pictures
        return [self._enhanced(*one) for one in zip(pictures, files, strict=True)]

    def predict(self, data: Sequence[bytes]) -> list[Mask]:
        """The most likely class of each pixel, ``uint8 (H, W)``, of each of the files ``data``.

        Their image parts are not looked at. Raises :class:`CodecError` for a file of another
        model, one without a semantic part, and one whose semantic part is cut short or altered.
        """
        files = [self._opened(one) for one in data]
        return of_one_size(files, _size, self._masks)

    # ----- of one size --------------------------------------------------------------------------

    def _files(self, images: Sequence[Image]) -> list[bytes]:
        height, width = shape_of(images[0])
        y, s = self._transforms.analysis(np.stack(images))
        pictures = self._image.payloads(y, self._transforms.hyper_analysis(y), height, width)
        maps = [b""] * len(images)
        if self._semantic is not None and s is not None:
            z = self._transforms.semantic_hyper_analysis(s)
            maps = self._semantic.payloads(s, z, height, width)
        return [
            JointFile(self.model.fingerprint, width, height, map_, picture).to_bytes()
            for map_, picture in zip(maps, pictures, strict=True)
        ]

    def _pictures(self, files: Sequence[JointFile]) -> list[Image]:
        y_hat = self._latents(self._image, files, "image")
        return list(self._transforms.picture.synthesis(y_hat, files[0].height, files[0].width))

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
            enhanced: Image = self._transforms.enhanced(
                picture[None], self._semantic_latents([file])
            )[0]
        except CodecError as error:
            warnings.warn(
                f"{error}; the picture of {file.width}x{file.height} pixels "
                f"({len(file.image)} bytes) is the plain one, without the enhancement",
                SemanticPartWarning,
                stacklevel=2,
            )
            return picture
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


def _size(file: JointFile) -> tuple[int, int]:
    return file.height, file.width
