"""What a family of networks is in torch: how its networks are built, and what more it may tell of them.

Only `TorchFamily` is required. Each of the other protocols is one method more, which some feature needs; a family that
lacks it is refused in one line where somebody asks for that feature, and works everywhere else:

    InheritableFamily   parts         inherited weights; the recipe's zero_init, which is left out without it
    MeasurableFamily    channels      utilisation and channel dropout (`planner.searches`, `[recipe] channel_dropout`)
    ScorableFamily      shortcuts     scores without training (`trainer.zero_cost`)
    ExportableFamily    timm_code     `planner export --to timm` and `--to torch`

`trainer.families.conformance.check_torch_family` tries all of it. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from sampler import Architecture, BaseNetwork, InputError
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn

ChannelGrowth = Literal["free", "halves", "multiples"]
ChannelRole = Literal["input", "hidden", "output"]


@dataclass(frozen=True)
class StageParts:
    """A stage of a built network.

    Attributes:
        blocks: Blocks by their position in the stage. As timm's do, each adds its input, or what its `downsample` or
            `shortcut` makes of it, to what its layers make, unless it has a flag `has_skip` that is False; and its
            last layer is a batch norm, or scaled by a parameter `gamma`.
        entry: Modules that run before the blocks; none in most families.
        padded: Whether the shortcut into the stage pads with zero channels, so that it decides which channel of the
            stage meets which of its input.
    """

    blocks: Sequence[nn.Module]
    entry: Sequence[nn.Module] = ()
    padded: bool = False


@dataclass(frozen=True)
class Parts:
    """A built network; each sequence holds modules in the order in which they run.

    Attributes:
        stem: Modules before the first stage.
        stages: Stages, input side first.
        tail: Modules after the last stage, the classifier last.
        growth: How stem and stages may widen and still compute the same: "free", to any width; "halves", to any width
            in whose halves a ghost module writes; "multiples", to whole multiples, as layer norms average channels.
    """

    stem: Sequence[nn.Module]
    stages: Sequence[StageParts]
    tail: Sequence[nn.Module]
    growth: ChannelGrowth = "free"


@dataclass(frozen=True)
class BlockEnds:
    """Names of modules in a block, after which channels can be discarded.

    Attributes:
        hidden: Modules where the hidden channels end, after norm and activation.
        output: Module whose output the block adds to its shortcut.
        axis: Dimension of the hidden modules' and the output's channels.
    """

    hidden: tuple[str, ...]
    output: str
    axis: int = 1


@dataclass(frozen=True)
class ChannelRoles:
    """Which channels the layers of a family's blocks read and write.

    Attributes:
        touched: Roles of the channels that each layer reads and writes, by its name in the family's count; once for
            each reading and writing. A depthwise convolution has only those that it reads.
        ends: Ends of a block; None for any other module. Blocks come in the order of `named_modules`.
        follows_input: Whether hidden channels are multiples of a block's input, so that those of a stage's first block
            belong to the stage before.
        entry: Name of the module that makes a stage's feature map before its blocks, with `{stage}` for its index;
            "" where the first block makes it.
    """

    touched: Mapping[str, tuple[ChannelRole, ...]]
    ends: Callable[[nn.Module], BlockEnds | None]
    follows_input: bool = False
    entry: str = ""


@runtime_checkable
class TorchFamily(Protocol):
    """A family that can be trained.

    Example:
        >>> from trainer.families.registry import torch_family
        >>> isinstance(torch_family("mbconv"), TorchFamily)
        True
    """

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture.

        Args:
            network: The base network, of this family.
            architecture: The architecture to build; the family's count of it in `sampler` must be exact.
            classes: Outputs of the classifier.
            drop_rate: Dropout before the classifier.

        Returns:
            A freshly initialised module in train mode, its weights drawn from torch's global generator: `(n, 3, r, r)`
            images in, `(n, classes)` logits out.

        Raises:
            InputError: If it cannot be built.
        """
        ...


@runtime_checkable
class InheritableFamily(Protocol):
    """A family whose networks inherit weights, and whose residual blocks can begin as identities."""

    def parts(self, model: nn.Module, architecture: Architecture) -> Parts:
        """The parts of a network that `build` made; together they hold every parameter once."""
        ...


@runtime_checkable
class MeasurableFamily(Protocol):
    """A family whose stages' channels can be discarded together."""

    def channels(self) -> ChannelRoles:
        """The roles of its blocks' channels."""
        ...


@runtime_checkable
class ScorableFamily(Protocol):
    """A family whose residual links can be cut; its networks pool by timm's `SelectAdaptivePool2d`, once."""

    def shortcuts(self) -> Mapping[type[nn.Module], str]:
        """The attribute of each kind of block that switches its residual link.

        Either a flag, which is set to False, or the module that the link goes through. Blocks without residual links
        are left out; none is fine.
        """
        ...


@runtime_checkable
class ExportableFamily(Protocol):
    """A family whose networks can be written as code of timm and torch alone."""

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code that builds an architecture as `build` does: the same modules by the same names."""
        ...


def lacking(network: BaseNetwork, part: str, needed_by: str, way_out: str) -> InputError:
    """The refusal of what a family lacks an optional method for."""
    return InputError(f"{network.name}: family {network.family!r} has no {part}(), which {needed_by}; {way_out}")
