"""From files of a joint codec to predictions: what ``ratewise task predict`` does with one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from ratewise.errors import CodecError, ImageError, InputError
from ratewise.joint import bitstream
from ratewise.joint.architecture import FORMAT
from ratewise.joint.coder import JointCoder
from ratewise.joint.packed import load
from ratewise.tasks.decoding import Decoding, read_input
from ratewise.tasks.inference import Prediction
from ratewise.tasks.inputs import Input
from ratewise.tasks.worker_inference import PredictJob
from ratewise.training.header import read_header

_NAME = "joint"

_Read = tuple[Input, bytes, bitstream.JointFile]


def is_joint_model(path: Path) -> bool:
    """Whether a weights file is a packed joint codec; InputError if it cannot be read."""
    return read_header(path).get("format") == FORMAT


def open_predictor(
    path: Path, decoding: Decoding = Decoding(), *, device: str = "auto", precision: str = "auto"
) -> JointCoder:
    """The joint codec at ``path``, to predict with.

    Raises :class:`InputError` for one that does not segment, and for a preparation or a codec in
    ``decoding``: maps are read from files, and there is no picture to prepare.
    """
    if decoding != Decoding():
        raise InputError(
            f"{path}: is a joint codec, whose maps are read from its files: resizing, cropping and "
            "--codec are for models that look at pictures"
        )
    model = load(path)
    if model.semantic is None:
        raise InputError(f"{path}: this joint codec does not segment")
    return JointCoder(model, device=device, precision=precision)


def predict_by_joint(job: PredictJob, inputs: Sequence[Input]) -> Iterable[Prediction]:
    """Predictions of a joint codec, which this process has loaded or loads now."""
    coder = _opened(job.model, job.decoding, job.device, job.precision)
    return predict_bitstreams(coder, inputs, batch_size=job.batch_size)


_opened = lru_cache(maxsize=1)(
    lambda path, decoding, device, precision: open_predictor(
        path, decoding, device=device, precision=precision
    )
)


def predict_bitstreams(
    coder: JointCoder, inputs: Iterable[Input], *, batch_size: int = 8
) -> Generator[Prediction, None, None]:
    """The predictions of a joint codec for its files, in their order.

    Consecutive files of one size are predicted together, ``batch_size`` at most. A file that cannot
    be read or predicted on gives a prediction with an error, and the others go on.
    """
    batch: list[_Read] = []
    for item in inputs:
        try:
            data = read_input(item)
            file = bitstream.read(data)
        except (ImageError, CodecError) as error:
            yield from _of_batch(coder, batch)
            batch = []
            yield Prediction(item, error=_named(item, error))
            continue
        if batch and (len(batch) >= batch_size or _size(file) != _size(batch[0][2])):
            yield from _of_batch(coder, batch)
            batch = []
        batch.append((item, data, file))
    yield from _of_batch(coder, batch)


def _size(file: bitstream.JointFile) -> tuple[int, int]:
    return file.width, file.height


def _of_batch(coder: JointCoder, batch: Sequence[_Read]) -> Generator[Prediction, None, None]:
    """The predictions of a batch; where it fails as a whole, each file is tried alone."""
    if not batch:
        return
    try:
        masks = coder.predict([data for _, data, _ in batch])
    except CodecError as error:
        if len(batch) > 1:
            for one in batch:
                yield from _of_batch(coder, [one])
            return
        yield Prediction(batch[0][0], error=_named(batch[0][0], error))
        return
    for (item, data, file), mask in zip(batch, masks, strict=True):
        yield Prediction(item, _NAME, len(data), file.width, file.height, mask=mask)


def _named(item: Input, error: Exception) -> str:
    message = str(error)
    return message if str(item.path) in message else f"{item.path}: {message}"
