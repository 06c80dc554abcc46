"""``ratewise store compress`` to a budget or an agreement: its options, and what they call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ratewise.cli.support import parse_size
from ratewise.errors import InputError

if TYPE_CHECKING:
    from ratewise.data.fitting import FittedSummary
    from ratewise.data.sources import Source
    from ratewise.execution import Resources

_TASK = "task"
_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class RateOptions:
    """What the rates of a store are chosen for: ``budget`` in bytes, or ``agreement``."""

    budget: int | None
    objective: str
    agreement: float | None
    model: Path | None
    device: str

    @classmethod
    def parse(
        cls,
        budget: str | None,
        objective: str | None,
        agreement: float | None,
        model: Path | None,
        device: str,
    ) -> RateOptions | None:
        """The options if there are any; InputError if they do not go together."""
        if budget is not None and agreement is not None:
            raise InputError("--budget and --agreement exclude each other: give one of them")
        if objective is not None and budget is None:
            raise InputError("--objective needs --budget")
        if device not in _DEVICES:
            raise InputError(f"--device {device!r}: must be {', '.join(_DEVICES)}")
        if agreement is not None:
            from ratewise.data.agreement import check_agreement

            check_agreement(agreement, "--agreement")
        asking = agreement is not None or objective == _TASK
        if asking and model is None:
            what = "--agreement" if agreement is not None else f"--objective {_TASK}"
            raise InputError(f"{what} needs --model, the weights file of a trained task")
        if model is not None and not asking:
            raise InputError(f"--model needs --agreement, or --budget with --objective {_TASK}")
        if budget is None and agreement is None:
            return None
        if objective not in (None, _TASK):
            from ratewise.codecs.budget_objective import OBJECTIVES
            from ratewise.validation import suggestion

            allowed = [*OBJECTIVES, _TASK]
            if objective not in allowed:
                raise InputError(
                    f"--objective {objective!r}: unknown{suggestion(str(objective), allowed)} "
                    f"(allowed: {', '.join(allowed)})"
                )
        size = parse_size(budget, "--budget") if budget is not None else None
        return cls(size, objective or "psnr", agreement, model, device)


def compress_by_rate(
    options: RateOptions,
    source: Source,
    destination: Path,
    codec: str,
    resources: Resources,
    quiet: bool,
) -> FittedSummary:
    """Make the store. Raises :class:`InputError` for a wrong model file or one of other classes."""
    from ratewise.codecs.budget_objective import Objective
    from ratewise.data.agreement import compress_to_agreement
    from ratewise.data.budget import compress_to_budget

    objective: str | Objective = options.objective
    if options.model is not None:
        from ratewise.tasks.rate_objective import predicting_model

        model = predicting_model(options.model, device=options.device)
        model.check(source)
        if options.agreement is not None:
            return compress_to_agreement(
                source,
                destination,
                codec,
                options.agreement,
                disagreement=model.disagreement,
                of=model.of,
                resources=resources,
                quiet=quiet,
            )
        objective = model.divergence
    assert options.budget is not None  # parse has seen to it
    return compress_to_budget(
        source,
        destination,
        codec,
        options.budget,
        objective=objective,
        resources=resources,
        quiet=quiet,
    )
