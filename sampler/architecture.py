"""Base networks as tables of stages, and architectures as plain integers.

Everything a network of a family needs in order to be counted or built is here, as data:
no torch, and no behaviour beyond refusing impossible values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sampler.checks import shown
from sampler.errors import InputError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Larger values are mistakes (a typo, a wrong unit), and products of them would leave int64.
MAX_PIXELS = 16_384
MAX_CHANNELS = 131_072
MAX_BLOCKS = 4_096


@dataclass(frozen=True)
class Stage:
    """One run of equal blocks at one spatial size.

    Attributes:
        block: The block's kind, a name the family knows (`"ds"` or `"mb"` for MBConv).
        kernel: Side of the depthwise kernel, in pixels.
        stride: Stride of the stage's first block; the others have 1.
        expansion: Hidden channels over a block's input channels.
        se_ratio: Squeeze-excite channels over a block's *input* channels (in MobileNetV3 hidden ones); 0 for none.
        width: Output channels at base size.
        depth: Blocks at base size.
        group_width: Channels per group of a grouped convolution; 0 where the family has none.
        expansions: Expansion of each block at base size where they differ, else empty; deeper stages repeat the last.
        se_ratios: Squeeze-excite ratio of each block, likewise.
    """

    block: str
    kernel: int
    stride: int
    expansion: float
    se_ratio: float
    width: int
    depth: int
    group_width: int = 0
    expansions: tuple[float, ...] = ()
    se_ratios: tuple[float, ...] = ()


@dataclass(frozen=True)
class BaseNetwork:
    """A base network: a table of stages, a stem, a head and an input resolution.

    Attributes:
        name: timm's model name where timm has the network.
        family: The family that counts and builds it (`"mbconv"`).
        resolution: Input side at base size, in pixels.
        stem: Channels of the first convolution; 0 where the network has none that scales on its own.
        stages: The stages, input side first.
        head: Channels of the last 1x1 convolution; 0 where the network has none.
        rule: Name of the scaling rule that gives the published larger and smaller versions.
        stem_stride: Input pixels per pixel before the first stage (a stem's pooling included), along one side.
        variant: Name of what the table does not say, such as the activation, for its family; "" for the plain network.
    """

    name: str
    family: str
    resolution: int
    stem: int
    stages: tuple[Stage, ...]
    head: int
    rule: str
    stem_stride: int = 2
    variant: str = ""

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels of each stage at base size."""
        return tuple(stage.width for stage in self.stages)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage at base size."""
        return tuple(stage.depth for stage in self.stages)

    @property
    def stride(self) -> int:
        """Input pixels per pixel of the last feature map, along one side."""
        return int(np.prod([self.stem_stride, *(stage.stride for stage in self.stages)]))

    def architecture(self) -> Architecture:
        """The base network itself, as an architecture."""
        return Architecture(self.name, self.resolution, self.stem, self.widths, self.depths, self.head)


@dataclass(frozen=True)
class Architecture:
    """One buildable member of a base network's family: integers only.

    Attributes:
        base: Name of the base network.
        resolution: Input side, in pixels.
        stem: Channels of the first convolution; 0 where the network has none that scales on its own.
        widths: Output channels of each stage.
        depths: Blocks of each stage.
        head: Channels of the last 1x1 convolution; 0 for none.
        knobs: Further whole numbers by name, such as group widths, where they are not the base network's.

    Raises:
        InputError: If a value is not a positive integer within reason, or the two lists differ in length.

    Example:
        >>> from sampler import base
        >>> base("efficientnet_b0").architecture().widths
        (16, 24, 40, 80, 112, 192, 320)
    """

    base: str
    resolution: int
    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    head: int
    # Only a `KnobbedArchitecture` has any: records of others (`dataclasses.asdict`) do not speak of them.
    knobs: ClassVar[Mapping[str, tuple[int, ...]]] = MappingProxyType({})

    def __post_init__(self) -> None:
        for name in ("widths", "depths"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple | np.ndarray) or np.ndim(values) != 1:
                raise InputError(f"{name} is {shown(values)}; a list of whole numbers is wanted")
            object.__setattr__(self, name, tuple(values))  # lists would not be hashable
        if len(self.widths) != len(self.depths):
            raise InputError(f"{len(self.widths)} widths and {len(self.depths)} depths: give one of each per stage")
        check_range("resolution", self.resolution, MAX_PIXELS)
        check_range("widths", self.widths, MAX_CHANNELS)
        for name, channels in (("stem", self.stem), ("head", self.head)):
            check_range(name, channels, MAX_CHANNELS, smallest=0)
        check_range("depths", self.depths, MAX_BLOCKS)

    def knob(self, name: str) -> tuple[int, ...] | None:
        """The further whole numbers of that name; None where they are the base network's."""
        return self.knobs.get(name)

    def with_knobs(self, knobs: Mapping[str, int | Sequence[int]]) -> Architecture:
        """The same network with these further whole numbers instead of its own; without any where there are none.

        Raises:
            InputError: If a value is not a positive whole number within reason.

        Example:
            >>> from sampler import base
            >>> base("regnety_040").architecture().with_knobs({"group_width": [32, 32, 64, 64]}).knob("group_width")
            (32, 32, 64, 64)
        """
        shape = self.base, self.resolution, self.stem, self.widths, self.depths, self.head
        return KnobbedArchitecture(*shape, knobs=_tuples(knobs)) if knobs else Architecture(*shape)

    def as_dict(self) -> dict[str, Any]:
        """Its integers in JSON's types; without the knobs where it has none."""
        shape = {"resolution": self.resolution, "stem": self.stem, "head": self.head}
        knobs = {"knobs": {name: list(values) for name, values in self.knobs.items()}} if self.knobs else {}
        return {**shape, "widths": list(self.widths), "depths": list(self.depths), **knobs}


@dataclass(frozen=True)
class KnobbedArchitecture(Architecture):
    """An architecture with further whole numbers that are not its base network's, such as group widths.

    A class of its own, so that the records of all other architectures (`dataclasses.asdict`, which studies, weights
    and checkpoints are named by) hold no word of knobs. `Architecture.with_knobs` makes one.

    Attributes:
        knobs: Whole numbers by name, in the order of the names: one per stage, or one for the whole network.

    Raises:
        InputError: If there is no knob, or a value is not a positive whole number within reason.
    """

    knobs: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        knobs, stages = _tuples(self.knobs), len(self.widths)
        for name, values in knobs.items():
            check_range(f"knob {name}", values, MAX_CHANNELS)
            if len(values) not in (1, stages):
                raise InputError(f"knob {name} has {len(values)} values; give one, or one per stage ({stages})")
        object.__setattr__(self, "knobs", knobs)


def _tuples(knobs: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Knobs by their sorted names; one number is a tuple of one.

    Raises:
        InputError: If there is none, or one has no name.
    """
    if not isinstance(knobs, Mapping) or not knobs or not all(isinstance(name, str) for name in knobs):
        raise InputError(f"knobs are {shown(knobs)}; whole numbers by name are wanted")
    return {name: _tuple(knobs[name]) for name in sorted(knobs)}


def _tuple(values: Any) -> tuple[Any, ...]:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return tuple(values) if isinstance(values, list | tuple) else (values,)


@dataclass(frozen=True, eq=False)
class Architectures:
    """`n` architectures of one base network with `s` stages, as integer arrays.

    Attributes:
        base: Name of the base network.
        resolution: `(n,)` input sides, in pixels.
        stem: `(n,)` channels of the first convolution.
        widths: `(n, s)` output channels.
        depths: `(n, s)` blocks.
        head: `(n,)` channels of the last 1x1 convolution.
        multipliers: `(n, 3)` r, d, w over the base: as drawn for uniform scaling, effective for per-stage, NaN where
            nobody said.
        knobs: `(n, k)` further whole numbers by name, where they are not the base network's: k is s or 1.
    """

    base: str
    resolution: IntArray
    stem: IntArray
    widths: IntArray
    depths: IntArray
    head: IntArray
    multipliers: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    knobs: Mapping[str, IntArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.multipliers) != len(self.resolution):  # architectures made from integers alone
            object.__setattr__(self, "multipliers", np.full((len(self.resolution), 3), np.nan))

    def __len__(self) -> int:
        return len(self.resolution)

    def __getitem__(self, row: int) -> Architecture:
        plain = Architecture(
            self.base,
            int(self.resolution[row]),
            int(self.stem[row]),
            tuple(int(width) for width in self.widths[row]),
            tuple(int(depth) for depth in self.depths[row]),
            int(self.head[row]),
        )
        if not self.knobs:
            return plain
        return plain.with_knobs({name: values[row].tolist() for name, values in self.knobs.items()})

    def __iter__(self) -> Iterator[Architecture]:
        return (self[row] for row in range(len(self)))

    def take(self, rows: ArrayLike | slice) -> Architectures:
        """The rows named by an index, a mask or a slice, in that order."""
        index = rows if isinstance(rows, slice) else np.asarray(rows)
        return Architectures(
            self.base,
            self.resolution[index],
            self.stem[index],
            self.widths[index],
            self.depths[index],
            self.head[index],
            self.multipliers[index],
            {name: values[index] for name, values in self.knobs.items()},
        )

    def integers(self) -> IntArray:
        """`(n, 3 + 2 s)` rows that are equal exactly where the architectures are; knobs add theirs, in their order."""
        knobs = [self.knobs[name] for name in sorted(self.knobs)]
        return np.column_stack([self.resolution, self.stem, self.widths, self.depths, self.head, *knobs])


def stack(architectures: Sequence[Architecture]) -> Architectures:
    """Architectures of one base network, as arrays.

    Raises:
        InputError: If there are none, they belong to different base networks, some have knobs that others lack, or one
            has a width per layer.
    """
    if not isinstance(architectures, Sequence) or any(not isinstance(member, Architecture) for member in architectures):
        raise InputError(f"a list of architectures is wanted, got {shown(architectures)}")
    if any(type(member) not in (Architecture, KnobbedArchitecture) for member in architectures):
        raise InputError("a network with one width per layer is no row of widths per stage; give one of stages")
    names = sorted({member.base for member in architectures})
    if len(names) != 1:
        raise InputError(f"architectures of exactly one base network are wanted, got {names or 'none'}")
    knobs = {tuple((name, len(values)) for name, values in member.knobs.items()) for member in architectures}
    if len(knobs) > 1:
        raise InputError(f"architectures of {names[0]} with the same knobs are wanted; stack those without separately")
    return Architectures(
        names[0],
        np.array([member.resolution for member in architectures], dtype=np.int64),
        np.array([member.stem for member in architectures], dtype=np.int64),
        np.array([member.widths for member in architectures], dtype=np.int64),
        np.array([member.depths for member in architectures], dtype=np.int64),
        np.array([member.head for member in architectures], dtype=np.int64),
        knobs={
            name: np.array([member.knobs[name] for member in architectures], dtype=np.int64)
            for name, _ in next(iter(knobs))
        },
    )


def concatenate(parts: Sequence[Architectures]) -> Architectures:
    """Batches of one base network with the same knobs, one after the other."""
    names = {part.base for part in parts}
    knobs = {tuple(sorted(part.knobs)) for part in parts}
    assert len(names) == len(knobs) == 1, (names, knobs)
    columns = ("resolution", "stem", "widths", "depths", "head", "multipliers")
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return Architectures(
        names.pop(), **whole, knobs={name: np.concatenate([part.knobs[name] for part in parts]) for name in knobs.pop()}
    )


def check_range(name: str, values: ArrayLike, largest: int, smallest: int = 1) -> None:
    """Refuses anything but integers between `smallest` and `largest`.

    Raises:
        InputError: With the name and the first value outside.
    """
    several = values if isinstance(values, tuple) else (values,)
    if set(map(type, several)) == {int} and smallest <= min(several) and max(several) <= largest:
        return  # one architecture's, without arrays: ledgers hold thousands
    numbers = np.asarray(values)
    whole = numbers.dtype.kind in "iu" or (numbers.size > 0 and all(type(one) is int for one in numbers.flat))
    if not whole:  # whole numbers beyond 64 bits come as objects, and are refused below
        raise InputError(f"{name} must be whole numbers, got {shown(values)}")
    wrong = (numbers < smallest) | (numbers > largest)
    if wrong.any():
        raise InputError(f"{name} must be between {smallest} and {largest}, got {numbers[wrong].flat[0]}")
