"""Channel dropout in training, so that a network is used to what its utilisation is measured by.

Network Adjustment (https://arxiv.org/abs/2004.02767, section 3.5), with the two ramps of its released code: in epoch
e of E (from 0), unit l of L (from 1) discards a channel with probability rate * e / E * l / L. On ImageNet that leaves
out the ramp over the units, l / L.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from trainer.channel_units import Site, Unit
from trainer.utilization import without_channels


class ChannelDropout:
    """Hooks that discard channels of every unit, each with its own rate, wherever the network is in training mode.

    Masks come from torch's global generator, as all dropout in a training does, so that its seeds are theirs too.

    Args:
        model: The network; copies made of it before this have no dropout.
        units: Units whose channels are dropped, input side first.
        rate: Probability for the last unit at the end of the training.
        ramp: Whether earlier units have less.
    """

    def __init__(self, model: nn.Module, units: Sequence[Unit], rate: float, ramp: bool = True) -> None:
        self.most = [rate * (place / len(units) if ramp else 1.0) for place in range(1, len(units) + 1)]
        self.share = 0.0
        self.masks: list[list[torch.Tensor]] = [[] for _ in units]
        model.register_forward_pre_hook(lambda *_: self._clear())
        for index, unit in enumerate(units):
            for site in unit.sites:
                model.get_submodule(site.module).register_forward_hook(partial(self._drop, index=index, site=site))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Sets the rates of an epoch, from 0."""
        self.share = epoch / epochs

    def rates(self) -> list[float]:
        """Each unit's probability in this epoch."""
        return [most * self.share for most in self.most]

    def _clear(self) -> None:
        for mask in self.masks:
            mask.clear()

    def _drop(self, module: nn.Module, inputs: Any, output: torch.Tensor, index: int, site: Site) -> torch.Tensor:
        rate = self.most[index] * self.share
        if not module.training or not rate:
            return output
        return without_channels(output, site, rate, None, self.masks[index])
