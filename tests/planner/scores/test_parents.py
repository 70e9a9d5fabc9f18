"""Parents of a study's architectures: few, cheaper than every child, and ones that weights really pass on from."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from planner.scores.parents import LARGEST_PARENT, choose_parents, common_parent
from sampler import SearchSpace, architecture_complexity, base, random_design, rule_named, scaled
from trainer.inherit import inherit, pattern, refusal
from trainer.network import build

CLASSES, PIXELS, DRAWS = 5, 64, 30
# By base network: how many of 30 architectures may stay without a parent (each as small as can be built), and how
# many parents may be trained at most.
BOUNDS = {
    "efficientnet_b0": (0, 4),
    "resnet18": (0, 1),
    "mobilenetv3_large_100": (2, 5),
    "regnetx_002": (0, 2),
}
OTHERS = ("ghostnet_100", "convnext_atto", "efficientnetv2_b0", "mnasnet_100")


def drawn(name, kind="uniform", count=DRAWS):
    """Random architectures of a base network, down to 3 % of its MACs."""
    space = SearchSpace(name, base(name).resolution, CLASSES, kind=kind, w=(0.1, 2.8))
    return list(random_design(space, count, 0))


def macs(one, resolution=None):
    return architecture_complexity(replace(one, resolution=resolution or one.resolution), CLASSES).macs


def check_inherits(parent, child):
    """The child has the parent's outputs."""
    model = build(parent, CLASSES)
    for norm in (one for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    made = inherit(model, parent, child, CLASSES, 0)
    image = torch.randn(1, 3, PIXELS, PIXELS)
    with torch.no_grad():
        torch.testing.assert_close(made.eval()(image), model.eval()(image), rtol=1e-3, atol=1e-4)


def check_parents(name, kind):
    children = drawn(name, kind)
    parents = choose_parents(children, rule_named("inverse"), CLASSES, seed=0)
    counts = Counter(parents.values())
    patterns = len(set(map(pattern, children)))
    print(name, kind, len(parents), sorted(counts.values()), patterns)
    # Children that begin their stages differently, or whose last depth cannot grow, need different parents.
    without, most = BOUNDS.get(name, (3, patterns + 1))
    assert len(children) - len(parents) <= without and len(counts) <= min(most, patterns + 1)
    full = base(name).resolution
    for child, parent in parents.items():
        assert macs(parent) < macs(child)
        assert macs(parent, full) <= LARGEST_PARENT * macs(child, full)
        assert refusal(parent, child, 0) is None
    cheapest_first = sorted(parents.items(), key=lambda pair: sum(pair[0].widths) * sum(pair[0].depths))
    for child, parent in cheapest_first[:2]:
        check_inherits(parent, child)


@pytest.mark.parametrize("name", [pytest.param("efficientnet_b0", marks=pytest.mark.slow), "resnet18"])
def test_nearly_all_random_architectures_inherit_from_one_of_few_cheaper_parents(name):
    check_parents(name, "uniform")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("name", [*BOUNDS, *OTHERS])
def test_nearly_all_random_architectures_of_every_family_inherit(name, kind):
    check_parents(name, kind)


@pytest.mark.parametrize(("name", "kind"), [("efficientnet_b0", "uniform"), ("ghostnet_100", "stage")])
def test_what_is_refused_is_what_inherit_refuses(name, kind):
    one, two, three = sorted(drawn(name, kind, 3), key=macs)
    pairs = [(one, two), (two, three), (one, one), (three, two)]
    if name == "efficientnet_b0":  # a pair that only the skip connections keep apart
        pairs.append(
            (replace(one, stem=8, widths=(8, *one.widths[1:])), replace(one, stem=16, widths=(8, *one.widths[1:])))
        )
    refusals = [refusal(parent, child, 0) for parent, child in pairs]
    for (parent, child), expected in zip(pairs, refusals, strict=True):
        try:
            inherit(build(parent, CLASSES), parent, child, CLASSES, 0)
            found = None
        except ValueError as error:
            found = str(error)
        assert found == expected
    assert None in refusals and any(refusals)


def test_parents_that_are_trained_already_come_first():
    children = [scaled("resnet18", 64, width, 1.0) for width in (0.5, 1.0)]
    kept = scaled("resnet18", 32, 0.25, 1.0)
    fresh = choose_parents(children, rule_named("inverse"), CLASSES, 0)
    assert set(fresh.values()) != {kept}
    assert choose_parents(children, rule_named("inverse"), CLASSES, 0, [kept]) == dict.fromkeys(children, kept)
    # One that is too large for either is not used.
    large = scaled("resnet18", 64, 0.95, 1.0)
    assert choose_parents(children, rule_named("inverse"), CLASSES, 0, [large]) == fresh


def test_widths_whose_minima_would_meet_are_kept_apart():
    wide = scaled("efficientnet_b0", 64)
    one = replace(wide, widths=(16, 24, 40, 48, 64, 96, 192))
    two = replace(wide, widths=(16, 24, 40, 64, 48, 96, 192))
    met = common_parent([one, two])
    assert met.widths[3] == met.widths[4] and refusal(met, one, 0) is not None
    parents = choose_parents([one, two], rule_named("inverse"), CLASSES, 0)
    assert len(parents) == 2 and len(set(parents.values())) == 1


def test_the_smallest_network_that_can_be_built_has_no_parent():
    smallest = scaled("efficientnet_b0", 64, widths=(8,) * 7, depths=(1,) * 7)
    smallest = replace(smallest, stem=8, head=8)
    assert choose_parents([smallest], rule_named("inverse"), CLASSES, 0) == {}


def test_every_part_of_the_common_parent_is_the_smallest():
    children = [scaled("efficientnet_b0", px, w, d) for px, w, d in ((96, 0.5, 2.0), (64, 1.5, 0.5), (32, 1.0, 1.0))]
    parent = common_parent(children)
    assert parent.resolution == 64
    for child in children:
        assert all(map(int.__le__, parent.widths, child.widths)) and all(map(int.__le__, parent.depths, child.depths))
    assert architecture_complexity(parent).params <= min(architecture_complexity(one).params for one in children)
    assert common_parent([base("resnet18").architecture()]) == base("resnet18").architecture()
