"""A ledger that was lost, made anew of the observations that its trainings left in the study's folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.study.facts import problem_of
from planner.study.settings import StudySettings
from planner.study.trials import parameters, recorded, trial_training, widened
from planner.tables.table import ASKS
from sampler import base as base_named
from sampler.knobs import knobs_among
from sampler.scaling import effective_multipliers
from trainer.engines.engine import observation_path
from trainer.observation import Observation
from trainer.recipe import RECIPES

if TYPE_CHECKING:
    import optuna

# The attribute of a trial that only keeps a number: it had no observation.
LOST = "lost"
# What a second try of a diverged training adds to its seed: more than anybody's repeats.
ANOTHER_SEED = 1_000_003


def observations_in(folder: Path) -> list[int]:
    """Numbers of the trials whose observations a study's folder holds."""
    names = (path.name for path in (folder / "observations").glob("*.json"))
    return sorted(int(name[:-5]) for name in names if re.fullmatch(r"\d{6,}\.json", name))


def what_is_left(folder: Path) -> str:
    """What a study's folder holds of trainings, beside its ledger, in words; "" for nothing."""
    if n := len(observations_in(folder)):
        return f"{n} observations in {folder / 'observations'}"
    n = len(_listed(folder))
    return f"{n} trainings in {folder / 'trials.csv'}" if n else ""


def was_there(folder: Path) -> bool:
    """Whether a study had a ledger: whoever queues leaves a table, whoever trains an observation."""
    return (folder / "trials.csv").exists() or bool(observations_in(folder))


def rebuilt(
    folder: Path, settings: StudySettings, ranges: Mapping[str, optuna.distributions.IntDistribution]
) -> list[optuna.trial.FrozenTrial]:
    """The finished trials of a study, by its observations; numbers without one are kept by trials that failed.

    What waited, and tries that were killed, are in no observation. Why a network was queued, and the multipliers that
    it was drawn with, are taken from trials.csv where that has them.

    Args:
        folder: The study's.
        settings: The study's.
        ranges: Ranges of the parameters.

    Raises:
        PlannerError: If the observations do not say enough.
    """
    numbers, listed = observations_in(folder), _listed(folder)
    found = {number: _read(number, folder, settings, listed.get(number, {})) for number in numbers}
    _mark_retries(found, settings)
    return [_trial(*found[number], ranges) if number in found else _lost() for number in range(max(numbers) + 1)]


def _read(
    number: int, folder: Path, settings: StudySettings, listed: Mapping[str, str]
) -> tuple[Observation, dict[str, Any]]:
    """The observation of a trial, and the trial's attributes.

    Raises:
        PlannerError: If it is damaged, of an older version, or of other settings.
    """
    path = observation_path(folder / "observations", number)
    try:
        one = Observation.from_json(path.read_text(encoding="utf-8"))
        facts = _facts(number, one, settings, listed)
        if not one.asked:
            problem: str | None = "an older version's, which do not say all"
        elif (problem := problem_of(facts)) is None:
            other = one.other_than(trial_training(number, facts, settings, folder))
            problem = other and f"of other settings than study.toml's: {other}"
    except (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        problem = str(error)
    if problem is not None:
        raise PlannerError(f"{path}: no ledger can be made of it ({problem}); restore ledger.db from a copy")
    return one, facts


def _listed(folder: Path) -> dict[int, dict[str, str]]:
    """The rows of a study's trials.csv by their numbers; none where it cannot be read."""
    try:
        with (folder / "trials.csv").open(encoding="utf-8", newline="") as file:
            return {int(row["trial"]): row for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}


def _facts(number: int, one: Observation, settings: StudySettings, listed: Mapping[str, str]) -> dict[str, Any]:
    """Attributes of a trial, as they were queued and as its observation was recorded."""
    facts = {**recorded(one), "rule": settings.space.rule, "tries": 1, **_drawn(one, settings, listed)}
    first = one.seed - ANOTHER_SEED if one.seed >= settings.seed + ANOTHER_SEED else one.seed
    facts["repeat"] = max(0, first - settings.seed)
    if first != one.seed:
        facts["first_seed"] = first
    if asks := _asks(one, one.asked, settings):
        facts[ASKS] = asks
    return facts


def _drawn(one: Observation, settings: StudySettings, listed: Mapping[str, str]) -> dict[str, Any]:
    """Why a network was queued, and its multipliers: as drawn where trials.csv knows, else the effective ones."""
    sizes = one.architecture.resolution, one.architecture.depths, one.architecture.widths
    network = settings.search_space().network
    multipliers = effective_multipliers(network, *(np.array([size]) for size in sizes))[0].tolist()
    origin = "rebuilt"
    if listed.get("macs") == str(one.macs) and listed.get("seed") == str(one.seed):
        origin = listed.get("origin") or origin
        try:
            multipliers = [float(listed[name]) for name in "rdw"]
        except (KeyError, ValueError):
            pass
    return {"origin": origin, **dict(zip("rdw", multipliers, strict=True))}


def _asks(one: Observation, asked: Mapping[str, Any], settings: StudySettings) -> dict[str, Any]:
    """What a training had of its own, by what its observation says was asked for."""
    asks: dict[str, Any] = {}
    if one.fidelity.epochs != settings.fidelity.epochs:
        asks["epochs"] = one.fidelity.epochs
    recipe = asked.get("recipe") or {}
    if recipe != settings.recipe.as_dict() and recipe.get("name") in RECIPES:
        asks["recipe"] = recipe["name"]
    holdout = (asked.get("data") or {}).get("holdout")
    if holdout != settings.data.holdout:
        asks["holdout"] = holdout
    if asked.get("parent"):
        asks["parent"] = int(asked["parent"]) if asked["parent"].isdigit() else asked["parent"]
        if "noise" in asked:
            asks["noise"] = asked["noise"]
    if asked.get("keep") and not settings.keep:
        asks["keep"] = True
    return asks


def _mark_retries(found: Mapping[int, tuple[Observation, dict[str, Any]]], settings: StudySettings) -> None:
    """Says of every second try whose it is, so that its architecture is not counted twice."""
    first = {(one.architecture, one.seed): number for number, (one, _) in found.items() if one.status == "diverged"}
    for one, facts in found.values():
        if "first_seed" in facts:
            facts["retry_of"] = first.get((one.architecture, facts["first_seed"]), 0)


def _trial(
    one: Observation, facts: dict[str, Any], ranges: Mapping[str, optuna.distributions.IntDistribution]
) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    varied = list(knobs_among(base_named(one.architecture.base), ranges))
    params, good = parameters(one.architecture, varied), one.status == "ok"
    return create_trial(
        state=TrialState.COMPLETE if good else TrialState.FAIL,
        values=[one.accuracy or 0.0, float(one.macs)] if good else None,
        params=params,
        distributions=widened(ranges, params),
        user_attrs=facts,
    )


def _lost() -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(state=TrialState.FAIL, user_attrs={LOST: True})
