"""How fast a restorer is in bfloat16 and channels_last, beside plain float32; and its memory.

    python benchmarks/restoration.py kodak/
    python benchmarks/restoration.py kodak/ --preset paper --size 512x384 --megapixels 4 12

The network is the generator of a preset with random weights (their values change neither time nor
memory). *Plain* is the same network of torch's own layers: float32, channels first, no gradients.
*Fast* is what ``ratewise store restore`` runs. The two take turns.

Prints the times, their ratio and the PSNR between the two results; for each of ``--megapixels`` the
peak memory of restoring an image of that size, whole and in tiles, each in a fresh process; and how
far the result in tiles of ``--tiles`` pixels is from the whole image's. Exit code 1 if a limit is
passed; the limits on speed hold where the CPU has AMX.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SPEED_LIMIT, PSNR_LIMIT, TILES_LIMIT = 2.0, 45.0, 50.0


def read_crop(folder: Path, width: int, height: int) -> np.ndarray:
    """The upper left ``height`` x ``width`` of a photograph, repeated where it is smaller."""
    from ratewise.data.listing import find_images
    from ratewise.images import read_image

    image = read_image(folder / find_images(folder)[0])
    repeats = -(-height // image.shape[0]), -(-width // image.shape[1]), 1
    return np.tile(image, repeats)[:height, :width]


def write_random(path: Path, preset: str) -> None:
    """A restorer of ``preset`` with random weights and a residual of some grey levels."""
    import torch
    from torch import nn

    from ratewise.restoration.generators import build_generator
    from ratewise.restoration.restorer import save_restorer
    from ratewise.restoration.settings import RestorerSettings

    settings = RestorerSettings(preset=preset).generator
    if settings.kind == "finenet":  # normed, random residuals would be of half the range
        settings = settings.model_copy(update={"output_norm": False})
    torch.manual_seed(0)
    network = build_generator(settings)
    last = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 3][-1]
    for parameter in last.parameters():
        nn.init.normal_(parameter, std=0.002)
    save_restorer(path, network, settings, ["bpg:qp=46"])


def plain(path: Path) -> Any:
    """The network with torch's own layers in float32 and channels first, from image to image."""
    import torch
    from torch import nn

    from ratewise.restoration.generators import FineNet, build_generator
    from ratewise.restoration.norms import InstanceNorm
    from ratewise.restoration.restorer import read_restorer

    class TorchsInstanceNorm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.instance_norm(x)

    state, header = read_restorer(path)
    network = build_generator(header.generator).eval()
    network.load_state_dict(state)
    network.to(memory_format=torch.contiguous_format)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, InstanceNorm):
                setattr(module, name, TorchsInstanceNorm())
    # FineNet itself changes to channels_last; its layers take what they are given.
    body = network.layers if isinstance(network, FineNet) else None

    @torch.no_grad()
    def restore(image: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float() / 127.5 - 1
        y = network(x) if body is None else x + body(x)
        levels = ((y[0] + 1) * 127.5).round().clamp(0, 255)
        return levels.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()

    return restore


def seconds(call: Any, image: np.ndarray) -> float:
    start = time.perf_counter()
    call(image)
    return time.perf_counter() - start


def use_memory(path: str, megapixels: float, tile_above: int) -> None:
    """In the process of a measurement: restore, and print what that took in kilobytes."""
    from ratewise.restoration.restorer import load_restorer

    restorer = load_restorer(Path(path), device="cpu", tile_above=tile_above)
    restorer.restore(np.zeros((32, 32, 3), np.uint8))
    before = peak()
    side = int((megapixels * 1e6) ** 0.5)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    start = time.perf_counter()
    restorer.restore(image)
    taken = time.perf_counter() - start
    print(before, peak(), taken)


def peak() -> int:
    """The most memory that this process had, in kilobytes. (ru_maxrss also knows its parent's.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--size", default="384x256", help="of the image that is timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--megapixels", type=float, nargs="*", default=[])
    parser.add_argument("--tile-above", type=int, default=None, help="pixels, for the memory")
    parser.add_argument("--tiles", type=int, default=0, help="pixels; 0: not compared")
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    if options.memory:
        path, megapixels, tile_above = options.memory
        use_memory(path, float(megapixels), int(tile_above))
        return 0

    from ratewise.metrics.distortion import psnr
    from ratewise.restoration.restorer import load_restorer, read_restorer
    from ratewise.restoration.tiles import whole_up_to
    from ratewise.training.device import resolve_precision

    width, height = map(int, options.size.split("x"))
    image = read_crop(options.images, width, height)
    passed = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "restorer.safetensors"
        write_random(path, options.preset)
        slow, fast = plain(path), load_restorer(path, device="cpu")
        best = {"plain": float("inf"), "fast": float("inf")}
        for _ in range(options.rounds):
            best["plain"] = min(best["plain"], seconds(slow, image))
            best["fast"] = min(best["fast"], seconds(fast.restore, image))
        ratio = best["plain"] / best["fast"]
        distance = psnr(slow(image), fast.restore(image))
        amx = resolve_precision("auto", "cpu") == "bf16-mixed"
        print(f"preset {options.preset}, {width}x{height}, {options.threads} thread(s)")
        print(f"plain float32 {1000 * best['plain']:.0f} ms, fast {1000 * best['fast']:.0f} ms")
        print(
            f"ratio {ratio:.2f} (limit {SPEED_LIMIT}{'' if amx else ', without AMX not held to'})"
        )
        print(f"PSNR between them {distance:.1f} dB (limit {PSNR_LIMIT})", flush=True)
        passed |= distance < PSNR_LIMIT or (amx and ratio < SPEED_LIMIT)
        if options.tiles:
            tiled = load_restorer(path, device="cpu", tile_above=options.tiles).restore(image)
            distance = psnr(fast.restore(image), tiled)
            print(f"PSNR between tiles and the whole {distance:.1f} dB (limit {TILES_LIMIT})")
            passed |= distance < TILES_LIMIT
        for megapixels in options.megapixels:
            above = options.tile_above or whole_up_to(read_restorer(path)[1].generator)
            ways = {"whole": 2**40} | ({"tiles": above} if megapixels * 1e6 > above else {})
            for name, limit in ways.items():
                command = [sys.executable, __file__, str(options.images), "--memory", str(path)]
                command += [str(megapixels), str(limit), "--threads", str(options.threads)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                before, after, taken = map(float, done.stdout.split())
                growth = (after - before) * 1024
                print(
                    f"{megapixels:g} megapixels, {name}: {growth / 1e9:.2f} GB, "
                    f"{growth / megapixels / 1e6:.0f} bytes a pixel, {taken:.1f} s",
                    flush=True,
                )
    return int(passed)


if __name__ == "__main__":
    sys.exit(main())
