"""What every family of networks must keep to, for ours and for anybody's: `check_family` says what one does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, Architecture, Architectures, BaseNetwork, stack
from sampler.bases import base
from sampler.complexity import Complexity, architecture_complexity, blocks_of, count
from sampler.errors import InputError
from sampler.families.protocol import Family, overrides, sizes_of
from sampler.families.registry import family_names, family_of, network_of, registered
from sampler.families.terms import JsonObject
from sampler.scaling import ScalingRule, rule_named, scale, scale_stages
from sampler.totals import totals

_COUNTS = ("macs", "params", "activations", "memory")
_ROWS, _CLASSES, _STEPS = 6, 7, 16
_ROUNDINGS: dict[str, Callable[[float], int]] = {
    "up": math.ceil,
    "even": round,
    "down": lambda exact: math.floor(exact + 1e-9),
    "nearest": lambda exact: math.floor(exact + 0.5),
}


def check_family(family: Family, seed: int = 0) -> None:
    """Checks a family at random architectures of all its base networks; registers it meanwhile, if it is not.

    Args:
        family: The family.
        seed: Random seed of the architectures.

    Raises:
        AssertionError: With one sentence that says what is wrong.

    Example:
        >>> from sampler import BaseNetwork, Family, Stage, architecture_complexity, registered
        >>> from sampler.families.parts import Block, Layer
        >>> stages = (Stage("conv", kernel=3, stride=1, expansion=1.0, se_ratio=0.0, width=32, depth=4),)
        >>> class Plain(Family):
        ...     name = "plain"
        ...     bases = {"four": BaseNetwork("four", "plain", 32, 16, stages, head=0, rule="inverse", stem_stride=2)}
        ...
        ...     def blocks(self, network, sizes, classes):
        ...         stem, c, area = sizes.stem, sizes.widths[:, 0], (-(-sizes.resolution // 2)) ** 2
        ...         alive = 3 * sizes.resolution**2 + 2 * (stem + c) * area
        ...         yield Block("stem", [Layer("convolution", 27 * stem, stem, area, "batch")], alive)
        ...         yield Block(1, [Layer("enter", stem * c, c, area, "batch")], alive)
        ...         yield Block(1, [Layer("convolution", 9 * c * c, c, area, "batch")], alive, sizes.depths[:, 0])
        ...         yield Block("head", [Layer("classifier", c * classes, classes, 1, bias=True)], alive)
        >>> check_family(Plain())
        >>> with registered(Plain()):
        ...     architecture_complexity(Plain.bases["four"].architecture(), classes=10).macs
        9679168
    """
    try:
        with _known(family):
            for name, network in family.bases.items():
                _require(base(name) is network, f"base({name!r}) is another network than the family's")
                case = _Case(family, network, np.random.default_rng(seed))
                for check in _CHECKS:
                    check(case)
    except InputError as error:
        raise AssertionError(f"family {family.name}: what could be built is refused: {error}") from error
    except Exception as error:
        if isinstance(error, AssertionError):
            raise
        raise AssertionError(f"family {family.name} fails: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Case:
    """A base network of a family under test.

    Attributes:
        family: The family.
        network: The base network.
        rng: Source of the random architectures.
    """

    family: Family
    network: BaseNetwork
    rng: np.random.Generator

    def architectures(self) -> Architectures:
        """Random architectures, each stage scaled by itself, which the family says can be built."""
        network, shape = self.network, (_ROWS, len(self.network.stages))
        pixels = self.rng.integers(network.stride, 4 * network.stride + 9, _ROWS)
        times = self.rng.uniform(0.7, 2.0, (2, *shape))
        return scale_stages(network, self.rule, pixels - pixels % self.rule.step, times[0], times[1])

    @property
    def rule(self) -> ScalingRule:
        """The base network's own rule."""
        return rule_named(self.network.rule)

    def require(self, kept: bool, sentence: str) -> None:
        """Says what is wrong with the base network, unless it is kept."""
        _require(kept, f"{self.network.name}: {sentence}")


@contextmanager
def _known(family: Family) -> Iterator[None]:
    if family.name in family_names() and family_of(next(iter(family.bases.values()))) is family:
        yield
        return
    with registered(family):
        yield


def _require(kept: bool, sentence: str) -> None:
    if not kept:
        raise AssertionError(sentence)


def _check_arrays(case: _Case) -> None:
    """Counts of arrays are those of each architecture alone."""
    several = case.architectures()
    together = count(several, _CLASSES)
    for row, architecture in enumerate(several):
        alone = architecture_complexity(architecture, _CLASSES)
        for name in _COUNTS:
            counted, wanted = getattr(together, name)[row], getattr(alone, name)
            case.require(
                counted == wanted, f"{name} of {architecture} are {wanted:,} alone, but {counted:,} in an array"
            )


def _check_layers(case: _Case) -> None:
    """Layers summed up one by one, in Python's numbers, are the counts."""
    several = case.architectures()
    counted = count(several, _CLASSES)
    blocks = list(blocks_of(case.network, several, _CLASSES))
    parts = list(dict.fromkeys(block.part for block in blocks))
    wanted = ["stem", *range(1, 1 + len(case.network.stages)), "head"]
    case.require(parts == wanted, f"parts of its blocks are {parts}, not {wanted}")
    for row in range(_ROWS):
        sums = dict.fromkeys(_COUNTS[:3], 0)
        for block in blocks:
            repeats = 1 if block.repeats is None else _at(block.repeats, row)
            for layer in block.layers:
                weights, channels, area = (_at(value, row) for value in (layer.weights, layer.channels, layer.area))
                macs = weights * area if layer.macs is None else _at(layer.macs, row)
                case.require(min(weights, channels, macs) >= 0, f"a number of layer {layer.name} is negative")
                case.require(not layer.computes or macs >= channels * area, f"{layer.name} has outputs without MACs")
                sums["macs"] += repeats * macs * layer.computes
                sums["activations"] += repeats * channels * area * layer.computes
                sums["params"] += repeats * (weights * layer.computes + layer.params_per_channel * channels)
        for name, total in sums.items():
            known = int(getattr(counted, name)[row])
            case.require(total == known, f"its layers sum up to {total:,} {name}, but {known:,} are counted")


def _at(value: Any, row: int) -> int:
    return int(np.broadcast_to(value, _ROWS)[row])


def _check_monotone(case: _Case) -> None:
    """More pixels, blocks, channels or classes never cost less, and a block more always costs more."""
    network, several = case.network, case.architectures()
    few = count(several, _CLASSES)
    more = replace(several, resolution=several.resolution + network.stride)
    _not_less(case, few, count(more, _CLASSES), "more pixels")
    _not_less(case, few, count(several, _CLASSES + 1), "a class more")
    for stage in range(len(network.stages)):
        depths = several.depths.copy()
        depths[:, stage] += 1
        deeper = count(replace(several, depths=depths), _CLASSES)
        _not_less(case, few, deeper, f"a block more in stage {stage + 1}")
        costs = bool((deeper.macs > few.macs).all() and (deeper.params > few.params).all())
        case.require(costs, f"a block more in stage {stage + 1} costs nothing")
    w = np.sort(case.rng.uniform(0.7, 2.0, _ROWS))
    wider = count(scale(network, case.rule, network.resolution, 1.0, w), _CLASSES)
    for name in _COUNTS[:3]:
        case.require(bool((np.diff(getattr(wider, name)) >= 0).all()), f"wider networks have fewer {name}")


def _not_less(case: _Case, few: Complexity, more: Complexity, what: str) -> None:
    for name in _COUNTS[:3]:
        case.require(bool((getattr(more, name) >= getattr(few, name)).all()), f"{what} make fewer {name}")


def _check_widths(case: _Case) -> None:
    """Legal widths stay, are in the order of those wanted, and the base network has some."""
    network, family = case.network, case.family
    wanted = np.sort(case.rng.integers(1, 3 * max(network.widths), (200, len(network.stages))), axis=0)
    legal = family.widths(network, wanted)
    case.require(legal.shape == wanted.shape and legal.dtype.kind == "i", "legal widths are no (n, s) whole numbers")
    case.require(int(legal.min()) >= 1, f"a legal width is {legal.min()}")
    case.require(bool((family.widths(network, legal) == legal).all()), "legal widths are moved once more")
    case.require(bool((np.diff(legal, axis=0) >= 0).all()), "a larger width wanted gives a smaller legal one")
    own = np.array([network.widths])
    case.require(bool((family.widths(network, own) == own).all()), f"its own widths {network.widths} are not legal")


def _check_unknown(case: _Case) -> None:
    """A table with a variant, a kind of block or a knob that nobody knows is refused."""
    network, own = case.network, stack([case.network.architecture()])
    stages = (replace(network.stages[0], block="no such block"), *network.stages[1:])
    other = replace(network, variant="no such variant")
    _refused(case, lambda: list(blocks_of(other, own, _CLASSES)), "an unknown variant")
    changed = replace(network, stages=stages)
    _refused(case, lambda: list(blocks_of(changed, own, _CLASSES)), "an unknown kind of block")
    knobs = {"no such knob": (1,)}
    _refused(case, lambda: case.family.with_knobs(network, knobs), "an unknown knob in its table")
    _refused(case, lambda: count(stack([own[0].with_knobs(knobs)])), "an unknown knob of an architecture")


def _refused(case: _Case, act: Callable[[], object], what: str) -> None:
    try:
        act()
    except InputError:
        return
    case.require(False, f"{what} is not refused")


def _check_knobs(case: _Case) -> None:
    """The knobs of its table change nothing when given, and others count as in a table that has them."""
    network, family = case.network, case.family
    knobs = family.knobs(network)
    for given, what in (({}, "no"), (knobs, "its own")):
        case.require(family.with_knobs(network, given) == network, f"{what} knobs make another table")
    own = network.architecture()
    for name, values in knobs.items():
        case.require(len(values) in (1, len(network.stages)), f"knob {name} is neither one number nor one per stage")
        told = architecture_complexity(own.with_knobs({name: values}))
        case.require(told.macs == architecture_complexity(own).macs, f"its own {name} changes its MACs")
        twice = own.with_knobs({name: tuple(2 * value for value in values)})
        table = network_of(twice)
        if table is network:  # its knobs are an architecture's alone
            continue
        widths = family.widths(table, np.array([network.widths]))[0].tolist()
        wider = replace(twice, widths=tuple(widths))
        plain = stack([wider.with_knobs({})])
        total, _ = totals(blocks_of(table, plain, _CLASSES), size=4)
        counted = architecture_complexity(wider, _CLASSES)
        same = all(int(getattr(total, cost)[0]) == getattr(counted, cost) for cost in _COUNTS[:3])
        case.require(same, f"other {name} count otherwise in a table")
    several = case.architectures()
    followed = family.followed(network, sizes_of(several))
    case.require(set(followed) == set(knobs), f"knobs are {sorted(knobs)}, but values are given of {sorted(followed)}")
    both = count(several, _CLASSES), count(replace(several, knobs=followed), _CLASSES)
    same = all(np.array_equal(*(getattr(one, cost) for one in both)) for cost in _COUNTS)
    case.require(same, "architectures that say the knobs that they would have are counted otherwise")


def _check_overflow(case: _Case) -> None:
    """From the base network to the largest sizes, MACs rise below their bound until they are refused."""
    network = case.network
    most = MAX_PIXELS / network.resolution, MAX_CHANNELS / max(*network.widths, network.stem, network.head)
    ends = (*most, MAX_BLOCKS / max(network.depths))
    for free in ((True, False, False), (False, True, False), (False, False, True), (True, True, True)):
        last = 0
        for share in np.linspace(0, 1, _STEPS):
            times = [end**share if moves else 1.0 for end, moves in zip(ends, free, strict=True)]
            enlarged = stack([_enlarged(case, *times)])
            bound = case.family.macs_bound(network, sizes_of(enlarged))
            try:
                macs = int(count(enlarged, _CLASSES).macs[0])
            except InputError as error:
                case.require(bound > 2.0**62 or "bytes" in str(error), f"{enlarged[0]} is refused: {error}")
                break
            case.require(
                last <= macs <= bound, f"{macs:,} MACs of {enlarged[0]} are below {last:,} or above {bound:,.0f}"
            )
            last = macs


def _enlarged(case: _Case, r: float, w: float, d: float) -> Architecture:
    """The base network so many times as large, with legal widths."""
    network = case.network
    wanted = np.array([[int(width * w * 0.999 if w > 1 else width) for width in network.widths]])
    return Architecture(
        network.name,
        int(network.resolution * r) // case.rule.step * case.rule.step,
        int(network.stem * w),
        tuple(case.family.widths(network, wanted)[0].tolist()),
        tuple(int(depth * d) for depth in network.depths),
        int(network.head * w),
    )


def _check_terms(case: _Case) -> None:
    """Its blocks as plain data, if it gives them, count the same MACs."""
    if not overrides(case.family, "terms"):
        return
    terms = case.family.terms(case.network, _CLASSES)
    for architecture in case.architectures():
        side, channels, macs = architecture.resolution, 3, 0
        parts = [
            (terms.stem, architecture.stem, len(terms.stem)),
            (terms.head, architecture.head or channels, len(terms.head)),
        ]
        parts[1:1] = zip(terms.stages, architecture.widths, architecture.depths, strict=True)
        for blocks, width, depth in parts:
            for block in (blocks + blocks[-1:] * depth)[:depth]:
                more, side = _term_macs(block, side, channels, width)
                macs, channels = macs + more, width
        wanted = architecture_complexity(architecture, _CLASSES).macs
        case.require(macs == wanted, f"its terms count {macs:,} MACs of {architecture}, which has {wanted:,}")


def _term_macs(block: JsonObject, side: int, c_in: int, c_out: int) -> tuple[int, int]:
    """The MACs of one block of terms, and the side of its feature maps."""
    after = (side + block["padding"]) // block["stride"]
    size = {"c_in": c_in, "c_out": c_out, "before": side**2, "after": after**2, "changed": int(c_in != c_out)}
    for how in block["channels"]:
        exact, divisor = size[how["of"]] * how["base"], how["divisor"]
        whole = divisor * _ROUNDINGS[how["rounding"]](exact / divisor)
        whole += divisor * (whole < how["guard"] * exact)
        size[how["name"]] = min(max(whole, how["least"]), how["most"])
    return sum(math.prod(size.get(factor, factor) for factor in layer) for layer in block["layers"]), after


_CHECKS: tuple[Callable[[_Case], None], ...] = (
    _check_widths,
    _check_unknown,
    _check_knobs,
    _check_layers,
    _check_arrays,
    _check_monotone,
    _check_overflow,
    _check_terms,
)
