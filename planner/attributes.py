"""What the ledger holds of a trial: attributes of these names and types, any of which an older version may lack.

A ledger may have been edited, or written by another version: whatever reads its trials relies on this check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on alone

from planner.errors import InputError, PlannerError
from planner.settings import first_problem
from sampler import architecture_from
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS

Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Count = Annotated[int, Field(ge=0, le=2**62)]
STRICT = ConfigDict(strict=True)


class ArchitectureFacts(TypedDict):
    """Fields of an `Architecture`, or of a `LayeredArchitecture`."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[misc]

    base: str
    resolution: Annotated[int, Field(ge=1, le=MAX_PIXELS)]
    stem: Channels
    widths: Annotated[list[Channels], Field(min_length=1)]
    depths: list[Annotated[int, Field(ge=1, le=MAX_BLOCKS)]]
    head: Annotated[int, Field(ge=0, le=MAX_CHANNELS)]
    layers: NotRequired[list[Channels]]
    padding: NotRequired[str]
    projected: NotRequired[bool]


class EpochFacts(TypedDict):
    """What was seen in an epoch."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    epoch: Count
    training_loss: float | None
    accuracy: float | None
    loss: float | None


class AskedFacts(TypedDict, total=False):
    """What a training has of its own."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    epochs: Count
    recipe: str
    holdout: float
    parent: Count
    keep: bool


class Facts(TypedDict, total=False):
    """What a trial is, why it is there, and what came of it."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    architecture: ArchitectureFacts
    origin: str
    rule: str
    r: float
    d: float
    w: float
    macs: Count
    params: Count
    activations: Count
    memory: Count | None
    seed: Count
    first_seed: Count
    repeat: Count
    tries: Count
    retry_of: Count
    queued: str
    coordinator: Count
    asks: AskedFacts
    status: str
    accuracy: float | None
    loss: float | None
    epochs: Count
    epochs_done: Count
    epochs_before: Count
    data_share: float
    seconds: float | None
    cpu_seconds: float | None
    threads: Count | None
    message: str
    device: str
    versions: dict[str, str]
    history: list[EpochFacts]


FACTS = TypeAdapter(Facts)


def check(facts: Mapping[str, Any], name: str) -> None:
    """Refuses a trial's attributes that are none.

    Args:
        facts: The attributes.
        name: What errors call the trial.

    Raises:
        PlannerError: Naming the attribute.
    """
    remedy = "restore the ledger from a copy"
    try:
        FACTS.validate_python(facts)
        one = facts["architecture"]
        if "layers" in one or len(one["widths"]) != len(one["depths"]):
            architecture_from(one)
    except ValidationError as error:
        raise PlannerError(f"{name}: {first_problem(error)}; {remedy}") from error
    except (InputError, TypeError) as error:
        raise PlannerError(f"{name}: {error}; {remedy}") from error
