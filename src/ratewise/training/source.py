"""From samples to batches: which samples in which order, and making them beside training.

Epoch e visits the samples in a permutation drawn from (seed, e). A last batch that is not full is
dropped, and other samples are missing in the next epoch; a set smaller than one batch is one batch.
Each sample's own generator is drawn from (seed, epoch, index). So every batch follows from the seed
and the step alone, whatever the number of workers, and a resumed run just starts at its step.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol

import numpy as np

from ratewise.errors import InputError, TrainingError
from ratewise.execution.ahead import ahead
from ratewise.training.memory import keep_freed_memory
from ratewise.training.seeding import Purpose, generator
from ratewise.training.settings import TrainingSettings

_SMALL = 2**14  # bytes
_PREFETCHED = 4
"""Parts of batches that are ready before they are needed, per worker or for the one thread."""


class SampleSource(Protocol):
    """The training set as the loop sees it."""

    def __len__(self) -> int:
        """The number of samples in an epoch."""
        ...

    def get(self, index: int, rng: np.random.Generator) -> Any:
        """Sample ``index``, with every random choice from ``rng`` (no global generator).

        It is called in worker processes or in a thread beside training.
        """
        ...


@dataclass(frozen=True)
class Plan:
    """Which samples each step takes, on one of ``ranks`` devices."""

    samples: int
    settings: TrainingSettings
    rank: int = 0

    def __post_init__(self) -> None:
        if self.samples < self.ranks:
            raise InputError(
                f"{self.samples} training samples are too few for {self.ranks} device(s)"
            )

    @property
    def ranks(self) -> int:
        """The number of devices that share a batch."""
        return self.settings.devices * self.settings.nodes

    @property
    def batch(self) -> int:
        """Samples behind one step: the batch size, or what there is, the same on every device."""
        most = min(self.settings.batch_size, self.samples)
        return most - most % self.ranks

    @property
    def steps_per_epoch(self) -> int:
        """Steps that one epoch takes."""
        return self.samples // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        if self.settings.steps is not None:
            return self.settings.steps
        assert self.settings.epochs is not None
        return self.settings.epochs * self.steps_per_epoch

    def part_sizes(self) -> list[int]:
        """The sizes of the parts that this device splits its share of a batch into."""
        share = self.batch // self.ranks
        parts = min(self.settings.accumulate, share)
        return [share // parts + (i < share % parts) for i in range(parts)]

    def parts(self, start: int) -> Iterator[list[tuple[int, int]]]:
        """The parts of all batches from step ``start`` on: lists of (epoch, index)."""
        order: np.ndarray[Any, Any] = np.empty(0)
        last_epoch = -1
        for step in range(start, self.steps):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != last_epoch:
                rng = generator(Purpose.ORDER, self.settings.seed, epoch)
                order, last_epoch = rng.permutation(self.samples), epoch
            batch = order[position * self.batch : (position + 1) * self.batch]
            mine = [(epoch, int(index)) for index in batch[self.rank :: self.ranks]]
            for size in self.part_sizes():
                yield mine[:size]
                mine = mine[size:]


@contextmanager
def load(
    source: SampleSource,
    plan: Plan,
    *,
    start: int,
    collate: Callable[[list[Any]], Any] | None = None,
    pin_memory: bool = False,
) -> Iterator[Iterator[Any]]:
    """The parts of all batches from step ``start`` on, collated, made ahead of their use.

    With ``workers`` they are made by that many processes, else by one thread, so that decoding and
    augmentation overlap with training. A sample that cannot be made raises :class:`TrainingError`
    with its index where its batch is due. When the block ends, thread and processes end.
    """
    make = _Maker(source, plan.settings.seed, collate or _default_collate())
    if plan.settings.workers:
        with _processes(make, plan, start, pin_memory) as parts:
            yield _surfaced(parts)
    else:
        with closing(ahead(map(make, plan.parts(start)), _PREFETCHED, _one)) as parts:
            yield _surfaced(parts)


@dataclass(frozen=True)
class _Failed:
    """A failure on its way to the training process, which raises it there."""

    message: str
    details: str


@dataclass(frozen=True)
class _Maker:
    """Makes one part of a batch from its (epoch, index) pairs."""

    source: SampleSource
    seed: int
    collate: Callable[[list[Any]], Any]

    def __call__(self, part: Sequence[tuple[int, int]]) -> Any:
        samples = []
        for epoch, index in part:
            try:
                rng = generator(Purpose.SAMPLE, self.seed, epoch, index)
                samples.append(self.source.get(index, rng))
            except Exception as error:
                what = f"sample {index} (epoch {epoch + 1}) cannot be made"
                return _failed(what, error)
        try:
            return self.collate(samples)
        except Exception as error:
            indices = ", ".join(str(index) for _, index in part)
            return _failed(f"samples {indices} do not fit in one batch", error)


def _failed(what: str, error: Exception) -> _Failed:
    return _Failed(f"{what}: {type(error).__name__}: {error}", traceback.format_exc())


def _surfaced(parts: Iterator[Any]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, _Failed):
            error = TrainingError(part.message)
            error.add_note(part.details)
            raise error
        yield part


def _default_collate() -> Callable[[list[Any]], Any]:
    from torch.utils.data import default_collate

    return default_collate


class _Parts:
    """A data set whose index is a whole part, so that a worker also reports its failures."""

    def __init__(self, make: _Maker) -> None:
        self._make = make

    def __getitem__(self, part: Sequence[tuple[int, int]]) -> Any:
        return self._make(part)


def _as_it_is(part: Any) -> Any:
    return part


def _begin_process(worker: int) -> None:
    """What freed memory is kept for: batches are as large as each other. See also _reduced."""
    import torch

    keep_freed_memory()
    ForkingPickler.register(torch.Tensor, _reduced)


def _reduced(tensor: Any) -> tuple[Any, ...]:
    """How a sample process sends a tensor: a small one as its values.

    torch's own way, a file of shared memory for each, takes a third of a millisecond whatever the
    size.
    """
    import torch
    from torch.multiprocessing.reductions import reduce_tensor

    if tensor.nbytes <= _SMALL and tensor.dtype != torch.bfloat16 and not tensor.requires_grad:
        return torch.from_numpy, (tensor.numpy(),)
    reduced: tuple[Any, ...] = reduce_tensor(tensor)  # type: ignore[no-untyped-call]
    return reduced


@contextmanager
def _processes(make: _Maker, plan: Plan, start: int, pin: bool) -> Iterator[Iterator[Any]]:
    import torch
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        _Parts(make),  # type: ignore[arg-type]  # it needs only __getitem__
        sampler=plan.parts(start),  # any iterable of indices will do
        batch_size=None,
        collate_fn=_as_it_is,  # torch's own would turn tuples into lists
        num_workers=plan.settings.workers,
        prefetch_factor=_PREFETCHED,
        pin_memory=pin,
        generator=torch.Generator(),
        worker_init_fn=_begin_process,
    )
    parts: Any = iter(loader)

    def guarded() -> Iterator[Any]:
        try:
            yield from parts
        except RuntimeError as error:
            raise TrainingError(f"a process that makes samples died: {error}") from error

    try:
        yield guarded()
    finally:
        stop = getattr(parts, "_shutdown_workers", None)
        if stop is not None:
            stop()


def _one(part: Any) -> int:
    """Parts are counted, whatever their size."""
    return 1
