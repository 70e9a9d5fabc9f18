"""Which channels of a network can be discarded together, where, and how many multiply-accumulates that saves.

A unit is one layer of a CIFAR ResNet with free widths, as in Network Adjustment (https://arxiv.org/abs/2004.02767,
section 3.3), or one stage of any network. Its MACs are e = c dMACs/dc for its c channels: those of every convolution
that writes its channels, and of every one that reads them, once for each. Masks come after batch norm, which would
undo their scaling:

    layer   a block's first convolution: after norm and ReLU; its second: after norm, before the residual sum
    stage   all channels that its width decides. Its feature map, one mask for the whole stage: where the map first is
            whole (the output of the first block; ConvNeXt's downsampling, which comes before the blocks), then what
            each later block adds, before the sum, so that the map is as if it had no such channels. And the hidden
            channels of its blocks, a mask for each map, after norm and activation: basic blocks' first convolution;
            bottlenecks' and RegNets' first and second; ConvNeXt's expansion; MBConv's depthwise convolution and
            Ghost's last layer before squeeze-excite, because a depthwise channel passes on the one before it, and
            one mask at the end discards both.

MBConv's hidden channels are multiples of a block's input, so those of a stage's first block are decided by the stage
before. A depthwise convolution of a stage's own map (`ds` blocks, ConvNeXt) has no mask of its own. Squeeze-excite's
inner channels are never discarded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from sampler import Architecture, BaseNetwork, InputError, LayeredArchitecture, base, stack
from sampler.complexity import blocks_of
from sampler.families.parts import Layer
from sampler.families.residual import layer_blocks
from trainer.families.protocol import ChannelRoles, MeasurableFamily, lacking
from trainer.families.registry import torch_family_of


@dataclass(frozen=True)
class Site:
    """A module whose output loses channels.

    Attributes:
        module: Name in the network.
        shared: Whether its output is the unit's feature map, or added to it, and so has the unit's one mask.
        axis: The dimension of the channels.
    """

    module: str
    shared: bool = False
    axis: int = 1


@dataclass(frozen=True)
class Unit:
    """Channels that are discarded together.

    Attributes:
        name: Name of its convolution, or `stage1` and so on.
        stage: Number of its stage, from 1.
        channels: The width it has, which an adjustment would change.
        macs: e, its channels times the multiply-accumulates of one image that each of them takes.
        sites: Where they are discarded.
    """

    name: str
    stage: int
    channels: int
    macs: int
    sites: tuple[Site, ...]

    @property
    def macs_per_channel(self) -> float:
        """Multiply-accumulates of one image that discarding one channel saves."""
        return self.macs / self.channels


def units_of(model: nn.Module, architecture: Architecture, classes: int) -> list[Unit]:
    """What has a width of its own: the layers of a network with one width per layer, the stages of any other.

    Args:
        model: The network as `trainer.network.build` makes it.
        architecture: The architecture that was built.
        classes: Outputs of the classifier.

    Raises:
        InputError: If the network is not the architecture's.
    """
    if not isinstance(architecture, LayeredArchitecture):
        return stage_units(model, architecture, classes)
    one = architecture
    return layer_units(base(one.base), one.stem, one.layers, one.padding, classes, one.resolution)


def layer_units(
    network: BaseNetwork, stem: int, widths: Sequence[int], padding: str, classes: int, resolution: int | None = None
) -> list[Unit]:
    """The layers of a ResNet with one free width per layer, as `trainer.families.residual.build_layers` makes it.

    A block's output is read by the layers after it, at the expense of the layer that decides its width: with padding
    `"max"` its second convolution only where that is wider than the shortcut, otherwise the one that decided the
    shortcut's (perhaps the stem, which is no unit); with `"local"`, and where a 1x1 convolution projects the shortcut,
    always its second.

    Args:
        network: A base network of basic blocks, which gives the blocks of each stage.
        stem: Channels of the first convolution.
        widths: Output channels of the blocks' convolutions, two per block, input side first.
        padding: `"max"` or `"local"`.
        classes: Outputs of the classifier.
        resolution: Input side in pixels; the network's own by default.

    Raises:
        InputError: If it has other blocks, the padding is unknown, or numbers are missing or out of range.
    """
    pixels = np.array([resolution or network.resolution])
    _, *blocks, head = layer_blocks(network, pixels, np.array([stem]), np.array([widths]), padding, classes)
    macs = [0] * (len(widths) + 1)
    deciding, c_in = len(widths), stem  # the last place is the stem's
    for block, second in zip(blocks, range(1, len(widths), 2), strict=True):
        of_first, of_second, *of_shortcut = (_macs(layer) for layer in block.layers)
        macs[deciding] += of_first + sum(of_shortcut)
        macs[second - 1] += of_first + of_second
        macs[second] += of_second + sum(of_shortcut)
        if padding == "local" or of_shortcut or widths[second] > c_in:
            deciding, c_in = second, widths[second]
    macs[deciding] += _macs(head.layers[0])
    names = [
        (stage + 1, f"layer{stage + 1}.{block}", convolution)
        for stage, depth in enumerate(network.depths)
        for block in range(depth)
        for convolution in (1, 2)
    ]
    return [
        Unit(f"{block}.conv{number}", stage, width, cost, (Site(f"{block}.{'act1' if number == 1 else 'bn2'}"),))
        for (stage, block, number), width, cost in zip(names, widths, macs, strict=False)
    ]


def stage_units(model: nn.Module, architecture: Architecture, classes: int) -> list[Unit]:
    """The stages of a network of any family.

    Args:
        model: The network as `trainer.network.build` makes it.
        architecture: The architecture that was built.
        classes: Outputs of the classifier.

    Raises:
        InputError: If the network is not the architecture's.
    """
    network = base(architecture.base)
    macs = stage_channel_macs(network, architecture, classes)
    sites = _stage_sites(model, _roles(network), architecture)
    return [
        Unit(f"stage{index + 1}", index + 1, width, macs[index], tuple(sites[index]))
        for index, width in enumerate(architecture.widths)
    ]


# --- multiply-accumulates ---


def check_units(architecture: Architecture) -> None:
    """Refuses a network without units, before it is trained in order to measure them.

    Raises:
        InputError: If its family does not tell its channels' roles.
    """
    if not isinstance(architecture, LayeredArchitecture):
        _roles(base(architecture.base))


def _roles(network: BaseNetwork) -> ChannelRoles:
    """The roles of the channels of a network's blocks.

    Raises:
        InputError: If its family does not tell them.
    """
    family = torch_family_of(network)
    if not isinstance(family, MeasurableFamily):
        need = "utilisation and channel dropout need"
        raise lacking(network, "channels", need, "choose another search, and set recipe.channel_dropout to 0")
    return family.channels()


def stage_channel_macs(network: BaseNetwork, architecture: Architecture, classes: int) -> list[int]:
    """What each stage's channels take, the description's e: exact sums over the layers that write or read them.

    Example:
        >>> network = base("resnet20_cifar")
        >>> stage_channel_macs(network, network.architecture(), classes=100)
        [27131904, 25952256, 24779008]
    """
    roles = _roles(network)
    stem, *blocks, head = blocks_of(network, stack([architecture]), classes)
    macs = [0] * (len(network.stages) + 1)  # the first place is the stem's
    before = 0
    if _enters_directly(roles, network, architecture):
        before = 1
        macs[1] += _macs(stem.layers[0])
    for block in blocks:
        times = 1 if block.repeats is None else block.repeats.item()
        if not times:
            continue
        stage = int(block.part)
        owners = {"input": before, "hidden": before if roles.follows_input else stage, "output": stage}
        for layer in block.layers:
            for channels in roles.touched[layer.name]:
                macs[owners[channels]] += times * _macs(layer)
        before = stage
    macs[before] += next(_macs(layer) for layer in head.layers if layer.computes)
    return macs[1:]


def _enters_directly(roles: ChannelRoles, network: BaseNetwork, architecture: Architecture) -> bool:
    """Whether the stem's output is the first stage's feature map: nothing makes one of its own before the blocks."""
    return bool(roles.entry) and network.stages[0].stride == 1 and architecture.stem == architecture.widths[0]


def _macs(layer: Layer) -> int:
    """Multiply-accumulates of a layer of one architecture."""
    return np.asarray(layer.products, dtype=np.int64).item()


# --- sites ---


def _stage_sites(model: nn.Module, roles: ChannelRoles, architecture: Architecture) -> list[list[Site]]:
    """The sites of every stage.

    Raises:
        InputError: If the network has fewer blocks than the architecture.
    """
    blocks = [(name, ends) for name, module in model.named_modules() if (ends := roles.ends(module))]
    if len(blocks) < sum(architecture.depths):
        raise InputError(
            f"the network given has {len(blocks)} blocks, but this {architecture.base} has {sum(architecture.depths)}; "
            "give the architecture that was built"
        )
    in_order = iter(blocks)
    sites: list[list[Site]] = [[] for _ in architecture.depths]
    for stage, depth in enumerate(architecture.depths):
        for position in range(depth):
            name, ends = next(in_order)
            first = position == 0
            owner = stage - 1 if first and roles.follows_input else stage
            if owner >= 0:  # the stem's is no stage
                sites[owner] += [Site(f"{name}.{end}", axis=ends.axis) for end in ends.hidden]
            if first and roles.entry:
                sites[stage].append(Site(roles.entry.format(stage=stage), shared=True))
            whole = first and not roles.entry
            sites[stage].append(Site(name if whole else f"{name}.{ends.output}", shared=True))
    return sites
