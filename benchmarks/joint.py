"""What a joint codec costs beside an image codec and a segmentation network of its own.

    python benchmarks/joint.py [--rounds 5] [--size 768x512]

CPU time of one thread, random weights of the default widths, in turn: encoding, decoding (the plain
picture) and predicting with a joint codec, against encoding and decoding with ``msh`` of the same
width and ERFNet on the decoded picture, in the precision that both take on this machine. The limit
is 1.5. The enhancement module is apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

LIMIT = 1.5
CLASSES = 19


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="768x512")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))

    import torch

    torch.set_num_threads(1)
    works = make_works(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(given.rounds):
        for name, work in works.items():
            begin = time.process_time()
            work()
            seconds[name].append(time.process_time() - begin)
    found = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in found.items():
        print(f"{name:20} {1000 * value:7.1f} ms")
    joint = found["joint encode"] + found["joint decode"] + found["joint predict"]
    apart = found["msh encode"] + found["msh decode"] + found["ERFNet"]
    print(f"joint / (msh + ERFNet): {joint / apart:.2f} (limit {LIMIT})")
    added = found["joint enhanced"] - found["joint decode"] - found["joint predict"]
    print(f"enhancement module: {1000 * added:.1f} ms, {added / joint:.2f} of the rest")
    if joint > LIMIT * apart:
        raise SystemExit(1)


def make_works(image: np.ndarray) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    import torch

    from ratewise.data.classes import Classes, default_colours
    from ratewise.joint.architecture import JointArchitecture
    from ratewise.joint.coder import JointCoder
    from ratewise.joint.network import JointModel, image_architecture
    from ratewise.joint.packed import pack as pack_joint
    from ratewise.neural.coder import NeuralCoder
    from ratewise.neural.weights import pack
    from ratewise.tasks.predictor import SegmentationPredictor
    from ratewise.tasks.segmentation import build_model
    from ratewise.tasks.segmentation_settings import SegmentationSettings

    torch.manual_seed(0)
    architecture = JointArchitecture()
    classes = Classes(tuple(f"class {i}" for i in range(CLASSES)), default_colours(CLASSES))
    calibration = [image[:128, :128]]
    joint = JointCoder(pack_joint(JointModel(architecture, CLASSES).eval(), classes, calibration))
    msh = NeuralCoder(pack(image_architecture(architecture).build(), calibration))
    settings = SegmentationSettings(architecture="ERFNet")
    erfnet = SegmentationPredictor(build_model(settings, CLASSES).eval(), precision="auto")
    (file,), (plain,) = joint.encode([image]), msh.encode([image])
    return {
        "joint encode": lambda: joint.encode([image]),
        "joint decode": lambda: joint.decode([file], enhance=False),
        "joint predict": lambda: joint.predict([file]),
        "joint enhanced": lambda: joint.decode([file]),
        "msh encode": lambda: msh.encode([image]),
        "msh decode": lambda: msh.decode([plain]),
        "ERFNet": lambda: erfnet.predict([image]),
    }


if __name__ == "__main__":
    main()
