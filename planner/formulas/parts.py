"""Base networks under one scaling rule as plain data, so that a reader of the formula file can count MACs.

A network is a list of parts: the stem, the stages, the head. A part is a run of blocks at one width; what a block is,
and how a product becomes an integer, is in `sampler.families.terms`. Where a family has no terms, as Ghost networks
have none, a network has no parts. One whose costs are plain expressions has none either, but sizes: the same runs,
without their blocks.
"""

from __future__ import annotations

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, BaseNetwork
from sampler.families import family_of
from sampler.families.protocol import overrides
from sampler.families.terms import JsonObject, Rounding, whole
from sampler.scaling import ScalingRule, own_steps

RESOLUTIONS: dict[str, tuple[Rounding, int]] = {
    "nearest": ("even", 1),
    "floor": ("down", 1),
    "multiple_of_4": ("even", 4),
}


def resolution_of(network: BaseNetwork, rule: ScalingRule) -> JsonObject:
    """How r becomes pixels."""
    rounding, divisor = RESOLUTIONS[rule.resolution] if rule.step == 1 else ("even", rule.step)
    return whole(network.resolution, rounding, divisor, least=network.stride, most=MAX_PIXELS)


def parts_of(network: BaseNetwork, rule: ScalingRule, classes: int) -> list[JsonObject]:
    """The parts of a base network under a scaling rule, input side first; none where its family has no terms."""
    family = family_of(network)
    if not overrides(family, "terms"):
        return []
    terms = family.terms(network, classes)
    blocks = [terms.stem, *terms.stages, terms.head]
    return [{**size, "blocks": own} for size, own in zip(_sizes(network, rule, blocks), blocks, strict=True)]


def rounded_sizes(network: BaseNetwork, rule: ScalingRule, classes: int) -> list[JsonObject]:
    """The widths and depths of stem, stages and head under a scaling rule, where expressions say what they cost."""
    if family_of(network).counts(network, classes) is None:
        return []
    return _sizes(network, rule, [[], *([] for _ in network.stages), []])


def _sizes(network: BaseNetwork, rule: ScalingRule, blocks: list[list[JsonObject]]) -> list[JsonObject]:
    """How the widths and depths of stem, stages and head become integers."""
    last, own = len(network.stages) - 1, own_steps(network)
    stages = []
    for index, (stage, step) in enumerate(zip(network.stages, family_of(network).width_steps(network), strict=True)):
        least = max(rule.smallest, step) if own else rule.smallest  # a group may have fewer channels than others
        width = whole(stage.width, "nearest", rule.divisor, rule.guard, least, group=step)
        stages.append({"width": width, "depth": _depth(stage.depth, rule, index in (0, last))})
    ends = (_end(network.stem, rule, rule.stem, len(blocks[0])), _end(network.head, rule, rule.head, len(blocks[-1])))
    return [ends[0], *stages, ends[1]]


def _depth(depth: int, rule: ScalingRule, end: bool) -> JsonObject:
    if end and rule.depth == "ceil_inside":
        return whole(depth, "up", least=depth, most=depth)
    return whole(depth, "even" if rule.depth == "round" else "up", most=MAX_BLOCKS)


def _end(channels: int, rule: ScalingRule, how: str, count: int) -> JsonObject:
    """The stem or the head of so many blocks; one of 0 channels stays one."""
    fixed = how == "fixed" or not channels
    least = channels if fixed or how == "never_below" else rule.smallest
    most = channels if fixed else MAX_CHANNELS
    width = whole(channels, "nearest", rule.divisor, rule.guard, least, most)
    return {"width": width, "depth": whole(count, "even", least=count, most=count)}
