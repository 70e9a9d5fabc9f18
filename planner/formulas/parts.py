"""Base networks under one scaling rule as plain data, so that a reader of the formula file can count MACs.

A network is a list of parts: the stem, the stages, the head. A part is a run of blocks at one width; what a block is,
and how a product becomes an integer, is in `sampler.families.terms`. Where a family has no terms, as Ghost networks
have none, a network has no parts.
"""

from __future__ import annotations

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, BaseNetwork
from sampler.families import family_of
from sampler.families.protocol import overrides
from sampler.families.terms import JsonObject, Rounding, whole
from sampler.scaling import ScalingRule

RESOLUTIONS: dict[str, tuple[Rounding, int]] = {
    "nearest": ("even", 1),
    "floor": ("down", 1),
    "multiple_of_4": ("even", 4),
}


def resolution_of(network: BaseNetwork, rule: ScalingRule) -> JsonObject:
    """How r becomes pixels."""
    rounding, divisor = RESOLUTIONS[rule.resolution]
    return whole(network.resolution, rounding, divisor, least=network.stride, most=MAX_PIXELS)


def parts_of(network: BaseNetwork, rule: ScalingRule, classes: int) -> list[JsonObject]:
    """The parts of a base network under a scaling rule, input side first; none where its family has no terms."""
    family = family_of(network)
    if not overrides(family, "terms"):
        return []
    terms = family.terms(network, classes)
    last = len(network.stages) - 1
    stages = [
        {
            "width": whole(
                stage.width, "nearest", rule.divisor, rule.guard, rule.smallest, group=stage.group_width or 1
            ),
            "depth": _depth(stage.depth, rule, index in (0, last)),
            "blocks": blocks,
        }
        for index, (stage, blocks) in enumerate(zip(network.stages, terms.stages, strict=True))
    ]
    ends = (
        _end(network.stem, rule, rule.stem, terms.stem),
        _end(network.head, rule, rule.head, terms.head),
    )
    return [ends[0], *stages, ends[1]]


def _depth(depth: int, rule: ScalingRule, end: bool) -> JsonObject:
    if end and rule.depth == "ceil_inside":
        return whole(depth, "up", least=depth, most=depth)
    return whole(depth, "even" if rule.depth == "round" else "up", most=MAX_BLOCKS)


def _end(channels: int, rule: ScalingRule, how: str, blocks: list[JsonObject]) -> JsonObject:
    """The stem or the head; a head of 0 channels stays one."""
    fixed = how == "fixed" or not channels
    least = channels if fixed or how == "never_below" else rule.smallest
    most = channels if fixed else MAX_CHANNELS
    width = whole(channels, "nearest", rule.divisor, rule.guard, least, most)
    count = len(blocks)
    return {"width": width, "depth": whole(count, "even", least=count, most=count), "blocks": blocks}
