"""Applying a restorer: any size, tiles, precision, what it was trained for, wrong files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from restoration_examples import texture
from torch import nn

from ratewise.errors import InputError
from ratewise.metrics.distortion import psnr
from ratewise.restoration.generators import build_generator
from ratewise.restoration.restorer import (
    Restorer,
    load_restorer,
    mismatch,
    save_restorer,
)
from ratewise.restoration.settings import FineNetSettings, Generator, RdnSettings
from ratewise.restoration.tiles import reach, tiles, whole_image_statistics
from ratewise.training.weights import load_weights, save_weights

SMALL = FineNetSettings(width=4, blocks=1, downsamplings=2, output_norm=False, upsampling="resize")
TRANSPOSED = FineNetSettings(width=4, blocks=1, downsamplings=1)
DENSE = RdnSettings(width=4, blocks=2, layers=2, growth=4)


def network(settings: Generator) -> nn.Module:
    """A generator with random weights whose residual is not small."""
    torch.manual_seed(0)
    made = build_generator(settings)
    last = [m for m in made.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 3]
    nn.init.normal_(last[-1].weight, std=0.05)
    return made


def saved(path: Path, settings: Generator = SMALL) -> Path:
    save_restorer(path, network(settings), settings, ["jpeg:quality=10"], origin={"by": "test"})
    return path


class Add(nn.Module):
    """Adds ``amount`` to every value in [-1, 1]."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.amount


def test_the_result_is_the_networks_rounded_and_clamped() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    same = Restorer(Add(0.0), device="cpu", precision="fp32").restore(levels)
    assert np.array_equal(same, levels)
    brighter = Restorer(Add(10.4 / 127.5), device="cpu", precision="fp32").restore(levels)
    assert np.array_equal(brighter, np.minimum(levels.astype(int) + 10, 255))


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (7, 3), (33, 65)])
@pytest.mark.parametrize("settings", [SMALL, DENSE], ids=lambda s: s.kind)
def test_an_image_of_any_size_is_restored(
    settings: Generator, size: tuple[int, int], tmp_path: Path
) -> None:
    restorer = load_restorer(saved(tmp_path / "r.safetensors", settings), device="cpu")
    image = texture(0, *size)
    restored = restorer.restore(image)
    assert restored.shape == image.shape
    assert restored.dtype == np.uint8


def test_images_of_a_batch_do_not_see_each_other(tmp_path: Path) -> None:
    restorer = load_restorer(saved(tmp_path / "r.safetensors"), device="cpu", precision="fp32")
    images = [texture(0, 24, 32), texture(1, 24, 32), texture(2, 32, 24), texture(3, 24, 32)]
    for image, restored in zip(images, restorer.restore_batch(images), strict=True):
        assert psnr(restored, restorer.restore(image)) > 60


@pytest.mark.parametrize("settings", [SMALL, TRANSPOSED, DENSE], ids=["resize", "norm", "rdn"])
def test_tiles_give_the_whole_images_result_without_seams(
    settings: Generator, tmp_path: Path
) -> None:
    path = saved(tmp_path / "r.safetensors", settings)
    image = texture(5, 203, 333)
    image[:, 200:] //= 3  # statistics that differ from tile to tile
    whole = load_restorer(path, device="cpu", precision="fp32").restore(image)
    tiled = load_restorer(path, device="cpu", precision="fp32", tile_above=128 * 128).restore(image)
    assert psnr(whole, image) < 40  # it does something
    assert psnr(whole, tiled) > 55
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_statistics_of_each_tile_would_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the passes over the tiles are for: without them the result is another."""
    from contextlib import nullcontext

    from ratewise.restoration import restorer as module

    path = saved(tmp_path / "r.safetensors")
    image = texture(5, 203, 333)
    image[:, 200:] //= 3
    whole = load_restorer(path, device="cpu", precision="fp32").restore(image)
    monkeypatch.setattr(module, "whole_image_statistics", lambda *_: nullcontext())
    tiled = load_restorer(path, device="cpu", precision="fp32", tile_above=128 * 128).restore(image)
    assert psnr(whole, tiled) < 45


@pytest.mark.parametrize("settings", [SMALL, TRANSPOSED, DENSE], ids=["resize", "norm", "rdn"])
def test_a_network_reaches_no_further_than_said(settings: Generator) -> None:
    made = network(settings)
    for module in made.modules():
        if hasattr(module, "fixed"):
            module.fixed = (torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    distance = reach(settings)
    x = torch.randn(1, 3, 16, 4 * distance, dtype=torch.float32).requires_grad_()
    made(x)[..., 2 * distance].sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().sum((0, 1, 2)).nonzero().flatten() - 2 * distance
    assert int(touched.abs().max()) <= distance


def test_tiles_keep_every_pixel_once_and_have_their_halo() -> None:
    kept = np.zeros((500, 301), int)
    for tile in tiles(500, 301, pixels=200 * 200, halo=40):
        kept[tile.rows.first : tile.rows.last, tile.columns.first : tile.columns.last] += 1
        for span, length in ((tile.rows, 500), (tile.columns, 301)):
            assert span.start == 0 or span.first - span.start >= 40
            assert span.stop == length or span.stop - span.last >= 40
            assert span.start % 32 == 0
    assert (kept == 1).all()


def test_the_norms_are_as_before_after_tiling() -> None:
    made = network(SMALL)
    norms = [module for module in made.modules() if hasattr(module, "fixed")]
    parts = tiles(64, 64, pixels=10_000, halo=32)
    with whole_image_statistics(made, lambda _: made(torch.zeros(1, 3, 64, 64)), parts) as passes:
        assert 1 <= passes <= len(norms)
        assert all(norm.fixed is not None for norm in norms)
    assert all(norm.fixed is None and norm.observe is None for norm in norms)


def test_bfloat16_restores_alike(tmp_path: Path) -> None:
    path, image = saved(tmp_path / "r.safetensors"), texture(1, 64, 96)
    exact = load_restorer(path, device="cpu", precision="fp32").restore(image)
    fast = load_restorer(path, device="cpu", precision="bf16").restore(image)
    assert psnr(exact, fast) > 40


@pytest.mark.parametrize(
    ("trained_for", "spec", "fits"),
    [
        (["bpg:qp=46"], "bpg:qp=46", True),
        (["bpg:qp=46"], "bpg:qp=41", False),
        (["bpg:qp=41", "bpg:qp=51"], "bpg:qp=46", True),
        (["bpg:qp=41", "bpg:qp=46"], "bpg:qp=51", False),
        (["bpg:qp=41", "bpg:qp=51"], "bpg:qp=46,chroma=444", False),
        (["bpg:qp=41", "jpeg:quality=50"], "bpg:qp=46", False),
        (["bpg:qp=46"], "png", False),
        (["unknown:x=1"], "bpg:qp=46", False),
    ],
)
def test_another_codec_or_operating_point_is_told(
    trained_for: list[str], spec: str, fits: bool
) -> None:
    sentence = mismatch(trained_for, spec)
    assert (sentence is None) == fits
    if sentence is not None:
        assert sentence == f"the restorer was trained for {', '.join(trained_for)}, not for {spec}"


def test_the_header_says_what_the_restorer_is(tmp_path: Path) -> None:
    path = saved(tmp_path / "r.safetensors")
    header = load_weights(path)[1]
    assert header["format"] == "ratewise restorer 1"
    assert header["generator"] == json.loads(SMALL.model_dump_json())
    assert header["origin"] == {"by": "test"}
    assert load_restorer(path, device="cpu").trained_for == ("jpeg:quality=10",)


def test_files_that_are_no_restorer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            load_restorer(path, device="cpu")

    refused("no such weights file")
    path.write_bytes(b"nothing")
    refused("not a readable safetensors file")
    save_weights(path, {"x": torch.zeros(1)})
    refused("is no restorer of ratewise")
    save_weights(path, {"x": torch.zeros(1)}, {"format": "ratewise packed codec 1"})
    refused("holds a learned codec, not a restorer")
    broken = network(SMALL)
    next(broken.parameters()).data[0] = math.nan
    save_restorer(path, broken, SMALL, [])
    refused("are not finite; train the restorer again")
    save_restorer(path, network(SMALL), DENSE, [])
    refused("the weights do not fit the model")
