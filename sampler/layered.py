"""Networks with one width per layer, which no row of widths per stage describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from sampler.architecture import MAX_CHANNELS, Architecture, BaseNetwork, KnobbedArchitecture, check_range
from sampler.checks import shown
from sampler.errors import InputError

# What a block does where its shortcut is wider than its second convolution.
PADDINGS = ("max", "local")


@dataclass(frozen=True)
class LayeredArchitecture(Architecture):
    """A residual network of basic blocks with one width per convolution of its blocks.

    Its `widths` are what a stage leaves to the next. It is no point of a search space of stages: what counts or
    scales arrays of architectures refuses it.

    Attributes:
        layers: Output channels of the blocks' convolutions, two per block, input side first.
        padding: `"max"` pads the narrower path of a block with zero channels; `"local"` the shortcut only, and drops
            the last channels of a shortcut that is wider.
        projected: Whether the shortcut into a stage after the first is a 1x1 convolution, as in ImageNet's ResNets,
            which gives the second convolution's channels whatever the padding.

    Raises:
        InputError: If a value is impossible, or the stages' widths are not those of the layers.

    Example:
        >>> from sampler import base
        >>> LayeredArchitecture.of(base("resnet20_cifar"), [16] * 6 + [32] * 5 + [40] + [48] * 6).widths
        (16, 40, 48)
    """

    layers: tuple[int, ...]
    padding: str
    projected: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layers", tuple(self.layers))
        widths = _left_by_stages(self.stem, self.layers, self.depths, self.padding, self.projected)
        if widths != self.widths:
            raise InputError(f"layers {self.layers} make stages of {widths} channels, not of {self.widths}; give those")

    @classmethod
    def of(
        cls,
        network: BaseNetwork,
        layers: Sequence[int],
        padding: str = "max",
        stem: int | None = None,
        resolution: int | None = None,
    ) -> LayeredArchitecture:
        """A base network with these layers; stem and resolution are its own by default.

        Raises:
            InputError: If the padding is unknown, or the layers are not two per block, each a positive integer.
        """
        first = network.stem if stem is None else stem
        pixels = network.resolution if resolution is None else resolution
        projected = network.variant != "cifar"
        widths = _left_by_stages(first, tuple(layers), network.depths, padding, projected)
        return cls(network.name, pixels, first, widths, network.depths, 0, tuple(layers), padding, projected)


def architecture_from(facts: Mapping[str, Any]) -> Architecture:
    """The architecture of what `dataclasses.asdict` made of it, also when JSON made lists of its tuples.

    Raises:
        InputError: If a value is impossible.
        TypeError: If a value is missing or unknown.

    Example:
        >>> from dataclasses import asdict
        >>> from sampler import base
        >>> b0 = base("efficientnet_b0").architecture()
        >>> architecture_from(asdict(b0)) == b0
        True
    """
    if not isinstance(facts, Mapping):
        raise InputError(f"{shown(facts)} holds no fields of an architecture; give what `dataclasses.asdict` makes")
    kind: type[Architecture] = Architecture
    if "layers" in facts:
        kind = LayeredArchitecture
    elif facts.get("knobs"):
        kind = KnobbedArchitecture
    known = {field.name: field.default is MISSING for field in fields(kind)}
    if wrong := sorted({str(name) for name in facts} ^ {name for name in known if known[name] or name in facts}):
        raise InputError(f"fields {', '.join(wrong)} are missing or unknown; an architecture has {', '.join(known)}")
    return kind(**facts)


def _left_by_stages(
    stem: int, layers: tuple[int, ...], depths: tuple[int, ...], padding: str, projected: bool
) -> tuple[int, ...]:
    """Channels after the last block of each stage.

    Raises:
        InputError: If the padding is unknown, or layers are missing or out of range.
    """
    if padding not in PADDINGS:
        raise InputError(f"zero padding {padding!r} is unknown; known: {', '.join(PADDINGS)}")
    if len(layers) != 2 * sum(depths):
        raise InputError(f"{sum(depths)} blocks have {2 * sum(depths)} layers, but {len(layers)} widths are given")
    check_range("layers", layers, MAX_CHANNELS)
    widths, width, position = [], stem, 0
    for stage, depth in enumerate(depths):
        width = 0 if projected and stage else width
        for second in layers[position + 1 : position + 2 * depth : 2]:
            width = max(width, second) if padding == "max" else second
        widths.append(width)
        position += 2 * depth
    return tuple(widths)
