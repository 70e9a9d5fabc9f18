"""Vision transformers, tiny to base (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929).

As timm's `VisionTransformer` builds them: one convolution cuts the image into patches, a class token is put before
them, a learned position embedding is added to all; every block has layer norms before its attention and before its
MLP; the classifier reads the class token after a last norm. One stage: its width is the embedding's. Notation, all
int64 of shape (n,):

    c                    channels of the embedding
    heads, hidden        heads of the attention, channels inside the MLP; where nobody says, c / 64 and 4 c
    patches, tokens      patches of an image, and one more: the class token
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sampler.architecture import MAX_CHANNELS, BaseNetwork, IntArray, Stage
from sampler.errors import InputError
from sampler.families.parts import Block, Layer
from sampler.families.protocol import Family, Sizes, by_name, knob_values

if TYPE_CHECKING:
    from sampler.architecture import FloatArray

HEADS, MLP = "heads", "mlp"  # the names of its knobs
_HEAD_WIDTH = 64  # channels of a head where nobody says how many heads there are
_MLP_RATIO = 4
_DEPTH, _RESOLUTION = 12, 224
_WIDTHS = {"tiny": 192, "small": 384, "base": 768}


def _vit(size: str, patch: int) -> BaseNetwork:
    """A published network by its size and the side of its patches, in pixels; timm's name without the resolution."""
    stage = Stage("attention", 1, 1, float(_MLP_RATIO), 0.0, _WIDTHS[size], _DEPTH, group_width=_HEAD_WIDTH)
    rule = f"multiples:{_HEAD_WIDTH}:{patch}"
    return BaseNetwork(f"vit_{size}_patch{patch}", "vit", _RESOLUTION, 0, (stage,), 0, rule, stem_stride=patch)


_NETWORKS = (
    _vit("tiny", 16),
    *(_vit("small", patch) for patch in (32, 16, 8)),
    *(_vit("base", patch) for patch in (32, 16, 8)),
)


class _ViT(Family):
    """ViT, tiny to base."""

    name = "vit"
    bases = by_name(_NETWORKS)

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures, input side first.

        Attention's products are counted as torch's operations one by one make them, the scores of all heads as a
        feature map; so is memory, of which torch's fused attention needs less.

        Raises:
            InputError: If a width does not divide into heads.
        """
        c = np.ascontiguousarray(sizes.widths[:, 0])
        heads, hidden = (values[:, 0] for values in knob_values(self, network, sizes).values())
        _check_heads(network, c, heads)
        patches = (sizes.resolution // network.stem_stride) ** 2
        tokens, depth = patches + 1, np.ascontiguousarray(sizes.depths[:, 0])
        image, embedded = 3 * sizes.resolution**2, c * tokens
        stem = [
            Layer("patches", 3 * network.stem_stride**2 * c, c, patches, bias=True),
            Layer("class token", 0, c, 0, bias=True, computes=False),
            Layer("positions", 0, embedded, 0, bias=True, computes=False),
        ]
        yield Block("stem", stem, image + c * patches + 2 * embedded)
        # The forward pass keeps the image to the end, and the embedding until the last block is done.
        held = image + embedded + (depth > 1) * embedded
        yield Block(1, block_layers(c, heads, hidden, tokens), held + _alive(c, heads, hidden, tokens), depth)
        norm = Layer("norm", 0, c, tokens, "layer", computes=False)
        yield Block("head", [norm, Layer("classifier", c * classes, classes, 1, bias=True)], image + 2 * embedded)

    def widths(self, network: BaseNetwork, wanted: IntArray) -> IntArray:
        """Widths, moved to the nearest multiples of 64 (of two as near, the even one)."""
        return np.rint(np.maximum(wanted, _HEAD_WIDTH) / _HEAD_WIDTH).astype(np.int64) * _HEAD_WIDTH

    def knobs(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """Heads of the attention and channels inside the MLP."""
        (width,) = network.widths
        return {HEADS: (width // _HEAD_WIDTH,), MLP: (_MLP_RATIO * width,)}

    def knob_grids(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """Channels inside the MLP: multiples of 64, up to what ViT-Base has twice over."""
        return {MLP: tuple(range(_HEAD_WIDTH, 2 * _MLP_RATIO * _WIDTHS["base"] + 1, _HEAD_WIDTH))}

    def followed(self, network: BaseNetwork, sizes: Sizes) -> Mapping[str, IntArray]:
        """`(n, 1)` heads of 64 channels, and four times the channels inside the MLP."""
        return {HEADS: np.maximum(sizes.widths // _HEAD_WIDTH, 1), MLP: _MLP_RATIO * sizes.widths}

    def with_knobs(self, network: BaseNetwork, knobs: Mapping[str, tuple[int, ...]]) -> BaseNetwork:
        """The base network itself: its knobs follow the width, and are an architecture's."""
        return super().with_knobs(network, {name: one for name, one in knobs.items() if name not in (HEADS, MLP)})

    def macs_bound(self, network: BaseNetwork, sizes: Sizes) -> float:
        """The MACs themselves, in floating point, with the most classes there may be."""
        c, depth = (part[:, 0].astype(np.float64) for part in (sizes.widths, sizes.depths))
        hidden: FloatArray = knob_values(self, network, sizes)[MLP][:, 0].astype(np.float64)
        tokens = (sizes.resolution.astype(np.float64) / network.stem_stride) ** 2 + 1
        block = tokens * c * (4 * c + 2 * hidden + 2 * tokens)
        stem = 3.0 * network.stem_stride**2 * c * tokens
        return float(np.max(stem + depth * block + c * MAX_CHANNELS, initial=0) * 1.01)

    def counts(self, network: BaseNetwork, classes: int) -> Mapping[str, Any]:
        """The same as plain expressions: each cell names what `blocks` computes."""
        patch, c, depth = network.stem_stride, "width_1", "depth_1"
        patches, tokens, embedded, image = (["cell", cell] for cell in range(4))
        attended, scores, mixed = (["cell", cell] for cell in range(4, 7))
        square = ["*", c, c]
        return {
            "follows": {"heads_1": ["max", ["//", c, _HEAD_WIDTH], 1], "mlp_1": ["*", _MLP_RATIO, c]},
            "cells": [
                ["*", ["//", "resolution", patch], ["//", "resolution", patch]],
                ["+", patches, 1],
                ["*", c, tokens],
                ["*", 3, "resolution", "resolution"],
                ["*", 6, embedded],
                ["*", "heads_1", tokens, tokens],
                ["*", "mlp_1", tokens],
            ],
            "parts": [
                {
                    "part": "stem",
                    "macs": ["*", 3 * patch**2, c, patches],
                    "params": ["+", ["*", 3 * patch**2 + 2, c], embedded],
                    "activations": ["*", c, patches],
                },
                {
                    "part": 1,
                    "macs": ["*", depth, embedded, ["+", ["*", 4, c], ["*", 2, "mlp_1"], ["*", 2, tokens]]],
                    "params": ["*", depth, ["+", ["*", 4, square], ["*", 2, c, "mlp_1"], ["*", 9, c], "mlp_1"]],
                    "activations": ["*", depth, ["+", attended, scores, mixed]],
                },
                {
                    "part": "head",
                    "macs": ["*", c, "classes"],
                    "params": ["+", ["*", c, "classes"], "classes", ["*", 2, c]],
                    "activations": "classes",
                },
            ],
            "alive": [
                "+",
                image,
                ["*", embedded, ["+", 1, [">=", depth, 2]]],
                [
                    "max",
                    ["+", attended, scores],
                    ["+", ["*", 5, embedded], ["*", 2, scores]],
                    ["+", ["*", 2, embedded], ["*", 2, mixed]],
                ],
            ],
            "int64s": 0,
        }


VIT = _ViT()


def block_layers(c: IntArray, heads: IntArray, hidden: IntArray, tokens: IntArray) -> list[Layer]:
    """The layers of one block, for `n` architectures: attention's, then the MLP's."""
    norm, products = Layer("norm", 0, c, tokens, "layer", computes=False), c * tokens * tokens
    return [
        norm,
        Layer("qkv", 3 * c * c, 3 * c, tokens, bias=True),
        Layer("scores", 0, heads * tokens, tokens, macs=products),
        Layer("values", 0, c, tokens, macs=products),
        Layer("attended", c * c, c, tokens, bias=True),
        norm,
        Layer("expand", c * hidden, hidden, tokens, bias=True),
        Layer("project", c * hidden, c, tokens, bias=True),
    ]


def _alive(c: IntArray, heads: IntArray, hidden: IntArray, tokens: IntArray) -> IntArray:
    """`(n,)` elements alive at once beside a block's input.

    While the scores are made: the normed input, queries, keys and values, scaled queries and keys; while they are
    normalised, no scaled keys, but both kinds of scores. In the MLP: what attention was added to, its norm, and the
    activation's input and output.
    """
    embedded, scores = c * tokens, heads * tokens * tokens
    attention = np.maximum(6 * embedded + scores, 5 * embedded + 2 * scores)
    alive: IntArray = np.maximum(attention, 2 * embedded + 2 * hidden * tokens)
    return alive


def _check_heads(network: BaseNetwork, c: IntArray, heads: IntArray) -> None:
    """Refuses widths that heads do not divide.

    Raises:
        InputError: Naming the first.
    """
    wrong = np.flatnonzero(c % heads)
    if len(wrong):
        width, number = int(c[wrong[0]]), int(heads[wrong[0]])
        raise InputError(
            f"width {width} of {network.name} does not divide into {number} heads; give multiples of "
            f"{_HEAD_WIDTH}, or as heads a divisor of {width}"
        )
