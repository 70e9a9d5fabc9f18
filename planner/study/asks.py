"""What a trial's training has of its own, beside the study's: as the ledger holds it, applied, and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.study.recipes import recipe_from
from trainer.observation import Training

# Of that, what makes its accuracy one of another kind.
_APART = ("epochs", "data_share", "recipe", "holdout", "data", "parent", "noise")
_UNTOLD_NOISE = 0.1  # of inherited weights, in studies from before trials said it


def network_path(folder: Path, number: int | str) -> Path:
    """Where a trial's trained network is kept, if it was asked to be; or one that was given, by its name."""
    name = number if isinstance(number, str) else f"{number:06d}"
    return folder / "networks" / f"{name}.safetensors"


def kind_of(asks: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a trial asks, all that its accuracy depends on."""
    return {name: value for name, value in asks.items() if name in _APART}


def asked_words(asks: Mapping[str, Any]) -> dict[str, str]:
    """Of what a trial asks, all that its accuracy depends on, in a word each."""
    return {name: _word(name, value) for name, value in kind_of(asks).items()}


def _word(name: str, value: Any) -> str:
    """A recipe's name and what differs from it, as `amplify;learning_rate=0.02`; a data set's source."""
    if name == "recipe":
        return str(value).replace(",", ";")
    return str(value["source"] if name == "data" else value)


def with_asks(training: Training, asks: Mapping[str, Any], folder: Path) -> Training:
    """A training of the study as a trial asks for it; where its own network is kept is its trial's number's.

    Args:
        training: The study's own.
        asks: Wishes of the trial, as `Ledger.ask_for` says.
        folder: The study's.
    """
    fidelity = {name: asks[name] for name in ("epochs", "data_share") if name in asks}
    if fidelity:
        training = replace(training, fidelity=replace(training.fidelity, **fidelity))
    if "recipe" in asks:
        training = replace(training, recipe=recipe_from(asks["recipe"]).seen_as(training.recipe))
    if "data" in asks:
        images = {name: asks["data"][name] for name in ("source", "side")}
        training = replace(training, data=replace(training.data, **images))
    if "holdout" in asks:
        training = replace(training, data=replace(training.data, holdout=asks["holdout"]))
    if "parent" in asks:
        parent, noise = str(network_path(folder, asks["parent"])), asks.get("noise", _UNTOLD_NOISE)
        training = replace(training, parent=parent, noise=noise)
    return training
