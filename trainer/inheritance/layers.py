"""Copying a parent's layers into a wider child's, each under the maps of the channels that it reads and writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from timm.layers.squeeze_excite import SEModule
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.ghostnet import GhostModule
from torch import nn

from trainer.inheritance.spaces import SILENT_CHANNEL, ChannelMap, grouped, halves

# timm's names of what runs beside a block's layers, not among them.
SHORTCUTS = ("downsample", "shortcut")
_UNITS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm, GhostModule, SqueezeExcite, SEModule)
# Those that may write other channels than they read.
_MAPPINGS = (nn.Conv2d, nn.Linear, GhostModule)


def layers(*modules: nn.Module) -> list[nn.Module]:
    """What holds weights, in the order in which it runs, shortcuts left out; ghost modules and gates stay whole."""
    units: list[nn.Module] = []
    for module in modules:
        if isinstance(module, _UNITS):
            units.append(module)
        else:
            units += layers(*(part for name, part in module.named_children() if name not in SHORTCUTS))
    return units


class WeightTransfer:
    """Writes a parent's weights into a child.

    Args:
        seed: Seeds what is repeated and the noise.
        noise: Standard deviation of the noise on repeated slices, over that of the parent's whole weight.
    """

    def __init__(self, seed: int, noise: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.noise = noise
        self.generator = torch.Generator().manual_seed(seed)

    def chain(
        self, parent: Sequence[nn.Module], child: Sequence[nn.Module], inputs: ChannelMap, outputs: ChannelMap
    ) -> None:
        """Copies layers that run one after the other; draws the spaces between them.

        Args:
            parent: Modules of the parent that hold the layers.
            child: Modules of the child that hold them.
            inputs: Map of what the first layer reads.
            outputs: Map of what the last convolution, linear layer or ghost module writes.
        """
        pairs = list(zip(layers(*parent), layers(*child), strict=True))
        mappings = [index for index, (_, layer) in enumerate(pairs) if isinstance(layer, _MAPPINGS)]
        space = inputs
        for index, (old, new) in enumerate(pairs):
            if index not in mappings:
                self._keep(old, new, space)
                continue
            later = mappings[mappings.index(index) + 1 :]
            written = self._between(old, new, space, *pairs[later[0]]) if later else outputs
            self._map(old, new, space, written)
            space = written

    def rows(self, parent: torch.Tensor, child: torch.Tensor, space: ChannelMap) -> None:
        """Repeats a `(old, ...)` tensor of the parent along its first dimension in the child's `(new, ...)`."""
        heard = torch.from_numpy(space.source != SILENT_CHANNEL).to(child.device)
        child[heard] = parent[torch.from_numpy(space.source).to(parent.device)[heard]]

    def _between(
        self, old: nn.Module, new: nn.Module, inputs: ChannelMap, old_next: nn.Module, new_next: nn.Module
    ) -> ChannelMap:
        """The space that a layer writes and the next one reads."""
        if isinstance(old, GhostModule) and isinstance(new, GhostModule):
            return halves(self.rng, old.out_chs, new.out_chs)
        if _groups(new) > 1:  # grouped convolutions write as many channels as they read, groups in the same order
            return inputs
        return grouped(self.rng, _rows(old), _rows(new), _groups(old_next), _groups(new_next))

    def _keep(self, parent: nn.Module, child: nn.Module, space: ChannelMap) -> None:
        """Copies a norm, or a gate made of two convolutions."""
        if isinstance(child, SqueezeExcite | SEModule):
            self.chain(list(parent.children()), list(child.children()), space, space)
            return
        own = dict(child.named_parameters()) | dict(child.named_buffers())
        for name, value in (dict(parent.named_parameters()) | dict(parent.named_buffers())).items():
            if value.ndim:
                self.rows(value, own[name], space)
            else:  # batches seen
                own[name].copy_(value)

    def _map(self, parent: nn.Module, child: nn.Module, inputs: ChannelMap, outputs: ChannelMap) -> None:
        """Copies a convolution, a linear layer or a ghost module."""
        if isinstance(child, GhostModule) and isinstance(parent, GhostModule):
            assert outputs.half is not None, "a ghost module writes a space made by `halves`"
            self.chain([parent.primary_conv], [child.primary_conv], inputs, outputs.half)
            self.chain([parent.cheap_operation], [child.cheap_operation], outputs.half, outputs.half)
            return
        assert isinstance(parent, nn.Conv2d | nn.Linear) and isinstance(child, nn.Conv2d | nn.Linear)
        self._write(parent, child, inputs, outputs)

    def _write(
        self, parent: nn.Conv2d | nn.Linear, child: nn.Conv2d | nn.Linear, inputs: ChannelMap, outputs: ChannelMap
    ) -> None:
        weight = self._weight(parent, child, inputs, outputs)
        heard = torch.from_numpy(outputs.source != SILENT_CHANNEL).to(weight.device)
        child.weight[heard] = weight[heard]
        if parent.bias is not None and child.bias is not None:
            self.rows(parent.bias, child.bias, outputs)

    def _weight(
        self, parent: nn.Conv2d | nn.Linear, child: nn.Conv2d | nn.Linear, inputs: ChannelMap, outputs: ChannelMap
    ) -> torch.Tensor:
        """The child's weight, of its shape; rows of silent channels are arbitrary.

        Notation: `g` groups of the child, `i` inputs of each, `o` outputs; the parent's have `old_inputs` each.
        """
        weight, groups = parent.weight, _groups(child)
        old_inputs, old_group_rows = weight.shape[1], len(weight) // _groups(parent)
        columns = inputs.source.reshape(groups, -1)  # (g, i)
        group = np.arange(len(child.weight)) // (len(child.weight) // groups)  # (o,)
        read = columns[group]  # (o, i)
        silent = read == SILENT_CHANNEL
        same_group = read // old_inputs == outputs.source[:, None] // old_group_rows
        assert (same_group | silent | (outputs.source[:, None] == SILENT_CHANNEL)).all(), "a map that mixes groups"
        share = np.where(silent, 0.0, 1 / _repeats(columns)[group])
        grown = weight[_tensor(outputs.source, weight)[:, None], _tensor(read % old_inputs, weight)]
        grown = grown * _tensor(share, weight)[(...,) + (None,) * (weight.ndim - 2)].to(weight.dtype)
        if self.noise:
            new = (outputs.repeated[:, None] | inputs.repeated.reshape(groups, -1)[group]) & ~silent
            noise = torch.randn(grown.shape, generator=self.generator).to(weight)
            noise *= _tensor(new, weight)[(...,) + (None,) * (weight.ndim - 2)]
            grown = grown + self.noise * weight.std(correction=0) * noise
        return grown


class Rehearsal(WeightTransfer):
    """Draws and refuses what a transfer of that seed would, but writes nothing: networks may be on torch's meta device.

    Args:
        seed: Seed of the transfer.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, noise=0.0)

    def rows(self, parent: torch.Tensor, child: torch.Tensor, space: ChannelMap) -> None:
        """Writes nothing."""

    def _write(
        self, parent: nn.Conv2d | nn.Linear, child: nn.Conv2d | nn.Linear, inputs: ChannelMap, outputs: ChannelMap
    ) -> None:
        """Writes nothing."""


def _tensor(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(array).to(like.device)


def _repeats(columns: np.ndarray) -> np.ndarray:
    """`(g, i)` how often each channel comes in its group of `i`."""
    keys = columns - columns.min() + np.arange(len(columns))[:, None] * (np.ptp(columns) + 1)
    counts: np.ndarray = np.bincount(keys.ravel())[keys]
    return counts


def _groups(layer: nn.Module) -> int:
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def _rows(layer: nn.Module) -> int:
    """Output channels of a convolution or a linear layer."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    return len(layer.weight)
