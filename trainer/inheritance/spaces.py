"""Maps from a child's channels to its parent's: the one idea behind inherited weights.

A layer reads one space and writes one. Who writes repeats the parent's rows; who reads divides the parent's columns by
how often each channel is repeated, so that sums stay (Net2WiderNet, https://arxiv.org/abs/1511.05641, section 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sampler import InputError
from sampler.architecture import IntArray

_Mask = NDArray[np.bool_]
# The source of a channel that repeats none of the parent's, and that no layer reads at first: its readers' weights
# are zero, so it may hold anything.
SILENT_CHANNEL = -1


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """The channels of one feature map of a child.

    Attributes:
        source: `(n,)` for each channel the parent's that it repeats, or `SILENT_CHANNEL`.
        half: The channels made by a ghost module's 1x1 convolution, where such a module must be able to write the
            space; its cheap half repeats them in the same order.
    """

    source: IntArray
    half: ChannelMap | None = None

    @property
    def repeated(self) -> _Mask:
        """`(n,)` whether an earlier channel repeats the same one of the parent's."""
        mask = np.ones(len(self.source), dtype=bool)
        mask[np.unique(self.source, return_index=True)[1]] = False
        mask &= self.source != SILENT_CHANNEL
        return mask


def free(rng: np.random.Generator, old: int, new: int) -> ChannelMap:
    """The parent's channels in order, then uniformly drawn ones.

    Raises:
        InputError: If there are fewer than the parent has.
    """
    return grouped(rng, old, new, 1, 1)


def grouped(rng: np.random.Generator, old: int, new: int, old_groups: int, new_groups: int) -> ChannelMap:
    """A space that a grouped convolution reads: each group of the child is one of the parent's, as wide or wider.

    Args:
        rng: Draws what is repeated.
        old: The parent's channels.
        new: The child's.
        old_groups: The parent's groups.
        new_groups: The child's.

    Raises:
        InputError: If there are fewer groups, or fewer channels in one.
    """
    old_size, new_size = old // old_groups, new // new_groups
    if new_groups < old_groups or new_size < old_size:
        raise InputError(
            f"{old} hidden channels would become {new}; widen it more, or stem, head and stages by one multiplier"
        )
    groups = np.concatenate([np.arange(old_groups), rng.integers(old_groups, size=new_groups - old_groups)])
    inside = np.concatenate(
        [
            np.tile(np.arange(old_size), (new_groups, 1)),
            rng.integers(old_size, size=(new_groups, new_size - old_size)),
        ],
        axis=1,
    )
    return ChannelMap((groups[:, None] * old_size + inside).ravel())


def halves(rng: np.random.Generator, old: int, new: int) -> ChannelMap:
    """A space that a ghost module writes: a half, the depthwise half made from it, cut to the width.

    A parent of odd width makes one cheap channel that it cuts off. Where the child repeats that one, it is silent.

    Raises:
        InputError: If there are fewer channels than the parent has.
    """
    half = free(rng, (old + 1) // 2, (new + 1) // 2)
    cheap = half.source + (old + 1) // 2
    cheap[cheap >= old] = SILENT_CHANNEL
    return ChannelMap(np.concatenate([half.source, cheap])[:new], half)


def multiples(rng: np.random.Generator, old: int, new: int) -> ChannelMap:
    """A space that a layer norm reads: its mean and variance stay if every channel is repeated equally often.

    Raises:
        InputError: If the width is no multiple of the parent's.
    """
    if new % old:
        raise InputError(
            f"{old} channels under a layer norm can only grow to a multiple of {old}, not to {new}: "
            "its mean and variance would change"
        )
    return ChannelMap(np.tile(np.arange(old), new // old))


def padded(rng: np.random.Generator, inputs: ChannelMap, old_in: int, old: int, new: int) -> ChannelMap:
    """A space that CIFAR's shortcuts write: zeros in front, then the input's first channels in their order.

    The shortcut decides which channel meets which, so only the part in front is free; where the parent has none of
    it, or cuts off what the child keeps, the child's channels are silent.

    Args:
        rng: Draws what is repeated in front.
        inputs: The shortcut's input.
        old_in: The parent's channels of it.
        old: The parent's output channels.
        new: The child's.

    Raises:
        InputError: If a channel of the parent would have no place.
    """
    missing, kept = max(old - old_in, 0), min(old_in, old)
    new_missing, new_kept = max(new - len(inputs.source), 0), min(len(inputs.source), new)
    if new_missing < missing:
        raise InputError(
            f"its shortcut pads {missing} zero channels, the wider network's only {new_missing}; "
            f"make this stage at least {len(inputs.source) + missing} wide"
        )
    front = free(rng, missing, new_missing).source if missing else np.full(new_missing, SILENT_CHANNEL)
    back = inputs.source[:new_kept]
    source = np.concatenate(
        [front, np.where((back == SILENT_CHANNEL) | (back >= kept), SILENT_CHANNEL, back + missing)]
    )
    if len(np.setdiff1d(np.arange(old), source)):
        raise InputError(
            f"its shortcut keeps the first {new_kept} input channels, which leave out some of the parent's"
        )
    return ChannelMap(source)
