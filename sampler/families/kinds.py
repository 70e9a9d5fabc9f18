"""What the tables of a family may say: a `BlockKind` for each kind of its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, BaseNetwork, Stage
from sampler.errors import InputError

# Larger ones are mistakes, and numbers of products would leave int64.
_LARGEST_KERNEL = 63
_LARGEST_RATIO = 64.0
_MOST_STAGES = 64


@dataclass(frozen=True)
class BlockKind:
    """What a stage of such blocks may say.

    Attributes:
        kernel: Only side of the kernel that its blocks can have; 0 for any odd one.
        strides: Strides of a stage's first block.
        expansion: Only expansion; 0 for any.
        squeezes: Whether its blocks can have squeeze-excite.
        lists: Whether expansions and squeeze-excite ratios can differ from block to block.
        groups: Whether it has a convolution in groups, whose width its stages must say.
    """

    kernel: int = 0
    strides: tuple[int, ...] = (1, 2)
    expansion: float = 0
    squeezes: bool = False
    lists: bool = False
    groups: bool = False


def check_kinds(network: BaseNetwork, kinds: Sequence[str]) -> None:
    """Refuses a block that the family does not know.

    Raises:
        InputError: Naming it, and those that are known.
    """
    for stage in network.stages:
        if stage.block not in kinds:
            known = ", ".join(repr(name) for name in sorted(kinds))
            raise InputError(f"{network.name}: block {stage.block!r} is unknown; known: {known}")


def check_stages(network: BaseNetwork, kinds: Mapping[str, BlockKind]) -> None:
    """Refuses a stage that could not be built or counted.

    Raises:
        InputError: Naming the stage, the value, and what is wanted.
    """
    check_kinds(network, list(kinds))
    if not 1 <= len(network.stages) <= _MOST_STAGES:
        raise InputError(f"{network.name} has {len(network.stages)} stages; 1 to {_MOST_STAGES} are wanted")
    for number, stage in enumerate(network.stages, start=1):
        if problem := _problem(stage, kinds[stage.block]):
            raise InputError(f"{network.name}: stage {number}: {problem}")


def _problem(stage: Stage, kind: BlockKind) -> str:
    """What is wrong with a stage, and what is wanted; "" for nothing."""
    expansions, ratios = (stage.expansion, *stage.expansions), (stage.se_ratio, *stage.se_ratios)
    large = next((one for one in expansions if not 0 < one <= _LARGEST_RATIO), 0)
    other = next((one for one in expansions if one != kind.expansion), 0)
    ratio = next((one for one in ratios if not 0 <= one <= _LARGEST_RATIO), max(ratios))
    blocks = f"a block {stage.block!r}"
    checks = (
        (
            0 < stage.kernel <= _LARGEST_KERNEL and stage.kernel % 2,
            f"kernel is {stage.kernel}; an odd number is wanted",
        ),
        (not kind.kernel or stage.kernel == kind.kernel, f"kernel is {stage.kernel}; {blocks} has {kind.kernel}"),
        (stage.stride in kind.strides, f"stride is {stage.stride}; {_either(kind.strides)} is wanted"),
        (0 < stage.width <= MAX_CHANNELS, f"width is {stage.width}; 1 to {MAX_CHANNELS} channels are wanted"),
        (0 < stage.depth <= MAX_BLOCKS, f"depth is {stage.depth}; 1 to {MAX_BLOCKS} blocks are wanted"),
        (
            all(0 < one <= _LARGEST_RATIO for one in expansions),
            f"expansion is {large:g}; more than 0 and at most {_LARGEST_RATIO:g} is wanted",
        ),
        (
            not kind.expansion or set(expansions) == {kind.expansion},
            f"expansion is {other:g}; {blocks} has {kind.expansion:g}",
        ),
        (
            all(0 <= one <= _LARGEST_RATIO for one in ratios),
            f"se_ratio is {ratio:g}; 0 (none) to {_LARGEST_RATIO:g} is wanted",
        ),
        (kind.squeezes or not any(ratios), f"se_ratio is {ratio:g}; {blocks} has no squeeze-excite"),
        (
            kind.lists or not (stage.expansions or stage.se_ratios),
            f"{blocks} has one expansion and one se_ratio for the whole stage",
        ),
        (
            not kind.groups or 0 < stage.group_width <= MAX_CHANNELS,
            f"group_width is {stage.group_width}; channels of a group are wanted",
        ),
        (kind.groups or not stage.group_width, f"group_width is {stage.group_width}; {blocks} has none"),
    )
    return next((problem for kept, problem in checks if not kept), "")


def _either(values: Sequence[int]) -> str:
    return " or ".join(map(str, values))


def check_ends(network: BaseNetwork, stem_strides: Sequence[int], head: bool = False, stages: int = 0) -> None:
    """Refuses a stem or a head that could not be built.

    Args:
        network: The network.
        stem_strides: Values that `stem_stride` may have.
        head: Whether there is a 1x1 convolution before the classifier.
        stages: The only number of stages; 0 for any.

    Raises:
        InputError: Naming the value and what is wanted.
    """
    if network.stem_stride not in stem_strides:
        raise InputError(
            f"{network.name}: stride of the stem is {network.stem_stride}; {_either(stem_strides)} is wanted"
        )
    if not 0 < network.stem <= MAX_CHANNELS:
        raise InputError(f"{network.name}: stem has {network.stem} channels; 1 to {MAX_CHANNELS} are wanted")
    if head and not 0 < network.head <= MAX_CHANNELS:
        raise InputError(f"{network.name}: head has {network.head} channels; 1 to {MAX_CHANNELS} are wanted")
    if not head and network.head:
        raise InputError(f"{network.name}: head has {network.head} channels; family {network.family} has no head")
    if stages and len(network.stages) != stages:
        raise InputError(f"{network.name} has {len(network.stages)} stages; {stages} are wanted, as in timm's class")
