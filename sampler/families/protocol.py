"""What a family of networks is: its blocks, the widths they can have, and the base networks made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from sampler.architecture import Architectures, BaseNetwork, IntArray
from sampler.errors import InputError
from sampler.families.kinds import check_kinds
from sampler.families.parts import Block
from sampler.families.terms import JsonObject
from sampler.layered import LayeredArchitecture


@dataclass(frozen=True, eq=False)
class Sizes:
    """The whole numbers of `n` architectures with `s` stages, all int64.

    Attributes:
        resolution: `(n,)` input sides, in pixels.
        stem: `(n,)` channels of the first convolution.
        widths: `(n, s)` channels of the stages' blocks.
        depths: `(n, s)` blocks.
        head: `(n,)` channels of the last 1x1 convolution; 0 where the network has none.
        knobs: `(n, s)` or `(n, 1)` further whole numbers by name, where they are not the base network's.
    """

    resolution: IntArray
    stem: IntArray
    widths: IntArray
    depths: IntArray
    head: IntArray
    knobs: Mapping[str, IntArray] = field(default_factory=dict)


class Terms(NamedTuple):
    """A base network's blocks as plain data, for readers of the formula file (see `sampler.families.terms`).

    Attributes:
        stem: Blocks of the stem.
        stages: Blocks of each stage; the last stands for all deeper ones.
        head: Blocks of the head.
    """

    stem: list[JsonObject]
    stages: list[list[JsonObject]]
    head: list[JsonObject]


class Family(Protocol):
    """A family of base networks that are made of the same kinds of blocks.

    Only `name`, `bases` and `blocks` must be given; a class that derives from this one has all else as its default.
    `sampler.register_family` makes a family known; `sampler.families.conformance.check_family` says whether it keeps
    to what is written here.

    Attributes:
        name: The family's name, as its base networks have it.
        bases: Base networks by their names.
    """

    name: str
    bases: Mapping[str, BaseNetwork]

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures, input side first: the stem, the stages, the head.

        Args:
            network: The base network whose blocks are used.
            sizes: The architectures' sizes.
            classes: Outputs of the classifier.

        Raises:
            InputError: If a size cannot be built, such as a width that leaves squeeze-excite no channel.
        """
        ...

    def widths(self, network: BaseNetwork, wanted: IntArray) -> IntArray:
        """`(n, s)` widths, each moved to the nearest that the blocks of its stage can have; all of them by default."""
        return wanted

    def knobs(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """The further whole numbers of a base network's table, one per stage or one for all; none by default."""
        return {}

    def knob_grids(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """The values that knobs may have, ascending, by the names of those that a search may move; none by default."""
        return {}

    def followed(self, network: BaseNetwork, sizes: Sizes) -> Mapping[str, IntArray]:
        """`(n, k)` values of the knobs where architectures do not say: those of the table by default."""
        n = len(sizes.resolution)
        return {name: np.tile(np.array(one, dtype=np.int64), (n, 1)) for name, one in self.knobs(network).items()}

    def with_knobs(self, network: BaseNetwork, knobs: Mapping[str, tuple[int, ...]]) -> BaseNetwork:
        """The base network with other further whole numbers in its table; those that are not given stay.

        Itself, where its knobs follow sizes (`followed`) and are only an architecture's, not the table's.

        Raises:
            InputError: If the family has no such knob; none has any by default.
        """
        if knobs:
            raise InputError(f"{network.name}: family {self.name} has no knob {', '.join(knobs)}; leave it out")
        return network

    def macs_bound(self, network: BaseNetwork, sizes: Sizes) -> float:
        """What the MACs of no architecture exceed, as a float that cannot overflow and needs no count.

        The default is for convolutions and linear layers; a family whose layers say their own MACs gives its own.
        """
        return convolutional_bound(network, sizes)

    def check(self, network: BaseNetwork) -> None:
        """Refuses a table of stages that its blocks cannot be; by default one that its base networks say nothing of.

        Raises:
            InputError: Naming the base network, the value and what is wanted.
        """
        variants = {base.variant for base in self.bases.values()}
        if network.variant not in variants:
            known = ", ".join(repr(name) for name in sorted(variants))
            raise InputError(f"{network.name}: variant {network.variant!r} is unknown; known: {known}")
        check_kinds(network, sorted({stage.block for base in self.bases.values() for stage in base.stages}))

    def terms(self, network: BaseNetwork, classes: int) -> Terms:
        """A base network's blocks as plain data.

        Raises:
            InputError: If they are no products of sizes, as is the default.
        """
        raise InputError(f"{network.name}: family {self.name} gives no terms; only the planner itself can count it")

    def counts(self, network: BaseNetwork, classes: int) -> Mapping[str, Any] | None:
        """What the network costs as plain expressions (`sampler.declared.description.Counts`), where it is no terms.

        A reader of the formula file counts with them. None, as is the default, where there are none.
        """
        return None

    def width_steps(self, network: BaseNetwork) -> tuple[int, ...]:
        """What the width of each stage is a multiple of, whatever the rule; group widths by default, or 1."""
        return tuple(stage.group_width or 1 for stage in network.stages)

    def layer_blocks(
        self, network: BaseNetwork, architecture: LayeredArchitecture, layers: IntArray, classes: int
    ) -> Iterator[Block]:
        """The blocks of `n` networks with one width per layer.

        Args:
            network: The base network.
            architecture: Everything that the networks have in common.
            layers: `(n, l)` output channels of the blocks' convolutions.
            classes: Outputs of the classifier.

        Raises:
            InputError: If the base network has no free widths per layer, as is the default, or a number is impossible.
        """
        raise no_layers(network)


def sizes_of(architectures: Architectures) -> Sizes:
    """The sizes of architectures, as families take them."""
    return Sizes(
        architectures.resolution,
        architectures.stem,
        architectures.widths,
        architectures.depths,
        architectures.head,
        architectures.knobs,
    )


def knob_values(family: Family, network: BaseNetwork, sizes: Sizes) -> dict[str, IntArray]:
    """`(n, k)` values of all knobs by name: what architectures say, and where they do not, what follows."""
    return {name: sizes.knobs.get(name, values) for name, values in family.followed(network, sizes).items()}


def overrides(family: Family, method: str) -> bool:
    """Whether a family has a method of its own instead of the default."""
    return getattr(type(family), method, None) is not getattr(Family, method)


def by_name(networks: Iterable[BaseNetwork]) -> dict[str, BaseNetwork]:
    """Base networks by their names, in that order."""
    return {network.name: network for network in networks}


def no_layers(network: BaseNetwork) -> InputError:
    """The error for a base network whose layers are not free."""
    return InputError(f"{network.name} has no free widths per layer; resnet18, resnet34 and CIFAR's ResNets have")


def convolutional_bound(network: BaseNetwork, sizes: Sizes) -> float:
    """Twice what a full 3 x 3 convolution or an expansion and a projection cost in every block, whichever is more."""
    widest = float(max(sizes.widths.max(), sizes.stem.max()))
    expansion = max(max(stage.expansion, *stage.expansions, 1.0) for stage in network.stages)
    depthwise = float(max(7, *(stage.kernel for stage in network.stages))) ** 2
    blocks = float(sizes.depths.max()) * len(network.stages)
    area = float(sizes.resolution.max()) ** 2
    head = float(sizes.head.max()) * widest * area
    return max(4 * expansion, 18.0) * widest * (widest + depthwise) * blocks * area + head
