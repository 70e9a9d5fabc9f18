"""What shall be finished: which network, how it was chosen, on which images, how and for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.study.ranges import FINISH_HOLDOUT, LONG_EPOCHS
from planner.study.reader import Records
from planner.text.documents import parse, read_text, write_own
from sampler import Architecture
from trainer.declared.images import check_images
from trainer.declared.loading import shipped_network
from trainer.observation import DataSpec, Fidelity, Training
from trainer.recipe import Recipe, recipe_named
from trainer.weights import FINISH_FILE

LONG = "long"  # the recipe, where nobody names another
_LARGEST = 10_000_000


@dataclass(frozen=True)
class FinishPlan:
    """What shall be finished.

    Attributes:
        name: Name of the network: of its timm model and of its files.
        study: Name of the study that it comes of.
        architecture: Network to train.
        chosen: Sentence on how it was chosen.
        proxy: Accuracy that it reached, or was expected to reach, as the study trains; None where nothing says one.
        training: How it is trained: share 1, the hold-out by which the best epoch is chosen.
        fingerprint: Digest that the images must have; "" where any will do.
    """

    name: str
    study: str
    architecture: Architecture
    chosen: str
    proxy: float | None
    training: Training
    fingerprint: str

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types: everything that its result depends on, and where it comes from."""
        training = self.training
        return {
            "name": self.name,
            "study": self.study,
            "chosen": self.chosen,
            "proxy_accuracy": self.proxy,
            "architecture": asdict(self.architecture),
            "epochs": training.fidelity.epochs,
            "seed": training.seed,
            "recipe": training.recipe.as_dict(),
            "data": training.data.source,
            "side": training.data.side,
            "holdout": training.data.holdout,
        }


def plan_of(
    ledger: Records,
    architecture: Architecture,
    name: str,
    chosen: str,
    proxy: float | None = None,
    *,
    epochs: int = LONG_EPOCHS,
    recipe: str | None = None,
    holdout: float = FINISH_HOLDOUT,
    seed: int | None = None,
    data: str | None = None,
    side: int | None = None,
    teacher: str = "",
) -> FinishPlan:
    """The plan to finish a network of a study.

    Args:
        ledger: The study's, whose images and batch size are taken.
        architecture: Network to train.
        name: Name of the network and its files.
        chosen: Sentence on how it was chosen.
        proxy: Accuracy that it reached, or was expected to reach, as the study trains.
        epochs: Passes over all training images.
        recipe: Name of the recipe; `long` by default.
        holdout: Share of the training images, above 0, that chooses the best epoch and is not fitted.
        seed: Random seed; the study's by default.
        data: Other images of the same classes, such as all of those of which the study had some.
        side: Pixels that images are decoded to; the study's by default.
        teacher: Trained network to distil from: a file, or a folder that was finished before.

    Raises:
        PlannerError: If the study's trainings are not the image trainer's, or the recipe is unknown.
    """
    settings = ledger.settings
    if settings.trainer:
        raise PlannerError(
            f"study {ledger.folder.name} trains by {settings.trainer}, which alone knows its data; `planner finish` "
            "trains on images: train the network on by that function"
        )
    check_images(settings.base)
    recipe_used = _recipe(settings.recipe, recipe, teacher)
    cache = str(ledger.folder / "cache")
    images = DataSpec(data or settings.data.source, side or settings.data.side, holdout, cache)
    training = Training(
        architecture,
        Fidelity(epochs, 1.0),
        recipe_used,
        images,
        settings.seed if seed is None else seed,
        network=shipped_network(settings.base),
    )
    known = settings.data.fingerprint if data is None and side is None else ""
    return FinishPlan(name, ledger.folder.name, architecture, chosen, proxy, training, known)


def _recipe(own: Recipe, name: str | None, teacher: str) -> Recipe:
    """The recipe of a name with the study's batches, crops and rules; the study's own where that is named."""
    named = replace(recipe_named(name or LONG), batch_size=own.batch_size).seen_as(own)
    wanted = own if name == own.name else named
    return replace(wanted, teacher=teacher) if teacher else wanted


def begin(folder: Path, plan: FinishPlan) -> dict[str, Any]:
    """What a folder holds of a plan's network: written now, or found there.

    Returns:
        The document of `finish.json`: the plan, and what came of it so far.

    Raises:
        PlannerError: If the folder is of another plan, or holds other things.
    """
    path = folder / FINISH_FILE
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise PlannerError(f"{folder}: holds other things already; give another --out")
        folder.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {"plan": plan.as_dict()}
        keep_record(folder, document)
        return document
    try:
        found: dict[str, Any] = parse(read_text(path, _LARGEST, "no record of a network", "give another --out"))
        differs = _other(found["plan"], plan.as_dict())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, PlannerError):
            raise
        raise PlannerError(f"{path}: damaged ({error}); remove its folder, or give another --out") from error
    if differs:
        raise PlannerError(f"{folder} was begun with another {differs}; ask for the same again, or give another --out")
    return found


def keep_record(folder: Path, document: Mapping[str, Any]) -> None:
    """Writes `finish.json`.

    Raises:
        PlannerError: If it cannot be written.
    """
    write_own(folder / FINISH_FILE, json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _other(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first thing in which two plans give other networks; how it was chosen is no such thing."""
    plain = json.loads(json.dumps(wanted))
    names = [name for name in plain if name not in ("chosen", "proxy_accuracy")]
    return next((name for name in names if found.get(name) != plain[name]), "")
