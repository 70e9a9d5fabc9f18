"""A found configuration carried over: to other widths, images and depths (Network Adjustment, section 4.1).

What a search found are ratios: how much wider each layer (or stage) of its network is than that of the base network.
These are kept; all widths, the stem's and the head's with them, are then multiplied by one number. A deeper or
shallower network takes the ratios of the layers at the same place of each stage.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, rescaled
from planner.searches.widths import WidthVector, layer_vector, stage_vector
from sampler import Architecture, BaseNetwork, LayeredArchitecture, architecture_complexity, base, rule_named
from sampler.architecture import FloatArray

_BRACKET, _HALVINGS = (1 / 64, 64.0), 40


def carried_over(
    found: Architecture, network: BaseNetwork, width: float = 1.0, resolution: int | None = None, classes: int = 1000
) -> Architecture:
    """The network whose layers or stages have the ratios of one that was found.

    Args:
        found: Network that a search found, of any network with as many stages.
        network: Base network that it is carried over to; its depths are taken, or those found where it is the same.
        width: Number that all widths are multiplied by.
        resolution: Input side in pixels; that of `found` by default.
        classes: Outputs of the classifier.

    Raises:
        InputError: If the two have not the same stages, the network cannot have one width per layer, or a width cannot
            be built.

    Example:
        >>> found = LayeredArchitecture.of(base("resnet20_cifar"), [16] * 6 + [32] * 6 + [64] * 4 + [80, 80])
        >>> carried_over(found, base("resnet20_cifar"), width=2).layers[-3:]
        (128, 160, 160)
    """
    if not 0 < width < math.inf:
        raise PlannerError(f"width {width:g} is impossible; give a positive number, such as 2")
    if getattr(found, "knobs", None):
        raise PlannerError(f"{found.base} with group widths of its own cannot be carried over; widths and depths can")
    source, pixels = base(found.base), resolution or found.resolution
    if len(source.stages) != len(network.stages):
        raise PlannerError(
            f"{found.base} has {len(source.stages)} stages and {network.name} {len(network.stages)}; name a base "
            "network with as many"
        )
    vector, wanted = _wanted(found, source, network, width, pixels, classes)
    return vector.architecture_of(vector.nearest(wanted))


def at_macs(
    found: Architecture, network: BaseNetwork, budget: float, resolution: int | None = None, classes: int = 1000
) -> tuple[Architecture, float]:
    """The network carried over, of so many MACs, and its width multiplier.

    Single widths move by a step where the multiplier alone misses the budget by more than 1 %.

    Raises:
        InputError: As `carried_over`; or if no multiplier from 1/64 to 64 comes near the budget.
    """
    low, high = _BRACKET
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        too_large = _macs(carried_over(found, network, middle, resolution, classes), classes) > budget
        low, high = (low, middle) if too_large else (middle, high)
    source, pixels = base(found.base), resolution or found.resolution
    vector, wanted = _wanted(found, source, network, low, pixels, classes)
    widths = rescaled(vector, vector.nearest(wanted), round(budget), AdjustOptions())
    return vector.architecture_of(widths), low


def _macs(one: Architecture, classes: int) -> int:
    return int(architecture_complexity(one, classes).macs)


def _wanted(
    found: Architecture, source: BaseNetwork, network: BaseNetwork, width: float, pixels: int, classes: int
) -> tuple[WidthVector, FloatArray]:
    """What can be built of the network, and the widths that it shall have, whole or not."""
    if isinstance(found, LayeredArchitecture):
        stem = max(1, round(width * network.stem * found.stem / source.stem))
        usual = [one for one, depth in zip(network.widths, network.depths, strict=True) for _ in range(2 * depth)]
        like = LayeredArchitecture.of(network, usual, found.padding, stem, pixels)
        return layer_vector(like, classes, smallest=1), width * np.array(usual) * _ratios(found, source, network)
    divisor, same = rule_named(network.rule).divisor, source == network
    one = replace(
        network.architecture(),
        resolution=pixels,
        depths=found.depths if same else network.depths,
        stem=_multiple(width * network.stem * found.stem / source.stem, divisor),
        head=_multiple(width * network.head * found.head / source.head, divisor) if source.head else network.head,
    )
    ratios = np.array(found.widths) / np.array(source.widths)
    return stage_vector(one, classes, divisor, divisor), width * np.array(network.widths) * ratios


def _ratios(found: LayeredArchitecture, source: BaseNetwork, network: BaseNetwork) -> FloatArray:
    """How much wider each layer is, `(L,)`: of both convolutions of a block those at its place in the stage."""
    ratios, place = [], 0
    for width, before, depth in zip(source.widths, source.depths, network.depths, strict=True):
        each = np.array(found.layers[place : place + 2 * before]).reshape(before, 2) / width
        at = np.linspace(0, 1, depth) if depth > 1 else np.zeros(1)
        known = np.linspace(0, 1, before)
        ratios.append(np.stack([np.interp(at, known, each[:, one]) for one in (0, 1)], axis=1).ravel())
        place += 2 * before
    return np.concatenate(ratios)


def _multiple(width: float, divisor: int) -> int:
    return max(divisor, math.floor(width / divisor + 0.5) * divisor)
