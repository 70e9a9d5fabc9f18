"""ConvNeXt networks as blocks of layers, over arrays of architectures.

As timm builds them: stem and downsampling convolutions are unpadded, so sides are rounded down. Whether a block's two
pointwise layers are linear layers or 1x1 convolutions changes no number. A stem as wide as the first stage, as in all
published networks, leads straight into it; any other is followed by timm's downsampling at stride 1, a layer norm and
a 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.checks import checked_name, checked_number
from sampler.families.kinds import BlockKind, check_ends, check_stages
from sampler.families.parts import Block, Layer
from sampler.families.protocol import Family, Sizes, Terms, by_name
from sampler.families.terms import Factors, JsonObject, block_terms, classifier_terms, stem_terms
from sampler.families.variants import ACTIVATIONS, variant_of


@dataclass(frozen=True)
class ConvNeXtVariant:
    """What a network's table cannot say, and what changes no count.

    Attributes:
        conv_mlp: Whether blocks have 1x1 convolutions where the others have linear layers.
        activation: Name in `torch.nn` of what stands between a block's two.
        norm_epsilon: Number that layer norm adds to a variance.
    """

    conv_mlp: bool = False
    activation: str = "GELU"
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        checked_name("activation", self.activation, ACTIVATIONS)
        checked_number("norm_epsilon", self.norm_epsilon, 1e-12, 1)


CONVNEXT_VARIANTS = {"": ConvNeXtVariant(), "conv_mlp": ConvNeXtVariant(conv_mlp=True)}
_KINDS = {"convnext": BlockKind(expansion=4)}


def _convnext(size: str, width: int, depths: tuple[int, int, int, int], variant: str = "") -> BaseNetwork:
    """A network by the width of its first stage, which doubles from stage to stage, and its depths."""
    return BaseNetwork(
        name=f"convnext_{size}",
        family="convnext",
        resolution=224,
        stem=width,
        stages=tuple(
            Stage("convnext", 7, 2 if index else 1, 4.0, 0.0, width << index, depth)
            for index, depth in enumerate(depths)
        ),
        head=0,
        rule="inverse",
        stem_stride=4,
        variant=variant,
    )


# tiny to base: Liu et al. 2022, https://arxiv.org/abs/2201.03545, section 3; the smaller ones are timm's own, with 1x1
# convolutions ("conv_mlp") where the others have linear layers.
_NETWORKS = (
    _convnext("atto", 40, (2, 2, 6, 2), "conv_mlp"),
    _convnext("femto", 48, (2, 2, 6, 2), "conv_mlp"),
    _convnext("pico", 64, (2, 2, 6, 2), "conv_mlp"),
    _convnext("nano", 80, (2, 2, 8, 2), "conv_mlp"),
    _convnext("tiny", 96, (3, 3, 9, 3)),
    _convnext("small", 96, (3, 3, 27, 3)),
    _convnext("base", 128, (3, 3, 27, 3)),
)


class _ConvNeXt(Family):
    """ConvNeXt, atto to base."""

    name = "convnext"
    bases = by_name(_NETWORKS)

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures with `s` stages, downsamplings as blocks of their own, input side first.

        A layer norm's mean and deviation of every pixel are feature maps, too.
        """
        resolution, stem, widths, depths = sizes.resolution, sizes.stem, sizes.widths, sizes.depths
        image = 3 * resolution * resolution
        patch = network.stem_stride
        side = resolution // patch
        area = side * side
        held = image + stem * area  # the forward pass keeps both until the last stage is done
        convolution = Layer("convolution", 3 * patch * patch * stem, stem, area, "layer", bias=True)
        yield Block("stem", [convolution], held + (stem + 2) * area)
        c_in = stem
        for index, stage in enumerate(network.stages):
            side = side // stage.stride
            area_out = side * side
            c_out = np.ascontiguousarray(widths[:, index])
            depth = np.ascontiguousarray(depths[:, index])
            inputs, outputs = c_in * area, c_out * area_out
            kept = held + inputs if index else held  # the first stage's input is the stem's output
            # Only a stage that keeps side and width has no convolution before its first block.
            changes = None if stage.stride > 1 else (c_in != c_out).astype(np.int64)
            downsampling = [
                Layer("norm", 0, c_in, area, "layer", computes=False),
                Layer("downsample", stage.stride * stage.stride * c_in * c_out, c_out, area_out, bias=True),
            ]
            yield Block(index + 1, downsampling, kept + inputs + np.maximum(2 * area, outputs), changes)
            # Alive in the last block of several: what the downsampling made, if any, and the block's own input.
            made = (1 if changes is None else changes) + (depth > 1)
            layers, alive = convnext_layers(stage, c_out, area_out)
            yield Block(index + 1, layers, kept + made * outputs + alive, depth)
            c_in, area = c_out, area_out
        classifier = Layer("classifier", c_in * classes, classes, 1, bias=True)
        yield Block("head", [Layer("norm", 0, c_in, 1, "layer", computes=False), classifier], image + c_in * area)

    def terms(self, network: BaseNetwork, classes: int) -> Terms:
        """Its blocks as plain data."""
        patch = network.stem_stride
        stem = stem_terms(patch, kernel=patch, padded=False)
        return Terms(stem, [_stage_terms(stage) for stage in network.stages], classifier_terms(classes))

    def check(self, network: BaseNetwork) -> None:
        """Refuses a table that cannot be built."""
        variant_of(CONVNEXT_VARIANTS, network.variant)
        check_stages(network, _KINDS)
        check_ends(network, stem_strides=range(1, 33))


CONVNEXT = _ConvNeXt()


def convnext_layers(stage: Stage, channels: IntArray, area: IntArray) -> tuple[list[Layer], IntArray]:
    """The layers of one block of a stage, and the `(n,)` elements alive at once beside its input.

    Args:
        stage: The stage.
        channels: `(n,)` channels of its input and output.
        area: `(n,)` pixels of its feature maps.
    """
    hidden = int(stage.expansion) * channels
    weights = hidden * channels
    layers = [
        Layer("depthwise", stage.kernel * stage.kernel * channels, channels, area, "layer", bias=True),
        Layer("expand", weights, hidden, area, bias=True),
        Layer("project", weights, channels, area, bias=True, scale=True),
    ]
    # The activation is not in place; its input, its output and the norm's output are alive together.
    return layers, (channels + 2 * hidden) * area


def _stage_terms(stage: Stage) -> list[JsonObject]:
    """The first block of a stage and the others, as `convnext_layers` has them."""
    layers: list[Factors] = [
        [stage.kernel**2, "c_out", "after"],
        [2 * int(stage.expansion), "c_out", "c_out", "after"],
    ]
    downsampling: Factors = [stage.stride**2, "c_in", "c_out", "after", *([] if stage.stride > 1 else ["changed"])]
    return [block_terms([downsampling, *layers], stride=stage.stride, padded=False), block_terms(layers)]
