"""HOSA against its published scores, and against the steps written out patch by patch."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ratewise.codecs.jpeg import JpegCodec
from ratewise.errors import ImageError, InputError
from ratewise.images import Image, read_image
from ratewise.metrics.perception.grey import grey_levels
from ratewise.metrics.perception.hosa import Hosa, load_hosa
from ratewise.metrics.perception.index import perceptual_index, why_no_index
from ratewise.metrics.perception.parameters import ROOT_VARIABLE

KODIM15 = {None: 14.7, 90: 13.3, 50: 23.0, 25: 41.2, 10: 64.4, 5: 85.7}


@pytest.fixture(scope="module")
def iqa(shared_data: Path) -> Path:
    if not (shared_data / "iqa" / "hosa").is_dir():
        pytest.skip("the real data has no iqa/hosa: get the authors' parameters to run this test")
    return shared_data / "iqa"


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def made_up() -> Hosa:
    rng = np.random.default_rng(3)
    words = [rng.normal(size=(100, 49)) for _ in range(3)]
    mean, whitening = rng.normal(size=49) * 0.1, rng.normal(size=(49, 49)) * 0.3
    return Hosa(*words, mean, whitening, rng.normal(size=14_700), bias=0.25)


def written_out(hosa: Hosa, grey: np.ndarray, start: int) -> float:
    """The same in loops, as the paper's section III and the known steps tell."""
    height, width = grey.shape
    step = max(1, int(math.sqrt(height * width / 10_000)))
    patches, shares = [], []
    for top in range(start, height - 6, step):
        for left in range(start, width - 6, step):
            p = grey[top : top + 7, left : left + 7].ravel()
            x = ((p - p.mean()) / math.sqrt(p.var(ddof=1) + 10) - hosa.mean) @ hosa.whitening
            squared = [float(((x - word) ** 2).sum()) for word in hosa.centroid]
            nearest = sorted(range(100), key=squared.__getitem__)[:5]
            weights = {k: math.exp(-0.05 * squared[k]) for k in nearest}
            patches.append(x)
            shares.append({k: w / sum(weights.values()) for k, w in weights.items()})
    features = np.zeros((3, 100, 49))
    for k in range(100):
        members = [i for i, share in enumerate(shares) if k in share]
        if not members:
            continue
        w = np.array([shares[i][k] for i in members])
        w /= w.sum()
        x = np.array([patches[i] for i in members])
        mean = w @ x
        features[0, k] = mean - hosa.centroid[k]
        if len(members) > 1:
            variance = w @ (x - mean) ** 2
            features[1, k] = variance - hosa.variance[k]
            features[2, k] = w @ (x - mean) ** 3 / (variance**1.5 + 1e-4) - hosa.skewness[k]
    f = np.sign(features.ravel()) * np.abs(features.ravel()) ** 0.2
    return float(f / np.linalg.norm(f) @ hosa.weights + hosa.bias)


@pytest.mark.parametrize(("quality", "score"), KODIM15.items())
def test_kodak_15_has_its_known_scores(
    iqa: Path, shared_data: Path, quality: int | None, score: float
) -> None:
    image = read_image(shared_data / "kodak" / "kodim15.png")
    if quality is not None:
        codec = JpegCodec(quality=quality)
        image = codec.decode(codec.encode(image))
    assert load_hosa(iqa)(image) == pytest.approx(score, abs=0.1)


@pytest.mark.parametrize("size", [(17, 24), (12, 9)])
def test_features_are_those_of_the_steps_written_out(size: tuple[int, int]) -> None:
    hosa, image = made_up(), noise(*size)
    assert hosa(image) == pytest.approx(written_out(hosa, grey_levels(image), 2), rel=1e-9)


@pytest.mark.parametrize("size", [(7, 7), (7, 30), (8, 8)])
def test_an_image_as_small_as_a_patch_has_a_score(size: tuple[int, int]) -> None:
    assert math.isfinite(made_up()(noise(*size)))


def test_a_flat_image_has_a_score() -> None:
    assert math.isfinite(made_up()(np.full((30, 40, 3), 255, np.uint8)))


@pytest.mark.parametrize("size", [(6, 100), (100, 6)])
def test_an_image_smaller_than_a_patch_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="7x7"):
        made_up()(noise(*size))


def test_grey_levels_are_matlabs() -> None:
    # rgb2gray(uint8(...)): 255 x 0.298936 = 76.2, 255 x 0.587043 = 149.7, 255 x 0.114021 = 29.1
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert grey_levels(colours).tolist() == [[76, 150, 29, 255]]


def test_the_index_at_hand_is_hosa_else_niqe_else_none(
    iqa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert perceptual_index() is None
    assert ROOT_VARIABLE in str(why_no_index())
    assert perceptual_index(tmp_path) is None
    assert "neither" in str(why_no_index(tmp_path))
    shutil.copytree(iqa / "niqe", tmp_path / "niqe")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    found = perceptual_index()
    assert found is not None
    assert found.name == "niqe"
    shutil.copytree(iqa / "hosa", tmp_path / "hosa")
    found = perceptual_index()
    assert found is not None
    assert found.name == "hosa"
    assert why_no_index() is None


def test_missing_or_wrong_parameters_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    with pytest.raises(InputError, match=ROOT_VARIABLE):
        load_hosa()
    with pytest.raises(InputError, match="not a folder"):
        perceptual_index(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folder 'hosa'"):
        load_hosa(tmp_path)
    (tmp_path / "hosa").mkdir()
    with pytest.raises(InputError, match=r"codebook_hosa\.mat: no such file"):
        load_hosa(tmp_path)
    for content in (b"", b"\x80\x04.", b"MATLAB 5.0 MAT-file" + bytes(200)):
        (tmp_path / "hosa" / "codebook_hosa.mat").write_bytes(content)
        with pytest.raises(InputError, match=r"codebook_hosa\.mat"):
            load_hosa(tmp_path)


def test_a_truncated_parameter_file_is_refused(iqa: Path, tmp_path: Path) -> None:
    (tmp_path / "hosa").mkdir()
    whole = (iqa / "hosa" / "codebook_hosa.mat").read_bytes()
    (tmp_path / "hosa" / "codebook_hosa.mat").write_bytes(whole[:5000])
    with pytest.raises(InputError, match=r"codebook_hosa\.mat"):
        load_hosa(tmp_path)


def test_importing_the_indices_imports_neither_torch_nor_scipy() -> None:
    code = "import sys, ratewise.metrics.perception; print({'torch', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
