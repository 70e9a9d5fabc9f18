"""FLOPs utilisation of a trained network: what discarding channels of equal cost does to its loss, unit by unit.

Network Adjustment (https://arxiv.org/abs/2004.02767, section 3.3): a unit (`trainer.channel_units`) whose channels
take e_l MACs loses each of them, per image, with probability

    p_l = min(p0 * mean(e) / e_l, cap)

so that every unit is expected to lose the same MACs, p0 * mean(e) to first order in p, and the increase of the loss
ranks the units by what a MAC in them is worth. The released code does not cap, and divides by 1 - p = 0 where a cheap
unit reaches p = 1; a unit at the cap loses fewer MACs, and says so. Channels that stay are scaled by 1 / (1 - p).
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sampler import InputError
from sampler.architecture import check_range
from trainer.batches import DeviceImages
from trainer.channel_units import Site, Unit
from trainer.devices import full_float32, sum_type

_BATCH = 256
_MOST_TIMES = 10_000


@dataclass(frozen=True)
class Utilization:
    """What one unit's channels are worth.

    Attributes:
        name: The unit.
        stage: Number of its stage, from 1.
        channels: Number of its channels.
        macs_per_channel: Multiply-accumulates that discarding one of them saves.
        drop_rate: p, the probability of a channel's being discarded.
        capped: Whether p is the cap, so that fewer MACs were discarded than elsewhere.
        loss_increase: Mean increase of the cross-entropy, in nats: the utilisation that ranks the units.
        loss_increase_std: Standard deviation of a single repeat's, from the masks.
        accuracy_drop: Mean decrease of the top-1 accuracy in [0, 1], the paper's own but coarser measure.
    """

    name: str
    stage: int
    channels: int
    macs_per_channel: float
    drop_rate: float
    capped: bool
    loss_increase: float
    loss_increase_std: float
    accuracy_drop: float


def utilization(
    model: nn.Module,
    images: DeviceImages,
    units: Sequence[Unit],
    base_rate: float = 0.05,
    cap: float = 0.5,
    times: int = 5,
    seed: int = 0,
    only: Collection[str] | None = None,
) -> list[Utilization]:
    """Utilisation of every unit, in the order given, or of some of them.

    The network is left in evaluation mode, and otherwise as it was.

    Args:
        model: A trained network, on the device of the images.
        images: Scoring images, which the network was not trained on.
        units: Units to discard, each alone; all that an adjustment chooses from, as p depends on their mean cost.
        base_rate: p0, the drop rate of a unit of mean cost.
        cap: Largest drop rate.
        times: Passes over the images, each with new masks.
        seed: Random seed of the masks. A unit's masks depend on its own shapes and rate only.
        only: Names of the units that are measured; None for all.

    Raises:
        InputError: If there are no units or images, a rate is not between 0 and 1, or times is below 2.
    """
    check_range("times", times, _MOST_TIMES, smallest=2)
    rates = drop_rates(units, base_rate, cap)
    model.eval()
    whole_loss, whole_accuracy = _score(model, images)
    results = []
    for unit, rate in zip(units, rates, strict=True):
        if only is not None and unit.name not in only:
            continue
        with discarding(model, unit, rate, torch.Generator().manual_seed(seed)):
            scores = [_score(model, images) for _ in range(times)]
        increases = [loss - whole_loss for loss, _ in scores]
        results.append(
            Utilization(
                name=unit.name,
                stage=unit.stage,
                channels=unit.channels,
                macs_per_channel=unit.macs_per_channel,
                drop_rate=rate,
                capped=rate == cap,
                loss_increase=statistics.fmean(increases),
                loss_increase_std=torch.tensor(increases, dtype=torch.float64).std().item(),  # also of NaN
                accuracy_drop=statistics.fmean(whole_accuracy - accuracy for _, accuracy in scores),
            )
        )
    return results


def drop_rates(units: Sequence[Unit], base_rate: float, cap: float) -> list[float]:
    """Probability of discarding a channel of each unit.

    Raises:
        InputError: If there are no units, or a rate is not between 0 and 1.
    """
    for name, rate in (("base_rate", base_rate), ("cap", cap)):
        if not 0 < rate < 1:
            raise InputError(f"{name} is a drop rate, between 0 and 1, not {rate}")
    if not units:
        raise InputError("utilisation compares units, but none is given; give the layers or stages of the network")
    discarded = base_rate * sum(unit.macs for unit in units) / len(units)
    return [min(discarded / unit.macs, cap) for unit in units]


@contextmanager
def discarding(model: nn.Module, unit: Unit, rate: float, generator: torch.Generator) -> Iterator[None]:
    """While it lasts, every forward pass discards channels of the unit, drawn anew for every image.

    Args:
        model: The network.
        unit: The unit whose channels are discarded.
        rate: Probability of a channel's being discarded.
        generator: A CPU generator, from which all masks come.

    Raises:
        InputError: If the network has no such unit.
    """
    shared: list[torch.Tensor] = []  # the mask of the unit's feature map, once the pass has drawn it
    with ExitStack() as hooks:
        hooks.callback(model.register_forward_pre_hook(lambda *_: shared.clear()).remove)
        for site in unit.sites:
            try:
                module = model.get_submodule(site.module)
            except AttributeError:
                raise InputError(
                    f"the network has no {site.module!r}, where channels of {unit.name} are discarded; "
                    "give units of the network itself"
                ) from None
            hook = partial(_hook, site=site, rate=rate, generator=generator, shared=shared)
            hooks.callback(module.register_forward_hook(hook).remove)
        yield


def _hook(module: nn.Module, inputs: Any, output: torch.Tensor, **how: Any) -> torch.Tensor:
    return without_channels(output, **how)


def without_channels(
    output: torch.Tensor, site: Site, rate: float, generator: torch.Generator | None, shared: list[torch.Tensor]
) -> torch.Tensor:
    """The output of a site without the discarded channels, the others scaled so that its mean stays.

    Args:
        output: Output of the site's module.
        site: Where.
        rate: Probability of a channel's being discarded.
        generator: A CPU generator, or None for the global one of the output's device.
        shared: The unit's one mask, once a pass has drawn it; empty before.
    """
    if site.shared and shared:
        mask = shared[0]
    else:
        device = output.device if generator is None else generator.device
        kept = torch.rand(len(output), output.shape[site.axis], generator=generator, device=device) >= rate
        mask = kept.to(output) / (1 - rate)
        if site.shared:
            shared.append(mask)
    return output * (mask[:, :, None, None] if site.axis == 1 else mask[:, None, None, :])


@full_float32()
@torch.inference_mode()
def _score(model: nn.Module, images: DeviceImages) -> tuple[float, float]:
    """Mean cross-entropy in nats and top-1 accuracy; float32 on every device, as the differences are small.

    Raises:
        InputError: If there are no images.
    """
    if not len(images):
        raise InputError("utilisation needs scoring images, but there are none; hold some out")
    losses, hits = [], []
    for batch, labels in images.in_order(_BATCH):
        logits = model(batch)
        logits = logits.to(sum_type(logits.device))
        losses.append(functional.cross_entropy(logits, labels, reduction="sum"))
        hits.append((logits.argmax(1) == labels).sum())
    return torch.stack(losses).sum().item() / len(images), torch.stack(hits).sum().item() / len(images)
