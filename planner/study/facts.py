"""What the ledger holds of a trial: attributes of these names and types, any of which an older version may lack.

A ledger may have been edited, or written by another version: whatever reads its trials relies on this check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on alone

from planner.errors import InputError
from planner.study.settings import first_problem
from planner.tables.status import is_ok
from sampler import architecture_from
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS
from trainer.score import ACCURACY_NAME

if TYPE_CHECKING:
    import optuna

# Attributes that every trial of ours has had since it was queued, the one beside the others.
_OWN = {"architecture", "macs", "origin", "rule", "tries"}
Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Count = Annotated[int, Field(ge=0, le=2**62)]
STRICT = ConfigDict(strict=True)


class ArchitectureFacts(TypedDict):
    """Fields of an `Architecture`, a `KnobbedArchitecture` or a `LayeredArchitecture`."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[misc]

    base: str
    resolution: Annotated[int, Field(ge=1, le=MAX_PIXELS)]
    stem: Annotated[int, Field(ge=0, le=MAX_CHANNELS)]
    widths: Annotated[list[Channels], Field(min_length=1)]
    depths: list[Annotated[int, Field(ge=1, le=MAX_BLOCKS)]]
    head: Annotated[int, Field(ge=0, le=MAX_CHANNELS)]
    knobs: NotRequired[dict[str, list[Channels]]]
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
    facts: NotRequired[dict[str, float]]


class AskedDataFacts(TypedDict):
    """Other images than the study's."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    source: str
    side: Count
    classes: NotRequired[Channels]
    fingerprint: NotRequired[str]


class AskedFacts(TypedDict, total=False):
    """What a training has of its own."""

    __pydantic_config__ = STRICT  # type: ignore[misc]

    epochs: Count
    data_share: Annotated[float, Field(gt=0, le=1)]
    recipe: str | dict[str, Any]
    holdout: float
    data: AskedDataFacts
    parent: Count | Annotated[str, Field(pattern=r"^pretrained-[0-9a-f]{12}$")]
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)]
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
    asker: Count
    asked_until: float
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
    micro_batches: Count | None
    alone: bool | None
    peak_bytes: Count | None
    message: str
    device: str
    versions: dict[str, str]
    history: list[EpochFacts]
    asked: dict[str, Any]


FACTS = TypeAdapter(Facts)


def problem_of(facts: Mapping[str, Any]) -> str | None:
    """What is wrong with a trial's attributes, in words; None for nothing."""
    try:
        FACTS.validate_python(facts)
        one = facts["architecture"]
        if "layers" in one or "knobs" in one or len(one["widths"]) != len(one["depths"]):
            architecture_from(one)
    except ValidationError as error:
        return first_problem(error)
    except (InputError, TypeError) as error:
        return str(error)
    return None


def is_ours(facts: Mapping[str, Any]) -> bool:
    """Whether the planner queued a trial: Optuna's own `optimize` and `add_trial` write none of these attributes."""
    return not _OWN.isdisjoint(facts)


def problem_of_trial(trial: optuna.trial.FrozenTrial, base: str, stages: int) -> str | None:
    """What is wrong with a trial of ours, in words; None for nothing.

    Args:
        trial: Trial as it is read.
        base: The study's base network.
        stages: How many that has.
    """
    from optuna.trial import TrialState

    facts = trial.user_attrs
    for name in ("architecture", "macs"):
        if name not in facts:
            return f"attribute {name!r} is gone"
    if (problem := problem_of(facts)) is not None:
        return problem
    one = facts["architecture"]
    if one["base"] != base or len(one["widths"]) != stages:
        return f"its architecture is of {one['base']} in {len(one['widths'])} stages, the study is of {base}"
    if trial.state == TrialState.COMPLETE:
        told = [facts.get(ACCURACY_NAME), float(facts["macs"])]
        if not is_ok(facts) or trial.values != told:
            return f"its values are {trial.values}, its status, accuracy and MACs {facts.get('status')}, {told}"
    return None
