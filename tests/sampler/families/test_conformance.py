"""The conformance suite: our families keep to it, so does a transformer of a test's own, and damaged ones are told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, BaseNetwork, Family, InputError, Stage, architecture_complexity, registered
from sampler.complexity import count
from sampler.families import family_names, family_of
from sampler.families.conformance import check_family
from sampler.families.parts import Block, Layer
from sampler.families.protocol import Terms
from sampler.families.registry import known_bases
from sampler.families.terms import block_terms, classifier_terms, stem_terms

CLASSES = 10
SMALL = BaseNetwork(
    "toy_vit",
    "transformer",
    resolution=64,
    stem=48,
    stages=(Stage("attention", 1, 1, 4.0, 0.0, width=48, depth=4, group_width=16),),
    head=0,
    rule="inverse",
    stem_stride=8,
)


class Transformer(Family):
    """Plain vision transformers of one stage, with the mean of the tokens instead of a class token."""

    name = "transformer"
    bases = {"toy_vit": SMALL}

    def blocks(self, network, sizes, classes):
        heads_of = sizes.knobs.get("head_width", np.array([[network.stages[0].group_width]]))[:, 0]
        tokens = (sizes.resolution // network.stem_stride) ** 2
        c, image = np.ascontiguousarray(sizes.widths[:, 0]), 3 * sizes.resolution**2
        patch = 3 * network.stem_stride**2 * sizes.stem
        held = image + c * tokens
        yield Block("stem", [Layer("patches", patch, sizes.stem, tokens, bias=True)], image + sizes.stem * tokens)
        enter = Layer("enter", sizes.stem * c, c, tokens, bias=True)
        yield Block(1, [enter], held + sizes.stem * tokens)
        yield Block(1, self.layers(c, c // heads_of, tokens), held + 4 * c * tokens, sizes.depths[:, 0])
        yield Block("head", [Layer("classifier", c * classes, classes, 1, bias=True)], held)

    def layers(self, c, heads, tokens):
        norm = Layer("norm", 0, c, tokens, "layer", computes=False)
        return [
            norm,
            Layer("qkv", 3 * c * c, 3 * c, tokens, bias=True),
            Layer("scores", 0, heads * tokens, tokens, macs=tokens * tokens * c),
            Layer("values", 0, c, tokens, macs=tokens * tokens * c),
            Layer("project", c * c, c, tokens, bias=True),
            norm,
            Layer("expand", 4 * c * c, 4 * c, tokens, bias=True),
            Layer("contract", 4 * c * c, c, tokens, bias=True),
        ]

    def widths(self, network, wanted):
        head = network.stages[0].group_width
        return np.maximum(np.rint(wanted / head), 1).astype(np.int64) * head

    def knobs(self, network):
        return {"head_width": (network.stages[0].group_width,)}

    def with_knobs(self, network, knobs):
        if unknown := set(knobs) - {"head_width"}:
            raise InputError(f"unknown: {unknown}")
        (width,) = knobs.get("head_width", self.knobs(network)["head_width"])
        return replace(network, stages=(replace(network.stages[0], group_width=width),))

    def macs_bound(self, network, sizes):
        tokens = float(sizes.resolution.max()) ** 2 / network.stem_stride**2
        c = float(max(sizes.widths.max(), sizes.stem.max()))
        stem = 3.0 * network.stem_stride**2 * c * tokens + c * 131_072
        return stem + (float(sizes.depths.max()) + 1) * (12 * c**2 * tokens + 2 * c * tokens**2)

    def terms(self, network, classes):
        whole = [[12, "c_out", "c_out", "after"], [2, "c_out", "after", "after"]]
        first = block_terms([["c_in", "c_out", "after"], *whole])
        stem = stem_terms(network.stem_stride, kernel=network.stem_stride, padded=False)
        return Terms(stem, [[first, block_terms(whole)]], classifier_terms(classes))


class TorchBlock(nn.Module):
    """One block of the transformer, in torch."""

    def __init__(self, c, head_width):
        super().__init__()
        self.head_width, self.first, self.second = head_width, nn.LayerNorm(c), nn.LayerNorm(c)
        self.qkv, self.project = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.mlp = nn.Sequential(nn.Linear(c, 4 * c), nn.Linear(4 * c, c))

    def forward(self, x):
        n, tokens, c = x.shape
        q, k, v = self.qkv(self.first(x)).reshape(n, tokens, 3, -1, self.head_width).permute(2, 0, 3, 1, 4)
        x = x + self.project(((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(n, tokens, c))
        return x + self.mlp(self.second(x))


@pytest.mark.parametrize(("side", "width", "depth", "head_width"), [(64, 48, 4, 16), (100, 96, 2, 32)])
def test_attention_is_counted_as_torch_counts_it(side, width, depth, head_width):
    with torch.device("meta"):
        patches, enter = nn.Conv2d(3, 48, 8, 8), nn.Linear(48, width)
        body, classifier = nn.Sequential(*(TorchBlock(width, head_width) for _ in range(depth))), nn.Linear(width, 10)
        with FlopCounterMode(display=False) as counter:
            tokens = enter(patches(torch.zeros(1, 3, side, side)).flatten(2).transpose(1, 2))
            classifier(body(tokens).mean(1))
    one = Architecture("toy_vit", side, 48, (width,), (depth,), 0).with_knobs({"head_width": head_width})
    with registered(Transformer()):
        cost = architecture_complexity(one, CLASSES)
    assert cost.macs == counter.get_total_flops() // 2
    modules = (patches, enter, body, classifier)
    assert cost.params == sum(weight.numel() for module in modules for weight in module.parameters())


@pytest.mark.parametrize("name", family_names())
def test_our_families_conform(name):
    check_family(family_of(next(one for one in known_bases().values() if one.family == name)), seed=1)


def test_a_family_of_ones_own_conforms_and_is_unknown_afterwards():
    check_family(Transformer())
    assert "transformer" not in family_names() and "toy_vit" not in known_bases()


def test_attention_too_large_for_int64_is_refused_in_one_line():
    with registered(Transformer()), pytest.raises(InputError, match="more than 2\\^62 MACs") as error:
        architecture_complexity(Architecture("toy_vit", 16_384, 48, (131_072,), (4_000,), 0))
    assert "\n" not in str(error.value)


def test_memory_too_large_for_int64_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("sampler.complexity.SIZES", {"float32": 2**40})
    with registered(Transformer()), pytest.raises(InputError, match="more than 2\\^62 bytes of memory"):
        architecture_complexity(Architecture("toy_vit", 2_048, 48, (48,), (1,), 0))


def damaged(**methods):
    return type("Damaged", (Transformer,), methods)()


def blocks_without_the_head(self, network, sizes, classes):
    return [block for block in Transformer.blocks(self, network, sizes, classes) if block.part != "head"]


def blocks_of_the_widest(self, network, sizes, classes):
    widths = np.broadcast_to(sizes.widths.max(axis=0), sizes.widths.shape)
    return Transformer.blocks(self, network, replace(sizes, widths=widths), classes)


def blocks_of_two_at_most(self, network, sizes, classes):
    return Transformer.blocks(self, network, replace(sizes, depths=np.minimum(sizes.depths, 2)), classes)


def blocks_that_lose_pixels(self, network, sizes, classes):
    sides = np.where(sizes.resolution % 16 < 8, sizes.resolution, sizes.resolution - 16)
    return Transformer.blocks(self, network, replace(sizes, resolution=np.maximum(sides, 8)), classes)


def layers_without_outputs_products(self, c, heads, tokens):
    layers = Transformer.layers(self, c, heads, tokens)
    return [*layers[:2], replace(layers[2], macs=c), *layers[3:]]


def a_table_of_half_the_knobs(self, network, knobs):
    told = Transformer.with_knobs(self, network, knobs)
    (value,) = knobs.get("head_width", (16,))
    return told if value < 32 else Transformer.with_knobs(self, network, {"head_width": (value // 2,)})


def a_table_that_wants_all_knobs(self, network, knobs):
    return Transformer.with_knobs(self, network, {"head_width": knobs["head_width"]})


def a_bound_for_half_the_depth(self, network, sizes):
    return Family.macs_bound(self, network, replace(sizes, depths=sizes.depths // 2))


def terms_without_attention(self, network, classes):
    stem, _, head = Transformer.terms(self, network, classes)
    return Terms(stem, [[block_terms([[12, "c_out", "c_out", "after"]])]], head)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (damaged(blocks=blocks_without_the_head), "parts of its blocks are"),
        (damaged(blocks=blocks_of_the_widest), "alone, but .* in an array"),
        (damaged(blocks=blocks_of_two_at_most), "a block more in stage 1 costs nothing"),
        (damaged(blocks=blocks_that_lose_pixels), "more pixels make fewer macs"),
        (damaged(layers=layers_without_outputs_products), "scores has outputs without MACs"),
        (damaged(with_knobs=a_table_of_half_the_knobs), "other head_width count otherwise in a table"),
        (damaged(widths=lambda self, network, wanted: wanted + 16), "moved once more"),
        (damaged(widths=lambda self, network, wanted: wanted * 0 + 32), "its own widths \\(48,\\) are not legal"),
        (damaged(widths=lambda self, network, wanted: wanted / 1), "no \\(n, s\\) whole numbers"),
        (damaged(widths=lambda self, network, wanted: 96 - wanted % 96), "moved once more|smaller legal one"),
        (damaged(macs_bound=Family.macs_bound), "says its own MACs, which the usual bound does not hold for"),
        (damaged(macs_bound=a_bound_for_half_the_depth), "MACs of .* are below .* or above"),
        (damaged(macs_bound=lambda self, network, sizes: 1e30), "is refused|what could be built is refused"),
        (damaged(terms=terms_without_attention), "its terms count .* MACs"),
        (damaged(with_knobs=lambda self, network, knobs: network), "unknown knob in its table is not refused"),
        (damaged(with_knobs=a_table_that_wants_all_knobs), "family transformer fails: KeyError: 'head_width'"),
        (damaged(knobs=lambda self, network: {"head_width": (32,)}), "knobs make another table"),
        (damaged(bases={"toy": SMALL}), "base network 'toy' .* has another name"),
        (damaged(bases={}), "has no base networks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_family_is_told_in_one_sentence(family, message):
    with pytest.raises(AssertionError, match=message) as error:
        check_family(family)
    assert "\n" not in str(error.value)


def test_one_product_more_or_less_than_the_layers_is_noticed(monkeypatch):
    def wrong(architectures, classes=1000, dtype="float32"):
        counted = count(architectures, classes, dtype)
        return replace(counted, macs=counted.macs + 1)

    monkeypatch.setattr("sampler.families.conformance.count", wrong)
    with pytest.raises(AssertionError, match="its layers sum up to"):
        check_family(Transformer())
