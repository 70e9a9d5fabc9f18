"""RegNetX and RegNetY, 200 MMACs to 32 GMACs (Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678).

As timm builds them: bottleneck ratio 1, every stage's first block with stride 2 and a projected shortcut (a table's may
have stride 1, and then projects where the width changes), squeeze-excite reduced from a block's input channels, no head
convolution. A block's layers are reduce (1x1), spatial (3x3, in groups), squeeze and excite, expand (1x1), as in a
bottleneck of any ratio, and shortcut (1x1).
Notation, all int64 of shape (n,):

    c_in, c_out          channels of a block: input, output (and hidden, the bottleneck ratio being 1)
    c_group, c_se        channels of one group of its 3x3 convolution, and of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.checks import checked_name, checked_number
from sampler.errors import InputError
from sampler.families.kinds import BlockKind, check_ends, check_stages
from sampler.families.parts import Block, Layer, projection, squeeze_channels, strided
from sampler.families.protocol import Family, Sizes, Terms, by_name
from sampler.families.terms import Factors, JsonObject, block_terms, channel_terms, classifier_terms, stem_terms, whole
from sampler.families.variants import IN_PLACE, variant_of

GROUP_WIDTH = "group_width"  # the name of its knob
MULTIPLE = 8
_KINDS = {"bottleneck": BlockKind(kernel=3, expansion=1, squeezes=True, groups=True)}
_STAGES = 4
# depth, w0, wa, wm and group width, of https://github.com/facebookresearch/pycls/tree/main/configs/dds_baselines.
X_PARAMETERS = {
    "regnetx_002": (13, 24, 36.44, 2.49, 8),
    "regnetx_004": (22, 24, 24.48, 2.54, 16),
    "regnetx_006": (16, 48, 36.97, 2.24, 24),
    "regnetx_008": (16, 56, 35.73, 2.28, 16),
    "regnetx_016": (18, 80, 34.01, 2.25, 24),
    "regnetx_032": (25, 88, 26.31, 2.25, 48),
    "regnetx_040": (23, 96, 38.65, 2.43, 40),
    "regnetx_064": (17, 184, 60.83, 2.07, 56),
    "regnetx_080": (23, 80, 49.56, 2.88, 120),
    "regnetx_120": (19, 168, 73.36, 2.37, 112),
    "regnetx_160": (22, 216, 55.59, 2.1, 128),
    "regnetx_320": (23, 320, 69.86, 2.0, 168),
}
Y_PARAMETERS = {
    "regnety_002": (13, 24, 36.44, 2.49, 8),
    "regnety_004": (16, 48, 27.89, 2.09, 8),
    "regnety_006": (15, 48, 32.54, 2.32, 16),
    "regnety_008": (14, 56, 38.84, 2.4, 16),
    "regnety_016": (27, 48, 20.71, 2.65, 24),
    "regnety_032": (21, 80, 42.63, 2.66, 24),
    "regnety_040": (22, 96, 31.41, 2.24, 64),
    "regnety_064": (25, 112, 33.22, 2.27, 72),
    "regnety_080": (17, 192, 76.82, 2.19, 56),
    "regnety_120": (19, 168, 73.36, 2.37, 112),
    "regnety_160": (18, 200, 106.23, 2.48, 112),
    "regnety_320": (20, 232, 115.89, 2.53, 232),
}


@dataclass(frozen=True)
class RegNetVariant:
    """What a network's table cannot say, and what changes no count.

    Attributes:
        activation: Name in `torch.nn` of what follows every convolution that has an activation.
        norm_epsilon: Number that batch norm adds to a variance.
    """

    activation: str = "ReLU"
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        checked_name("activation", self.activation, IN_PLACE)
        checked_number("norm_epsilon", self.norm_epsilon, 1e-12, 1)


REGNET_VARIANTS = {"": RegNetVariant()}


def compatible(widths: IntArray, group_width: IntArray) -> IntArray:
    """Widths of any shape, moved to the nearest multiple of their group width (of two as near, the even multiple).

    A width below its group width is one group, and stays. This is pycls' rule at bottleneck ratio 1
    (`adjust_block_compatibility` in https://github.com/facebookresearch/pycls/blob/main/pycls/models/blocks.py).

    Example:
        >>> compatible(np.array([9, 80, 83, 85]), np.array(24)).tolist()
        [9, 72, 72, 96]
    """
    group = np.minimum(widths, group_width)
    multiples: IntArray = np.rint(widths / group).astype(np.int64)
    return multiples * group


def quantised_linear(depth: int, w0: int, wa: float, wm: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stage widths and depths of RegNet's quantised linear rule.

    Radosavovic et al. 2020 (https://arxiv.org/abs/2003.13678), section 3.3: block j of `depth` wants
    u_j = w0 + wa j channels; it gets w0 wm^k with k = round(log_wm(u_j / w0)), to a multiple of 8. Blocks of equal
    width are one stage. The widths need not divide into groups yet (see `compatible`).

    Args:
        depth: Blocks in all.
        w0: Channels of the first block, a multiple of 8.
        wa: Channels by which the wanted width grows per block.
        wm: Ratio of two neighbouring stages' widths, above 1.

    Returns:
        One width and one depth per stage.

    Raises:
        InputError: If a parameter is out of its range.

    Example:
        >>> quantised_linear(13, 24, 36.44, 2.49)
        ((24, 56, 152, 368), (1, 1, 4, 7))
    """
    if depth < 1 or w0 < 1 or w0 % MULTIPLE or wa < 0 or wm <= 1:
        raise InputError(
            f"depth >= 1, w0 a positive multiple of {MULTIPLE}, wa >= 0 and wm > 1 are wanted, "
            f"got depth={depth}, w0={w0}, wa={wa:g}, wm={wm:g}"
        )
    powers = [round(math.log((w0 + wa * j) / w0) / math.log(wm)) for j in range(depth)]
    stages = Counter(round(w0 * wm**k / MULTIPLE) * MULTIPLE for k in powers)  # in the order of the blocks
    return tuple(stages.keys()), tuple(stages.values())


def _regnet(name: str, parameters: tuple[int, int, float, float, int], se_ratio: float) -> BaseNetwork:
    """A published network; a stage narrower than the group width has its own width for it, also when scaled."""
    widths, depths = quantised_linear(*parameters[:4])
    widths = tuple(compatible(np.array(widths), np.array(parameters[4])).tolist())
    return BaseNetwork(
        name=name,
        family="regnet",
        resolution=224,
        stem=32,
        stages=tuple(
            Stage("bottleneck", 3, 2, 1.0, se_ratio, width, depth, min(parameters[4], width))
            for width, depth in zip(widths, depths, strict=True)
        ),
        head=0,
        rule="pycls",
    )


_NETWORKS = (
    *(_regnet(name, parameters, se_ratio=0.0) for name, parameters in X_PARAMETERS.items()),
    *(_regnet(name, parameters, se_ratio=0.25) for name, parameters in Y_PARAMETERS.items()),
)


class _RegNet(Family):
    """RegNetX and RegNetY."""

    name = "regnet"
    bases = by_name(_NETWORKS)

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures with `s` stages, input side first.

        Their activations sum up to pycls' (https://arxiv.org/abs/2003.13678, section 3.2): output elements of all
        convolutions, squeeze-excite's included, and of the classifier.

        Raises:
            InputError: If a width does not divide into groups, or is too small for squeeze-excite.
        """
        resolution, stem, widths, depths = sizes.resolution, sizes.stem, sizes.widths, sizes.depths
        groups = group_widths(network, widths, sizes.knobs.get(GROUP_WIDTH))
        image = 3 * resolution * resolution  # the forward pass keeps it to the end
        side = strided(resolution, network.stem_stride)
        area, c_in = side * side, stem
        yield Block("stem", [Layer("convolution", 27 * stem, stem, area, "batch")], image + 2 * stem * area)
        for index, stage in enumerate(network.stages):
            side = strided(side, stage.stride)
            area_out = side * side
            c_out, c_group = (np.ascontiguousarray(part[:, index]) for part in (widths, groups))
            held = image + c_in * area  # as is the stage's input until the stage is done
            # The next layer's norm runs before a layer's output is let go, its own input and output alive too.
            reduced, outputs = c_out * area, c_out * area_out
            layers = regnet_layers(stage, c_in, c_out, c_group, area, area_out)
            layers.append(projection(stage, c_in, c_out, area_out))
            yield Block(index + 1, layers, held + reduced + np.maximum(reduced, 2 * outputs))
            layers = regnet_layers(stage, c_out, c_out, c_group, area_out, area_out)
            yield Block(index + 1, layers, held + 4 * outputs, depths[:, index] - 1)
            c_in, area = c_out, area_out
        yield Block("head", [Layer("classifier", c_in * classes, classes, 1, bias=True)], image + c_in * area)

    def widths(self, network: BaseNetwork, wanted: IntArray) -> IntArray:
        """`(n, s)` widths, moved to the nearest that divide into groups."""
        return compatible(wanted, _table_group_widths(network))

    def knobs(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """Channels per group of each stage."""
        return {GROUP_WIDTH: tuple(stage.group_width for stage in network.stages)}

    def with_knobs(self, network: BaseNetwork, knobs: Mapping[str, tuple[int, ...]]) -> BaseNetwork:
        """The base network with other group widths."""
        super().with_knobs(network, {name: values for name, values in knobs.items() if name != GROUP_WIDTH})
        groups = np.broadcast_to(knobs.get(GROUP_WIDTH, self.knobs(network)[GROUP_WIDTH]), len(network.stages)).tolist()
        stages = zip(network.stages, groups, strict=True)
        return replace(network, stages=tuple(replace(stage, group_width=group) for stage, group in stages))

    def terms(self, network: BaseNetwork, classes: int) -> Terms:
        """Its blocks as plain data."""
        stages = [_stage_terms(stage) for stage in network.stages]
        return Terms(stem_terms(network.stem_stride), stages, classifier_terms(classes))

    def check(self, network: BaseNetwork) -> None:
        """Refuses a table that cannot be built."""
        variant_of(REGNET_VARIANTS, network.variant)
        check_stages(network, _KINDS)
        check_ends(network, stem_strides=(2,), stages=_STAGES)
        if len({stage.se_ratio for stage in network.stages}) > 1:
            raise InputError(f"{network.name}: its stages differ in se_ratio; a RegNet has one for all")


REGNET = _RegNet()


def regnet_layers(
    stage: Stage,
    c_in: IntArray,
    c_out: IntArray,
    c_group: IntArray,
    area_in: IntArray,
    area_out: IntArray,
) -> list[Layer]:
    """The layers of one block of a stage but its shortcut, for `n` architectures.

    Args:
        stage: For its squeeze-excite ratio.
        c_in: Input channels.
        c_out: Output channels.
        c_group: Channels per group.
        area_in: Pixels before the block.
        area_out: Pixels after it.

    Raises:
        InputError: If the input is so narrow that squeeze-excite would have no channel.
    """
    pointwise = c_in * c_out
    layers = [
        Layer("reduce", pointwise, c_out, area_in, "batch"),
        Layer("spatial", 9 * c_group * c_out, c_out, area_out, "batch"),
    ]
    if stage.se_ratio:
        c_se = squeeze_channels(c_in, stage.se_ratio, "input")
        weights = c_out * c_se
        layers += [Layer("squeeze", weights, c_se, 1, bias=True), Layer("excite", weights, c_out, 1, bias=True)]
    layers.append(Layer("expand", c_out * c_out, c_out, area_out, "batch"))
    return layers


def group_widths(network: BaseNetwork, widths: IntArray, wanted: IntArray | None = None) -> IntArray:
    """`(n, s)` channels per group: the stage's group width, or all channels of a narrower stage.

    Args:
        network: The base network.
        widths: `(n, s)` channels.
        wanted: `(n, s)` group widths instead of the base network's.

    Raises:
        InputError: If a width is not a multiple of it; says which is.
    """
    groups = np.minimum(widths, _table_group_widths(network) if wanted is None else wanted)
    wrong = widths % groups != 0
    if wrong.any():
        row, index = np.argwhere(wrong)[0]
        raise InputError(
            f"width {widths[row, index]} of stage {index + 1} of {network.name} is not a multiple of its group width "
            f"{groups[row, index]}; the nearest is {compatible(widths, groups)[row, index]}"
        )
    return groups


def _table_group_widths(network: BaseNetwork) -> IntArray:
    return np.array([stage.group_width for stage in network.stages], dtype=np.int64)


def _stage_terms(stage: Stage) -> list[JsonObject]:
    """The first block of a stage and the others, as `regnet_layers` has them."""
    channels = [channel_terms("c_group", "c_out", whole(1, "even", most=stage.group_width))]
    layers: list[Factors] = [
        ["c_in", "c_out", "before"],
        [9, "c_group", "c_out", "after"],
        ["c_out", "c_out", "after"],
    ]
    if stage.se_ratio:
        channels.append(channel_terms("c_se", "c_in", whole(stage.se_ratio, "even")))
        layers.append([2, "c_out", "c_se"])
    shortcut: Factors = ["c_in", "c_out", "after", *([] if stage.stride > 1 else ["changed"])]
    return [block_terms([*layers, shortcut], channels, stage.stride), block_terms(layers, channels)]
