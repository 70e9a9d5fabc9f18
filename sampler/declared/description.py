"""A declared network as plain data: its sizes at base, the values they may have, where it is from, what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

from sampler.architecture import BaseNetwork, Stage
from sampler.declared.expressions import Expression
from sampler.errors import InputError
from sampler.moves import stage_columns

SCHEMA = "planner-network/1"
BLOCK = "declared"  # the kind of the blocks of its stages


class PartCounts(TypedDict):
    """What the stem, a stage or the head costs."""

    part: str | int
    """`"stem"`, `"head"`, or the number of the stage, from 1."""
    macs: Expression
    params: Expression
    activations: Expression


class Counts(TypedDict):
    """What a network costs, as `sampler.declared.expressions`."""

    follows: dict[str, Expression]
    """Knobs' columns where an architecture does not say: functions of the other variables."""
    cells: list[Expression]
    """Shared expressions."""
    parts: list[PartCounts]
    """The stem, the stages, the head; what the network costs is their sum."""
    alive: Expression
    """Elements of its own type alive at once, at most, buffers included."""
    int64s: Expression
    """Eight-byte elements alive with them: indices, integer buffers."""


@dataclass(frozen=True)
class Knob:
    """A further whole number of a declared network.

    Attributes:
        base: Values at base size: one for the network, or one for each stage.
        values: Values that it may have, ascending: one where it is fixed, none where it only follows.
        follows: Value where an architecture does not say, as an expression of `width`, `depth` (of its stage; of
            the first for the whole network) and `resolution`; None where it stays what it is at base.
    """

    base: tuple[int, ...]
    values: tuple[int, ...]
    follows: Expression | None = None


@dataclass(frozen=True)
class Source:
    """Where a declared network is from.

    Attributes:
        file: Name of its file, without folders; "" where it was declared in a program alone.
        function: Name of the function in it; of its module, too, without a file.
        sha256: Digest of the file's bytes, and of the files beside it that it imports; "" without a file.
    """

    file: str = ""
    function: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class NetworkDescription:
    """A declared network.

    Attributes:
        name: Name of the base network.
        resolution: Size of the input at base: pixels, tokens, samples, frames.
        least: Least resolution.
        step: Step of resolutions.
        widths: Channels of each stage at base.
        divisors: Divisor of each stage's widths.
        depths: Blocks of each stage at base.
        knobs: Further whole numbers by name.
        images: Whether it takes `(n, channels, r, r)` images and gives one score per class.
        channels: Channels of its images.
        source: Where it is from.
        counts: Costs; None where each architecture is traced.
        derived: How the counts were found: `traces`, `seconds`, `checked`, `torch`.
    """

    name: str
    resolution: int
    least: int
    step: int
    widths: tuple[int, ...]
    divisors: tuple[int, ...]
    depths: tuple[int, ...]
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    images: bool = False
    channels: int = 3
    source: Source = Source()
    counts: Counts | None = None
    derived: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """Name of its family, which has this one network."""
        return f"declared/{self.name}"

    def base(self) -> BaseNetwork:
        """The base network."""
        stages = (
            Stage(BLOCK, 1, 1, 1.0, 0.0, width, depth) for width, depth in zip(self.widths, self.depths, strict=True)
        )
        rule = f"multiples:{min(self.divisors)}:{self.step}"
        least = -(-self.least // self.step) * self.step
        return BaseNetwork(self.name, self.family, self.resolution, 0, tuple(stages), 0, rule, stem_stride=least)

    def knob_columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of each knob."""
        return {name: stage_columns(name, len(knob.base)) for name, knob in self.knobs.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain data, the inverse of `from_json`."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, document: Any) -> NetworkDescription:
        """The network of a document.

        Raises:
            InputError: If it is none.
        """
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise InputError(f"no description of a network ({SCHEMA}); declare it again from its file")
        try:
            facts: dict[str, Any] = {name: value for name, value in document.items() if name != "schema"}
            facts["knobs"] = {
                name: Knob(tuple(one["base"]), tuple(one["values"]), one["follows"])
                for name, one in facts["knobs"].items()
            }
            facts |= {name: tuple(facts[name]) for name in ("widths", "divisors", "depths")}
            return cls(**facts | {"source": Source(**facts["source"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"a damaged description of a network ({error}); declare it again from its file") from error
