"""What other counters say of the same network, computed from our own count, and why.

Compared with the tools themselves in tests/sampler/test_counters.py: torch 2.15, fvcore 0.1.5, thop 0.1.1,
ptflops 0.7.5. None of them needs to be installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sampler import Architecture, BaseNetwork, base
from sampler.architecture import stack
from sampler.complexity import blocks_of
from sampler.declared.description import BLOCK
from sampler.families.mbconv import mbconv_variant
from sampler.families.parts import Block, Layer

# thop compares exact types: it knows torch's batch norm and linear layer, but not what timm derives from them.
PLAIN_BATCH_NORM = ("residual", "ghost")
# Of families: networks that do not pool, and whose attention is one function of torch's, which only torch counts.
ATTENTIVE = ("vit",)


@dataclass(frozen=True)
class Said:
    """One tool's number.

    Attributes:
        tool: The tool, as it is called.
        value: Count that the tool gives.
        why: How that differs from multiply-accumulates of convolutions and linear layers.
    """

    tool: str
    value: int
    why: str


def others(architecture: Architecture, classes: int = 1000) -> list[Said]:
    """What four other tools count for one image through an architecture in evaluation mode.

    Of a declared network only what torch counts: what the others add depends on its layers.

    Example:
        >>> from sampler import base
        >>> [said.value for said in others(base("efficientnet_b0").architecture())]
        [771629504, 399352864, 385878752, 385825092]
    """
    network = base(architecture.base)
    blocks = list(blocks_of(network, stack([architecture]), classes))
    layers = [(layer, _times(block)) for block in blocks for layer in block.layers]
    macs = sum(times * _macs(layer) for layer, times in layers if layer.computes)
    torch_count = Said("torch FlopCounterMode", 2 * macs, "a multiply and an add are two")
    if network.stages[0].block == BLOCK:
        return [torch_count]
    batch = sum(times * _outputs(layer) for layer, times in layers if layer.norm == "batch")
    layer_norm = sum(times * _outputs(layer) for layer, times in layers if layer.norm == "layer")
    biased = sum(times * _outputs(layer) for layer, times in layers if layer.bias)
    fused = sum(times * _macs(layer) for layer, times in layers if layer.macs is not None)
    missed = "; misses torch's fused attention" if network.family in ATTENTIVE else ""
    features, pixels = _pooled(layers) if _pools(network) else (0, 0)
    dropped, thop_why = _thop_drops(network, blocks)
    seen = batch if network.family == "residual" else 0
    if network.family == "ghost":
        seen = batch - _outputs(blocks[-1].layers[0])  # timm's own class again
    return [
        torch_count,
        Said(
            "fvcore FlopCountAnalysis",
            macs - fused + 2 * batch + 5 * layer_norm + features * pixels,
            f"adds 2 per batch-normed and 5 per layer-normed element, and 1 per element pooled{missed}",
        ),
        Said("thop", macs - fused - dropped + 4 * seen + features * (pixels + 1), thop_why),
        Said(
            "ptflops (backend aten)",
            macs - fused + biased,
            f"adds 1 per output with a bias; its default backend also counts activations and poolings{missed}",
        ),
    ]


def _pools(network: BaseNetwork) -> bool:
    """Whether the feature map before the classifier is pooled by what counters know as a pooling."""
    return network.variant != "cifar" and network.family not in ATTENTIVE


def _times(block: Block) -> int:
    return 1 if block.repeats is None else int(block.repeats[0])


def _macs(layer: Layer) -> int:
    return int(np.max(layer.products))


def _outputs(layer: Layer) -> int:
    """Elements of its output."""
    return int(np.max(layer.channels * layer.area))


def _pooled(layers: Sequence[tuple[Layer, int]]) -> tuple[int, int]:
    """Channels and pixels of the feature map that is pooled: the last there is."""
    maps = [layer for layer, times in layers if times and not isinstance(layer.area, int) and _outputs(layer)]
    return int(np.max(maps[-1].channels)), int(np.max(maps[-1].area))


def _thop_drops(network: BaseNetwork, blocks: Sequence[Block]) -> tuple[int, str]:
    """Multiply-accumulates of layers whose class thop does not know, and what else it does."""
    reasons = []
    dropped: list[Layer] = []
    if network.family in PLAIN_BATCH_NORM:
        reasons.append("adds 4 per element of a torch batch norm, none for timm's own norms")
    mbconv = mbconv_variant(network) if network.family == "mbconv" else None
    if mbconv is not None and mbconv.copies:
        reasons.append("misses timm's TensorFlow-padded convolutions")
        dropped.append(blocks[0].layers[0])
        dropped += [_strided(block) for block in blocks[1:-1] if block.repeats is None and _strides(network, block)]
    if network.family == "ghost" or (mbconv is not None and mbconv.pooled_head):
        reasons.append("misses timm's own linear layer")
        dropped.append(blocks[-1].layers[-1])
    if network.family in ATTENTIVE:
        reasons.append("misses torch's fused attention")
    if _pools(network):
        reasons.append("adds the average pooling")
    return sum(_macs(layer) for layer in dropped), "; ".join(reasons)


def _strides(network: BaseNetwork, block: Block) -> bool:
    return isinstance(block.part, int) and network.stages[block.part - 1].stride > 1


def _strided(block: Block) -> Layer:
    """The layer of a stage's first block that has the stride."""
    return next((layer for layer in block.layers if layer.name == "depthwise"), block.layers[0])
