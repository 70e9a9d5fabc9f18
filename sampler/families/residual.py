"""Residual networks (ResNets) as blocks of layers, over arrays of architectures.

As timm builds them: 3x3 convolutions padded symmetrically, the stride in a bottleneck's 3x3, a 1x1
projection where the stride or the width changes. CIFAR's variant has a 3x3 stem and shortcuts without
parameters, subsampled and padded with zero channels. Blocks:

    basic        first, second: two 3x3          bottleneck   reduce (1x1), spatial (3x3), expand (1x1)

Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden, output
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sampler.architecture import MAX_CHANNELS, MAX_PIXELS, BaseNetwork, IntArray, Stage, check_range
from sampler.checks import checked_name, checked_number
from sampler.errors import InputError
from sampler.families.kinds import BlockKind, check_ends, check_stages
from sampler.families.parts import Block, Layer, projection, strided
from sampler.families.protocol import Family, Sizes, Terms, by_name, no_layers
from sampler.families.terms import Factors, JsonObject, block_terms, channel_terms, classifier_terms, stem_terms, whole
from sampler.families.variants import IN_PLACE, variant_of
from sampler.layered import PADDINGS, LayeredArchitecture

_KINDS = {"basic": BlockKind(kernel=3, expansion=1), "bottleneck": BlockKind(kernel=3)}
# timm's class takes the hidden channels of a bottleneck in 64ths of its width.
_HIDDEN_PARTS = 64


@dataclass(frozen=True)
class ResidualVariant:
    """What a network's table cannot say.

    Attributes:
        stem_kernel: Side of the first convolution's kernel, in pixels.
        stem_pool: Whether a 3x3 max pool of stride 2 follows it.
        shortcut: How a shortcut comes to another side or width: `"projected"` by a 1x1 convolution, or `"padded"` with
            zero channels after it was subsampled.
        activation: Name in `torch.nn` of what follows the norms and the sums.
        norm_epsilon: Number that batch norm adds to a variance.
    """

    stem_kernel: int = 7
    stem_pool: bool = True
    shortcut: str = "projected"
    activation: str = "ReLU"
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if not (0 < self.stem_kernel < _HIDDEN_PARTS and self.stem_kernel % 2):
            raise InputError(f"stem_kernel is {self.stem_kernel}; an odd number of pixels below 64 is wanted")
        checked_name("shortcut", self.shortcut, ("projected", "padded"))
        checked_name("activation", self.activation, IN_PLACE)
        checked_number("norm_epsilon", self.norm_epsilon, 1e-12, 1)

    @property
    def pools(self) -> int:
        """Stride of what follows the first convolution."""
        return 2 if self.stem_pool else 1


RESIDUAL_VARIANTS = {
    "": ResidualVariant(),
    "cifar": ResidualVariant(stem_kernel=3, stem_pool=False, shortcut="padded"),
}


def _resnet(name: str, block: str, depths: tuple[int, ...]) -> BaseNetwork:
    """A ResNet of He et al. 2015 (https://arxiv.org/abs/1512.03385, Table 1); a bottleneck strides in its 3x3."""
    widths, expansion = ((256, 512, 1024, 2048), 0.25) if block == "bottleneck" else ((64, 128, 256, 512), 1.0)
    stages = tuple(
        Stage(block, 3, stride, expansion, 0.0, width, depth)
        for stride, width, depth in zip((1, 2, 2, 2), widths, depths, strict=True)
    )
    # The rule `inverse` is plain rounding: of depths to integers, of widths and stem to multiples of 8.
    return BaseNetwork(name, "residual", 224, 64, stages, head=0, rule="inverse", stem_stride=4)


def _resnet_cifar(layers: int) -> BaseNetwork:
    """A ResNet of He et al. 2015, section 4.2: 3x3 stem, `6 n + 2` layers, shortcuts without parameters."""
    stages = tuple(
        Stage("basic", 3, stride, 1.0, 0.0, width, (layers - 2) // 6) for stride, width in ((1, 16), (2, 32), (2, 64))
    )
    name = f"resnet{layers}_cifar"
    return BaseNetwork(name, "residual", 32, 16, stages, head=0, rule="inverse", stem_stride=1, variant="cifar")


_NETWORKS = (
    _resnet("resnet18", "basic", (2, 2, 2, 2)),
    _resnet("resnet34", "basic", (3, 4, 6, 3)),
    _resnet("resnet50", "bottleneck", (3, 4, 6, 3)),
    _resnet("resnet101", "bottleneck", (3, 4, 23, 3)),
    _resnet("resnet152", "bottleneck", (3, 8, 36, 3)),
    *(_resnet_cifar(layers) for layers in (20, 32, 56, 110)),
)


class _Residual(Family):
    """ResNets for ImageNet as timm has them, and He et al.'s for CIFAR."""

    name = "residual"
    bases = by_name(_NETWORKS)

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures with `s` stages, input side first.

        pycls also counts the max pool's outputs as activations: stem channels times the pixels before the first stage.

        Raises:
            InputError: If a width is so small that a bottleneck would have no hidden channel.
        """
        resolution, stem = sizes.resolution, sizes.stem
        yield stem_block(network, resolution, stem)
        image = 3 * resolution * resolution  # the forward pass keeps it to the end
        side = strided(resolution, network.stem_stride)
        area, c_in = side * side, stem
        for index, stage in enumerate(network.stages):
            side = strided(side, stage.stride)
            area_out = side * side
            c_out = np.ascontiguousarray(sizes.widths[:, index])
            c_mid = hidden_channels(stage, c_out)
            held = image + c_in * area  # as is the stage's input until the stage is done
            outputs = c_out * area_out
            layers = residual_layers(stage, c_in, c_mid, c_out, area, area_out)
            if residual_variant(network).shortcut == "padded":
                pools = stage.stride > 1
                pooling = max_pooling(held + outputs, c_in * area_out) if pools else None
                alive = zero_padded_alive(c_in, c_mid, c_out, c_out, area_out, pools)
                yield Block(index + 1, layers, held + alive, pooling=pooling)
            else:
                shortcut = projection(stage, c_in, c_out, area_out)
                alive = np.maximum((2 + shortcut.present) * outputs, 2 * c_mid * layers[0].area)
                yield Block(index + 1, [*layers, shortcut], held + alive)
            layers = residual_layers(stage, c_out, c_mid, c_out, area_out, area_out)
            yield Block(index + 1, layers, held + 3 * outputs, sizes.depths[:, index] - 1)
            c_in, area = c_out, area_out
        yield head_block(image, c_in, area, classes)

    def terms(self, network: BaseNetwork, classes: int) -> Terms:
        """Its blocks as plain data."""
        variant = residual_variant(network)
        stem = stem_terms(network.stem_stride // variant.pools, kernel=variant.stem_kernel)
        if variant.stem_pool:
            stem.append(block_terms([], stride=2))
        return Terms(stem, [_stage_terms(network, stage) for stage in network.stages], classifier_terms(classes))

    def check(self, network: BaseNetwork) -> None:
        """Refuses a table that cannot be built."""
        variant = residual_variant(network)
        check_stages(network, _KINDS)
        check_ends(network, stem_strides=(variant.pools, 2 * variant.pools))
        if len({(stage.block, stage.expansion) for stage in network.stages}) > 1:
            raise InputError(f"{network.name}: its stages differ in block or expansion; a ResNet has one for all")
        stage = network.stages[0]
        if _HIDDEN_PARTS * stage.expansion % 1:
            raise InputError(f"{network.name}: expansion {stage.expansion:g} is not in 64ths, as 0.25 is")
        if variant.shortcut == "padded" and stage.block != "basic":
            raise InputError(f"{network.name}: only blocks 'basic' have padded shortcuts; project them")

    def layer_blocks(
        self, network: BaseNetwork, architecture: LayeredArchitecture, layers: IntArray, classes: int
    ) -> Iterator[Block]:
        """The blocks of `n` networks with one width per layer."""
        check_layered(network, architecture, classes)
        ends = np.full(len(layers), architecture.resolution), np.full(len(layers), architecture.stem)
        return layer_blocks(network, *ends, layers, architecture.padding, classes)


RESIDUAL = _Residual()


def residual_variant(network: BaseNetwork) -> ResidualVariant:
    """What the table of a network of this family does not say."""
    return variant_of(RESIDUAL_VARIANTS, network.variant)


def layer_blocks(
    network: BaseNetwork, resolution: IntArray, stem: IntArray, widths: IntArray, padding: str, classes: int
) -> Iterator[Block]:
    """The blocks of `n` ResNets of basic blocks with one free width per layer, input side first.

    The zero padding of Network Adjustment (https://arxiv.org/abs/2004.02767): a block whose shortcut is narrower
    than its second convolution pads the shortcut. Where the shortcut is wider, `"max"` pads the convolution's
    output, so that blocks never get narrower; `"local"` drops the shortcut's last channels. ImageNet's ResNets
    project the shortcut into a stage that strides to the second convolution's width.

    Args:
        network: A base network of basic blocks, which gives the number of blocks of each stage.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, l)` output channels of the blocks' convolutions, two per block, input side first.
        padding: `"max"` or `"local"`.
        classes: Outputs of the classifier.

    Raises:
        InputError: If it has other blocks, the padding is unknown, or numbers are missing or out of range.
    """
    check_layers(network, resolution, stem, widths, padding, classes)
    image = 3 * resolution * resolution
    side = strided(resolution, network.stem_stride)
    area, c_in, layer = side * side, stem, 0
    yield stem_block(network, resolution, stem)
    for index, stage in enumerate(network.stages):
        held = image + c_in * area
        for block in range(stage.depth):
            stride = 1 if block else stage.stride
            side = strided(side, stride)
            area_out = side * side
            c_mid, c_conv = widths[:, layer], widths[:, layer + 1]
            inputs = c_in * area if block else 0  # the first block's is the stage's
            layers = residual_layers(stage, c_in, c_mid, c_conv, area, area_out)
            if projects(network, stride):
                c_out = c_conv
                layers.append(projection(stage, c_in, c_out, area_out))
                alive = np.maximum(3 * c_out, 2 * c_mid) * area_out
            else:
                c_out = np.maximum(c_in, c_conv) if padding == "max" else c_conv
                alive = zero_padded_alive(c_in, c_mid, c_conv, c_out, area_out, stride > 1)
            yield Block(index + 1, layers, held + inputs + alive)
            c_in, area, layer = c_out, area_out, layer + 2
    yield head_block(image, c_in, area, classes)


def projects(network: BaseNetwork, stride: int) -> bool:
    """Whether a block of that stride has a 1x1 convolution in its shortcut, where each layer has its own width."""
    return network.variant != "cifar" and stride > 1


def has_layers(network: BaseNetwork) -> bool:
    """Whether the network can have one width per layer: whether it is one of basic blocks and a usual stem."""
    blocks = all(stage.block == "basic" for stage in network.stages)
    return network.family == "residual" and blocks and has_usual_stem(network)


def has_usual_stem(network: BaseNetwork) -> bool:
    """Whether the network has a stem, activations and shortcuts of ImageNet's ResNets, or of CIFAR's."""
    return (network.variant, network.stem_stride) in (("", 4), ("cifar", 1))


def check_layers(
    network: BaseNetwork, resolution: IntArray, stem: IntArray, widths: IntArray, padding: str, classes: int
) -> None:
    """Refuses what could not be built layer by layer, or whose count would leave int64.

    Raises:
        InputError: Naming what is wrong.
    """
    if not has_layers(network):
        raise no_layers(network)
    if padding not in PADDINGS:
        raise InputError(f"zero padding {padding!r} is unknown; known: {', '.join(PADDINGS)}")
    layers = 2 * sum(network.depths)
    if widths.ndim != 2 or widths.shape[1] != layers:
        raise InputError(f"{network.name} has {layers} layers in its blocks, but widths give {widths.shape[-1]}")
    check_range("classes", classes, MAX_CHANNELS)
    check_range("resolution", resolution, MAX_PIXELS, smallest=network.stride)
    check_range("stem", stem, MAX_CHANNELS)
    check_range("widths", widths, MAX_CHANNELS)
    widest = float(max(widths.max(initial=1), stem.max(initial=1)))
    if 10 * widest**2 * (layers + 1) * float(resolution.max(initial=1)) ** 2 > 2.0**62:
        raise InputError("such a network needs more than 2^62 MACs; check the resolution and widths given")


def check_layered(network: BaseNetwork, architecture: LayeredArchitecture, classes: int) -> None:
    """Refuses a network with one width per layer that could not be built.

    Raises:
        InputError: Naming what is wrong.
    """
    pixels, stem, widths = ([architecture.resolution], [architecture.stem], [architecture.layers])
    check_layers(network, np.array(pixels), np.array(stem), np.array(widths), architecture.padding, classes)
    fixed, given = (network.depths, network.head), (architecture.depths, architecture.head)
    if architecture.projected != (network.variant != "cifar"):
        raise InputError(f"shortcuts of {network.name} are{'' if network.variant != 'cifar' else ' not'} projected")
    if given != fixed:
        raise InputError(f"one width per layer keeps the depths and the head of {network.name}, {fixed}, not {given}")


def stem_block(network: BaseNetwork, resolution: IntArray, stem: IntArray) -> Block:
    """The first convolution: CIFAR's 3x3, or the 7x7 of stride 2 before a max pool of stride 2."""
    variant = residual_variant(network)
    side = strided(resolution, network.stem_stride // variant.pools)
    area, area_pooled = side * side, strided(side, 2) ** 2
    image, outputs = 3 * resolution * resolution, stem * area
    layer = Layer("convolution", 3 * variant.stem_kernel**2 * stem, stem, area, "batch")
    pooling = max_pooling(image + outputs, stem * area_pooled) if variant.stem_pool else None
    return Block("stem", [layer], image + 2 * outputs, pooling=pooling)


def max_pooling(alive: IntArray, outputs: IntArray) -> tuple[IntArray, IntArray]:
    """A `Block.pooling`: of so many outputs, with so many elements alive beside them."""
    return alive + outputs, outputs


def head_block(image: IntArray, c_in: IntArray, area: IntArray, classes: int) -> Block:
    """The classifier, after a global pooling."""
    return Block("head", [Layer("classifier", c_in * classes, classes, 1, bias=True)], image + c_in * area)


def residual_layers(
    stage: Stage, c_in: IntArray, c_mid: IntArray, c_out: IntArray, area_in: IntArray, area_out: IntArray
) -> list[Layer]:
    """The layers of one block of a stage, without its shortcut."""
    kernel_area = stage.kernel * stage.kernel
    if stage.block == "basic":
        return [
            Layer("first", kernel_area * c_in * c_mid, c_mid, area_out, "batch"),
            Layer("second", kernel_area * c_mid * c_out, c_out, area_out, "batch"),
        ]
    return [
        Layer("reduce", c_in * c_mid, c_mid, area_in, "batch"),
        Layer("spatial", kernel_area * c_mid * c_mid, c_mid, area_out, "batch"),
        Layer("expand", c_mid * c_out, c_out, area_out, "batch"),
    ]


def zero_padded_alive(
    c_in: IntArray, c_mid: IntArray, c_conv: IntArray, c_out: IntArray, area_out: IntArray, pools: bool
) -> IntArray:
    """The `(n,)` elements alive at once beside the input of a block whose paths are padded with zeros.

    Args:
        c_in: Input channels.
        c_mid: Channels of the first convolution.
        c_conv: Channels of the second.
        c_out: Channels of the sum of both paths.
        area_out: Pixels of all of these after the convolutions' stride.
        pools: Whether the shortcut subsamples its input, which lives on until the padded copy is made.
    """
    shortcut = c_out * (c_in < c_out)
    if pools:
        shortcut = shortcut + c_in
    channels: IntArray = np.maximum(np.maximum(2 * c_mid, c_conv + c_out), c_out + shortcut)
    return channels * area_out


def hidden_channels(stage: Stage, width: IntArray) -> IntArray:
    """Hidden channels of a stage's blocks, as timm's bottlenecks round them: down.

    Raises:
        InputError: If that is zero for any architecture.
    """
    if stage.expansion == 1:
        return width
    channels: IntArray = np.floor(width * stage.expansion).astype(np.int64)
    if channels.size and channels.min() < 1:
        raise InputError(
            f"a width of {int(width[channels < 1].max())} leaves a bottleneck no hidden channel at expansion "
            f"{stage.expansion:g}; widen the stage"
        )
    return channels


def _stage_terms(network: BaseNetwork, stage: Stage) -> list[JsonObject]:
    """The first block of a stage and the others, as `residual_layers` has them."""
    channels, area = [channel_terms("c_mid", "c_out", whole(stage.expansion, "down"))], stage.kernel**2
    basic: list[Factors] = [[area, "c_in", "c_mid", "after"], [area, "c_mid", "c_out", "after"]]
    bottleneck: list[Factors] = [
        ["c_in", "c_mid", "before"],
        [area, "c_mid", "c_mid", "after"],
        ["c_mid", "c_out", "after"],
    ]
    layers: list[Factors] = basic if stage.block == "basic" else bottleneck
    shortcuts: list[Factors] = [["c_in", "c_out", "after", *([] if stage.stride > 1 else ["changed"])]]
    first = layers if residual_variant(network).shortcut == "padded" else layers + shortcuts
    return [block_terms(first, channels, stage.stride), block_terms(layers, channels)]
