"""Zen-scores: the released formula, no residual links, no trace in the process, and sensible orders."""

import json
import math
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr
from timm.layers import SelectAdaptivePool2d
from timm.models import regnet, resnet
from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, EdgeResidual, InvertedResidual
from timm.models.convnext import ConvNeXtBlock
from timm.models.ghostnet import GhostBottleneck
from torch import nn

from sampler import InputError, SearchSpace, architecture_complexity, base, random_design
from trainer.network import build
from trainer.zero_cost import without_residual_links, zen_score, zen_scores

BLOCKS = {
    "efficientnet_b0": {InvertedResidual, DepthwiseSeparableConv},
    "efficientnetv2_b0": {ConvBnAct, EdgeResidual, InvertedResidual},
    "mobilenetv3_small_100": {InvertedResidual, DepthwiseSeparableConv, ConvBnAct},
    "resnet18": {resnet.BasicBlock},
    "resnet50": {resnet.Bottleneck},
    "resnet20_cifar": {resnet.BasicBlock},
    "regnety_002": {regnet.Bottleneck},
    "ghostnet_100": {GhostBottleneck, ConvBnAct},
    "convnext_atto": {ConvNeXtBlock},
    "convnext_tiny": {ConvNeXtBlock},
}
KINDS = tuple(set.union(*BLOCKS.values()))


def small(name, depth=2):
    """A base network at 32 px, with this many blocks in every stage."""
    whole = base(name).architecture()
    return replace(whole, resolution=32, depths=(depth,) * len(whole.depths))


def score(architecture, **arguments):
    return zen_score(architecture, classes=10, **{"repeats": 2, "batch": 4, **arguments})


def outputs_without_weights(model):
    """What each of a network's blocks returns for noise once all its parameters are zero."""
    returned = []
    for block in model.modules():
        if isinstance(block, KINDS):
            for parameter in block.parameters():
                nn.init.zeros_(parameter)
            block.register_forward_pre_hook(lambda _, inputs: (torch.randn_like(inputs[0]),))
            block.register_forward_hook(lambda block, _, output: returned.append((type(block), output)))
    with torch.no_grad():
        model.eval()(torch.randn(2, 3, 32, 32))
    return returned


@pytest.mark.parametrize("name", BLOCKS)
def test_no_block_of_any_family_lets_its_input_past_its_convolutions(name):
    model = build(small(name), classes=10)
    linked = outputs_without_weights(model)
    assert any(output.any() for _, output in linked)
    without_residual_links(model, base(name))
    cut = outputs_without_weights(model)
    assert {kind for block, _ in cut for kind in KINDS if issubclass(block, kind)} == BLOCKS[name]
    assert not any(output.any() for _, output in cut)


def test_the_score_of_a_tiny_network_is_the_formula_by_hand():
    model = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 2, 1, bias=False),
            norm=nn.BatchNorm2d(2),
            act=nn.ReLU(),
            last=nn.Conv2d(2, 4, 3),
            pool=SelectAdaptivePool2d(flatten=True),
        )
    )
    draws = torch.Generator().manual_seed(5)
    weight, last = torch.randn(2, 3, 1, 1, generator=draws), torch.randn(4, 2, 3, 3, generator=draws)
    images, noise = torch.randn(2, 6, 3, 8, 8, generator=draws)
    maps, variances = [], []
    for one in (images, images + 0.01 * noise):
        mixed = torch.einsum("oi,nihw->nohw", weight[:, :, 0, 0], one)
        flat = mixed.transpose(0, 1).flatten(1)
        centred = mixed - flat.mean(1)[None, :, None, None]
        normed = centred / (flat.var(1, unbiased=False) + 1e-5).sqrt()[None, :, None, None]
        maps.append(nn.functional.conv2d(normed.clamp(min=0), last))
        variances.append(flat.var(1))
    difference = (maps[0] - maps[1]).abs().sum() / 6
    running = 0.81 + 0.09 * variances[0] + 0.1 * variances[1]
    expected = math.log(difference) + math.log(math.sqrt(running.mean()))
    assert zen_scores(model, resolution=8, repeats=1, batch=6, seed=5) == [pytest.approx(expected, rel=1e-5)]


def test_a_layer_norm_counts_like_a_batch_norm_of_its_mean_variance():
    norm = nn.LayerNorm(8)
    model = nn.Sequential(norm, nn.LayerNorm(8), SelectAdaptivePool2d(flatten=True))
    draws = torch.Generator().manual_seed(1)
    images, noise = torch.randn(2, 4, 3, 8, 8, generator=draws)
    total = 0.0
    maps = [images, images + 0.01 * noise]
    for _ in range(2):
        first, second = (one.var(-1, unbiased=False).mean() for one in maps)
        total += math.log(math.sqrt(0.81 + 0.09 * first + 0.1 * second))
        maps = [nn.functional.layer_norm(one, (8,)) for one in maps]
    expected = total + math.log((maps[0] - maps[1]).abs().sum() / 4)
    assert zen_scores(model, resolution=8, repeats=1, batch=4, seed=1) == [pytest.approx(expected, rel=1e-5)]


def test_the_same_seed_gives_the_same_score_whatever_the_global_generator_does():
    first = score(small("efficientnet_b0"))
    torch.rand(7)
    state = torch.get_rng_state()
    assert score(small("efficientnet_b0")) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert score(small("efficientnet_b0"), seed=1).zen != first.zen


def test_scoring_leaves_later_networks_as_they_were():
    def outputs():
        torch.manual_seed(0)
        return build(small("resnet50"), classes=10).eval()(torch.ones(2, 3, 32, 32))

    before = outputs()
    score(small("resnet50"))
    assert torch.equal(outputs(), before)


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet20_cifar", "regnety_002", "ghostnet_100", "convnext_atto"])
def test_deeper_and_wider_networks_score_higher_in_every_family(name):
    middle = small(name)
    wider = replace(middle, widths=tuple(2 * width for width in middle.widths))
    deeper = small(name, depth=4)
    zen = score(middle).zen
    assert score(wider).zen > zen and score(deeper).zen > zen


@pytest.mark.parametrize(("name", "depth"), [("resnet110_cifar", 18), ("efficientnet_b0", 3), ("convnext_atto", 4)])
def test_deep_networks_score_in_float32_what_they_score_in_float64(name, depth):
    """Roundings grow as the noise does, so only the mean is comparable; nothing overflows."""
    architecture = small(name, depth)
    spread = []
    for kind in (torch.float32, torch.float64):
        model = build(architecture, classes=10).to(kind)
        without_residual_links(model, base(name))
        model.register_forward_pre_hook(lambda _, inputs, kind=kind: (inputs[0].to(kind),))
        spread.append(torch.tensor(zen_scores(model, 32, repeats=2, batch=4, seed=0)).mean())
    assert abs(spread[0] - spread[1]) < 0.005 * spread[1]


def test_the_columns_are_the_score_per_block_and_the_logarithms_of_the_exact_costs():
    architecture = small("efficientnet_b0", depth=3)
    scored = score(architecture)
    cost = architecture_complexity(architecture, classes=10)
    assert scored.zen_per_block == pytest.approx(scored.zen / 21)
    assert (scored.log_macs, scored.log_params) == (math.log(cost.macs), math.log(cost.params))


def test_the_mean_and_deviation_are_those_of_the_repeats():
    architecture = small("resnet20_cifar", depth=1)
    model = build(architecture, classes=10)
    without_residual_links(model, base("resnet20_cifar"))
    scores = torch.tensor(zen_scores(model, 32, repeats=5, batch=4, seed=0), dtype=torch.float64)
    scored = score(architecture, repeats=5)
    assert scored.zen == pytest.approx(scores.mean().item())
    assert scored.zen_std == pytest.approx(scores.std().item()) and scored.zen_std > 0


def test_a_resolution_changes_the_score_but_not_the_cost():
    own, larger = score(small("resnet20_cifar")), score(small("resnet20_cifar"), resolution=48)
    assert larger.log_macs == own.log_macs
    # 2.25 times as many differences in the last feature map.
    assert larger.zen - own.zen == pytest.approx(math.log(2.25), abs=0.3)


def test_the_number_of_classes_does_not_matter_to_the_score():
    assert zen_score(small("resnet18"), classes=3, repeats=2, batch=4).zen == score(small("resnet18")).zen


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"repeats": 1}, "repeats must be between 2"),
        ({"batch": 1}, "batch must be between 2"),
        ({"resolution": 16}, "16 px is below efficientnet_b0's stride of 32"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(arguments, words):
    with pytest.raises(InputError, match=words) as error:
        score(small("efficientnet_b0"), **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.gpu
def test_a_gpu_scores_what_the_cpu_scores():
    architecture = small("resnet18")
    cpu, gpu = score(architecture, repeats=8), score(architecture, repeats=8, device="cuda")
    assert gpu.zen == pytest.approx(cpu.zen, abs=3 * cpu.zen_std)


@pytest.mark.benchmark
def test_the_score_against_log_macs_over_random_networks():
    """Not a fact to be asserted in size, but one to know: the score has to beat log MACs on accuracy."""
    space = SearchSpace("efficientnet_b0", resolution=224)
    scored = [zen_score(one, resolution=64, repeats=4, batch=8) for one in random_design(space, 20, seed=0)]
    columns = {name: [getattr(one, name) for one in scored] for name in ("zen", "zen_per_block", "log_params")}
    ranks = {
        name: round(float(spearmanr(values, [one.log_macs for one in scored]).statistic), 3)
        for name, values in columns.items()
    }
    assert all(map(math.isfinite, ranks.values()))
    print(json.dumps({"what": "spearman with log MACs", "architectures": len(scored), "ranks": ranks}))
