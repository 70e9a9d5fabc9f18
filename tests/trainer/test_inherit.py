"""Inherited weights: a larger network computes what its parent computes, or is refused in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sampler import Architecture, InputError, base
from sampler.families.regnet import compatible
from trainer.inherit import inherit
from trainer.network import build

CLASSES, RESOLUTION = 7, 64
NETWORKS = [
    "efficientnet_b0", "efficientnet_lite0", "efficientnetv2_b0", "tinynet_a", "mobilenetv2_100",
    "mobilenetv3_large_100", "mobilenetv3_small_100", "mnasnet_100", "semnasnet_100",
    "resnet18", "resnet50", "resnet20_cifar", "resnet56_cifar", "regnetx_002", "regnety_004", "regnety_032",
    "ghostnet_100", "s_ghostnet", "convnext_atto", "convnext_tiny",
]  # fmt: skip
NO_SKIPS = {"mnasnet_100": (0, 6), "semnasnet_100": (0,)}
# One network per way of growing.
FAST = [
    ("efficientnet_b0", 0), ("efficientnetv2_b0", 2), ("mobilenetv3_large_100", 5), ("semnasnet_100", 8),
    ("resnet18", 9), ("resnet50", 10), ("resnet20_cifar", 11), ("regnety_032", 15), ("ghostnet_100", 16),
    ("convnext_atto", 18),
]  # fmt: skip
ALL = [(name, 100 + 10 * seed + index) for index, name in enumerate(NETWORKS) for seed in range(5)]


def random_pair(name, seed):
    """A small parent of a base network, and a child wider and deeper in random places, none of them impossible."""
    rng = np.random.default_rng(seed)
    network = base(name)
    stem, widths, depths = int(rng.integers(8, 25)), [], []
    new_stem = stem + grown(rng, network, stem)
    new_widths, new_depths = [], []
    before, new_before = stem, new_stem
    for index, stage in enumerate(network.stages):
        base_before = network.widths[index - 1] if index else network.stem
        width = int(rng.integers(8, 33))
        if network.variant == "cifar":
            width = before + int(rng.integers(0, 9))
        if stage.group_width:
            width = int(compatible(np.array([width * 2]), np.array(stage.group_width))[0])
        same = stage.stride == 1 and base_before == stage.width
        if same or width == before:
            width = before  # both, so that what is plain in the base network stays so
        more = grown(rng, network, width, stage.group_width)
        new_width = width + more
        if network.variant == "cifar":
            new_width = max(new_width, new_before + width - before)
        elif stage.stride == 1 and width == before:
            new_width = new_before
        elif stage.stride == 1 and new_width == new_before:
            new_width += (stage.group_width or width) if network.family in ("regnet", "convnext") else 1
        depth = int(rng.integers(1, 4))
        widths.append(width)
        depths.append(depth)
        new_widths.append(new_width)
        skips = stage.block != "cn" or network.variant == "efficientnetv2"
        fixed = index in NO_SKIPS.get(name, ()) or not skips
        new_depths.append(depth + (0 if fixed else int(rng.integers(0, 3))))
        before, new_before = width, new_width
    head = int(rng.integers(20, 40)) if network.head else 0
    new_head = head + int(rng.integers(0, 15)) if head else 0
    return (
        Architecture(name, RESOLUTION, stem, tuple(widths), tuple(depths), head),
        Architecture(name, RESOLUTION, new_stem, tuple(new_widths), tuple(new_depths), new_head),
    )


def grown(rng, network, width, group=0):
    if rng.random() < 0.3:
        return 0
    if network.family == "convnext":
        return width * int(rng.integers(1, 3))
    if group:  # a stage below its group width is one group, which a wider one may fill
        return -(-(width + 1) // group) * group - width + group * int(rng.integers(0, 3))
    return int(rng.integers(1, 20))


def images(count=8, resolution=RESOLUTION, dtype=torch.float32):
    return torch.randn(count, 3, resolution, resolution, generator=torch.Generator().manual_seed(1)).to(dtype)


def trained(architecture, seed):
    """A network in which nothing is trivially zero or one, and whose outputs differ from image to image."""
    torch.manual_seed(seed)
    model = build(architecture, CLASSES)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
            elif name.endswith("bias"):
                parameter.normal_(std=0.3)
            else:
                parameter.uniform_(0.5, 1.5)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        model.train()(images())
        for norm in norms:  # near what the images give, so that signals neither die nor explode
            norm.momentum = 0.1
            norm.running_mean += 0.3 * norm.running_var.sqrt() * torch.randn(norm.num_features)
            norm.running_var *= torch.empty(norm.num_features).uniform_(0.5, 2)
            norm.running_var += 0.01
    return model


def outputs(model, resolution=RESOLUTION):
    with torch.no_grad():
        return model.eval()(images(4, resolution, next(model.parameters()).dtype))


def error(parent, child, resolution=RESOLUTION):
    """The largest difference of two networks' outputs, over the parent's spread between images."""
    wanted, got = outputs(parent, resolution), outputs(child, resolution)
    spread = wanted.std(0).mean()
    assert torch.isfinite(wanted).all() and spread > 0.02 * wanted.abs().mean(), "the parent's outputs are constant"
    return float((got - wanted).abs().max() / spread)


def check_pair(parent, child, seed):
    assert child != parent
    model = trained(parent, seed)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    single = error(model, inherit(model, parent, child, CLASSES, seed))
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items()), "the parent changed"
    model.double()
    double = error(model, inherit(model, parent, child, CLASSES, seed))
    print(f"{parent.base} seed {seed}: float32 {single:.1e}, float64 {double:.1e}")
    assert single < 1e-4
    assert double < 1e-9  # exact, so that only rounding remains


@pytest.mark.parametrize(("name", "seed"), FAST)
def test_random_larger_networks_compute_what_their_parents_do(name, seed):
    check_pair(*random_pair(name, seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), ALL)
def test_a_hundred_random_larger_networks_compute_what_their_parents_do(name, seed):
    check_pair(*random_pair(name, seed), seed)


def network(name, stem, widths, depths, head=0):
    return Architecture(name, RESOLUTION, stem, widths, depths, head)


EFFICIENTNET = network("efficientnet_b0", 9, (8, 10, 12, 16, 20, 24, 28), (1, 1, 2, 1, 1, 2, 1), 30)
RESNET = network("resnet18", 12, (12, 16, 20, 24), (1, 1, 2, 1))


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        pytest.param(RESNET, replace(RESNET, widths=(15, 16, 20, 24)), id="a plain shortcut becomes a projection"),
        pytest.param(
            network("ghostnet_100", 12, (12, 14, 18, 22, 26, 30), (1,) * 6, 40),
            network("ghostnet_100", 12, (16, 14, 18, 22, 26, 30), (1,) * 6, 40),
            id="a ghost block's plain shortcut becomes two convolutions",
        ),
        pytest.param(
            network("ghostnet_100", 11, (11, 13, 17, 21, 25, 29), (1,) * 6, 40),
            network("ghostnet_100", 14, (14, 16, 20, 28, 32, 36), (2,) * 6, 40),
            id="a ghost module shows the channel it cut off",
        ),
        pytest.param(
            network("resnet20_cifar", 8, (8, 8, 8), (1, 2, 1)),
            network("resnet20_cifar", 9, (11, 15, 20), (2, 2, 1)),
            id="shortcuts that padded nothing begin to",
        ),
        pytest.param(
            network("resnet20_cifar", 12, (12, 10, 8), (1, 2, 1)),
            network("resnet20_cifar", 13, (15, 14, 14), (1, 2, 2)),
            id="shortcuts that cut channels off keep some",
        ),
        pytest.param(
            network("regnety_004", 8, (4, 8, 16, 24), (1, 1, 1, 1)),
            network("regnety_004", 8, (6, 24, 16, 32), (1, 2, 1, 1)),
            id="groups below the group width are filled",
        ),
        pytest.param(
            network("convnext_atto", 8, (12, 16, 20, 24), (1, 1, 1, 1)),
            network("convnext_atto", 16, (36, 16, 20, 48), (2, 1, 1, 3)),
            id="a stem of its own width before layer norms",
        ),
    ],
)
def test_the_special_cases_are_exact(parent, child):
    check_pair(parent, child, 4)


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50", "ghostnet_100", "regnety_004", "convnext_atto"])
def test_a_change_of_resolution_only_copies_every_weight(name):
    parent, _ = random_pair(name, 1)
    model = trained(parent, 1)
    child = inherit(model, parent, replace(parent, resolution=96), CLASSES, 0)
    copied = child.state_dict()
    assert all(torch.equal(value, copied[key]) for key, value in model.state_dict().items())
    assert torch.equal(outputs(model, 96), outputs(child, 96))


def test_equal_seeds_give_equal_children_and_leave_the_global_generator_alone():
    parent, child = random_pair("efficientnet_b0", 0)
    model = trained(parent, 0)
    state = torch.get_rng_state()
    first, second, other = (inherit(model, parent, child, CLASSES, seed, 0.1).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert not torch.equal(first["blocks.2.0.conv_pw.weight"], other["blocks.2.0.conv_pw.weight"])


def test_children_are_trainable_and_keep_the_dtype():
    parent, child = random_pair("efficientnet_b0", 0)
    made = inherit(trained(parent, 0).eval().requires_grad_(False).bfloat16(), parent, child, CLASSES, 0)
    assert made.training and all(one.requires_grad for one in made.parameters())
    assert {one.dtype for one in made.parameters()} == {torch.bfloat16}


def test_noise_changes_the_outputs_a_little_and_repeated_weights_only():
    wider = replace(EFFICIENTNET, widths=(8, 10, 12, 16, 20, 24, 40))
    model = trained(EFFICIENTNET, 0)
    exact, noisy = (inherit(model, EFFICIENTNET, wider, CLASSES, 0, noise) for noise in (0.0, 0.01))
    assert 1e-4 < error(model, noisy) < 0.3
    moved = {name for name, value in noisy.state_dict().items() if not torch.equal(value, exact.state_dict()[name])}
    assert moved == {"blocks.6.0.conv_pwl.weight", "conv_head.weight"}  # what writes and reads the wider stage
    change = noisy.blocks[6][0].conv_pwl.weight - exact.blocks[6][0].conv_pwl.weight
    assert not change[:28].any() and change[28:].all()


def step(model):
    optimizer = torch.optim.SGD(model.train().parameters(), 0.05)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images()), torch.arange(8) % CLASSES).backward()
        optimizer.step()


def test_repeated_channels_stay_equal_without_noise_and_part_with_it():
    wider = replace(RESNET, widths=(12, 16, 20, 30))
    model = trained(RESNET, 0)
    distances = []
    for noise in (0.0, 0.01):
        child = inherit(model, RESNET, wider, CLASSES, 0, noise)
        before = child.fc.weight.detach().clone()
        step(child)
        assert torch.isfinite(outputs(child)).all() and not torch.equal(before, child.fc.weight)
        source = (before[:, 24:, None] - before[:, None, :24]).abs().sum(0)  # equal columns: the same parent's channel
        first = source.argmin(1)
        after = child.fc.weight.detach()
        distances.append(float((after[:, 24:] - after[:, first]).abs().max()))
    assert distances[0] < 1e-5 < 1e-3 < distances[1]


def test_new_blocks_begin_to_learn():
    deeper = replace(EFFICIENTNET, depths=(1, 1, 4, 1, 1, 2, 1))
    child = inherit(trained(EFFICIENTNET, 0), EFFICIENTNET, deeper, CLASSES, 0)
    assert not child.blocks[2][3].bn3.weight.any()
    step(child)
    assert child.blocks[2][3].bn3.weight.all()


MOBILENETV3 = network("mobilenetv3_small_100", 8, (10, 12, 14, 16, 18, 20), (1,) * 6, 24)
MNASNET = network("mnasnet_100", 8, (10, 12, 14, 16, 18, 20, 22), (1,) * 7, 24)
GHOST = base("ghostnet_100").architecture()
GHOST_13 = replace(GHOST, stem=20, widths=(20, 32, 52, 104, 144, 208), head=1248)
CIFAR = network("resnet20_cifar", 8, (8, 12, 16), (1, 1, 1))
CONVNEXT = network("convnext_atto", 8, (8, 16, 24, 32), (1, 1, 1, 1))


@pytest.mark.parametrize(
    ("parent", "child", "words"),
    [
        (RESNET, replace(RESNET, stem=11), "stem 11 is smaller than the parent's 12"),
        (RESNET, replace(RESNET, widths=(12, 16, 19, 24)), "width of stage 3 19 is smaller"),
        (RESNET, replace(RESNET, depths=(1, 1, 1, 1)), "depth of stage 3 1 is smaller"),
        (EFFICIENTNET, replace(EFFICIENTNET, head=29), "head 29 is smaller"),
        (RESNET, replace(RESNET, base="resnet34"), "both must have one base network"),
        (MNASNET, replace(MNASNET, depths=(2, 1, 1, 1, 1, 1, 1)), "stage 1 of mnasnet_100 .* no skip connections"),
        (MOBILENETV3, replace(MOBILENETV3, depths=(1, 1, 1, 1, 1, 2)), "stage 6 .* no skip connections"),
        (
            EFFICIENTNET,
            replace(EFFICIENTNET, widths=(8, 10, 12, 20, 20, 24, 28)),
            "stage 5 .* no skip connection in the parent and a plain skip connection in the larger",
        ),
        (
            replace(EFFICIENTNET, widths=(9, 10, 12, 16, 20, 24, 28)),
            replace(EFFICIENTNET, widths=(10, 10, 12, 16, 20, 24, 28)),
            "stage 1 .* a plain skip connection in the parent and no skip connection in the larger",
        ),
        (
            replace(RESNET, widths=(14, 16, 20, 24)),
            replace(RESNET, stem=14, widths=(14, 16, 20, 24)),
            "stage 1 .* a convolution beside it in the parent and a plain skip connection in the larger",
        ),
        (
            GHOST_13,
            replace(GHOST_13, widths=(20, 32, 52, 104, 144, 240)),
            "stage 5 .* 312 hidden channels .* 308;",
        ),
        (CIFAR, replace(CIFAR, widths=(10, 12, 16)), "stage 2 .* at least 14 wide"),
        (CONVNEXT, replace(CONVNEXT, widths=(8, 16, 36, 32)), "stage 3 .* multiple of 24, not to 36"),
        (CONVNEXT, replace(CONVNEXT, widths=(16, 16, 24, 32)), "stage 1 .* only one of the two networks"),
    ],
)
def test_what_cannot_be_inherited_is_refused_in_one_line(parent, child, words):
    with pytest.raises(InputError, match=words) as refusal:
        inherit(build(parent, CLASSES), parent, child, CLASSES, 0)
    assert "\n" not in str(refusal.value)


def test_a_parent_that_is_not_as_said_is_refused():
    model = build(RESNET, CLASSES)
    with pytest.raises(InputError, match=r"its fc.weight is \(7, 24\), not \(8, 24\)"):
        inherit(model, RESNET, RESNET, CLASSES + 1, 0)
    deeper = replace(RESNET, depths=(1, 1, 2, 2))
    with pytest.raises(InputError, match="its layer4.1.conv1.weight is missing"):
        inherit(model, deeper, deeper, CLASSES, 0)
    with pytest.raises(InputError, match="noise must be"):
        inherit(model, RESNET, RESNET, CLASSES, 0, noise=float("nan"))
