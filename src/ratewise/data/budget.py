"""Making a store whose bytes keep to a budget, each image at the operating point it is worth.

Pass 1 measures each image at a few rungs of the codec's ladder (spread over what a few scouts
found) and keeps bytes and distortion only: no pixels, about 140 bytes per image, and while rungs
are chosen 16 more per image and rung. Pass 2 encodes at the rungs that the predicted curves call
for, then corrects as few images as it takes to keep to the budget and to use it. Both note each
image when it is done, so a killed run goes on where it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ratewise.codecs.budget_objective import Objective, find_objective
from ratewise.data.fitting import DoesNotFitError, FittedSummary, fit_store
from ratewise.data.passes import Passes
from ratewise.data.rate_control import RateControl, budget_ladder, spell_points
from ratewise.data.rounds import Rounds
from ratewise.data.sources import Source
from ratewise.errors import InputError
from ratewise.execution import Resources

__all__ = ["compress_to_budget"]


def compress_to_budget(
    source: Source,
    destination: Path,
    codec_spec: str,
    budget: int,
    *,
    objective: str | Objective = "psnr",
    resources: Resources = Resources(),
    quiet: bool = True,
) -> FittedSummary:
    """Encode the images of ``source`` into a store of at most ``budget`` bytes of bitstreams.

    Each image has the operating point with which the mean of the objective's distortion is best.
    ``codec_spec`` leaves the operating point out (all are allowed), or lists those allowed. At
    least 98 % of the budget is used where the operating points allow, and bytes buy anything.
    Masks, which are lossless, and the manifest do not count. An image that cannot be read or
    encoded is written to ``failures.csv``; the others share the budget.

    A run that was stopped goes on where it was. A finished store is not added to, since one more
    image changes what is best for the others; what is missing or torn of its files (found by
    their size) is encoded again at the operating points that it had.

    Raises :class:`InputError` before any work like :func:`ratewise.data.compress.compress_store`,
    and for a codec without a choice of operating points, an unknown objective, and new or changed
    images in the source of a finished store, or lost files that do not come out as they were;
    after pass 1, leaving ``destination`` as it was, if the images exceed the budget even at the
    worst operating point.
    """
    rungs = budget_ladder(codec_spec)
    aim = find_objective(objective) if isinstance(objective, str) else objective
    if budget < 1:
        raise InputError(f"budget = {budget}: must be at least 1 byte")
    control = RateControl(budget, aim.name, spell_points(rungs), model=aim.model)

    def fit(rounds: Rounds) -> RateControl:
        run = Passes(rounds)
        if not run.measure(budget):
            raise DoesNotFitError(
                f"budget = {budget} bytes: too small; with every image at {rungs.spec(0)} the "
                f"files take {run.least} bytes"
            )
        chosen = run.write(run.choose(budget), budget)
        divergence = run.mean(chosen) if aim.model else None
        return replace(control, binding=not run.all_best(chosen), divergence=divergence)

    return fit_store(
        source, destination, rungs, aim, control, fit, resources=resources, quiet=quiet
    )
