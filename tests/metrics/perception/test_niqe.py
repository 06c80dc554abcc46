"""NIQE against another implementation, and its resizing against Pillow's.

The scores compared with are those of pyiqa 0.1.16 with the same published model, printed by

    from pyiqa.archs.niqe_arch import calculate_niqe
    model = scipy.io.loadmat("iqa/niqe/modelparameters.mat")
    mean, cov = torch.tensor(model["mu_prisparam"]).ravel(), torch.tensor(model["cov_prisparam"])
    x = torch.tensor(rgb).permute(2, 0, 1)[None].double() / 255
    print(round(float(calculate_niqe(x, mu_pris_param=mean, cov_pris_param=cov)), 4))

It takes other weights for grey (0.299, not 0.298936), so that some levels round the other way:
colour is compared more loosely than the green channel alone.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ratewise.errors import ImageError, InputError
from ratewise.images import Image, read_image
from ratewise.metrics.perception.niqe import Niqe, halved, load_niqe, niqe_features

COLOUR = {1: 3.4492, 4: 2.4525, 7: 3.1813, 17: 2.9325, 19: 2.6777}
GREEN = {1: 3.3496, 4: 2.4803, 7: 3.1684, 17: 2.9658, 19: 2.7185}


@pytest.fixture(scope="module")
def niqe(shared_data: Path) -> Niqe:
    if not (shared_data / "iqa" / "niqe").is_dir():
        pytest.skip("the real data has no iqa/niqe: get the published model to run this test")
    return load_niqe(shared_data / "iqa")


def repeated(grey: np.ndarray) -> Image:
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("number", COLOUR)
def test_kodak_images_have_pyiqas_scores(niqe: Niqe, shared_data: Path, number: int) -> None:
    image = read_image(shared_data / "kodak" / f"kodim{number:02}.png")
    assert niqe(image) == pytest.approx(COLOUR[number], abs=3e-3)
    assert niqe(repeated(image[..., 1])) == pytest.approx(GREEN[number], abs=2e-4)


def test_noisy_waves_have_pyiqas_score(niqe: Niqe) -> None:
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:200, :300]
    waves = 128 + 60 * np.sin(x / 9) * np.cos(y / 13) + rng.normal(0, 12, x.shape)
    image = repeated(np.clip(waves, 0, 255).astype(np.uint8))
    assert niqe(image) == pytest.approx(20.3285, abs=2e-4)


def test_halving_is_bicubic_with_antialiasing_and_mirrored_edges() -> None:
    grey = np.random.default_rng(1).uniform(0, 255, (40, 64))
    picture = PillowImage.fromarray(grey.astype(np.float32))
    theirs = np.asarray(picture.resize((32, 20), PillowImage.Resampling.BICUBIC))
    ours = halved(grey)
    assert ours.shape == (20, 32)
    # Pillow cuts the kernel off at the edges, MATLAB mirrors the image there.
    np.testing.assert_allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=1e-3)
    wide = np.pad(grey, 8, mode="symmetric")
    np.testing.assert_allclose(ours, halved(wide)[4:-4, 4:-4], atol=1e-9)


def test_what_is_beyond_whole_blocks_does_not_count() -> None:
    image = np.random.default_rng(2).integers(0, 256, (100, 200, 3), np.uint8)
    assert niqe_features(image).shape == (2, 36)
    np.testing.assert_array_equal(niqe_features(image), niqe_features(image[:96, :192]))


def test_a_single_block_has_a_score_and_a_flat_image_has_none() -> None:
    made_up = Niqe(np.zeros(36), np.eye(36))
    noise = np.random.default_rng(3).integers(0, 256, (96, 96, 3), np.uint8)
    assert math.isfinite(made_up(noise))
    assert math.isnan(made_up(np.full((96, 96, 3), 200, np.uint8)))


def test_an_image_smaller_than_a_block_is_refused() -> None:
    with pytest.raises(ImageError, match="96x96"):
        niqe_features(np.zeros((95, 200, 3), np.uint8))


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    from scipy.io import savemat

    (tmp_path / "niqe").mkdir()
    path = tmp_path / "niqe" / "modelparameters.mat"
    savemat(path, {"mu_prisparam": np.zeros((1, 35)), "cov_prisparam": np.eye(36)})
    with pytest.raises(InputError, match="mu_prisparam"):
        load_niqe(tmp_path)
