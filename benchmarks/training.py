"""What keeping freed memory saves of a training step on a CPU (``ratewise.training.memory``).

    python benchmarks/training.py

A step of the mean-scale hyperprior and one of MobileNetV2, in CPU time of one thread; each measured
in processes that keep freed memory and in processes that do not, in turn. The limit is the ratio of
the two medians: at most 1 (keeping must not cost).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS, STEPS = 3, 4


def main() -> None:
    for name in ("hyperprior", "mobilenetv2"):
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(ROUNDS):
            for keeps in seconds:
                command = [sys.executable, __file__, name, str(int(keeps))]
                found = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds[keeps].append(float(found.stdout))
        kept, given_back = (statistics.median(seconds[keeps]) for keeps in (True, False))
        print(
            f"{name}: {1000 * kept:.0f} ms a step against {1000 * given_back:.0f} ms, "
            f"ratio {kept / given_back:.2f} (limit 1)"
        )


def measure(name: str, keeps: bool) -> float:
    """CPU seconds of a step."""
    import torch

    from ratewise.training.memory import keep_freed_memory

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if keeps and not keep_freed_memory():
        raise SystemExit("the C library is not glibc, or MALLOC_ variables are set")
    step = _hyperprior() if name == "hyperprior" else _mobilenet()
    step()
    begin = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - begin) / STEPS


def _hyperprior():
    import torch

    from ratewise.neural.models import Architecture, estimated_bpp
    from ratewise.training.device import resolve_precision

    model = Architecture("msh", 64, 96).build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    x = torch.rand(8, 3, 192, 192).contiguous(memory_format=torch.channels_last)
    fast = resolve_precision("auto", "cpu") == "bf16-mixed"

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            coded = model(x)
        loss = 100 * (coded["x_hat"].float() - x).square().mean() + estimated_bpp(coded)
        loss.backward()
        optimiser.step()

    return step


def _mobilenet():
    import timm
    import torch

    model = timm.create_model("mobilenetv2_100").to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), 1e-5)
    x = torch.rand(16, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (16,))

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimiser.step()

    return step


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(measure(sys.argv[1], bool(int(sys.argv[2]))))
    else:
        main()
