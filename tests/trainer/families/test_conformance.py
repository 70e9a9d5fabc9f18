"""Our families keep to the protocols; so does a toy family of this file, which goes through the whole loop."""

import importlib
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from planner.exports.files import write
from planner.exports.network import ExportedNetwork
from planner.exports.source import timm_source
from sampler import BaseNetwork, Family, InputError, Stage, architecture_complexity, base, base_names, registered
from sampler.families.parts import Block, Layer, strided
from trainer.batches import DeviceImages
from trainer.channel_units import check_units, stage_units
from trainer.families import registered_torch_family
from trainer.families.conformance import check_torch_family
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode
from trainer.images import ImageData, ImageSplit
from trainer.inherit import inherit, inherited_weights
from trainer.inheritance import stages
from trainer.inheritance.stages import zero_init
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Training
from trainer.proxy import train
from trainer.recipe import Recipe
from trainer.utilization import utilization
from trainer.weights import save_network
from trainer.zero_cost import zen_score

FAST = ("mobilenetv3_small_100", "resnet18", "resnet20_cifar", "regnety_008", "s_ghostnet", "convnext_atto")
FAST += ("vit_tiny_patch16",)


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in base_names()]
)
def test_our_families_keep_to_the_protocols(name):
    check_torch_family(base(name).family, networks=[base(name)], architectures=1)


# --- a toy family: the sampler's side ---

TOY = BaseNetwork(
    "toy_net",
    "toy",
    resolution=32,
    stem=8,
    stages=(Stage("toy", 3, 2, 1.0, 0.0, width=16, depth=2), Stage("toy", 3, 2, 1.0, 0.0, width=24, depth=2)),
    head=0,
    rule="inverse",
)


class Toy(Family):
    """Convolutions; a stage's first one strides, each of the others adds to its input."""

    name, bases = "toy", {"toy_net": TOY}

    def blocks(self, network, sizes, classes):
        side = strided(sizes.resolution, network.stem_stride)
        alive = 4 * (sizes.stem + sizes.widths.max(1)) * side * side
        yield Block("stem", [Layer("convolution", 27 * sizes.stem, sizes.stem, side * side, "batch")], alive)
        c_in = sizes.stem
        for index, stage in enumerate(network.stages):
            side, width = strided(side, stage.stride), np.ascontiguousarray(sizes.widths[:, index])
            for inputs, repeats in ((c_in, None), (width, sizes.depths[:, index] - 1)):
                layer = Layer("convolution", 9 * inputs * width, width, side * side, "batch")
                yield Block(index + 1, [layer], alive, repeats)
            c_in = width
        yield Block("head", [Layer("classifier", c_in * classes, classes, 1, bias=True)], alive)


# --- and the trainer's ---


def toy_network(stem, widths, depths, num_classes, in_chans=3, drop_rate=0.0):
    """Convolutions with batch norm, in stages."""
    from timm.layers import SelectAdaptivePool2d
    from torch import nn

    class ToyBlock(nn.Module):
        def __init__(self, c_in, c_out, stride):
            super().__init__()
            self.has_skip = stride == 1
            self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
            self.norm = nn.BatchNorm2d(c_out)

        def forward(self, x):
            made = self.norm(self.conv(x))
            return x + made if self.has_skip else made.relu()

    model, c_in = nn.Sequential(), stem
    model.stem = nn.Sequential(nn.Conv2d(in_chans, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
    for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        blocks = [ToyBlock(c_in, width, 2), *(ToyBlock(width, width, 1) for _ in range(depth - 1))]
        model.add_module(f"stage{index}", nn.Sequential(*blocks))
        c_in = width
    model.pool = SelectAdaptivePool2d(flatten=True)
    model.drop, model.classifier = nn.Dropout(drop_rate), nn.Linear(c_in, num_classes)
    return model


def is_toy_block(module):
    return type(module).__name__ == "ToyBlock"


class BareToy:
    """What is required and no more."""

    def build(self, network, architecture, classes, drop_rate):
        return toy_network(architecture.stem, architecture.widths, architecture.depths, classes, drop_rate=drop_rate)


class TorchToy(BareToy):
    """What can be given."""

    def timm_code(self, network, architecture):
        arguments = {"stem": architecture.stem, "widths": architecture.widths, "depths": architecture.depths}
        return TimmCode((toy_network,), arguments, "stem.0", "classifier")

    def parts(self, model, architecture):
        runs = [getattr(model, f"stage{index}") for index in range(len(architecture.depths))]
        return Parts([model.stem], [StageParts(list(run)) for run in runs], [model.classifier])

    def channels(self):
        ends = BlockEnds((), "norm")
        return ChannelRoles({"convolution": ("input", "output")}, lambda block: ends if is_toy_block(block) else None)

    def shortcuts(self):
        return {}


@pytest.fixture
def counted():
    with registered(Toy()):
        yield


@pytest.fixture
def toy(counted):
    with registered_torch_family("toy", TorchToy()):
        yield TOY.architecture()


@pytest.fixture
def bare(counted):
    stages._say_left_out.cache_clear()
    with registered_torch_family("toy", BareToy()):
        yield TOY.architecture()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    splits = [
        ImageSplit(rng.integers(0, 255, (n, 32, 32, 3)).astype(np.uint8), np.arange(n, dtype=np.int64) % 2)
        for n in (160, 40)
    ]
    return ImageData(*splits, ("a", "b"), "noise", 32, "")


def training(architecture, parent=""):
    return Training(architecture, Fidelity(epochs=1), Recipe(), DataSpec("noise", 32, holdout=0.2), 0, parent)


@pytest.mark.parametrize("family", [TorchToy(), BareToy()], ids=["all of it", "build alone"])
def test_a_toy_family_keeps_to_the_protocols(counted, family):
    check_torch_family("toy", family)


def test_a_toy_family_goes_through_the_whole_loop(toy, data, tmp_path, monkeypatch):
    observation = train(training(toy), data, keep=tmp_path / "kept.safetensors")
    assert observation.status == "ok" and observation.macs == architecture_complexity(toy, 2).macs
    model = build(toy, 2).eval()
    child = replace(toy, depths=(2, 3))
    weights = inherited_weights(training(child, str(tmp_path / "kept.safetensors")), 2)
    assert train(training(child), data, weights=weights).status == "ok"
    pictures = DeviceImages(data.validation, 32, torch.device("cpu"))
    measured = utilization(model, pictures, stage_units(model, toy, 2), times=2)
    assert [unit.stage for unit in measured] == [1, 2] and all(math.isfinite(unit.loss_increase) for unit in measured)
    assert math.isfinite(zen_score(toy, 2, repeats=2, batch=2).zen)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(ExportedNetwork("toy_exported", toy, 2), "timm", "toy_exported.py")
    importlib.import_module("toy_exported")
    exported = timm.create_model("toy_exported").eval()
    exported.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(exported(images), model(images))


def test_a_family_without_parts_is_trained_with_the_default_recipe_and_says_once_what_is_left_out(bare, data, caplog):
    with caplog.at_level(logging.WARNING):
        assert [train(training(bare), data).status for _ in range(2)] == ["ok", "ok"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "toy_net: family 'toy' has no parts(), so zero_init is left out and deep networks may learn slowly at first; "
        "give it, or set zero_init = false (in [recipe] of study.toml)"
    )


def test_zero_init_silences_what_a_family_says(toy):
    model = build(toy, 2)
    zero_init(model, toy)
    silenced = [not block.norm.weight.any() for block in model.modules() if is_toy_block(block)]
    assert silenced == [False, True, False, True]


@pytest.mark.parametrize(
    ("use", "line"),
    [
        (
            lambda one: inherit(build(one, 2), one, one, 2, seed=0),
            "toy_net: family 'toy' has no parts(), which inherited weights need; train it from scratch",
        ),
        (
            lambda one: stage_units(build(one, 2), one, 2),
            "toy_net: family 'toy' has no channels(), which utilisation and channel dropout need; "
            "choose another search, and set recipe.channel_dropout to 0",
        ),
        (
            lambda one: zen_score(one, 2, repeats=2, batch=2),
            "toy_net: family 'toy' has no shortcuts(), which zen-scores need; choose another score",
        ),
        (
            lambda one: timm_source(ExportedNetwork("x", one, 2), weights=False),
            "toy_net: family 'toy' has no timm_code(), which --to timm and --to torch write; export it with --to onnx",
        ),
    ],
    ids=["inheritance", "utilisation", "zero cost", "export"],
)
def test_what_a_family_lacks_is_one_line_for_who_asks_for_it(bare, use, line):
    with pytest.raises(InputError) as error:
        use(bare)
    assert str(error.value) == line


def test_inherited_weights_of_a_bare_family_are_refused_before_anything_is_trained(bare, tmp_path):
    save_network(tmp_path / "parent.safetensors", build(bare, 2), bare, 2)
    with pytest.raises(InputError, match="which inherited weights need; train it from scratch"):
        inherited_weights(training(bare, str(tmp_path / "parent.safetensors")), 2)


# --- damaged toys ---


def biased(family, network, architecture, classes, drop_rate):
    model = BareToy.build(family, network, architecture, classes, drop_rate)
    model.stem[0] = nn.Conv2d(3, architecture.stem, 3, 2, 1)
    return model


def dilated(family, network, architecture, classes, drop_rate):
    model = BareToy.build(family, network, architecture, classes, drop_rate)
    model.stem[0].stride = (1, 1)
    return model


def forgetful(family, network, architecture, classes, drop_rate):
    model = BareToy.build(family, network, architecture, classes, drop_rate)
    model.stem[0].weight.data = torch.from_numpy(np.random.normal(size=model.stem[0].weight.shape)).float()
    return model


def frozen(family, network, architecture, classes, drop_rate):
    model = BareToy.build(family, network, architecture, classes, drop_rate)
    model.stem[0].weight.requires_grad_(False)
    return model


def headless(family, model, architecture):
    parts = TorchToy.parts(family, model, architecture)
    return Parts(parts.stem, parts.stages, [])


def short(family, model, architecture):
    parts = TorchToy.parts(family, model, architecture)
    return Parts([*parts.stem, *parts.stages[0].blocks], [StageParts([]), *parts.stages[1:]], parts.tail)


def unflagged(family, network, architecture, classes, drop_rate):
    model = BareToy.build(family, network, architecture, classes, drop_rate)
    for index in range(len(architecture.depths)):
        blocks = model.get_submodule(f"stage{index}")
        blocks[0] = nn.Sequential(blocks[0].conv, blocks[0].norm, nn.ReLU())
    return model


def misplaced(family):
    roles = TorchToy.channels(family)
    return ChannelRoles(roles.touched, roles.ends, entry="stem")


def foreign_network(stem, widths, depths, **kwargs):
    from trainer.images import load_images  # noqa: F401

    return toy_network(stem, widths, depths, **kwargs)


def wider_network(stem, widths, depths, **kwargs):
    return toy_network(stem + 1, widths, depths, **kwargs)


def code_with(function):
    def timm_code(family, network, architecture):
        code = TorchToy.timm_code(family, network, architecture)
        return TimmCode((toy_network, function), code.arguments, code.first, code.classifier)

    return timm_code


@pytest.mark.parametrize(
    ("method", "damaged", "words"),
    [
        ("build", biased, "parameters, counted"),
        ("build", dilated, "MACs, counted"),
        ("build", forgetful, "two networks of one seed differ in stem.0.weight"),
        ("build", frozen, "stem.0.weight has no finite gradient"),
        ("parts", headless, "parts.. leaves out classifier.weight"),
        ("parts", short, r"parts.. gives stages of \(0, "),
        ("build", unflagged, "a silenced Sequential changes its input; does it have a skip connection"),
        ("channels", misplaced, "stem has .* channels, stage"),
        ("timm_code", code_with(foreign_network), "its code imports trainer"),
        ("timm_code", code_with(wider_network), "its code builds another network"),
    ],
)
def test_a_damaged_family_is_told(counted, method, damaged, words):
    family = type("Damaged", (TorchToy,), {method: damaged})()
    with pytest.raises(AssertionError, match=words):
        check_torch_family("toy", family, architectures=1)


def test_code_that_needs_more_than_it_writes_is_told(counted):
    def timm_code(family, network, architecture):
        code = TorchToy.timm_code(family, network, architecture)
        return TimmCode((wider_network,), code.arguments, code.first, code.classifier)

    family = type("Damaged", (TorchToy,), {"timm_code": timm_code})()
    with pytest.raises(NameError, match="toy_network"):
        check_torch_family("toy", family, architectures=1)


def test_a_family_that_the_sampler_does_not_know_is_told():
    with registered_torch_family("toy", TorchToy()), pytest.raises(AssertionError, match="knows no base network"):
        check_torch_family("toy")
    with pytest.raises(InputError, match="not known for family 'toy'"):
        check_torch_family("toy")


def test_what_inheritance_has_no_rule_for_is_told(counted):
    def scaled(family, network, architecture, classes, drop_rate):
        model = BareToy.build(family, network, architecture, classes, drop_rate)
        norm = model.stem[1]
        model.stem[1] = nn.GroupNorm(1, architecture.stem)
        assert sum(one.numel() for one in norm.parameters()) == 2 * architecture.stem
        return model

    family = type("Damaged", (TorchToy,), {"build": scaled})()
    with pytest.raises(AssertionError, match="its child .* computes something else"):
        check_torch_family("toy", family, architectures=1)


def test_a_search_by_utilisation_is_refused_before_anything_is_trained(bare):
    with pytest.raises(InputError, match="has no channels"):
        check_units(bare)
    check_units(base("efficientnet_b0").architecture())
