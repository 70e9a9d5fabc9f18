"""Trials as tables: what a finished trial's attributes say, in rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.study.pace import TIME_COLUMNS, own_seconds
from planner.study.settings import StudySettings
from planner.tables.status import is_ok, ok_rows
from planner.tables.table import ASKS
from sampler import Architecture, architecture_from
from sampler import base as base_named
from sampler.architecture import FloatArray, stack
from sampler.knobs import knob_sizes, with_own_knobs
from sampler.moves import column_names, stage_columns
from trainer.declared.loading import shipped_network
from trainer.observation import Observation, Training
from trainer.recipe import recipe_named
from trainer.score import ACCURACY_NAME

if TYPE_CHECKING:
    import optuna
    import pandas as pd

NEWER = ("cpu_seconds", "threads", "micro_batches", "alone", "peak_bytes")
COSTS = ("macs", "params", "activations", "memory")
_APART = ("epochs", "recipe", "holdout", "parent", "noise")  # of that, what makes its accuracy one of another kind
_UNTOLD_NOISE = 0.1  # of inherited weights, in studies from before trials said it
_WHOLE = {
    "base_resolution",
    "classes",
    "resolution",
    "stem",
    "head",
    "epochs",
    "proxy_resolution",
    "seed",
    "threads",
    "micro_batches",
    "peak_bytes",
    *COSTS,
}


@dataclass(frozen=True)
class LearningCurve:
    """A training as its scores went.

    Attributes:
        macs: MACs of the network.
        accuracies: Merits after each epoch: top-1 accuracy on the scoring images, in [0, 1], or another score.
    """

    macs: int
    accuracies: tuple[float, ...]


def trials_frame(trials: Sequence[optuna.trial.FrozenTrial], settings: StudySettings) -> pd.DataFrame:
    """Finished trials as rows, in the columns of `planner.tables.table`; `accuracy` is the merit of the score."""
    import pandas as pd

    network = base_named(settings.base)
    knobs = column_names(len(network.stages), knob_sizes(network, settings.space.knobs))[3 + 2 * len(network.stages) :]
    columns = _columns(len(network.stages), knobs, _facts_reported(trials))
    frame = pd.DataFrame([_row(trial, settings, columns) for trial in trials], columns=columns)
    # Studies that are older than these columns give the table, and its digest, that their formulas were fitted on.
    columns = [name for name in columns if name not in NEWER or frame[name].notna().any()]
    frame = frame[columns]
    # Whole numbers stay whole where a row has none (a killed training has no epochs).
    whole = {*_WHOLE, *knobs}
    return frame.astype({name: "Int64" for name in columns if name in whole or name.startswith(("width_", "depth_"))})


def trained(frame: pd.DataFrame, shorter: bool = False) -> pd.DataFrame:
    """The rows of trials that have an accuracy as the study scores it.

    Args:
        frame: Rows of trials.
        shorter: Also those that were trained as the study does, but for other epochs than its own.
    """
    kept = ok_rows(frame)
    if ASKS in frame:
        own = frame[ASKS].isna()
        if shorter:
            own |= frame[ASKS].astype("string").str.fullmatch(r"epochs=\d+").fillna(False).astype(bool)
        kept = kept & own.to_numpy(dtype=bool)
    return frame[kept].reset_index(drop=True)


def epochs_frame(trials: Sequence[optuna.trial.FrozenTrial]) -> pd.DataFrame:
    """Every epoch of finished trials as a row, scores as they were reported."""
    import pandas as pd

    rows = [
        {"trial": trial.number, **record, **record.get("facts", {})}
        for trial in trials
        for record in trial.user_attrs.get("history", [])
    ]
    facts = sorted({name for row in rows for name in row.get("facts", {})})
    return pd.DataFrame(rows, columns=["trial", "epoch", "training_loss", "accuracy", "loss", *facts])


def curves_of(
    trials: Sequence[optuna.trial.FrozenTrial], like: dict[str, Any], settings: StudySettings
) -> list[LearningCurve]:
    """The accuracies by epoch of those trials that went through all epochs and were trained as another is.

    Args:
        trials: Finished ones.
        like: Attributes of that other trial: its epochs, recipe, hold-out and parent are theirs too.
        settings: Settings of the study.
    """
    wanted, curves = _task(like, settings), []
    for facts in (trial.user_attrs for trial in trials if is_ok(trial.user_attrs)):
        if _task(facts, settings) != wanted:
            continue
        scored = merits_of((record["accuracy"] for record in facts.get("history", [])), settings)
        if scored:
            curves.append(LearningCurve(facts["macs"], scored))
    return curves


def merits_of(values: Iterable[float | None], settings: StudySettings) -> tuple[float, ...]:
    """Reported scores as models see them, without those that are None."""
    return tuple(settings.score.merit(value) for value in values if value is not None)


def _task(facts: Mapping[str, Any], settings: StudySettings) -> dict[str, Any]:
    """What a trial is trained on, how and how long: accuracies can be compared where it is the same.

    What was recorded counts where a trial asks for nothing of its own: settings may have been edited since.
    """
    fidelity = settings.fidelity
    usual = {"epochs": facts.get("epochs", fidelity.epochs), "holdout": settings.data.holdout}
    usual["data_share"] = facts.get("data_share", fidelity.data_share)
    return {**usual, **{name: value for name, value in facts.get(ASKS, {}).items() if name in _APART}}


def work_of(facts: Mapping[str, Any], settings: StudySettings) -> float:
    """What a trial's seconds are in proportion to: its MACs, times its epochs and images over the usual ones."""
    task, usual = _task(facts, settings), settings.fidelity
    images = (1 - task["holdout"]) * task["data_share"] / ((1 - settings.data.holdout) * usual.data_share)
    return float(facts["macs"] * images * task["epochs"] / usual.epochs)


def timings_of(trials: Sequence[optuna.trial.FrozenTrial], settings: StudySettings) -> tuple[FloatArray, FloatArray]:
    """What finished trainings say of the time: `(n,)` their work (`work_of`), and `(n,)` their own seconds of it."""
    timed = [one.user_attrs for one in trials if is_ok(one.user_attrs) and one.user_attrs.get("seconds")]
    columns = ([facts.get(name) for facts in timed] for name in TIME_COLUMNS)
    seconds, cpu_seconds, threads = (np.array(values, dtype=np.float64) for values in columns)
    return np.array([work_of(facts, settings) for facts in timed]), own_seconds(seconds, cpu_seconds, threads)


def _columns(stages: int, knobs: Sequence[str], reported: Sequence[str]) -> list[str]:
    numbers = range(1, stages + 1)
    return [
        *("trial", "status", "base", "rule", "origin", "base_resolution", "classes", "resolution", "stem"),
        *(f"width_{i}" for i in numbers),
        *(f"depth_{i}" for i in numbers),
        *("head", *knobs, "r", "d", "w", *COSTS, ACCURACY_NAME, "loss", *reported),
        *(
            "epochs",
            "data_share",
            "proxy_resolution",
            "seed",
            ASKS,
            "seconds",
            "cpu_seconds",
            "threads",
            "micro_batches",
            "alone",
            "peak_bytes",
            "device",
            "message",
        ),
    ]


def _row(trial: optuna.trial.FrozenTrial, settings: StudySettings, columns: Sequence[str]) -> dict[str, Any]:
    facts = trial.user_attrs
    architecture = architecture_of(facts)
    value = facts.get(ACCURACY_NAME)
    return {
        "trial": trial.number,
        "base": architecture.base,
        "base_resolution": settings.space.resolution,
        "classes": settings.data.classes,
        "proxy_resolution": settings.data.side,
        "stem": architecture.stem,
        "head": architecture.head,
        **parameters(architecture, settings.space.knobs),
        **{name: facts[name] for name in columns if name in facts},
        **_last_facts(facts),
        **({} if value is None else {ACCURACY_NAME: settings.score.merit(value)}),
        ASKS: asked_apart(facts, settings.space.knobs),
    }


def _last_facts(facts: Mapping[str, Any]) -> dict[str, float]:
    """What a trainer reported last beside the score, by its name; its seconds are the trial's."""
    history = facts.get("history") or [{}]
    return {name: value for name, value in history[-1].get("facts", {}).items() if name != "seconds"}


def _facts_reported(trials: Sequence[optuna.trial.FrozenTrial]) -> list[str]:
    return sorted({name for trial in trials for name in _last_facts(trial.user_attrs)})


def asked_key(asks: Mapping[str, Any]) -> str:
    """What a training has of its own, as a key of `Records.attempts`."""
    return json.dumps(dict(asks), sort_keys=True)


def asked_apart(facts: dict[str, Any], varied: Sequence[str] = ()) -> str | None:
    """In what a trial was not the study's, such as `epochs=2 parent=7` or `group_width=16,16`; None where it was.

    Args:
        facts: Attributes of the trial.
        varied: Names of the knobs that the study varies.
    """
    apart = {name: value for name, value in facts.get(ASKS, {}).items() if name in _APART}
    # Networks with other group widths are no points of the study's space, and their integers are no row of its table.
    knobs = facts.get("architecture", {}).get("knobs", {})
    apart.update({name: ",".join(map(str, values)) for name, values in knobs.items() if name not in varied})
    return " ".join(f"{name}={value}" for name, value in sorted(apart.items())) or None


def parameters(architecture: Architecture, varied: Sequence[str] = ()) -> dict[str, int]:
    """A trial's parameters: the resolution, the per-stage integers, and those of the knobs that the study varies."""
    widths = {f"width_{i}": width for i, width in enumerate(architecture.widths, start=1)}
    depths = {f"depth_{i}": depth for i, depth in enumerate(architecture.depths, start=1)}
    knobs: dict[str, int] = {}
    if varied:  # one that the architecture does not say follows its rule
        told = with_own_knobs(base_named(architecture.base), stack([architecture]), varied)[0].knobs
        for name in varied:
            knobs |= dict(zip(stage_columns(name, len(told[name])), told[name], strict=True))
    return {"resolution": architecture.resolution, **widths, **depths, **knobs}


def widened(
    ranges: Mapping[str, optuna.distributions.IntDistribution], values: Mapping[str, int]
) -> dict[str, optuna.distributions.BaseDistribution]:
    """The ranges of parameters, wider where a value lies outside: Optuna would draw another value instead."""
    from optuna.distributions import IntDistribution

    wider: dict[str, optuna.distributions.BaseDistribution] = dict(ranges)
    for name, value in values.items():
        usual = ranges[name]
        if not usual._contains(value):
            wider[name] = IntDistribution(min(usual.low, value), max(usual.high, value))
    return wider


def architecture_of(attributes: dict[str, Any]) -> Architecture:
    """The architecture that a trial's attributes hold."""
    return architecture_from(attributes["architecture"])


def network_path(folder: Path, number: int | str) -> Path:
    """Where a trial's trained network is kept, if it was asked to be; or one that was given, by its name."""
    name = number if isinstance(number, str) else f"{number:06d}"
    return folder / "networks" / f"{name}.safetensors"


def trial_training(number: int, facts: Mapping[str, Any], settings: StudySettings, folder: Path) -> Training:
    """The training of a trial: the study's, but for what the trial asks for itself.

    Args:
        number: The trial's.
        facts: Attributes of the trial.
        settings: The study's.
        folder: The study's.
    """
    asks = facts.get(ASKS, {})
    training = Training(
        architecture_from(facts["architecture"]),
        settings.fidelity,
        settings.recipe,
        settings.data_spec(folder / "cache"),
        facts.get("seed", settings.seed),
        trainer=settings.trainer,
        classes=settings.data.classes if settings.trainer else 0,
        network=shipped_network(settings.base),
        score=settings.score,
        command=settings.command,
    )
    if "epochs" in asks:
        training = replace(training, fidelity=replace(training.fidelity, epochs=asks["epochs"]))
    if "recipe" in asks:
        training = replace(training, recipe=recipe_named(asks["recipe"]).seen_as(settings.recipe))
    if "holdout" in asks:
        training = replace(training, data=replace(training.data, holdout=asks["holdout"]))
    if "parent" in asks:
        parent, noise = str(network_path(folder, asks["parent"])), asks.get("noise", _UNTOLD_NOISE)
        training = replace(training, parent=parent, noise=noise)
    if asks.get("keep") or (settings.keep and not settings.trainer):
        training = replace(training, keep=str(network_path(folder, number)))
    return training


def recorded(observation: Observation) -> dict[str, Any]:
    """What the ledger holds of an observation, in JSON's types."""
    facts: dict[str, Any] = json.loads(observation.to_json())
    del facts["asked"]  # which its trial says
    return {**facts, **facts.pop("fidelity")}
