"""Checkpoints of CompressAI's three models that ratewise has too, read by their keys.

==========================  ====================================================================
CompressAI                  here
==========================  ====================================================================
``bmshj2018-factorized``    ``factorized`` (Ballé et al., 2018, without the hyperprior)
``bmshj2018-hyperprior``    ``hyperprior`` (Ballé et al., 2018)
``mbt2018-mean``            ``msh`` (Minnen et al., 2018, without the context model)
==========================  ====================================================================

The layers have the same arithmetic and, but for the factorised density, the same names. What a
checkpoint stores beside its parameters (coding tables, bounds) is left out, whatever its shape:
ratewise makes its own tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ratewise.errors import InputError
from ratewise.neural.models import Architecture, CompressionModel, Kind
from ratewise.training.weights import apply_weights, load_foreign

# `_matrix0` since version 1.1, `_matrices.0` before it, `matrices.0` since 1.2.7
_DENSITY = re.compile(r"entropy_bottleneck\._?(matri|bias|factor)(?:x|ces|es|s)?\.?(\d+)")
_LISTS = {"matri": "matrices", "bias": "biases", "factor": "factors"}
_TABLES = re.compile(
    r"gaussian_conditional\..*"
    r"|entropy_bottleneck\.(target|_medians|_offset|_quantized_cdf|_cdf_length"
    r"|likelihood_lower_bound\..*)"
    r"|.*\.(beta|gamma)_reparam\..*"
)
_CONTEXT_MODEL = ("context_prediction.", "entropy_parameters.")


def load_compressai(path: Path) -> CompressionModel:
    """The model of a checkpoint file of CompressAI, ready to code with.

    Raises :class:`InputError` if the file is none, is damaged, holds values that are not finite,
    or is of a model that ratewise does not have.
    """
    return from_state_dict(load_foreign(path), str(path))


def from_state_dict(state: Mapping[str, Tensor], where: str) -> CompressionModel:
    """The model of a state dict of CompressAI; ``where`` names its origin in errors."""
    own = {_own_key(key): value for key, value in state.items() if not _TABLES.fullmatch(key)}
    model = _architecture(own, where).build()
    damaged = [key for key, value in own.items() if not torch.isfinite(value).all()]
    if damaged:
        raise InputError(f"{where}: {damaged[0]} holds values that are not finite")
    apply_weights(model, own, where)
    return model.eval()


def _own_key(key: str) -> str:
    match = _DENSITY.fullmatch(key)
    if match:
        return f"prior.{_LISTS[match[1]]}.{match[2]}"
    return key.replace("entropy_bottleneck.", "prior.", 1)


def _architecture(state: Mapping[str, Tensor], where: str) -> Architecture:
    if any(key.startswith(_CONTEXT_MODEL) for key in state):
        raise InputError(
            f"{where}: has a context model, as mbt2018 and cheng2020 do; must be a checkpoint of "
            "bmshj2018-factorized, bmshj2018-hyperprior or mbt2018-mean"
        )
    try:
        N, M = state["g_a.0.weight"].shape[0], state["g_a.6.weight"].shape[0]
        kind: Kind = "factorized"
        if "h_s.4.weight" in state:
            kind = "msh" if state["h_s.4.weight"].shape[0] == 2 * M else "hyperprior"
    except (KeyError, IndexError) as error:
        raise InputError(
            f"{where}: has no g_a.0.weight and g_a.6.weight; must be a checkpoint of CompressAI's "
            "bmshj2018-factorized, bmshj2018-hyperprior or mbt2018-mean"
        ) from error
    return Architecture(kind, N, M)
