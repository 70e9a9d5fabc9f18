"""From shares to integers: architectures come back from their own shares, at their own cost."""

import numpy as np
import pytest

from planner.allocation.decode import Target, decode_shares
from planner.formulas.stages import closed, log_ratios, stage_macs
from sampler import InputError, SearchSpace, base, random_design, rule_named, stack
from sampler.complexity import count


def target_of(drawn, row, network, noise=None, widths=False):
    """What an architecture asks for, its shares off by a noise of their logarithms."""
    ratios = log_ratios(stage_macs(network, drawn.take([row]), 1000))[0]
    ratios = ratios if noise is None else ratios + noise
    depths, channels = tuple(drawn.depths[row].tolist()), tuple(drawn.widths[row].tolist())
    return Target(int(drawn.resolution[row]), depths, tuple(closed(ratios)), channels if widths else ())


@pytest.mark.parametrize(
    ("name", "steps"), [("resnet50", 1), ("convnext_atto", 0), ("resnet20_cifar", 0), ("ghostnet_100", 3)]
)
def test_an_architecture_comes_back_from_its_own_shares(name, steps):
    network = base(name)
    rule = rule_named(network.rule)
    drawn = random_design(SearchSpace(name, network.resolution, rule=network.rule, kind="stage"), 6, seed=0)
    for row, macs in enumerate(count(drawn, 1000).macs.tolist()):
        found = decode_shares(network, rule, target_of(drawn, row, network), macs)
        assert 0.99 * macs <= found.macs <= macs
        assert found.macs == count(drawn.take([row]), 1000).macs[0] or steps
        assert np.abs(np.array(found.architecture.widths) - drawn.widths[row]).max() <= steps * rule.divisor
        assert found.architecture.depths == tuple(drawn.depths[row])


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenetv3_large_100", "regnety_002", "ghostnet_100"])
def test_the_cost_and_the_shares_are_met_whatever_the_family(name):
    network = base(name)
    rule = rule_named(network.rule)
    drawn = random_design(SearchSpace(name, network.resolution, rule=network.rule, kind="stage"), 6, seed=1)
    for row, macs in enumerate(count(drawn, 1000).macs.tolist()):
        target = target_of(drawn, row, network)
        found = decode_shares(network, rule, target, macs)
        assert 0.99 * macs <= found.macs <= macs
        off = log_ratios(stage_macs(network, stack([found.architecture]), 1000)) - log_ratios(np.array(target.shares))
        assert np.sqrt(np.mean(off**2)) < 0.15
        assert abs(found.pixels_nudged) <= 0.08 * drawn.resolution[row]


def test_widths_of_stages_one_block_deep_do_not_follow_the_noise_of_shares():
    """Most of such a stage's MACs are made by the stage before it: shares alone would give far too few channels."""
    network = base("efficientnet_b0")
    space = SearchSpace("efficientnet_b0", 224, rule="inverse", kind="stage", d=(0.35, 0.5), w=(0.5, 1.2))
    drawn = random_design(space, 5, seed=0)
    assert (drawn.depths == 1).mean() > 0.5
    rng = np.random.default_rng(0)
    worst = {False: 0.0, True: 0.0}
    for row, macs in enumerate(count(drawn, 1000).macs.tolist()):
        noise = rng.normal(0, 0.15, 7)
        for widths in worst:
            found = decode_shares(network, rule_named("inverse"), target_of(drawn, row, network, noise, widths), macs)
            off = np.abs(np.log(np.array(found.architecture.widths) / drawn.widths[row])).max()
            worst[widths] = max(worst[widths], float(off))
    print(
        f"largest factor of a width: {np.exp(worst[False]):.2f} by shares alone, {np.exp(worst[True]):.2f} with widths"
    )
    assert worst[True] < np.log(2.01) < worst[False]


def test_a_budget_that_no_widths_meet_is_refused_with_how_far_off_they_are():
    network = base("efficientnet_b0")
    target = Target(224, network.depths, (1 / 7,) * 7)
    with pytest.raises(
        InputError, match="no widths at 224 px and depths 1 2 2 3 3 4 1 cost 1,000 MACs; the nearest is"
    ):
        decode_shares(network, rule_named("inverse"), target, 1000)
