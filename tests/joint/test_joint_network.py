"""The mutual enhancement network: shapes of its modules, the loss, gradients, ablations."""

from __future__ import annotations

import math

import pytest
import torch
from joint_examples import CLASSES, SMALL, make_model
from torch.nn import functional as F

from ratewise.errors import InputError
from ratewise.joint.aggregation import FeatureFusion, SemanticAnalysis
from ratewise.joint.architecture import JointArchitecture
from ratewise.joint.enhancement import Enhancement
from ratewise.joint.network import JointModel, rates
from ratewise.joint.objective import MutualEnhancement, joint_loss
from ratewise.joint.semantic_decoder import SemanticSynthesis
from ratewise.joint.settings import JointLossSettings
from ratewise.neural.models import CompressionModel
from ratewise.tasks.samples import Batch
from ratewise.tasks.segmentation import segmentation_loss
from ratewise.training.settings import OptimiserSettings

H, W = 64, 96


def make_batch(height: int = H, width: int = W) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, height, width), generator=generator, dtype=torch.uint8)
    targets = torch.randint(0, 3, (2, height, width), generator=generator, dtype=torch.uint8)
    targets[0, :8] = 255
    return Batch((images,), targets, torch.ones(2), torch.arange(2))


def cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return segmentation_loss(logits, batch.targets)


# ----- shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_fusion_block_brings_a_layer_to_an_eighth_of_the_sides(depth: int) -> None:
    block = FeatureFusion(5, 8, depth)
    f = torch.rand(2, 8, H // 8, W // 8)
    f_x = torch.rand(2, 5, H >> depth, W >> depth)

    assert block(f, f_x).shape == f.shape


@pytest.mark.parametrize("aggregation", [True, False])
def test_the_semantic_latent_has_a_position_for_16_by_16_pixels(aggregation: bool) -> None:
    analysis = SemanticAnalysis(5, 6, 8, 4, aggregation=aggregation)
    features = [torch.rand(2, 5, H >> depth, W >> depth) for depth in (1, 2, 3)]

    assert analysis(features, torch.rand(2, 6, H // 16, W // 16)).shape == (2, 4, H // 16, W // 16)


def test_the_semantic_decoder_gives_logits_of_every_pixel() -> None:
    assert SemanticSynthesis(4, 16, 7)(torch.rand(2, 4, 3, 5)).shape == (2, 7, 48, 80)


def test_an_untrained_enhancement_changes_nothing() -> None:
    x, s = torch.rand(1, 3, 9, 7), torch.randn(1, 4, 9, 7)

    assert torch.equal(Enhancement(4, 8, 2)(x, s), x)


def test_enhancement_reaches_as_far_as_it_says() -> None:
    module = Enhancement(3, 4, 2)
    torch.nn.init.normal_(module.last.weight)
    x = torch.rand(1, 3, 40, 8, requires_grad=True)
    s = torch.randn(1, 3, 40, 8, requires_grad=True)

    module(x, s)[0, :, 20].sum().backward()

    for given in (x, s):
        assert given.grad is not None
        rows = given.grad.abs().sum((0, 1, 3)).nonzero().ravel()
        assert int((rows - 20).abs().max()) <= module.reach
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().ravel()
    assert int((rows - 20).abs().max()) == module.reach  # no larger than it must be


@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 65), (64, 64)])
def test_any_size_of_image_works(height: int, width: int) -> None:
    joined = make_model()(torch.rand(1, 3, height, width))

    assert joined["x_hat"].shape == joined["x_enhanced"].shape == (1, 3, height, width)
    assert joined["logits"].shape == (1, len(CLASSES), height, width)


def test_the_images_codec_is_the_hyperprior_as_it_stands_alone() -> None:
    model = make_model()
    alone = CompressionModel(model.image.architecture)
    alone.load_state_dict(model.image.state_dict())
    x = torch.rand(1, 3, 64, 128)

    torch.manual_seed(1)
    joined = model.eval()(x)
    torch.manual_seed(1)
    coded = alone.eval()(x)

    assert torch.allclose(joined["x_hat"], coded["x_hat"])
    assert torch.allclose(joined["likelihoods"]["image.y"], coded["likelihoods"]["y"])


# ----- loss and gradients -----------------------------------------------------------------------


def test_the_loss_is_lambda_d_plus_r_plus_ce() -> None:
    model, batch = make_model(), make_batch()
    x = batch.images[0].float() / 255
    torch.manual_seed(0)
    joined = model(x)

    found, logs = joint_loss(
        joined, x, batch, 256.0, JointLossSettings(plain=0.25, cross_entropy=2.0), cross_entropy
    )

    plain = ((joined["x_hat"] - x) ** 2).mean().item()
    enhanced = ((joined["x_enhanced"] - x) ** 2).mean().item()
    bits = sum(-torch.log2(value).sum().item() for value in joined["likelihoods"].values())
    logits, targets = joined["logits"].double(), batch.targets.long()
    entropy = F.cross_entropy(logits, targets, ignore_index=255).item()
    wanted = 256 * (0.25 * plain + 0.75 * enhanced) + bits / (2 * H * W) + 2 * entropy
    assert math.isclose(found.item(), wanted, rel_tol=1e-5)
    assert math.isclose(
        float(logs["bpp_image"] + logs["bpp_semantic"]), bits / (2 * H * W), rel_tol=1e-5
    )


@pytest.mark.parametrize(
    "without",
    [
        {},
        {"aggregation": False},
        {"quantisation": False},
        {"enhancement": None},
        {"segmentation": False, "enhancement": None},
    ],
    ids=["B+Q+A", "B+Q", "B+A", "plain", "compression"],
)
def test_gradients_reach_every_parameter(without: dict[str, object]) -> None:
    # With S = 8 the last block has one map, which may die
    wider = JointArchitecture(**{**SMALL.to_json(), "S": 32, **without})
    model, batch = make_model(wider).train(), make_batch()
    objective = MutualEnhancement(
        model,
        256.0,
        JointLossSettings(),
        cross_entropy,
        OptimiserSettings(kind="adam"),
        OptimiserSettings(kind="adam"),
    )
    for loss in objective.losses({"model": model}, batch):
        loss.value.backward()

    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert silent == []


def test_training_sees_the_borders_that_coding_sees() -> None:
    """Images of 80x48 are not continued to multiples of 64 in either."""
    model = make_model().eval()
    x = torch.rand(2, 3, 48, 80)
    seen = []
    for module in (model.image.g_a, model.decoder):
        assert module is not None
        module.register_forward_hook(lambda _, given, made: seen.append(tuple(made.shape[-2:])))
    joined = model(x)
    assert model.logits(x).shape[-2:] == (48, 80)
    assert seen == [(48, 80), (48, 80)]
    assert joined["likelihoods"]["image.y"].shape[-2:] == (3, 5)
    assert joined["likelihoods"]["image.z"].shape[-2:] == (1, 2)
    assert joined["x_hat"].shape == x.shape


def test_enhancement_learns_from_maps_of_large_logits() -> None:
    """Pictures that lack what their map knows: a shade by class."""
    generator = torch.Generator().manual_seed(0)
    module = Enhancement(3, width=8, blocks=1)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(150):
        x_hat = torch.rand(4, 3, 24, 24, generator=generator)
        classes = torch.randint(0, 3, (4, 3, 3), generator=generator).repeat_interleave(8, 1)
        classes = classes.repeat_interleave(8, 2)
        logits = 20.0 * F.one_hot(classes, 3).permute(0, 3, 1, 2) - 10
        assert losses or module.weights(logits[:, :2]).eq(0.5).all()  # the gate begins half open
        shade = 0.05 * (classes - 1)[:, None]
        loss = (module(x_hat, logits) - x_hat - shade).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < 0.1 * losses[0]


def test_every_parameter_has_one_optimiser() -> None:
    model = make_model()
    settings = OptimiserSettings(kind="adam")
    objective = MutualEnhancement(
        model, 256.0, JointLossSettings(), cross_entropy, settings, settings, image_lr_scale=0.1
    )

    groups = objective.optimisers()["network"].groups
    owned = [
        p
        for trainable in objective.optimisers().values()
        for group in trainable.groups
        for p in group.parameters
    ]

    assert [group.lr_scale for group in groups] == [0.1, 1.0]
    assert sorted(map(id, owned)) == sorted(map(id, model.parameters()))


def test_images_without_labels_count_for_rate_and_distortion_alone() -> None:
    model, batch = make_model(), make_batch()
    unlabelled = Batch(
        batch.images, torch.full_like(batch.targets, 255), batch.weights, batch.indices
    )
    x = batch.images[0].float() / 255

    value, logs = joint_loss(model(x), x, unlabelled, 1.0, JointLossSettings(), cross_entropy)

    assert float(logs["cross_entropy"]) == 0
    assert torch.isfinite(value)


# ----- ablations --------------------------------------------------------------------------------


def variant(**changes: object) -> JointModel:
    values = {**SMALL.to_json(), **changes}
    return JointModel(JointArchitecture(**values), len(CLASSES)).eval()


def test_without_quantisation_the_semantic_latent_costs_nothing_and_is_not_rounded() -> None:
    x = torch.rand(1, 3, H, W)

    joined = variant(quantisation=False)(x)

    assert set(rates(joined["likelihoods"], x)) == {"image"}
    assert "logits" in joined


def test_without_aggregation_the_semantic_latent_sees_y_alone() -> None:
    model = variant(aggregation=False)
    assert model.aggregation is not None
    y = torch.rand(1, SMALL.M, H // 16, W // 16)
    nothing: list[torch.Tensor] = []

    assert model.aggregation(nothing, y).shape == (1, SMALL.K, H // 16, W // 16)


def test_compression_alone_is_the_hyperprior() -> None:
    x = torch.rand(1, 3, H, W)

    joined = variant(segmentation=False, enhancement=None)(x)

    assert set(joined) == {"x_hat", "likelihoods"}
    assert set(rates(joined["likelihoods"], x)) == {"image"}


def test_enhancement_without_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match="enhancement needs segmentation"):
        JointArchitecture(segmentation=False, enhancement={"width": 4})


def test_a_model_without_quantisation_cannot_be_packed() -> None:
    from ratewise.joint.packed import pack

    with pytest.raises(InputError, match="no bitstream"):
        pack(variant(quantisation=False), CLASSES, [])
