"""A study's settings: `study.toml`, read through pydantic."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from planner.errors import PlannerError
from planner.study.network import NetworkSettings, know_network
from planner.study.ranges import MOST_EPOCHS, SIDES
from planner.study.urls import check_url, has_secret
from planner.text.documents import read_text, shown, write_own
from sampler import InputError, SearchSpace
from sampler import base as base_named
from sampler.architecture import MAX_CHANNELS
from sampler.seeds import LARGEST_SEED
from sampler.space import BOUNDS, SHRINK_WINDOW
from trainer.command_line import check_command
from trainer.observation import COMMAND, Command, DataSpec, Fidelity
from trainer.recipe import EDITION, LARGEST_MAGNITUDE, Recipe, recipe_named
from trainer.score import ACCURACY, Score

Bounds = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
Side = Annotated[int, Field(ge=SIDES[0], le=SIDES[1])]
_LARGEST = 1_000_000  # bytes of a file
_LARGEST_BATCH = 1_000_000
_LARGEST_MARGIN, _LEAST_CROP_PCT = 4, 0.25
MOST_KEPT = 1000
CLOSED = ConfigDict(extra="forbid", frozen=True)
# What the fields of a training's records may be; what they are is told there.
_FIDELITY = {"epochs": Field(ge=1, le=MOST_EPOCHS), "data_share": Field(gt=0, le=1)}
_RECIPE = {
    "learning_rate": Field(gt=0, allow_inf_nan=False),
    "reference_batch": Field(ge=1, le=_LARGEST_BATCH),
    "momentum": Field(ge=0, lt=1),
    "weight_decay": Field(ge=0, allow_inf_nan=False),
    "batch_size": Field(ge=2, le=_LARGEST_BATCH),
    "warmup": Field(ge=0, lt=1),
    "final": Field(ge=0, le=1),
    "decay_rate": Field(gt=0, le=1),
    "decay_every": Field(gt=0, le=1),
    "label_smoothing": Field(ge=0, lt=1),
    "crop": Field(gt=0, le=1),
    "flip": Field(ge=0, le=1),
    "randaugment": Field(ge=0, le=LARGEST_MAGNITUDE),
    "mixup": Field(ge=0, allow_inf_nan=False),
    "erasing": Field(ge=0, le=1),
    "dropout": Field(ge=0, lt=1),
    "drop_path": Field(ge=0, lt=1),
    "norm_momentum": Field(gt=0, le=1),
    "ema": Field(ge=0, le=1),
    "distillation": Field(ge=0, le=1),
    "temperature": Field(gt=0, allow_inf_nan=False),
    "channel_dropout": Field(ge=0, lt=1),
    "margin": Field(ge=1, le=_LARGEST_MARGIN),
    "crop_pct": Field(ge=_LEAST_CROP_PCT, le=1),
    "randaugment_noise": Field(ge=0, le=LARGEST_MAGNITUDE),
    "cutmix": Field(ge=0, allow_inf_nan=False),
    "clip_grad": Field(ge=0, allow_inf_nan=False),
    "edition": Field(ge=1, le=EDITION),
}


class DataSettings(BaseModel):
    """Images: where from, how large, which of them score a training."""

    model_config = CLOSED
    source: str = "fractal"
    side: Side
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    classes: Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
    fingerprint: str = ""


class SpaceSettings(BaseModel):
    """Which architectures may be drawn: bounds of r, d, w over the base network, and the window of MACs.

    `apart` is the share of a uniform study's stratified designs that scales every stage on its own; 0 in studies that
    were made before there was one. `knobs` are drawn from their values, too; without it all follow their rules.
    """

    model_config = CLOSED
    kind: Literal["uniform", "stage"] = "uniform"
    apart: Annotated[float, Field(ge=0, le=1)] = 0.0
    resolution: Annotated[int, Field(ge=1, le=SIDES[1])]
    rule: str = "inverse"
    window: Bounds = SHRINK_WINDOW
    r: Bounds = BOUNDS
    d: Bounds = BOUNDS
    w: Bounds = BOUNDS
    knobs: list[str] = []


class _Table:
    """Makes pydantic read a dataclass as a table of a document: its fields and their defaults, and nothing beside them.

    Args:
        limits: Ranges of fields, by their names, as `pydantic.Field` gives them.
        before: Completes what is given before it is read.
    """

    def __init__(self, limits: Mapping[str, Any], before: Callable[[Any], Any] = lambda given: given) -> None:
        self.limits, self.before = limits, before

    def __get_pydantic_core_schema__(self, record: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        hints = get_type_hints(record)
        limited = {name: Annotated[kind, self.limits[name]] for name, kind in hints.items() if name in self.limits}
        named: dict[str, Any] = {one.name: ({**hints, **limited}[one.name], one.default) for one in fields(record)}
        table = handler.generate_schema(create_model(f"{record.__name__}Settings", __config__=CLOSED, **named))
        completed = core_schema.no_info_before_validator_function(self.before, table)
        written = core_schema.plain_serializer_function_ser_schema(_known)
        return core_schema.no_info_after_validator_function(
            lambda found: record(**dict(found)), completed, serialization=written
        )


def _known(record: Any) -> dict[str, Any]:
    """The fields of a record, but for those that are None, which TOML cannot say; of a recipe what it is known by."""
    found = record.as_dict() if isinstance(record, Recipe) else asdict(record)
    return {name: value for name, value in found.items() if value is not None}


def _named(given: Any) -> Any:
    """A recipe by its name, with what differs from it: `name = "tinynet"` alone is that recipe, by the first rules."""
    if not isinstance(given, dict):
        return given
    name = given.get("name", Recipe.name)
    return {**asdict(recipe_named(name) if isinstance(name, str) else Recipe()), "edition": 1, **given}


RecipeTable = Annotated[Recipe, _Table(_RECIPE, _named)]


class StudySettings(BaseModel):
    """Everything a study's results depend on; written once, when the study is made."""

    model_config = CLOSED
    base: str = "efficientnet_b0"
    network: NetworkSettings | None = None  # of a declared base network
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    storage: str = ""
    trainer: str = ""  # "" for the image trainer
    score: Annotated[Score, _Table({})] = ACCURACY
    command: Annotated[Command, _Table({})] | None = None  # of the trainer that is a program
    keep: Annotated[int, Field(ge=0, le=MOST_KEPT)] = 0  # weights of so many of the most accurate networks
    data: DataSettings
    space: SpaceSettings
    fidelity: Annotated[Fidelity, _Table(_FIDELITY)] = Fidelity()
    recipe: RecipeTable = Recipe()

    @model_validator(mode="after")
    def _buildable(self) -> StudySettings:
        base_named(self.base)
        if not self.score.is_accuracy and self.data.source:
            raise ValueError("the image trainer's score is accuracy; remove [score]")
        self.search_space()
        if (self.trainer == COMMAND) != (self.command is not None):
            raise InputError(
                f"trainer = {self.trainer!r} goes with a table [command] where it is {COMMAND!r}, only then"
            )
        if self.command is not None:
            check_command(self.command.line, self.command.score_file, base_named(self.base))
        if self.storage:
            check_url(self.storage)  # here, where an error does not show what was given
        return self

    def search_space(self) -> SearchSpace:
        """The search space of these settings."""
        return SearchSpace(base=self.base, classes=self.data.classes, **self.space.model_dump(exclude={"apart"}))

    def left_out(self) -> dict[str, Any]:
        """Settings that are not written, because an older version's study has none."""
        some = ("trainer", "command", "network", "keep")
        without: dict[str, Any] = {name: True for name in some if not getattr(self, name)}
        without |= {"score": True} if self.score.is_accuracy else {}
        return without if self.space.knobs else {**without, "space": {"knobs"}}

    def data_spec(self, cache: Path) -> DataSpec:
        """The images of these settings, decoded into `cache`."""
        return DataSpec(self.data.source, self.data.side, self.data.holdout, str(cache))


def read_settings(path: Path) -> StudySettings:
    """Reads `study.toml`, and makes the study's declared network known, if it has one.

    Raises:
        PlannerError: If it is missing, not TOML, or a value is unknown or impossible; names the value. Or its declared
            network is not the one that is known already.
    """
    text = read_text(path, _LARGEST, "no settings of a study", "name another --study, or make one with `planner run`")
    try:
        document = tomllib.loads(text)
        if "network" in document:
            know_network(path.parent, document["network"])
        return checked(document, str(path))
    except RecursionError as error:
        raise PlannerError(f"{path}: nested too deeply for settings; mend it") from error
    except ValueError as error:  # also of numbers too long to be read
        if isinstance(error, InputError):
            raise
        raise PlannerError(f"{path}: not TOML ({error}); mend that line") from error


def checked(document: object, name: str) -> StudySettings:
    """Settings from a parsed document.

    Raises:
        PlannerError: If a value is unknown or impossible; names it.
    """
    try:
        return StudySettings.model_validate(document)
    except ValidationError as error:
        kind = error.errors()[0]["type"]
        # Our own messages end with a remedy, pydantic's do not.
        ours, unknown = kind == "value_error", kind == "extra_forbidden"
        remedy = "" if ours else "; correct its name or remove it" if unknown else "; mend that value"
        raise PlannerError(f"{name}: {first_problem(error)}{remedy}") from error
    except InputError as error:
        raise PlannerError(f"{name}: {error}") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, where, and what was given."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the settings"
    given = "" if isinstance(first["input"], dict) else f" (given: {shown(first['input'])})"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{given}"


def write_settings(path: Path, settings: StudySettings) -> None:
    """Writes `study.toml`.

    Raises:
        PlannerError: If it cannot be written.
    """
    import tomli_w

    # Only what differs, so that changing the name is enough.
    usual = asdict(replace(recipe_named(settings.recipe.name), edition=1))
    recipe = {name: value for name, value in asdict(settings.recipe).items() if value != usual[name]}
    document = {**settings.model_dump(exclude=settings.left_out()), "recipe": {"name": settings.recipe.name, **recipe}}
    mode = 0o600 if settings.storage and has_secret(settings.storage) else 0o666  # nobody else reads a password
    write_own(path, tomli_w.dumps(document), "free space or choose another folder", mode)
