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
- what bfloat16 costs in PSNR and rate;
- peak memory of encoding and decoding an image of 24 megapixels;
- on a CUDA device, images per second in batches of 16.

Exit code 1 if a limit is passed. Times are the best of ``--rounds`` turns over the images.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

TIME_LIMIT, REST_LIMIT, BYTES_LIMIT, MEMORY_LIMIT_GB = 0.5, 1.0, 1.005, 4.0
HEIGHT, WIDTH = 512, 768
LARGE = (4000, 6000)
LAMBDA = 0.0483


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


# ----- CompressAI, in its own interpreter ---------------------------------------------------------


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
        command = [python, "-W", "ignore", __file__, "", "--serve", str(weights), str(pixels)]
        self._process = subprocess.Popen(
            [*command, "--threads", str(threads)],
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


# ----- ours ---------------------------------------------------------------------------------------


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


def read_or_train(path: Path | None, images: np.ndarray, steps: int) -> Any:
    """The network of a weights file, or one trained for ``steps`` steps and written there."""
    from ratewise.neural.models import Architecture
    from ratewise.training.weights import apply_weights, load_weights, save_weights

    if path is not None and path.is_file():
        state, header = load_weights(path)
        model = Architecture(**header["architecture"]).build()
        apply_weights(model, state, str(path))
        return model.eval()
    print(f"training (128, 192) for {steps} steps, to have symbols to code", flush=True)
    model = train(images, steps)
    if path is not None:
        save_weights(path, model, {"architecture": {"kind": "msh", "N": 128, "M": 192}})
    return model


def train(images: np.ndarray, steps: int) -> Any:
    """A mean-scale hyperprior of (128, 192) that codes ``images`` after a fashion."""
    import torch

    from ratewise.neural.models import Architecture, estimated_bpp
    from ratewise.training.device import resolve_precision

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = Architecture("msh", 128, 192).build()
    weights = [value for key, value in model.named_parameters() if "quantiles" not in key]
    optimiser = torch.optim.Adam(weights, lr=1e-3)
    fast = resolve_precision("auto", "cpu") == "bf16-mixed"
    for _ in range(steps):
        tops, lefts = rng.integers(0, HEIGHT - 64, 4), rng.integers(0, WIDTH - 64, 4)
        patches = [
            images[rng.integers(len(images)), top : top + 64, left : left + 64]
            for top, left in zip(tops, lefts, strict=True)
        ]
        x = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            coded = model(x)
        error = torch.mean((coded["x_hat"].float() - x) ** 2)
        optimiser.zero_grad()
        (LAMBDA * 255**2 * error + estimated_bpp(coded)).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
    quantiles = torch.optim.Adam([model.prior.quantiles], lr=0.1)
    for _ in range(400):
        quantiles.zero_grad()
        model.prior.quantile_loss().backward()
        quantiles.step()
    return model.eval()


def watched_coder(
    packed: Any, precision: str = "auto", device: str = "cpu"
) -> tuple[Any, Stopwatch]:
    """A coder whose networks are timed."""
    from ratewise.neural.coder import NeuralCoder

    coder, watch = NeuralCoder(packed, device=device, precision=precision), Stopwatch()
    for name in ("analysis", "hyper_analysis", "synthesis"):
        watch.around(coder._transforms, name)
    watch.around(coder, "_h_s")
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
    from ratewise.neural.coder import NeuralCoder

    coder = NeuralCoder(packed, device="cpu", precision=precision)
    found = []
    for image in images:
        data = coder.encode([image])
        bpp = 8 * len(data[0]) / (image.shape[0] * image.shape[1])
        found.append((psnr(image, coder.decode(data)[0]), bpp))
    return tuple(float(value) for value in np.mean(found, axis=0))  # type: ignore[return-value]


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
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


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


# ----- the comparison -----------------------------------------------------------------------------

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
    model = read_or_train(options.weights, images, options.steps)
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
    parser.add_argument("--steps", type=int, default=200, help="of a training that makes weights")
    parser.add_argument("--count", type=int, default=6, help="images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    if options.serve:
        serve_compressai(*options.serve, options.threads)
        return 0
    if options.memory:
        import torch

        torch.set_num_threads(options.threads)
        use_memory(options.memory[0], Path(options.memory[1]))
        return 0
    return compare(options)


if __name__ == "__main__":
    sys.exit(main())
