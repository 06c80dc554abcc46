"""Comparing adaptations: what is measured, what is never done twice, and the tables."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from forgetting_examples import TRAINING, WAYS, images, save_codecs, settings, small_codec

from ratewise.data.photographs import open_photographs, some_of, spread_over
from ratewise.data.screens import render_screen
from ratewise.errors import InputError
from ratewise.images import read_image
from ratewise.metrics.bjontegaard import bd_rate
from ratewise.metrics.distortion import psnr
from ratewise.neural.adaptation.adaptation import load_adaptation
from ratewise.neural.adaptation.library import AdaptedCoder, Library
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.training.settings import ImagesSettings
from ratewise.neural.weights import load
from ratewise.report.adaptation_pictures import write_pictures
from ratewise.settings_files import read_settings
from ratewise.study.adaptation import measures
from ratewise.study.adaptation import run as running
from ratewise.study.adaptation.measures import SourceOn, codec_afterwards, drift, old_files
from ratewise.study.adaptation.run import run_forgetting
from ratewise.study.adaptation.settings import ForgettingSettings
from ratewise.study.adaptation.tables import Comparison, make_tables

CONFIGS = Path(__file__).parents[2] / "configs" / "adaptation"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of one codec, and in ``out`` what a comparison left there."""
    folder = tmp_path_factory.mktemp("forgetting")
    run_forgetting(
        settings(save_codecs(folder, 1)),
        folder / "out",
        base=folder,
        quiet=True,
        drawn=lambda sheets: write_pictures(folder / "out" / "pictures", sheets),
    )
    return folder


@pytest.fixture
def again(base: Path, tmp_path: Path) -> Path:
    """A copy to go on from."""
    return Path(shutil.copytree(base, tmp_path / "copy"))


def table(base: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(base / "out" / f"{name}.csv")


def adaptation_of(base: Path, label: str) -> Path:
    (row,) = table(base, "adaptations").query("label == @label").to_dict(orient="records")
    return base / "out" / str(row["file"])


def screens() -> list[Any]:
    """The test images of :func:`forgetting_examples.settings`: two of five at even distances."""
    return [render_screen(0, 1_000_000 + index, 96, 64) for index in (0, 2)]


def test_points_are_of_real_files_of_the_adapted_codec(base: Path) -> None:
    source = load(base / "small-1.safetensors")
    points = table(base, "points").query("domain == 'target'")
    for label in WAYS:
        coder = NeuralCoder(load_adaptation(adaptation_of(base, label)).applied(source))
        files = coder.encode(screens())
        (row,) = points.query("label == @label and choice == 'adapted'").to_dict(orient="records")
        assert row["bpp"] == pytest.approx(np.mean([8 * len(one) / (96 * 64) for one in files]))
        found = [psnr(a, b) for a, b in zip(screens(), coder.decode(files), strict=True)]
        assert row["psnr"] == pytest.approx(np.mean(found))
        assert row["test_images"] == 2


def test_auto_is_what_the_coder_of_both_chooses(base: Path) -> None:
    source = load(base / "small-1.safetensors")
    for label in ("cawf", "rank"):
        library = Library(base, {"one": load_adaptation(adaptation_of(base, label))})
        files = AdaptedCoder(source, library, "auto").encode(screens())
        points = table(base, "points").query("label == @label and choice == 'auto'")
        (row,) = points.query("domain == 'target'").to_dict(orient="records")
        assert row["bpp"] == pytest.approx(np.mean([8 * len(one) / (96 * 64) for one in files]))


def test_what_stays_beside_its_source_forgets_nothing(base: Path) -> None:
    for _, row in table(base, "forgetting").query("method != 'finetune'").iterrows():
        assert (row["identical"], row["undecodable"], row["same_bytes"]) == (1, 0, 1)
        assert row["psnr"] == row["psnr_before"]


def test_fine_tuning_changes_or_breaks_what_the_source_wrote(base: Path) -> None:
    found = table(base, "forgetting").set_index(["label", "domain"])
    for domain in ("source", "target"):
        whole, encoder, decoder = (
            found.loc[(label, domain)] for label in ("whole", "encoder", "decoder")
        )
        assert whole["undecodable"] == 1
        assert math.isnan(whole["psnr"])
        assert (encoder["identical"], encoder["same_bytes"]) == (1, 0)
        assert (decoder["identical"], decoder["undecodable"], decoder["same_bytes"]) == (0, 0, 1)
        assert decoder["psnr"] != decoder["psnr_before"]


def test_an_old_file_under_a_tuned_decoder_is_its_latents_through_the_new_synthesis(
    base: Path,
) -> None:
    source = load(base / "small-1.safetensors")
    adapted = load_adaptation(adaptation_of(base, "decoder"))
    after = codec_afterwards(adapted, source)
    image = screens()[0]
    (file,) = NeuralCoder(source).encode([image])
    payload = file[10:]  # docs/formats/neural.md: version 1, sides under 128
    with torch.inference_mode():
        latents = NeuralCoder(source).latents([payload], 64, 96)
        direct = adapted.applied(source).network().g_s(latents)[0].permute(1, 2, 0)
    levels = (255 * direct).round().clamp(0, 255).numpy()
    (decoded,) = after.decode([file])
    assert np.abs(decoded - levels).max() <= 4  # bfloat16 where the machine has it
    assert np.array_equal(NeuralCoder(source).decode([file])[0], decoded) is False


def test_a_codec_that_is_as_before_forgets_nothing_and_a_stranger_cannot_read() -> None:
    model, stranger = small_codec(1), small_codec(2)
    source = SourceOn(model, screens())
    same = old_files(NeuralCoder(model), source)
    assert (same["identical"], same["undecodable"], same["same_bytes"]) == (1, 0, 1)
    assert same["psnr"] == same["psnr_before"]
    other = old_files(NeuralCoder(stranger), source)
    assert (other["identical"], other["undecodable"], other["same_bytes"]) == (0, 1, 0)


def test_drift_is_the_squared_difference_over_the_variance() -> None:
    source, other = small_codec(1), small_codec(2)
    assert drift(source, source, screens()) == (0.0, 0.0)
    y_drift, z_drift = drift(source, other, screens())
    latents = []
    for model in (source, other):
        network = model.network()
        x = torch.from_numpy(np.stack(screens())).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            y = network.g_a(x)
            assert network.h_a is not None
            latents.append((y, network.h_a(y)))
    for found, before, after in zip((y_drift, z_drift), *latents, strict=True):
        variance = before.transpose(0, 1).flatten(1).var(1, correction=0).mean()
        assert found == pytest.approx(float(((after - before) ** 2).mean() / variance), rel=1e-3)


def test_nothing_is_made_twice(base: Path, again: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(running, "adapt", never)
    monkeypatch.setattr(running, "measure", never)
    monkeypatch.setattr(measures, "NeuralCoder", never)
    shutil.rmtree(again / "out" / "adaptations")  # what was measured is enough
    plan = settings(["small-1.safetensors"])
    run_forgetting(plan, again / "out", base=again, quiet=True)
    for name in ("points", "bdrate", "forgetting", "adaptations"):
        pd.testing.assert_frame_equal(table(again, name), table(base, name))


def test_a_killed_comparison_goes_on_and_ends_the_same(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = settings(save_codecs(tmp_path, 1))
    real, left = running.measure, 4  # two cells, both domains of each

    def killed(*arguments: Any) -> Any:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(running, "measure", killed)
        with pytest.raises(KeyboardInterrupt):
            run_forgetting(plan, tmp_path / "out", base=tmp_path, quiet=True)
    assert len(list((tmp_path / "out" / "cells").glob("screens-*"))) == 2
    part = run_forgetting(plan, tmp_path / "out", base=tmp_path, train=False, quiet=True)
    assert list(part.adaptations["label"]) == ["whole", "encoder"]
    said: list[str] = []
    run_forgetting(plan, tmp_path / "out", base=tmp_path, quiet=True, said=said.append)
    assert [line.split()[0] for line in said] == [f"{number}/5" for number in range(1, 6)]
    for name in ("points", "bdrate", "forgetting", "adaptations"):
        pd.testing.assert_frame_equal(table(tmp_path, name), table(base, name))


def test_a_changed_way_is_made_anew_beside_what_was_there(base: Path, again: Path) -> None:
    before = {path.name for path in (again / "out").rglob("*-q1-*")}
    changed = [{"label": "cawf", "settings": TRAINING | WAYS["cawf"] | {"steps": 1}, "images": [4]}]
    plan = settings(["small-1.safetensors"], adaptations=changed)
    result = run_forgetting(plan, again / "out", base=again, quiet=True)
    assert list(result.adaptations["steps"]) == [1]
    new = {path.name for path in (again / "out").rglob("*-q1-*")} - before
    assert len(new) == 3  # adaptation, folder, cell
    assert before <= {path.name for path in (again / "out").rglob("*-q1-*")}


def test_targets_can_be_shared_out_among_processes(base: Path, tmp_path: Path) -> None:
    save_codecs(tmp_path, 1)
    targets = [
        {
            "name": name,
            "train": images(name, "train", 4),
            "test": images(name, "val", 1, seed=3),
        }
        for name in ("screens", "streets")
    ]
    entries = [{"label": "cawf", "settings": TRAINING | WAYS["cawf"], "images": [3]}]
    plan = settings(["small-1.safetensors"], targets=targets, adaptations=entries)
    run = {"base": tmp_path, "quiet": True}
    one = run_forgetting(plan, tmp_path / "out", only=["streets"], **run)
    assert set(one.adaptations["target"]) == {"streets"}
    both = run_forgetting(plan, tmp_path / "out", only=["screens"], **run)
    assert set(both.adaptations["target"]) == {"screens", "streets"}
    with pytest.raises(InputError, match=r"'kodak' is no target \(allowed: screens, streets\)"):
        run_forgetting(plan, tmp_path / "out", only=["kodak"], **run)


def made_up(bits: float, source_bits: float = 1.0) -> Comparison:
    """A comparison where ``tuned`` needs ``bits`` times the source's on the target."""
    plan = settings(
        [f"{q}.safetensors" for q in range(1, 6)],
        adaptations=[
            {"label": label, "settings": TRAINING | WAYS[way], "images": [100]}
            for label, way in (("tuned", "whole"), ("added", "cawf"))
        ],
    )

    def record(quality: int, factor: float) -> dict[str, float]:
        bpp = factor * 0.1 * 2**quality
        return {"bytes": 1, "bpp": bpp, "psnr": 25.0 + 3 * quality, "ms_ssim": 0.9,
                "ms_ssim_db": 5.0 + 2 * quality, "cost": bpp + 1}  # fmt: skip

    sources = {
        q: {"screens": [record(q, 1.0)], "source": [record(q, 1.0)]} for q in plan.all_qualities
    }
    old = {"images": 1, "identical": 1.0, "undecodable": 0.0, "same_bytes": 1.0,
           "psnr": 30.0, "psnr_before": 30.0}  # fmt: skip
    cells = []
    for cell in plan.cells():
        share = 1.0 if cell.label == "tuned" else 0.5
        factor = 1 + share * (bits - 1)
        same = {"old": old, "drift_y": 0.0, "drift_z": 0.0}
        holdout = {"before": {"holdout_loss": 2.0}, "after": {"holdout_loss": 1.0}}
        found = {
            "file": "f", "file_bytes": 10, "fingerprint": "00", "parameters": 5, "size": 0.02,
            "about": {"steps": 2, "helped": True, **holdout},
            "target": {"coded": [record(cell.quality, factor)], **same},
            "source": {"coded": [record(cell.quality, source_bits)], **same},
        }  # fmt: skip
        cells.append((cell, found))
    return make_tables(plan, cells, sources)


def test_bd_rates_are_against_the_source_and_say_what_is_kept_of_full_fine_tuning() -> None:
    found = made_up(0.8, 1.1).bdrate.query("qualities == '1 2 3 4 5'")
    rows = found.set_index(["label", "domain", "choice"])
    tuned, added = (rows.loc[(label, "target", "adapted")] for label in ("tuned", "added"))
    assert tuned["bd_rate_percent"] == pytest.approx(-20)
    assert tuned["ms_ssim_bd_rate_percent"] == pytest.approx(-20)
    assert tuned["kept_percent"] == pytest.approx(100)
    assert added["bd_rate_percent"] == pytest.approx(-10)
    assert added["kept_percent"] == pytest.approx(50)
    rates, quality = [0.1 * 2**q for q in range(1, 6)], [25.0 + 3 * q for q in range(1, 6)]
    expected = bd_rate(rates, quality, [1.1 * r for r in rates], quality)
    on_source = rows.loc[("tuned", "source", "adapted")]
    assert on_source["bd_rate_percent"] == pytest.approx(expected)
    assert math.isnan(on_source["kept_percent"])
    assert rows.loc[("added", "source", "auto"), "bd_rate_percent"] == pytest.approx(0, abs=1e-9)
    assert ("tuned", "source", "auto") not in rows.index


def test_a_single_quality_has_its_cost_and_its_rate_at_equal_psnr() -> None:
    found = made_up(0.8).bdrate.query("qualities == '3' and domain == 'target'")
    rows = found.set_index(["label", "choice"])
    tuned = rows.loc[("tuned", "adapted")]
    assert tuned["rate_change_percent"] == pytest.approx(-20)
    assert tuned["cost_before"] == pytest.approx(1.8)
    assert tuned["cost_change_percent"] == pytest.approx(100 * (1.64 / 1.8 - 1))
    assert rows.loc[("added", "adapted"), "kept_percent"] == pytest.approx(50)


def test_where_fine_tuning_gains_nothing_there_is_nothing_to_keep() -> None:
    assert made_up(1.2).bdrate["kept_percent"].isna().all()


def test_subsets_of_images_are_nested_and_test_images_are_spread() -> None:
    found = open_photographs(
        [ImagesSettings.model_validate(images("screens", "train", 30)[0])], Path()
    )
    keys = [{entry.key for _, entry in some_of(found, count, 7).found} for count in (5, 20, 30)]
    assert [len(one) for one in keys] == [5, 20, 30]
    assert keys[0] < keys[1] < keys[2]
    assert keys[0] != {entry.key for _, entry in some_of(found, 5, 8).found}
    spread = [entry.key[-10:-4] for _, entry in spread_over(found, 3).found]
    assert spread == ["000000", "000010", "000020"]
    assert len(spread_over(found, 99)) == 30
    with pytest.raises(InputError, match="31 images are wanted, and there are only 30"):
        some_of(found, 31, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adaptations": [{"label": "a", "images": [1]}]}, "images must be 2 at least"),
        ({"adaptations": [{"label": "a", "qualities": [9]}]}, r"a: qualities has 9 \(allowed: 1\)"),
        ({"adaptations": [{"label": "a", "targets": ["x"]}]}, "a: targets has 'x'"),
        ({"adaptations": [{"label": "source"}]}, "'source' is what the codec without"),
        (
            {"adaptations": [{"label": "a"}, {"label": "a", "settings": {"size": 0.1}}]},
            "a is the label of two ways",
        ),
        ({"qualities": [1]}, "qualities and weights exclude each other"),
        ({"adaptations": [{"label": "a/b"}]}, "label"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings(["w.safetensors"], **changes)


def test_what_is_missing_or_too_few_is_named_before_any_work(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.safetensors: no such weights file"):
        run_forgetting(settings(["nowhere.safetensors"]), tmp_path / "out", base=base)
    many = [{"label": "a", "settings": TRAINING, "images": [4, 50]}]
    plan = settings(["small-1.safetensors"], adaptations=many)
    with pytest.raises(InputError, match="a: 50 images of screens are wanted, and there are 6"):
        run_forgetting(plan, tmp_path / "out", base=base)
    small = [{"label": "a", "settings": {"method": "low_rank", "size": 1e-6}, "images": [4]}]
    plan = settings(["small-1.safetensors"], adaptations=small)
    with pytest.raises(InputError, match="a: size = 1e-06 adds nothing"):
        run_forgetting(plan, tmp_path / "out", base=base)
    assert not (tmp_path / "out").exists()


def test_the_comparison_that_comes_with_the_code_can_be_read() -> None:
    found = read_settings(CONFIGS / "msh-small.yaml", ForgettingSettings, "settings file")
    cells = found.cells()
    assert len(set(cells)) == len(cells)
    at_three = {
        (cell.label, cell.images)
        for cell in cells
        if cell.quality == 3 and cell.target == "screens" and cell.settings.way == "cawf"
    }
    sizes = ("cawf-0.005", "cawf-0.02", "cawf-0.08")
    assert at_three == {(label, images) for label in sizes for images in (5, 20, 100)}
    every = {cell.label for cell in cells if cell.quality == 1}
    parts = {"finetune", "finetune-encoder", "finetune-decoder"}
    assert every == parts | {"low_rank-0.08", "cawf-0.08", "cawf-maps-0.08"}


def test_rates_of_learning_are_those_that_were_chosen_among_several() -> None:
    tried = read_settings(CONFIGS / "learning-rates.yaml", ForgettingSettings, "settings file")
    rates: dict[str, set[float]] = {}
    for cell in tried.cells():
        rates.setdefault(cell.settings.way, set()).add(cell.settings.optimiser.lr)
    used = read_settings(CONFIGS / "msh-small.yaml", ForgettingSettings, "settings file")
    for cell in used.cells():
        assert cell.settings.optimiser.lr in rates[cell.settings.way]


def test_the_comparison_that_comes_with_the_code_finds_its_images(shared_data: Path) -> None:
    found = read_settings(CONFIGS / "msh-small.yaml", ForgettingSettings, "settings file")
    for target in found.targets:
        for entry in (*target.train, *target.test):
            root = shared_data / target.name if entry.root else None
            entry = entry.model_copy(update={"root": str(root) if root else None})
            assert len(open_photographs([entry], Path())) >= 12
    (kodak,) = found.source_images.test
    assert Path(str(kodak.root)).name == "kodak"
    assert len(open_photographs([ImagesSettings(root=str(shared_data / "kodak"))], Path())) == 24


def test_pictures_show_each_way_and_what_becomes_of_an_old_file(base: Path) -> None:
    found = {path.stem: read_image(path) for path in (base / "out" / "pictures").glob("*.png")}
    assert set(found) == {"screens", "screens-source", "screens-old-file"}
    rows = -(-(2 + len(WAYS)) // 4)  # the original, the source and each way, four in a row
    for name in ("screens", "screens-source"):
        assert found[name].shape[0] > rows * 2 * 64
        assert found[name].shape[1] == 4 * 2 * 96 + 3 * 6
    first = found["screens-old-file"][40 : 40 + 128]  # under two lines of text
    before, whole, encoder, decoder = (first[:, x : x + 192] for x in range(0, 4 * 198, 198))
    np.testing.assert_array_equal(encoder, before)
    assert (decoder != before).any()
    assert (whole == whole[0, 0]).all()  # cannot be decoded


def test_without_the_files_of_adaptations_no_pictures_are_drawn(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(base / "out" / "cells", out / "cells")
    chosen = settings(["small-1.safetensors"])
    drawn: list[Any] = []
    run_forgetting(chosen, out, base=base, quiet=True, train=False, drawn=drawn.append)
    assert (out / "points.csv").is_file()
    assert drawn == [{}]
