"""CompressAI in a process of its own, with its own interpreter, for ``neural.py`` beside this.

Run as a script it is that process; imported, it gives what starts and asks it. It imports nothing
of ratewise, which the interpreter of CompressAI need not have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Stopwatch:
    """Adds up the time in chosen functions, so that what is left is known."""

    def __init__(self) -> None:
        self.inside = 0.0

    def around(self, owner: Any, name: str) -> None:
        """Time the attribute ``name`` of ``owner`` from now on."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self.inside += time.perf_counter() - start
            return result

        setattr(owner, name, timed)

    def measure(self, call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
        """What ``call`` returns, and its seconds: of all, of the networks, of the CPU."""
        self.inside, cpu, start = 0.0, time.process_time(), time.perf_counter()
        result = call()
        wall = time.perf_counter() - start
        cpu = time.process_time() - cpu
        return result, {"all": wall, "networks": self.inside, "cpu": cpu}


def serve_compressai(weights: str, images: str, threads: int) -> None:
    """Code image after image as the numbers on standard input ask for; print times as JSON."""
    import torch
    from compressai.models import google

    torch.set_num_threads(threads)
    found = torch.load(weights, weights_only=True)
    kind, state = found["kind"], found["state"]
    names = {"factorized": "FactorizedPrior", "hyperprior": "ScaleHyperprior"}
    net = getattr(google, names.get(kind, "MeanScaleHyperprior"))(found["N"], found["M"])
    own = set(net.state_dict())
    if not any("entropy_bottleneck.matrices" in key for key in own):  # before version 1.2.7
        lists = (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor"))
        for plural, single in lists:
            state = {key.replace(plural, single): value for key, value in state.items()}
    assert set(state) <= own, set(state) - own
    torch.nn.Module.load_state_dict(net, state, strict=False)
    net.eval().update(force=True)
    watch = Stopwatch()
    for name in ("g_a", "h_a", "h_s", "g_s"):
        if hasattr(net, name):
            watch.around(getattr(net, name), "forward")
    pixels = np.load(images)
    print("ready", flush=True)
    for line in sys.stdin:
        x = torch.from_numpy(pixels[int(line)]).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            coded, encode = watch.measure(lambda x=x: net.compress(x))
            _, decode = watch.measure(
                lambda coded=coded: net.decompress(coded["strings"], coded["shape"])
            )
        size = sum(len(string) for strings in coded["strings"] for string in strings)
        print(json.dumps({"encode": encode, "decode": decode, "bytes": size}), flush=True)


class CompressAi:
    """The process that :func:`serve_compressai` runs in."""

    def __init__(self, python: str, model: Any, images: np.ndarray, threads: int) -> None:
        import torch

        self._folder = tempfile.TemporaryDirectory()
        weights, pixels = (Path(self._folder.name) / name for name in ("weights.pt", "images.npy"))
        shape = model.architecture
        state = {
            key.replace("prior.", "entropy_bottleneck."): value
            for key, value in model.state_dict().items()
        }
        torch.save({"kind": shape.kind, "N": shape.N, "M": shape.M, "state": state}, weights)
        np.save(pixels, images)
        command = [python, "-W", "ignore", __file__, str(weights), str(pixels), str(threads)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process of CompressAI ended: its message stands above")
        return line

    def code(self, number: int) -> dict[str, Any]:
        """Times and bytes of image ``number``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._answer())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", sys.argv[3])
    serve_compressai(sys.argv[1], sys.argv[2], int(sys.argv[3]))
