"""Exact MACs, params, activations and memory, for one architecture and for arrays of a million.

One MAC is one multiply and one add of a convolution, a linear layer or a product of two feature maps (attention's);
bias, norm, activation and pooling are not counted. This is half of torch's FlopCounterMode, and fvcore's `conv` +
`linear` (+ `matmul`); the papers call it FLOPs.

Memory is the peak of inference in bytes: one image through timm's module, run by torch operation by operation in
evaluation mode, every number of the same type. It is the weights, the batch norms' buffers, and the largest sum of
feature maps alive at once, the image included. A feature map lives while a running function of the forward pass
still refers to it, as in torch, so a stage's input is alive until the stage is done. Not in it: vectors of one
number per channel (squeeze-excite's), what convolutions need to work in (reordered copies of weights or images, some
per cent where there are any), and torch itself. Attention is two products and a softmax, whose scores are feature
maps; torch's fused attention never keeps them whole, and needs less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import (
    MAX_BLOCKS,
    MAX_CHANNELS,
    MAX_PIXELS,
    Architecture,
    Architectures,
    BaseNetwork,
    IntArray,
    check_range,
    stack,
)
from sampler.bases import base as base_named
from sampler.checks import checked_name, shown
from sampler.errors import InputError
from sampler.families import Family, family_of
from sampler.families.parts import Block
from sampler.families.protocol import overrides, sizes_of
from sampler.families.registry import check_table
from sampler.layered import LayeredArchitecture
from sampler.scaling import ScalingRule, rule_named, scale
from sampler.totals import memory, totals

# What can be counted alone: a base network, by its name or itself, or an architecture.
Network: TypeAlias = str | BaseNetwork | Architecture
# Rows counted at a time: the temporaries of one chunk stay in a core's cache.
CHUNK = 8_192


# Bytes of a number.
SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, eq=False)
class Complexity:
    """Exact counts of one architecture (ints) or of `n` (int64 arrays).

    Attributes:
        macs: Multiply-accumulates of one forward pass of one image.
        params: Learnable scalars.
        activations: Output elements of convolutions, linear layers and products of feature maps (pycls' "acts").
        memory: Peak bytes of inference with one image, as the module's description defines it.
    """

    macs: Any
    params: Any
    activations: Any
    memory: Any

    def scalars(self) -> Complexity:
        """The counts of the only architecture, as ints."""
        return Complexity(**{field.name: int(getattr(self, field.name)[0]) for field in fields(self)})


def count(architectures: Architectures, classes: int = 1000, dtype: str = "float32") -> Complexity:
    """Exact counts of `n` architectures, as int64 arrays.

    Raises:
        InputError: If the number of classes or an architecture is out of range, or the type of numbers unknown.
    """
    network = base_named(architectures.base)
    check(network, architectures, classes)
    size = _size(dtype)
    return _joined(
        [_count_chunk(network, architectures.take(rows), classes, size) for rows in chunks(len(architectures))]
    )


def _count_chunk(network: BaseNetwork, architectures: Architectures, classes: int, size: int) -> Complexity:
    return _summed(blocks_of(network, architectures, classes), size)


def _summed(blocks: Iterator[Block], size: int) -> Complexity:
    total, alive = totals(blocks, size)
    if size * float(np.max(alive, initial=0)) > 2.0**62:
        raise InputError("such a network needs more than 2^62 bytes of memory; check the resolution and widths given")
    return Complexity(total.macs, total.params, total.activations, memory(total, alive, size))


def count_layers(
    architecture: LayeredArchitecture, layers: IntArray, classes: int = 1000, dtype: str = "float32"
) -> Complexity:
    """Exact counts of networks like this one with other layers, as int64 arrays.

    Args:
        architecture: Everything that they have in common.
        layers: `(n, l)` output channels of the blocks' convolutions.
        classes: Outputs of the classifier.
        dtype: Type of the numbers in memory: float32, float16 or bfloat16.

    Raises:
        InputError: If the base network has no layers to choose, a number is out of range, or the type unknown.
    """
    network, size = base_named(architecture.base), _size(dtype)
    family = family_of(network)
    return _joined(
        [
            _summed(family.layer_blocks(network, architecture, layers[rows], classes), size)
            for rows in chunks(len(layers))
        ]
    )


def _size(dtype: str) -> int:
    return SIZES[checked_name("dtype", dtype, SIZES)]


def blocks_of(network: BaseNetwork, architectures: Architectures, classes: int) -> Iterator[Block]:
    """The blocks of `n` architectures, input side first."""
    check_table(network)
    family = family_of(network)
    blocks = family.blocks(network, sizes_of(architectures), classes)
    return blocks if overrides(family, "macs_bound") else _bounded(blocks, family)


def _bounded(blocks: Iterator[Block], family: Family) -> Iterator[Block]:
    """The blocks, of which no layer says its own MACs: the usual bound knows only weights times pixels.

    Raises:
        InputError: If one does.
    """
    for block in blocks:
        for layer in block.layers:
            if layer.macs is not None:
                raise InputError(
                    f"layer {layer.name!r} of family {family.name} says its own MACs, which the usual bound does not "
                    "hold for; give the family its own `macs_bound`"
                )
        yield block


def chunks(n: int, size: int = CHUNK) -> list[slice]:
    """Slices of at most `size` rows that cover `n` rows."""
    return [slice(start, start + size) for start in range(0, n, size)]


def check(network: BaseNetwork, architectures: Architectures, classes: int) -> None:
    """Refuses what could not be built, or whose count would leave int64.

    Raises:
        InputError: Naming what is out of range.
    """
    stages = len(network.stages)
    for name, array in (("widths", architectures.widths), ("depths", architectures.depths)):
        if array.ndim != 2 or array.shape[1] != stages:
            raise InputError(f"{network.name} has {stages} stages, but {name} gives {array.shape[-1]}")
    check_range("classes", classes, MAX_CHANNELS)
    if np.ndim(classes):
        raise InputError(f"classes is {shown(classes)}; one whole number is wanted")
    check_range("resolution", architectures.resolution, MAX_PIXELS)
    check_range("depths", architectures.depths, MAX_BLOCKS)
    check_range("widths", architectures.widths, MAX_CHANNELS)
    if not network.stem and architectures.stem.any():
        raise InputError(f"{network.name} has no stem of its own; it must be 0, not {architectures.stem.max()}")
    check_range("stem", architectures.stem, MAX_CHANNELS, smallest=1 if network.stem else 0)
    if not network.head and architectures.head.any():
        raise InputError(f"{network.name} has no head convolution; its head must be 0, not {architectures.head.max()}")
    check_range("head", architectures.head, MAX_CHANNELS, smallest=1 if network.head else 0)
    _check_knobs(network, architectures)
    smallest = int(architectures.resolution.min(initial=MAX_PIXELS))
    if smallest < network.stride:
        raise InputError(f"{smallest} px is below {network.name}'s stride of {network.stride}; use at least that")
    _check_int64(network, architectures)


def _check_knobs(network: BaseNetwork, architectures: Architectures) -> None:
    """Refuses knobs that the base network lacks, or that are not as many as it has.

    Raises:
        InputError: Naming the knob.
    """
    if not architectures.knobs:
        return
    known = family_of(network).knobs(network)
    for name, values in architectures.knobs.items():
        if name not in known:
            raise InputError(f"{network.name} has no knob {name!r}; its knobs: {', '.join(known) or 'none'}")
        if values.ndim != 2 or values.shape[1] != len(known[name]):
            raise InputError(f"knob {name} of {network.name} is {len(known[name])} numbers, not {values.shape[-1]}")
        check_range(f"knob {name}", values, MAX_CHANNELS)


def _check_int64(network: BaseNetwork, architectures: Architectures) -> None:
    """Refuses architectures whose MACs could pass 2^62, by a bound that needs no count."""
    if not len(architectures):
        return
    bound = family_of(network).macs_bound(network, sizes_of(architectures))
    if not bound <= 2.0**62:
        raise InputError("such a network needs more than 2^62 MACs; check the resolution, widths and depths given")


def complexity(
    base: Network | Architectures | Sequence[Network],
    resolution: ArrayLike | None = None,
    width: ArrayLike = 1.0,
    depth: ArrayLike = 1.0,
    widths: ArrayLike | None = None,
    depths: ArrayLike | None = None,
    rule: str | None = None,
    classes: int = 1000,
    dtype: str = "float32",
    knobs: Mapping[str, ArrayLike] | None = None,
) -> Complexity:
    """Exact complexity of scaled versions of a base network, or of architectures.

    Args:
        base: The base network or its name. Or an architecture, or a list of architectures, base networks and names,
            which have their sizes: nothing but `classes` and `dtype` goes with them.
        resolution: Input side(s) in pixels; the base's own by default. A scalar or `(n,)`.
        width: Width multiplier(s). A scalar or `(n,)`.
        depth: Depth multiplier(s). A scalar or `(n,)`.
        widths: Channels of each stage instead of what `width` gives; `(s,)` or `(n, s)`.
            Stem and head stay what the rule makes of `width`.
        depths: Blocks of each stage instead of what `depth` gives; `(s,)` or `(n, s)`.
        rule: How multipliers become integers; the base network's own rule by default.
        classes: Outputs of the classifier.
        dtype: Type of the numbers in memory: float32, float16 or bfloat16.
        knobs: Further whole numbers of the network by name, where they are not its own: one number, one for each of
            those that the knob has, `(k,)`, or `(n, k)`; `(n,)` where the knob is one number.

    Returns:
        Ints where all arguments are scalars or single lists, int64 arrays of `n` otherwise; for a list as `base`, in
        its order.

    Raises:
        InputError: If a name is unknown, a value impossible, or `base` none of these.

    Example:
        >>> complexity("efficientnet_b0").macs
        385814752
        >>> complexity("efficientnet_b0", resolution=[224, 225]).macs.tolist()
        [385814752, 449497408]
        >>> complexity(["efficientnet_b0", base_named("resnet18").architecture()]).params.tolist()
        [5288548, 11689512]
    """
    if not isinstance(base, str | BaseNetwork):
        scaled = np.ndim(width) or np.ndim(depth) or width != 1 or depth != 1
        if scaled or any(value is not None for value in (resolution, widths, depths, rule, knobs)):
            raise InputError(
                "an architecture has its sizes; leave resolution, width, depth and rule out, or give names"
            )
        return _count_given(base, classes, dtype)
    network = _known(base)
    chosen = rule_named(network.rule if rule is None else rule)
    pixels = network.resolution if resolution is None else resolution
    further, several = _knob_rows(network, {} if knobs is None else knobs)
    scalar = all(np.ndim(value) == 0 for value in (pixels, width, depth)) and all(
        value is None or np.ndim(value) == 1 for value in (widths, depths)
    )
    check_range("resolution", pixels, MAX_PIXELS)
    result = _count_scaled(network, chosen, pixels, width, depth, widths, depths, further, classes, dtype)
    return result.scalars() if scalar and not several else result


def _knob_rows(network: BaseNetwork, knobs: Any) -> tuple[dict[str, IntArray], bool]:
    """Knobs as `(1, k)` or `(n, k)` whole numbers, and whether one of them is given for several networks.

    Raises:
        InputError: If the network has no such knob, or it is given otherwise.
    """
    if not isinstance(knobs, Mapping):
        raise InputError(f"knobs are {shown(knobs)}; whole numbers by name are wanted")
    known, found, several = family_of(network).knobs(network), {}, False
    for name, given in knobs.items():
        if name not in known:
            raise InputError(f"{network.name} has no knob {shown(name)}; its knobs: {', '.join(known) or 'none'}")
        check_range(f"knob {name}", given, MAX_CHANNELS)
        values, k = np.asarray(given, dtype=np.int64), len(known[name])
        alone = values.ndim == 0 or values.shape == (k,)
        rows = values.reshape(-1, 1) if k == 1 and values.ndim == 1 else np.atleast_2d(values)
        if rows.ndim != 2 or rows.shape[1] not in {k, 1 if values.ndim == 0 else k}:
            raise InputError(f"knob {name} of {network.name} is {k} numbers, not {values.shape[-1]}")
        found[name], several = np.broadcast_to(rows, (len(rows), k)), several or not alone
    return found, several


def _count_given(given: object, classes: int, dtype: str) -> Complexity:
    """Counts architectures: ints of one, int64 arrays of several, in their order."""
    if isinstance(given, Architecture):
        return architecture_complexity(given, classes, dtype)
    if isinstance(given, Architectures):
        return count(given, classes, dtype)
    if not isinstance(given, list | tuple):
        raise _foreign(given)
    ones = [member if isinstance(member, Architecture) else _known(member).architecture() for member in given]
    # Rows that are counted together: all of a base network with the same knobs, but the layered ones.
    alike: dict[int | tuple[str, ...], list[int]] = {}
    for row, member in enumerate(ones):
        key = row if isinstance(member, LayeredArchitecture) else (member.base, *member.knobs)
        alike.setdefault(key, []).append(row)
    counts = np.empty((len(fields(Complexity)), len(ones)), dtype=np.int64)
    for rows in alike.values():
        first = ones[rows[0]]
        if isinstance(first, LayeredArchitecture):
            counted = count_layers(first, np.array([first.layers]), classes, dtype)
        else:
            counted = count(stack([ones[row] for row in rows]), classes, dtype)
        counts[:, rows] = [getattr(counted, field.name) for field in fields(counted)]
    return Complexity(*counts)


def _known(given: object) -> BaseNetwork:
    """The base network of a name, or one that is known by its name, perhaps at another resolution.

    Raises:
        InputError: If there is no such network.
    """
    if isinstance(given, str):
        return base_named(given)
    if not isinstance(given, BaseNetwork):
        raise _foreign(given)
    if replace(base_named(given.name), resolution=given.resolution) != given:
        raise InputError(f"the table of {given.name} was changed, and is counted by its name; give widths and depths")
    return given


def _foreign(given: object) -> InputError:
    return InputError(
        f"{type(given).__name__} {shown(given)} is no network of the planner's: name one of `planner bases`, or "
        "give planner.base(name), a function that planner.network decorates, an architecture, or a list of these"
    )


def _count_scaled(
    network: BaseNetwork,
    rule: ScalingRule,
    pixels: ArrayLike,
    width: ArrayLike,
    depth: ArrayLike,
    widths: ArrayLike | None,
    depths: ArrayLike | None,
    knobs: Mapping[str, IntArray],
    classes: int,
    dtype: str,
) -> Complexity:
    """Scales and counts chunk by chunk, so that a million rows never stand in memory at once."""
    lists: list[IntArray | None] = []
    for name, value, largest in (("widths", widths, MAX_CHANNELS), ("depths", depths, MAX_BLOCKS)):
        if value is not None:
            check_range(name, value, largest)
        # int64 whatever was given: products of a narrower type would wrap around.
        lists.append(None if value is None else np.atleast_2d(np.asarray(value, dtype=np.int64)))
    columns = [np.atleast_1d(np.asarray(value)) for value in (pixels, depth, width)]
    if any(part.ndim > 1 for part in columns) or any(part is not None and part.ndim > 2 for part in lists):
        raise InputError("resolution, width and depth are numbers or (n,), widths and depths (s,) or (n, s)")
    lengths = {len(part) for part in [*columns, *lists, *knobs.values()] if part is not None} - {1}
    if len(lengths) > 1:
        raise InputError(f"arguments of {' and '.join(map(str, sorted(lengths)))} rows; give one length, or one value")
    n = lengths.pop() if lengths else 1
    columns = [np.broadcast_to(part, (n,)) for part in columns]
    counted = []
    for rows in chunks(n):
        scaled = scale(network, rule, *(part[rows] for part in columns))
        channels, blocks = (
            part if given is None else np.broadcast_to(given, (n, given.shape[1]))[rows]
            for part, given in zip((scaled.widths, scaled.depths), lists, strict=True)
        )
        sizes = scaled.resolution, scaled.stem, channels, blocks, scaled.head
        further = {name: np.broadcast_to(part, (n, part.shape[1]))[rows] for name, part in knobs.items()}
        replaced = Architectures(network.name, *sizes, knobs=further)
        counted.append(count(replaced, classes, dtype))
    return _joined(counted)


def _joined(parts: list[Complexity]) -> Complexity:
    """Counts of several batches, one after the other."""
    none = np.empty(0, dtype=np.int64)
    return Complexity(
        **{
            field.name: np.concatenate([none, *(getattr(part, field.name) for part in parts)])
            for field in fields(Complexity)
        }
    )


def base_macs(base: str, resolution: int, classes: int) -> int:
    """MACs of a base network itself at a resolution and number of classes: c = 1.

    Example:
        >>> base_macs("efficientnet_b0", resolution=224, classes=1000)
        385814752
    """
    return int(complexity(base, resolution=resolution, classes=classes).macs)


def architecture_complexity(architecture: Architecture, classes: int = 1000, dtype: str = "float32") -> Complexity:
    """Exact counts of one architecture, as ints.

    Example:
        >>> from sampler import base
        >>> architecture_complexity(base("efficientnet_b0").architecture()).params
        5288548
    """
    if isinstance(architecture, LayeredArchitecture):
        return count_layers(architecture, np.array([architecture.layers]), classes, dtype).scalars()
    return count(stack([architecture]), classes, dtype).scalars()
