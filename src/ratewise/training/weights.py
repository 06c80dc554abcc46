"""Weights on disk: safetensors with a header that says how they were made."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ratewise.errors import InputError
from ratewise.files import write_atomically
from ratewise.training.header import KEY, header_of

_NESTED_UNDER = ("state_dict", "model_state_dict", "model")


def save_weights(path: Path, weights: nn.Module | Mapping[str, Tensor], header: Any = None) -> None:
    """Write the state of a module, or a state dict, and ``header`` (a JSON-able mapping).

    Same weights and header, same bytes: the header is one entry, because safetensors writes
    several in no fixed order.
    """
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    text = json.dumps(dict(header or {}), sort_keys=True)
    write_atomically(path, save(tensors, {KEY: text}))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict (on the CPU) and the header of a safetensors file.

    A foreign file's own metadata is its header. Raises :class:`InputError` if the file is missing
    or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    return state, header_of(path, metadata)


def load_foreign(path: Path) -> dict[str, Tensor]:
    """The state dict of a ``.safetensors``, ``.pth``, ``.pt`` or ``.ckpt`` file of others.

    Pickles are read with ``weights_only=True``. A state dict inside a checkpoint (under
    ``state_dict``, ``model_state_dict`` or ``model``) is found, and the ``module.`` that
    DataParallel puts before every key is taken off.
    """
    if path.suffix == ".safetensors":
        return load_weights(path)[0]
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read as plain weights ({reason})") from error
    for key in _NESTED_UNDER:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(f"{path}: holds no state dict")
    state = {str(key): value for key, value in loaded.items()}
    stray = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if stray:
        raise InputError(f"{path}: {stray[0]!r} is no tensor, so this is no state dict")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def apply_weights(
    module: nn.Module, state: Mapping[str, Tensor], where: str, *, assign: bool = False
) -> None:
    """Load ``state`` into ``module``; every key and shape must fit.

    ``where`` names the origin in errors. With ``assign`` the module has the tensors of ``state``
    themselves, as one that was built on the meta device needs. Raises :class:`InputError` that
    names the first keys that are missing, unexpected or of another shape; the module is then
    unchanged.
    """
    own = module.state_dict()
    problems = [
        _listed("lacks", [key for key in own if key not in state]),
        _listed("has unknown", [key for key in state if key not in own]),
        _listed(
            "has other shapes for",
            [
                f"{key} ({tuple(state[key].shape)} in the file, {tuple(own[key].shape)} here)"
                for key in own
                if key in state and state[key].shape != own[key].shape
            ],
        ),
    ]
    found = [problem for problem in problems if problem]
    if found:
        raise InputError(f"{where}: the weights do not fit the model: it {'; it '.join(found)}")
    module.load_state_dict(dict(state), assign=assign)


def load_backbone(
    module: nn.Module,
    file: Path,
    what: str,
    spellings: Sequence[Callable[[str], str | None]] = (),
) -> None:
    """Load a backbone from a file of a whole network, whose other keys may be left over.

    Each of ``spellings`` makes a key of the file one of ``module``, or None where it is of no
    part of it; the one that finds most keys is taken, the file's own spelling among them. Raises
    :class:`InputError` that names ``file`` and ``what`` if a key of ``module`` is not found or
    has another shape; the module is then unchanged.
    """
    state = load_foreign(file)
    own = module.state_dict()
    candidates = [state]
    for spelling in spellings:
        spelled = {spelling(key): value for key, value in state.items()}
        candidates.append({key: value for key, value in spelled.items() if key is not None})
    best = max(candidates, key=lambda candidate: len(own.keys() & candidate.keys()))
    missing = [k for k in own if k not in best and not k.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"{file}: these are not the weights of {what}: {missing[0]!r} and "
            f"{len(missing) - 1} more of {len(own)} are missing"
        )
    for key, value in own.items():
        if key in best and best[key].shape != value.shape:
            raise InputError(
                f"{file}: these are not the weights of {what}: {key!r} is "
                f"{tuple(best[key].shape)}, not {tuple(value.shape)}"
            )
    module.load_state_dict({**own, **{key: best[key] for key in own if key in best}})


def _listed(verb: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{verb} {', '.join(keys[:3])}{more}"
