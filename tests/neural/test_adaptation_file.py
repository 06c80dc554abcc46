"""Adaptations on disk: bound to their source, refused where damaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adaptation_examples import (
    decoder_finetune,
    encoder_finetune,
    moved,
    random_cawf,
    small_source,
    stored,
    with_tensors,
)
from torch import Tensor

from ratewise.errors import InputError
from ratewise.images import Image
from ratewise.neural.adaptation.adaptation import Adaptation, load_adaptation
from ratewise.neural.adaptation.custom import Layout, layout_for, size, widened
from ratewise.neural.adaptation.low_rank import convolutions
from ratewise.neural.adaptation.unpacking import unpacked
from ratewise.neural.coder import NeuralCoder
from ratewise.neural.loading import packaged
from ratewise.neural.models import Custom
from ratewise.neural.weights import PackedModel, load
from ratewise.training.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def source() -> PackedModel:
    return small_source()


@pytest.fixture(scope="module")
def adaptation(source: PackedModel) -> Adaptation:
    return random_cawf(source)


def low_rank(source: PackedModel) -> Adaptation:
    weight = source.floats["g_s.0.weight"]
    a, b = torch.full((1, weight[0].numel()), 0.01), torch.full((len(weight), 1), 0.5)
    tensors = {"g_s.0.A": a.half(), "g_s.0.B": b.half()}
    return Adaptation(source.fingerprint, "low_rank", {}, tensors, {})


MAKERS: list[Callable[[PackedModel], Adaptation]] = [
    random_cawf,
    low_rank,
    encoder_finetune,
    lambda source: decoder_finetune(source, 0.1),
]


@pytest.mark.parametrize("make", MAKERS, ids=["cawf", "low_rank", "encoder", "decoder"])
def test_a_loaded_adaptation_codes_as_the_saved_one(
    make: Callable[[PackedModel], Adaptation],
    source: PackedModel,
    texture: Callable[..., Image],
    tmp_path: Path,
) -> None:
    made = make(source)
    made.save(tmp_path / "a.safetensors")
    loaded = load_adaptation(tmp_path / "a.safetensors")
    assert loaded.fingerprint == made.fingerprint
    assert (loaded.source, loaded.method) == (source.fingerprint, made.method)
    assert loaded.structure == made.structure
    assert loaded.about == made.about
    loaded.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    images = [texture(i, 48, 64) for i in range(2)]
    one, two, plain = (
        NeuralCoder(model, device="cpu", precision="fp32")
        for model in (made.applied(source), loaded.applied(source), source)
    )
    files = one.encode(images)
    assert files == two.encode(images)
    changed = any((a != b).any() for a, b in zip(two.decode(files), images, strict=True))
    assert changed
    assert files != plain.encode(images) or not made.decodes_as_source


def test_low_rank_numbers_are_added_as_a_product(source: PackedModel) -> None:
    made = low_rank(source).applied(source).floats
    for key, value in source.floats.items():
        more = 0.005 if key == "g_s.0.weight" else 0
        assert torch.allclose(made[key], value + more, atol=1e-5), key


def test_every_number_and_what_it_is_of_is_in_the_fingerprint(adaptation: Adaptation) -> None:
    own = adaptation.fingerprint
    for key, value in adaptation.tensors.items():
        if value.numel():
            other = value.clone()
            other.view(-1)[-1] += 1
            changed = {**adaptation.tensors, key: other}
            assert dataclasses.replace(adaptation, tensors=changed).fingerprint != own, key
    changes: list[dict[str, Any]] = [
        {"source": bytes(4)},
        {"method": "low_rank"},
        {"structure": {"width": 2, "kernel": 5}},
    ]
    for change in changes:
        assert dataclasses.replace(adaptation, **change).fingerprint != own
    assert dataclasses.replace(adaptation, about={"name": "another"}).fingerprint == own


def test_an_adaptation_of_another_source_names_both(adaptation: Adaptation) -> None:
    other = small_source(seed=1)
    with pytest.raises(InputError) as caught:
        adaptation.applied(other)
    message = str(caught.value)
    for fingerprint in (adaptation.fingerprint, adaptation.source, other.fingerprint):
        assert fingerprint.hex() in message


def test_a_flipped_bit_is_noticed_wherever_it_is(adaptation: Adaptation, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    adaptation.save(path)
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    # Many of the header, and some of each tensor
    for position in [*range(0, header, 37), *range(header, len(good), 1999)]:
        data = bytearray(good)
        data[position] ^= 1 << position % 7
        path.write_bytes(data)
        found, message = _loaded(path)
        if found is None:
            assert "a.safetensors" in message
            assert position < header or adaptation.fingerprint.hex() in message
        else:
            # Only what changes nothing may be other
            assert position < header
            assert found.fingerprint == adaptation.fingerprint


def _loaded(path: Path) -> tuple[Adaptation | None, str]:
    try:
        return load_adaptation(path), ""
    except InputError as error:
        return None, str(error)


def test_cut_files_and_others_are_refused_by_name(
    source: PackedModel, adaptation: Adaptation, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=r"a.safetensors: no such"):
        load_adaptation(path)
    adaptation.save(path)
    data = path.read_bytes()
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"a.safetensors: not a readable") as caught:
            load_adaptation(path)
        named = [
            one.hex() in str(caught.value) for one in (adaptation.fingerprint, source.fingerprint)
        ]
        assert all(named) == (length > 100)  # as far as the file still says them
    source.save(path)
    with pytest.raises(InputError, match=r"a.safetensors: is no adaptation of a codec"):
        load_adaptation(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"not a readable") as foreign:
        load_adaptation(path)
    assert "it was the adaptation" not in str(foreign.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "ratewise codec adaptation 9"}, "is no adaptation"),
        ({"source": "xyz"}, "header is damaged"),
        ({"structure": 3}, "header is damaged"),
        ({"about": None}, "header is damaged"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"method": ["cawf"]}, "unknown method"),
        ({"method": "finetune"}, "is damaged: its numbers are those of"),
        ({"structure": {"width": 3, "kernel": 3}}, "is damaged: its numbers are those of"),
        ({"structure": [[1, 2], ["a", 3]]}, "is damaged"),
        ({"fingerprint": "00000000"}, "not of 00000000"),
    ],
)
def test_wrong_headers_are_refused(
    change: dict[str, Any], message: str, adaptation: Adaptation, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    adaptation.save(path)
    tensors, header = load_weights(path)
    save_weights(path, tensors, header | change)
    with pytest.raises(InputError, match=message) as caught:
        load_adaptation(path)
    assert "a.safetensors" in str(caught.value)


def test_custom_parts_that_do_not_fit_are_refused(
    source: PackedModel, adaptation: Adaptation
) -> None:
    good = adaptation.tensors
    nan = good["custom.g_s.4.weight"].clone()
    nan[0] = float("nan")
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({"custom__g_a__0__weight": good["custom.g_a.0.weight"][:-1]}, "g_a.0.weight"),
        ({"custom__g_s__4__weight": nan}, "not finite, in 'g_s.4.weight'"),
        ({"h_s__1__rows": good["h_s.1.rows"][:, :-1]}, "layer 1 of h_s"),
        ({"prior__frequencies": good["prior.frequencies"][:-1]}, "probability table"),
        ({"prior__lengths": good["prior.lengths"][:-1]}, "probability tables"),
    ]
    for change, message in cases:
        changed = with_tensors(adaptation, **change)
        with pytest.raises(InputError, match=message) as caught:
            changed.applied(source)
        assert changed.fingerprint.hex() in str(caught.value)
    for key in ("custom.h_a.2.bias", "h_s.0.columns", "prior.firsts"):
        rest = {name: value for name, value in good.items() if name != key}
        with pytest.raises(InputError, match=key.removeprefix("custom.")):
            dataclasses.replace(adaptation, tensors=rest).applied(source)
    for structure in (
        {},
        {"width": -1, "kernel": 3},
        {"width": "2", "kernel": 3},
        {"width": 2},
        {"width": 2, "kernel": 3.0},
    ):
        with pytest.raises(InputError, match="width"):
            dataclasses.replace(adaptation, structure=structure).applied(source)


def test_numbers_that_would_not_be_exact_are_refused(
    source: PackedModel, adaptation: Adaptation
) -> None:
    least = torch.iinfo(torch.int64).min
    bias, steps = (
        adaptation.tensors[f"h_s.1.{part}"].clone() for part in ("row_bias", "row_steps")
    )
    bias[0, 0], steps[2, 0] = least, least
    rows = torch.nn.functional.pad(adaptation.tensors["h_s.1.rows"], (2, 2, 2, 2))
    for changes in ({"h_s__1__row_bias": bias}, {"h_s__1__row_steps": steps}):
        with pytest.raises(InputError, match="too large to be exact"):
            with_tensors(adaptation, **changes).applied(source)
    with pytest.raises(InputError, match="a filter of 7 numbers a side"):
        with_tensors(adaptation, h_s__1__rows=rows).applied(source)


def test_a_small_file_cannot_ask_for_much_memory(source: PackedModel) -> None:
    wide = torch.zeros(1, 1 << 20, dtype=torch.float16)
    asked = with_tensors(low_rank(source), g_s__0__A=wide, g_s__0__B=wide.T)
    with pytest.raises(InputError, match=r"'g_s\.0' does not fit"):
        asked.applied(source)  # a product of 2 ** 40 numbers


def test_kinds_of_numbers_that_no_adaptation_has_are_refused(
    adaptation: Adaptation, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    adaptation.save(path)
    tensors, header = load_weights(path)
    save_weights(path, {**tensors, "more": torch.zeros(2, dtype=torch.bfloat16)}, header)
    with pytest.raises(InputError, match=r"a\.safetensors: the adaptation is damaged"):
        load_adaptation(path)


def test_other_methods_parts_that_do_not_fit_are_refused(source: PackedModel) -> None:
    ranks = low_rank(source)
    cases: list[tuple[Adaptation, str]] = [
        (with_tensors(ranks, g_s__0__A=ranks.tensors["g_s.0.A"][:, :-1]), "'g_s.0' does not fit"),
        (with_tensors(ranks, g_x__0__B=ranks.tensors["g_s.0.B"]), "unknown part 'g_x.0.B'"),
        (with_tensors(ranks, g_s__2__B=ranks.tensors["g_s.0.B"]), "'g_s.2' does not fit"),
        (with_tensors(ranks, g_s__0__B=ranks.tensors["g_s.0.B"] / 0), "not finite"),
        (with_tensors(ranks, g_s__0__AB=ranks.tensors["g_s.0.B"]), "unknown part 'g_s.0.AB'"),
        (with_tensors(decoder_finetune(source, 0.1), g_s__0__bias=torch.zeros(3)), "g_s.0.bias"),
        (with_tensors(decoder_finetune(source, 0.1), other=torch.zeros(3)), "unknown part 'other'"),
    ]
    for adaptation, message in cases:
        with pytest.raises(InputError, match=message):
            adaptation.applied(source)
    layers = {
        f"h_s__{number}__{part}": getattr(layer, part)
        for number, layer in enumerate(source.layers)
        for part in ("weight", "padding", "bias", "steps")
    }
    whole = with_tensors(decoder_finetune(source, 0.1), **layers)
    assert whole.applied(source).layers
    one_less = {
        "h_s__0__weight": layers["h_s__0__weight"][:-1],
        "h_s__0__bias": layers["h_s__0__bias"][:, :-1],
        "h_s__0__steps": layers["h_s__0__steps"][:, :-1],
    }
    with pytest.raises(InputError, match="h_s is not of its source's widths"):
        with_tensors(whole, **one_less).applied(source)


def test_two_percent_of_the_packaged_codec_is_a_small_file(tmp_path: Path) -> None:
    source = load(packaged(3))
    own = layout_for(source.architecture, 0.02)
    wide = widened(unpacked(source), own)
    count = size(source.architecture, own)
    zeros = {
        f"{name}.{part}": torch.zeros(shape, dtype=torch.float16)
        for name, layer in convolutions(wide, own.mixed)
        for part, shape in (
            ("A", (own.rank, layer.weight[0].numel())),
            ("B", (layer.weight.shape[0], own.rank)),
        )
    }
    made = stored(source, wide, own, mixed=zeros)
    path = tmp_path / "a.safetensors"
    made.save(path)
    assert 20_000 < count < 0.02 * 1764499
    assert 2 * count < path.stat().st_size < 300_000
    assert path.stat().st_size < 0.1 * packaged(3).stat().st_size


def test_structures_of_older_adaptations_are_read(source: PackedModel) -> None:
    layout = Layout(Custom(2, 2))
    made = stored(source, moved(source, layout), layout)
    whole = {"width": 2, "hyper": 2, "kernel": 3, "beside": [], "mixed": [], "rank": 0}
    assert dict(made.structure) == whole
    floats = made.applied(source).floats
    for structure in ({"width": 2, "hyper": 2, "kernel": 3}, {"width": 2, "kernel": 3}):
        older = dataclasses.replace(made, structure=structure).applied(source).floats
        assert older.keys() == floats.keys()
        for name, value in floats.items():
            assert torch.equal(older[name], value)


def test_structures_that_cannot_be_are_refused(source: PackedModel) -> None:
    made = random_cawf(source, width=2)
    for hyper in (-1, 1025, "2", None):
        with pytest.raises(InputError, match="width"):
            dataclasses.replace(made, structure={**made.structure, "hyper": hyper}).applied(source)
    for key in ("beside", "mixed"):
        for names in (None, "g_s.6", ["h_s.0"], ["g_s.6", 3], [["g_s.6"]], {"g_s.6": 1}):
            with pytest.raises(InputError, match=rf"{key} .* cannot be"):
                dataclasses.replace(made, structure={**made.structure, key: names}).applied(source)
    with pytest.raises(InputError, match=r"rank -1 cannot be"):
        dataclasses.replace(made, structure={**made.structure, "rank": -1}).applied(source)
    with pytest.raises(InputError, match=r"'g_a\.1\.beta' is missing or of another size"):
        dataclasses.replace(made, structure={**made.structure, "beside": []}).applied(source)


def test_mixed_filters_that_are_missing_or_do_not_fit_are_refused(source: PackedModel) -> None:
    made = random_cawf(source)
    assert {key for key in made.tensors if key.endswith((".A", ".B"))} == {
        f"g_s.{layer}.{part}" for layer in (0, 2, 4, 6) for part in "AB"
    }
    for key in ("g_s.0.A", "g_s.6.B"):
        rest = {name: value for name, value in made.tensors.items() if name != key}
        with pytest.raises(InputError, match=rf"'{key[:-2]}' does not fit its source"):
            dataclasses.replace(made, tensors=rest).applied(source)
    narrow = with_tensors(made, g_s__2__A=made.tensors["g_s.2.A"][:, :-1])
    with pytest.raises(InputError, match=r"'g_s\.2' does not fit"):
        narrow.applied(source)
    with pytest.raises(InputError, match=r"'g_a\.0' does not fit"):
        dataclasses.replace(made, structure={**made.structure, "mixed": ["g_a"]}).applied(source)
