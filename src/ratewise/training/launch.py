"""Which devices a training shares, as a user says it or as its launcher does. Imports no torch.

``--devices 2`` starts one more process of the same command on this machine. Under ``torchrun`` and
SLURM the processes are there already, and their number is the launcher's to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ratewise.errors import InputError


def launched_by(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Devices per machine, and machines, under ``torchrun`` or SLURM; None without a launcher.

    Raises :class:`InputError` where machines have different numbers of processes.
    """
    if "LOCAL_WORLD_SIZE" in environment and "WORLD_SIZE" in environment:
        world, local, name = environment["WORLD_SIZE"], environment["LOCAL_WORLD_SIZE"], "torchrun"
        processes, devices = int(world), int(local)
        nodes = processes // devices
    elif int(environment.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environment:
        processes, name = int(environment["SLURM_NTASKS"]), "SLURM"
        nodes = int(environment.get("SLURM_NNODES", "1"))
        devices = processes // nodes
    else:
        return None
    if devices * nodes != processes:
        raise InputError(
            f"{name} runs {processes} processes on {nodes} machines: each must have as many"
        )
    return devices, nodes


def shared_devices(
    devices: int | None, nodes: int | None, environment: Mapping[str, str] = os.environ
) -> dict[str, int]:
    """The settings ``devices`` and ``nodes`` that a user or a launcher asks for; none by default.

    Raises :class:`InputError` where the two disagree.
    """
    asked = {k: v for k, v in (("devices", devices), ("nodes", nodes)) if v is not None}
    found = launched_by(environment)
    if found is None:
        return asked
    launched = dict(zip(("devices", "nodes"), found, strict=True))
    for name, number in asked.items():
        if number != launched[name]:
            raise InputError(f"--{name} {number}: but the launcher started {launched[name]}")
    return launched


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the first of those that train together, which writes and prints."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in environment:
            return int(environment[name]) == 0
    return int(environment.get("NODE_RANK", "0")) == int(environment.get("LOCAL_RANK", "0")) == 0
