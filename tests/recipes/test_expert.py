"""Expert training against values computed by hand, and what its teacher must not do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipe_examples import TRAINING, Greys, GreyTask, Net

from ratewise.recipes import recipe
from ratewise.recipes.assembly import Assembly, Ingredients
from ratewise.recipes.settings import ExpertSettings
from ratewise.tasks.samples import Batch, Pick
from ratewise.training.loop import fit


def _ingredients(weight: Any = 0.5, **values: Any) -> Ingredients:
    stores = [Greys(offset=30), Greys()]  # compressed, original
    settings = ExpertSettings(weight=weight)
    return Ingredients(GreyTask(), stores, seed=0, settings=settings, **values)  # type: ignore[arg-type]


def _batch(assembly: Assembly, count: int = 4) -> Batch:
    samples = [assembly.source.get(i, np.random.default_rng(0)) for i in range(count)]
    batch: Batch = assembly.collate(samples)
    return batch


def _loss(assembly: Assembly, batch: Batch) -> Any:
    modules = {**assembly.objective.modules(), **assembly.objective.frozen()}
    for module in modules.values():
        module.eval()
    return next(iter(assembly.objective.losses(modules, batch)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exponents / exponents.sum(1, keepdims=True))


def _logits(offset: int) -> np.ndarray:
    store, net = Greys(offset), Net(0).eval()
    images = torch.tensor(np.stack([store.image(i) for i in range(4)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        return np.asarray(net(images.float() / 255).double().numpy())


def _by_hand(weight: float) -> float:
    teacher, student = _softmax(_logits(0)), _softmax(_logits(30))
    cross_entropy = -np.log(student[np.arange(4), [0, 1, 0, 1]]).mean()
    divergence = (teacher * np.log(teacher / student)).sum(1).mean()
    return float(cross_entropy + weight * divergence)


@pytest.mark.parametrize("weight", [0.5, 3.2])
def test_the_loss_is_cross_entropy_of_the_compressed_and_the_teachers_divergence(
    weight: float,
) -> None:
    assembly = recipe("expert")(_ingredients(weight))
    loss = _loss(assembly, _batch(assembly))
    assert loss.value.item() == pytest.approx(_by_hand(weight), rel=1e-5)
    assert loss.value.item() == pytest.approx(
        loss.logs["task"].item() + weight * loss.logs["divergence"].item(), rel=1e-6
    )


def test_known_outputs_of_the_teacher_give_the_same_loss_without_the_originals() -> None:
    assembly = recipe("expert")(_ingredients(teacher=_logits(0).astype(np.float32)))
    batch = _batch(assembly)
    assert len(batch.images) == 1
    assert not assembly.objective.frozen()
    assert _loss(assembly, batch).value.item() == pytest.approx(_by_hand(0.5), rel=1e-5)


def test_known_outputs_belong_to_the_images_whatever_is_chosen_of_them() -> None:
    outputs = _logits(0).astype(np.float32)
    few = _ingredients(indices=[3, 1])
    known, computed = (recipe("expert")(one) for one in (replace(few, teacher=outputs), few))
    values = [_loss(one, _batch(one, 2)).value.item() for one in (known, computed)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_the_weight_of_the_divergence_does_not_change_with_the_size_of_the_batch() -> None:
    assembly = recipe("expert")(_ingredients(10.0))
    one = _batch(assembly, 2)
    images = tuple(torch.cat([image, image]) for image in one.images)
    twice = Batch(images, *(torch.cat([part, part]) for part in one[1:]))
    small, large = (_loss(assembly, batch).value.item() for batch in (one, twice))
    assert large == pytest.approx(small, rel=1e-6)


def test_the_teacher_gets_no_gradient_and_stays_in_eval_mode(tmp_path: Path) -> None:
    assembly = recipe("expert")(_ingredients())
    (teacher,) = assembly.objective.frozen().values()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    _fit(assembly, tmp_path)
    assert not teacher.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert not torch.equal(assembly.model.state_dict()["head.weight"], before["head.weight"])


def test_the_teacher_is_the_model_that_training_begins_with(tmp_path: Path) -> None:
    start = tmp_path / "start.pt"
    GreyTask().save(start, Net(7), {})
    assembly = recipe("expert")(_ingredients(start=start))
    (teacher,) = assembly.objective.frozen().values()
    wanted = Net(7).state_dict()
    for model in (teacher, assembly.model):
        assert all(torch.equal(wanted[key], value) for key, value in model.state_dict().items())


def test_weight_0_is_exactly_fine_tuning(tmp_path: Path) -> None:
    expert = recipe("expert")(_ingredients(0.0))
    stores = [Greys(offset=30)]
    finetune = recipe("finetune")(Ingredients(GreyTask(), stores, seed=0))  # type: ignore[arg-type]
    for assembly, name in ((expert, "expert"), (finetune, "finetune")):
        _fit(assembly, tmp_path / name)
    pairs = zip(
        expert.model.state_dict().values(), finetune.model.state_dict().values(), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_mixture_keeps_its_channels_and_weights_beside_the_original() -> None:
    def rule(index: int) -> Pick:
        return Pick((1,), 5.0) if index == 2 else Pick((0,))

    assembly = recipe("expert")(_ingredients(pick=rule))
    batch = _batch(assembly)
    greys = [[int(image[i, 0, 0, 0]) for image in batch.images] for i in range(4)]
    assert greys == [[30, 0], [81, 51], [102, 102], [183, 153]]
    assert batch.weights.tolist() == [1, 1, 5, 1]


def test_the_weight_is_that_of_the_network_unless_it_is_given() -> None:
    assert ExpertSettings().effective_weight("mnasnet_100") == 3.2
    assert ExpertSettings().effective_weight("resnet50.tv_in1k") == 3.84
    assert ExpertSettings(weight="printed").effective_weight("resnet50") == 0.01
    assert ExpertSettings(weight=1.5).effective_weight("resnet50") == 1.5


def test_a_resumed_training_gives_the_same_weights(tmp_path: Path) -> None:
    whole = recipe("expert")(_ingredients())
    _fit(whole, tmp_path / "whole")
    killed = recipe("expert")(_ingredients())
    losses, calls = killed.objective.losses, 0

    def dying(modules: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return losses(modules, batch)

    killed.objective.losses = dying  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        _fit(killed, tmp_path / "killed")
    again = recipe("expert")(_ingredients())
    _fit(again, tmp_path / "killed")
    pairs = zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def _fit(assembly: Assembly, folder: Path) -> None:
    training = TRAINING.model_copy(update={"checkpoint_seconds": 0.0})
    fit(
        assembly.objective,
        assembly.source,
        training,
        folder,
        collate=assembly.collate,
        quiet=True,
    )
