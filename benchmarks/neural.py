"""How fast the learned codec is: beside CompressAI with the same weights, and beside the machine.

    python benchmarks/neural.py kodak/                         # without CompressAI
    python benchmarks/neural.py kodak/ --compressai cai/bin/python

CompressAI is no dependency: ``python -m venv cai`` and
``cai/bin/pip install compressai`` make the interpreter that ``--compressai`` takes. It
runs in a process of its own, and the two take turns. Weights come from ``--weights``, a file of
``ratewise codec train``; where there is none, a network of (128, 192) is trained briefly on the
images and kept there, for random weights would code zeros only.

Prints, for 768x512 pixels on ``--threads`` threads, each with its limit where it has one:

- encode and decode time over CompressAI's, and the same of all that is not a network (entropy
  coding, tables, files), and bytes over CompressAI's;
- the least time that the layers' multiply-adds take at the machine's measured rate of matrix
  products in the same precision, and the part of encode and decode that this is;
- what bfloat16 costs in PSNR and rate, and how many values it draws a level off;
- the CPU time of small images coded eight at a time, over one at a time;
- peak memory of encoding and decoding an image of 24 megapixels;
- on a CUDA device, images per second in batches of 16.

Exit code 1 if a limit is passed. Times are the best of ``--rounds`` turns over the images.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from compressai_process import CompressAi, Stopwatch

TIME_LIMIT, REST_LIMIT, BYTES_LIMIT, MEMORY_LIMIT_GB = 0.5, 1.0, 1.005, 4.0
HEIGHT, WIDTH = 512, 768
LARGE = (4000, 6000)
TRAINING = {
    "name": "benchmark",
    "architecture": {"kind": "msh", "N": 128, "M": 192},
    "lambdas": [0.0483],
    "validation": 0,
    "patch": 64,
    "scale": (1.0, 1.0),
    "batch_size": 4,
    "quantile_lr": 0.1,
    "device": "cpu",
}
"""The shortest training after which a network has symbols to code."""


def read_images(folder: Path, count: int) -> np.ndarray:
    """``count`` images ``(count, 512, 768, 3)``: turned to landscape, cut or repeated to fit."""
    from ratewise.data.listing import find_images
    from ratewise.images import read_image

    images = []
    for name in find_images(folder)[:count]:
        image = read_image((folder / name).read_bytes())
        if image.shape[0] > image.shape[1]:
            image = image.transpose(1, 0, 2)
        repeats = -(-HEIGHT // image.shape[0]), -(-WIDTH // image.shape[1]), 1
        images.append(np.tile(image, repeats)[:HEIGHT, :WIDTH])
    return np.stack(images)


def read_or_train(path: Path | None, folder: Path, steps: int) -> Any:
    """The network of a weights file, or one trained for ``steps`` steps and written there."""
    from ratewise.files import write_atomically
    from ratewise.neural.compressai import from_state_dict
    from ratewise.training.weights import load_weights

    with tempfile.TemporaryDirectory() as made:
        weights = path
        if path is None or not path.is_file():
            print(f"training (128, 192) for {steps} steps, to have symbols to code", flush=True)
            weights = train(folder, steps, Path(made))
            if path is not None:
                write_atomically(path, weights.read_bytes())
        return from_state_dict(load_weights(weights)[0], str(weights))


def train(folder: Path, steps: int, out: Path) -> Path:
    """The weights of a mean-scale hyperprior that codes the images after a fashion."""
    from ratewise.data.photographs import open_photographs
    from ratewise.neural.training.run import train_codecs
    from ratewise.neural.training.settings import CodecTrainingSettings

    settings = CodecTrainingSettings(
        **TRAINING, images=[{"root": str(folder.resolve())}], each={"steps": steps, "lr": 1e-3}
    )
    (packed,) = train_codecs(settings, open_photographs(settings.images, Path()), out, quiet=True)
    return packed.with_name(f"{packed.stem}-training.safetensors")


def watched_coder(
    packed: Any, precision: str = "auto", device: str = "cpu"
) -> tuple[Any, Stopwatch]:
    """A coder whose networks are timed."""
    from ratewise.neural.coder import NeuralCoder

    coder, watch = NeuralCoder(packed, device=device, precision=precision), Stopwatch()
    for name in ("analysis", "hyper_analysis", "synthesis"):
        watch.around(coder._transforms, name)
    watch.around(coder._latents, "_h_s")
    return coder, watch


def multiply_adds(shape: Any) -> dict[str, float]:
    """Of the layers of ``encode`` and ``decode``, for one image."""
    N, M, pixels = shape.N, shape.M, HEIGHT * WIDTH
    half, quarter, eighth, y, z4, z = (pixels / 4**i for i in range(1, 7))
    norms = N * N * (half + quarter + eighth)
    g_a = 25 * (3 * N * half + N * N * (quarter + eighth) + N * M * y) + norms
    if shape.kind == "factorized":
        return {"encode": g_a, "decode": g_a}
    h_a = 9 * M * N * y + 25 * N * N * (z4 + z)
    if shape.kind == "hyperprior":
        h_s = 25 * N * N * (z + z4) + 9 * N * M * y
    else:
        h_s = 25 * (N * M * z + M * M * 1.5 * z4) + 9 * 1.5 * M * 2 * M * y
    return {"encode": g_a + h_a + h_s, "decode": g_a + h_s}


def matrix_rate(dtype: Any) -> float:
    """Multiply-adds per second of the best of two matrix products on the CPU."""
    import torch

    best = 0.0
    for n, k, m in ((2048, 2048, 2048), (24576, 3200, 128)):
        a, b = torch.randn(n, k).to(dtype), torch.randn(k, m).to(dtype)
        for _ in range(8):
            start = time.perf_counter()
            a @ b
            best = max(best, n * k * m / (time.perf_counter() - start))
    return best


def psnr_and_bpp(packed: Any, images: np.ndarray, precision: str) -> tuple[float, float]:
    """Means over ``images``, coded and decoded in ``precision``."""
    from ratewise.metrics.distortion import psnr
    from ratewise.metrics.rate import bits_per_pixel
    from ratewise.neural.coder import NeuralCoder

    coder = NeuralCoder(packed, device="cpu", precision=precision)
    found = []
    for image in images:
        data = coder.encode([image])
        bpp = bits_per_pixel(len(data[0]), *image.shape[:2])
        found.append((psnr(image, coder.decode(data)[0]), bpp))
    return tuple(float(value) for value in np.mean(found, axis=0))  # type: ignore[return-value]


def off_by(packed: Any, images: np.ndarray) -> tuple[float, float]:
    """Shares of values that decode to another level in bfloat16, by one and by more."""
    from ratewise.neural.coder import NeuralCoder

    exact, half = (NeuralCoder(packed, device="cpu", precision=p) for p in ("fp32", "bf16"))
    files = exact.encode(list(images))
    pairs = zip(exact.decode(files), half.decode(files), strict=True)
    off = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in pairs])
    return float((off == 1).mean()), float((off > 1).mean())


def batch_ratio(coder: Any, images: np.ndarray, rounds: int) -> float:
    """CPU time to encode 240x180 pixels eight images at a time, over one at a time."""
    small = [np.ascontiguousarray(image[:180, :240]) for image in images for _ in range(8)][:32]
    best = {1: math.inf, 8: math.inf}
    for _ in range(rounds):
        for size in best:
            start = time.process_time()
            for i in range(0, len(small), size):
                coder.encode(small[i : i + size])
            best[size] = min(best[size], time.process_time() - start)
    return best[8] / best[1]


def peak_memory(packed: Any, image: np.ndarray, threads: int) -> Iterator[tuple[str, float]]:
    """Gigabytes of encoding and of decoding a large image, each in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        packed.save(base / "model.safetensors")
        repeats = -(-LARGE[0] // HEIGHT), -(-LARGE[1] // WIDTH), 1
        np.save(base / "image.npy", np.tile(image, repeats)[: LARGE[0], : LARGE[1]])
        for what in ("encode", "decode"):
            command = [sys.executable, __file__, "", "--memory", what, folder]
            command += ["--threads", str(threads)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            yield what, float(done.stdout) / 2**20


def use_memory(what: str, folder: Path) -> None:
    """In the process of a measurement: code, and print the peak in kilobytes."""
    from ratewise.neural.coder import NeuralCoder
    from ratewise.neural.weights import load

    coder = NeuralCoder(load(folder / "model.safetensors"), device="cpu")
    if what == "encode":
        (folder / "data").write_bytes(coder.encode([np.load(folder / "image.npy")])[0])
    else:
        coder.decode([(folder / "data").read_bytes()])
    # ru_maxrss would begin with what the process had that started this one.
    status = Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0])


def images_per_second(packed: Any, images: np.ndarray) -> dict[str, float]:
    """Of encoding and decoding in batches of 16 on the CUDA device."""
    from ratewise.neural.coder import NeuralCoder

    coder = NeuralCoder(packed, device="cuda")
    batch = [images[i % len(images)] for i in range(16)]
    best = {"encode": 0.0, "decode": 0.0}
    for _ in range(6):
        start = time.perf_counter()
        data = coder.encode(batch)
        middle = time.perf_counter()
        coder.decode(data)
        end = time.perf_counter()
        best["encode"] = max(best["encode"], 16 / (middle - start))
        best["decode"] = max(best["decode"], 16 / (end - middle))
    return best


Times = dict[str, dict[str, float]]


def take_turns(
    coder: Any, watch: Stopwatch, theirs: CompressAi | None, images: np.ndarray, rounds: int
) -> tuple[Times, Times, float]:
    """Mean over images of the best of ``rounds`` times, ours and theirs; our bytes over theirs."""
    found: dict[tuple[str, str, str], np.ndarray] = {}
    sizes = {"ours": 0, "theirs": 0}

    def note(who: str, what: str, number: int, times: dict[str, float]) -> None:
        times = {**times, "rest": times["all"] - times["networks"]}
        for part, seconds in times.items():
            best = found.setdefault((who, what, part), np.full(len(images), np.inf))
            best[number] = min(best[number], seconds)

    for turn in range(rounds):
        for number, image in enumerate(images):
            data, times = watch.measure(lambda image=image: coder.encode([image]))
            note("ours", "encode", number, times)
            _, times = watch.measure(lambda data=data: coder.decode(data))
            note("ours", "decode", number, times)
            if theirs is not None:
                answer = theirs.code(number)
                note("theirs", "encode", number, answer["encode"])
                note("theirs", "decode", number, answer["decode"])
            if turn == 0:
                sizes["ours"] += len(data[0])
                sizes["theirs"] += answer["bytes"] if theirs is not None else 0
    tables: dict[str, Times] = {"ours": {}, "theirs": {}}
    for (who, what, part), best in found.items():
        tables[who].setdefault(what, {})[part] = float(best.mean())
    return tables["ours"], tables["theirs"], sizes["ours"] / max(sizes["theirs"], 1)


def compare(options: argparse.Namespace) -> int:
    """Measure and print; 1 if a limit is passed."""
    import torch

    from ratewise.neural.weights import pack
    from ratewise.training.device import resolve_precision

    torch.set_num_threads(options.threads)
    images = read_images(options.images, options.count)
    model = read_or_train(options.weights, options.images, options.steps)
    shape = model.architecture
    packed = pack(model, list(images[:4]))
    coder, watch = watched_coder(packed)
    fast = resolve_precision("auto", "cpu") == "bf16-mixed"
    dtype = torch.bfloat16 if fast else torch.float32
    theirs = None
    if options.compressai:
        theirs = CompressAi(options.compressai, model, images, options.threads)
    ours, other, size = take_turns(coder, watch, theirs, images, options.rounds)
    missed = 0
    print(
        f"{shape.kind} ({shape.N}, {shape.M}), {len(images)} images of {WIDTH}x{HEIGHT}, "
        f"{options.threads} threads, {'bf16' if fast else 'fp32'}, best of {options.rounds}"
    )

    def judged(what: str, value: float, limit: float, more: str = "") -> None:
        nonlocal missed
        missed |= int(value > limit)
        print(f"{what:42} {value:7.3f}  (limit {limit:g}{more})")

    for what in ("encode", "decode"):
        mine = ours[what]
        if theirs is None:
            parts = ", ".join(f"{part} {1000 * mine[part]:.0f}" for part in mine)
            print(f"{what:42} ms: {parts}; no ratio without --compressai")
            continue
        for part, limit in (("all", TIME_LIMIT if fast else 1.0), ("rest", REST_LIMIT)):
            name = what if part == "all" else f"{what}, without the networks"
            a, b = 1000 * mine[part], 1000 * other[what][part]
            judged(f"{name} / CompressAI", a / b, limit, f"; {a:.1f} and {b:.1f} ms")
        print(f"{what + ', CPU time / CompressAI':42} {mine['cpu'] / other[what]['cpu']:7.3f}")
    if theirs is not None:
        judged("bytes / CompressAI", size, BYTES_LIMIT)
        theirs.close()
    rate = matrix_rate(dtype)
    for what, count in multiply_adds(shape).items():
        share = count / rate / ours[what]["all"]
        print(
            f"{what + ', least time / time':42} {share:7.3f}  ({count / 1e9:.1f} G multiply-adds "
            f"at {rate / 1e9:.0f} G/s: {1000 * count / rate:.1f} of "
            f"{1000 * ours[what]['all']:.1f} ms)"
        )
    (exact, exact_bpp), (half, half_bpp) = (
        psnr_and_bpp(packed, images, precision) for precision in ("fp32", "bf16")
    )
    more = 100 * (half_bpp / exact_bpp - 1)
    print(
        f"{'bf16: PSNR, rate':42} {half - exact:+7.4f} dB, {more:+.3f} %  "
        f"(of {exact:.2f} dB at {exact_bpp:.3f} bpp)"
    )
    one, more_than_one = off_by(packed, images)
    print(f"{'bf16: values off by one level, by more':42} {one:7.1%}, {more_than_one:.1e}")
    ratio = batch_ratio(coder, images, options.rounds)
    print(f"{'eight images of 240x180 at a time / one':42} {ratio:7.3f}  (CPU time to encode)")
    for what, gigabytes in peak_memory(packed, images[0], options.threads):
        judged(f"peak memory, {what}, 24 megapixels", gigabytes, MEMORY_LIMIT_GB, " GB")
    if torch.cuda.is_available():
        for what, value in images_per_second(packed, images).items():
            print(f"{'images/s on CUDA, ' + what:42} {value:7.1f}  (batches of 16)")
    return missed


def main() -> int:
    """Parse, and compare; or be one of the processes that a comparison starts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path, help="folder of photographs, such as Kodak's")
    parser.add_argument("--compressai", metavar="PYTHON", help="an interpreter that has CompressAI")
    parser.add_argument("--weights", type=Path, help="file of a training; made if it is not there")
    parser.add_argument("--steps", type=int, default=500, help="of a training that makes weights")
    parser.add_argument("--count", type=int, default=6, help="images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    if options.memory:
        import torch

        torch.set_num_threads(options.threads)
        use_memory(options.memory[0], Path(options.memory[1]))
        return 0
    return compare(options)


if __name__ == "__main__":
    sys.exit(main())
