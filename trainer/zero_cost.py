"""Scores of an architecture that need no training: Zen-score, and the logarithms of its costs that it must beat.

Zen-score (Lin et al. 2021, https://arxiv.org/abs/2102.01063) says how strongly a randomly weighted network without
residual links tells an image from the same image with a little noise, where the scale that batch norm takes out is
put back. For one draw of weights, images `x` and noise `e`, all N(0, 1), and the feature map `f` before pooling:

    zen = ln mean_images sum_chw |f(x) - f(x + 0.01 e)|  +  sum_norms ln sqrt(mean_channels running_var)

As in the code released with the paper: the L1 difference, training mode, squeeze-excite left in, and `running_var`
after these two passes at momentum 0.1 from 1, which is 0.81 + 0.09 v1 + 0.1 v2 for the variances v1 and v2 that they
see. So every norm adds about ln(0.19) / 2 = -0.83 to the logarithm of its true scale, and scores of different depths
depend on the momentum. Unlike there, each repeat begins again at 1, so that repeats are equal draws.

ConvNeXt has layer norms, which no source scores: each is taken for a batch norm whose variance is the mean over
positions of the one it takes out, and layer scales are 1 (at their initial 1e-6 the norms' epsilon would count).

The numbers stay small at any depth: without residual links every convolution's input has just been normalised.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch
from timm.layers import LayerNorm2d, SelectAdaptivePool2d
from torch import nn

from sampler import Architecture, BaseNetwork, InputError, architecture_complexity, base
from sampler.architecture import check_range
from trainer.devices import sum_type
from trainer.families.protocol import ScorableFamily, lacking
from trainer.families.registry import torch_family_of
from trainer.network import build

_NOISE = 0.01
_MOMENTUM = 0.1
_LARGEST = 65_536


@dataclass(frozen=True)
class ZeroCost:
    """Scores of one architecture without training, named as columns of a table.

    Attributes:
        zen: Mean Zen-score of the repeats.
        zen_std: Standard deviation of one repeat, from weights and images drawn.
        zen_per_block: Zen-score over the number of convolutional blocks, the tuned score of RBIS (section 7.2). Blocks
            are those of the stages, which a depth move adds one of; stem and head are none (our reading).
        log_macs: Natural logarithm of the multiply-accumulates at the architecture's own resolution.
        log_params: Natural logarithm of the learnable scalars.
    """

    zen: float
    zen_std: float
    zen_per_block: float
    log_macs: float
    log_params: float


def zen_score(
    architecture: Architecture,
    classes: int = 1000,
    repeats: int = 4,
    batch: int = 16,
    seed: int = 0,
    device: str = "cpu",
    resolution: int | None = None,
) -> ZeroCost:
    """Zen-score of an architecture of any family, plain and per block, beside its costs.

    Args:
        architecture: The architecture to score.
        classes: Outputs of the classifier, which only the costs depend on.
        repeats: Draws of weights and images; ZenNAS takes 32 for a report and 1 in a search.
        batch: Images of a draw.
        seed: Same seed, same scores; torch's global generators are neither used nor changed.
        device: A torch device. The numbers drawn do not depend on it.
        resolution: Input side of the images in pixels, the architecture's own by default. Scores sum over pixels, so
            they compare at one side only if it is given; scores at their own sides then favour large images.

    Raises:
        InputError: If repeats or batch are below 2, the architecture cannot be built at that resolution, or its family
            does not tell what its blocks' residual links are.
    """
    check_range("repeats", repeats, _LARGEST, smallest=2)
    check_range("batch", batch, _LARGEST, smallest=2)  # batch norm needs two values, and the last map may be one pixel
    cost = architecture_complexity(architecture, classes)
    scored = architecture if resolution is None else replace(architecture, resolution=resolution)
    architecture_complexity(scored, classes)  # refuses what could not be built
    with torch.random.fork_rng(devices=[]):  # timm's first weights come from the global generator
        model = build(scored, classes)
    without_residual_links(model, base(scored.base))
    scores = zen_scores(model.to(device), scored.resolution, repeats, batch, seed)
    zen = statistics.fmean(scores)
    return ZeroCost(
        zen=zen,
        zen_std=statistics.stdev(scores),
        zen_per_block=zen / sum(architecture.depths),
        log_macs=math.log(cost.macs),
        log_params=math.log(cost.params),
    )


def without_residual_links(model: nn.Module, network: BaseNetwork) -> None:
    """Makes every block of a network return what its convolutions make, without its shortcut.

    Raises:
        InputError: If its family does not tell what its blocks' residual links are.
    """
    family = torch_family_of(network)
    if not isinstance(family, ScorableFamily):
        raise lacking(network, "shortcuts", "zen-scores need", "choose another score")
    switches = family.shortcuts()
    for block in list(model.modules()):
        for kind, switch in switches.items():
            if isinstance(block, kind):
                flag = isinstance(getattr(block, switch), bool)
                setattr(block, switch, False if flag else _Nothing())


class _Nothing(nn.Module):
    """A shortcut that adds nothing, at any shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A zero without dimensions."""
        return x.new_zeros(())


@torch.no_grad()
def zen_scores(model: nn.Module, resolution: int, repeats: int, batch: int, seed: int) -> list[float]:
    """Zen-scores of a network as it stands, residual links included, one per draw; its weights are lost.

    Args:
        model: A network with one `SelectAdaptivePool2d`, its modules in the order of their use.
        resolution: Side of the images, in pixels.
        repeats: How many draws.
        batch: Images of a draw.
        seed: Seed of a generator that draws the weights in the order of the modules, then the images, then the noise.

    Raises:
        InputError: If the network has no such pooling.
    """
    generator = torch.Generator().manual_seed(seed)
    # What comes after pooling, such as ConvNeXt's last norm, is no part of the feature map.
    parts = list(takewhile(lambda part: not isinstance(part, SelectAdaptivePool2d), model.modules()))
    norms = [part for part in parts if isinstance(part, nn.BatchNorm2d | nn.LayerNorm)]
    pool = next((part for part in model.modules() if isinstance(part, SelectAdaptivePool2d)), None)
    if pool is None:
        raise InputError("zen-scores need timm's SelectAdaptivePool2d in a network, before which they read its maps")
    device = next(model.parameters()).device
    double = sum_type(device)
    maps: list[torch.Tensor] = []
    hooks = [pool.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0].to(double)))]
    hooks += [norm.register_forward_pre_hook(_track) for norm in norms if isinstance(norm, nn.LayerNorm)]
    model.train()
    scores = []
    for _ in range(repeats):
        for part in parts:
            _draw(part, generator)
        images, noise = torch.randn(2, batch, 3, resolution, resolution, generator=generator)
        for one in (images, images + _NOISE * noise):
            model(one.to(device))
        difference = (maps[-2] - maps[-1]).abs().sum(dim=(1, 2, 3)).mean()
        maps.clear()
        scales = torch.stack([norm.running_var.to(double).mean() for norm in norms])  # type: ignore[union-attr, operator]
        scores.append((difference.log() + scales.sqrt().log().sum()).item())
    for hook in hooks:
        hook.remove()
    assert all(map(math.isfinite, scores)), scores
    return scores


def _draw(part: nn.Module, generator: torch.Generator) -> None:
    """Gives a module N(0, 1) weights and no bias, or a norm its identity and a variance of 1."""
    if isinstance(part, nn.Conv2d | nn.Linear):
        part.weight.copy_(torch.randn(part.weight.shape, generator=generator))
        if part.bias is not None:
            part.bias.zero_()
    elif isinstance(part, nn.BatchNorm2d):
        part.reset_parameters()  # gamma 1, beta 0, mean 0, variance 1
        part.momentum = _MOMENTUM
    elif isinstance(part, nn.LayerNorm):
        part.reset_parameters()
        part.register_buffer("running_var", part.weight.new_ones(()))
    elif isinstance(scale := getattr(part, "gamma", None), nn.Parameter):  # ConvNeXt's layer scale
        scale.fill_(1.0)


def _track(norm: nn.Module, inputs: Any) -> None:
    """Moves a layer norm's `running_var` as a batch norm moves its own."""
    channels = 1 if isinstance(norm, LayerNorm2d) else -1
    running = norm.running_var
    assert isinstance(running, torch.Tensor)
    running.lerp_(inputs[0].var(channels, unbiased=False).mean(), _MOMENTUM)
