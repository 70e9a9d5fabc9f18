"""Trains the planned network, keeps its best and last weights, looks once at the validation images, writes a folder.

Every step leaves its mark in `finish.json` or in a checkpoint, so that one that was killed goes on from there: nothing
is trained twice, and the validation images are looked at once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from planner.errors import InputError, PlannerError
from planner.exports.files import write
from planner.exports.network import ExportedNetwork, KeptTraining
from planner.exports.paths import module_name
from planner.exports.source import code_of
from planner.finishing.card import model_card
from planner.finishing.plan import FinishPlan, begin, keep_record
from planner.text.documents import write_own
from trainer.batches import DeviceImages
from trainer.declared.loading import know_shipped
from trainer.files import open_lock
from trainer.image_data import ImageData
from trainer.mending import told
from trainer.observation import EpochRecord, Observation
from trainer.proxy import train
from trainer.scoring import EVALUATION_BATCH, evaluate, splits
from trainer.weights import load_trained

_CHECKPOINT = "checkpoint.pt"
_CARD = "README.md"
_LOCK = "finish.lock"

Loads = Callable[[], ImageData]
OnFinishedEpoch = Callable[[tuple[EpochRecord, ...], int], None]


@dataclass(frozen=True)
class FinishedNetwork:
    """What was finished.

    Attributes:
        folder: Folder that holds everything.
        plan: The plan of it.
        result: Facts of what came of it: `training` (epochs, best epoch, held-out accuracies, seconds, device,
            versions), `validation` (top-1 accuracy of the best weights, loss, images), `images`, `files`, `left_out`.
    """

    folder: Path
    plan: FinishPlan
    result: dict[str, Any]

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy of the best weights on the validation images, in [0, 1]."""
        return float(self.result["validation"]["accuracy"])

    @property
    def usage(self) -> list[str]:
        """Lines of Python that load it, with timm and torch alone."""
        return usage_of(self.folder, self.plan.name, self.result)

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {"folder": str(self.folder), "plan": self.plan.as_dict(), **self.result, "usage": self.usage}


def finish(
    plan: FinishPlan, folder: Path, load: Loads, device: str = "cpu", on_epoch: OnFinishedEpoch | None = None
) -> FinishedNetwork:
    """Finishes a network, or goes on where a process that did was killed.

    Args:
        plan: Network to finish, and how.
        folder: The network's own folder; made where it is not there.
        load: Gives the images of the plan.
        device: A torch device.
        on_epoch: Told after every epoch of all epochs so far, and of how many there will be.

    Raises:
        PlannerError: If the folder is another plan's or in use, the images are others, or the training fails.
    """
    module_name(folder / f"{plan.name}.py")
    if plan.training.network is not None:
        know_shipped(plan.training.network)
    with _refused():
        result = begin(folder, plan)
        with _alone(folder):
            if "files" not in result:
                images = _checked(load(), plan)
                _train(plan, folder, images, result, device, on_epoch)
                _validate(plan, folder, images, result, device)
                _write(plan, folder, result)
    return FinishedNetwork(folder, plan, {name: value for name, value in result.items() if name != "plan"})


def _checked(images: ImageData, plan: FinishPlan) -> ImageData:
    if plan.fingerprint and images.fingerprint != plan.fingerprint:
        raise PlannerError(
            f"{images.source}: not the images that study {plan.study} was made with; put them back, or name these by "
            "--data"
        )
    return images


def _train(
    plan: FinishPlan,
    folder: Path,
    images: ImageData,
    result: dict[str, Any],
    device: str,
    on_epoch: OnFinishedEpoch | None,
) -> None:
    """Trains to the end, unless that was done."""
    if "training" in result:
        return
    epochs = plan.training.fidelity.epochs

    def heard(history: tuple[EpochRecord, ...]) -> bool:
        if on_epoch:
            on_epoch(history, epochs)
        return False

    checkpoint = folder / _CHECKPOINT
    best, last = weights_of(folder, plan.name), last_of(folder, plan.name)
    found = train(plan.training, images, device, heard, checkpoint, keep=last, best=best)
    if found.status != "ok" or not best.is_file():
        checkpoint.unlink(missing_ok=True)
        why = found.message or "its best weights are gone"
        raise PlannerError(f"{folder}: the training ended as {found.status} ({why}); give another --recipe or --out")
    result["training"] = _training_facts(found)
    result["images"] = _image_facts(plan, images)
    keep_record(folder, result)
    checkpoint.unlink(missing_ok=True)


def _training_facts(found: Observation) -> dict[str, Any]:
    scored = [record for record in found.history if record.accuracy is not None]
    best = max(scored, key=lambda record: (record.accuracy or 0.0, -record.epoch))
    return {
        "best_epoch": best.epoch,
        "best_held_out_accuracy": best.accuracy,
        "last_held_out_accuracy": found.accuracy,
        "seconds": found.seconds,
        "device": found.device,
        "versions": found.versions,
        "history": [[record.epoch, record.training_loss, record.accuracy, record.loss] for record in found.history],
    }


def _image_facts(plan: FinishPlan, images: ImageData) -> dict[str, Any]:
    fitted, held = splits(plan.training, images)
    counts = {"fitted": len(fitted), "held_out": len(held), "validation": len(images.validation)}
    return {**counts, "classes": list(images.classes), "fingerprint": images.fingerprint}


def _validate(plan: FinishPlan, folder: Path, images: ImageData, result: dict[str, Any], device: str) -> None:
    """Scores the best weights on the validation images, unless that was done: once."""
    if "validation" in result:
        return
    model, _, _ = load_trained(weights_of(folder, plan.name))
    where = torch.device(device)
    crop_pct = plan.training.recipe.crop_pct
    scoring = DeviceImages(images.validation, plan.architecture.resolution, where, crop_pct)
    batch = EVALUATION_BATCH.get(where.type, EVALUATION_BATCH["cpu"])
    found = evaluate(model.to(where), scoring, where, batch)
    scores = {"accuracy": found.accuracy, "loss": found.loss, **found.facts}
    result["validation"] = {**scores, "images": len(images.validation)}
    keep_record(folder, result)


def _write(plan: FinishPlan, folder: Path, result: dict[str, Any]) -> None:
    """Writes what others use, and last of all that it is there."""
    weights = weights_of(folder, plan.name)
    accuracy, crop_pct = result["validation"]["accuracy"], plan.training.recipe.crop_pct
    training = KeptTraining(plan.study, None, accuracy, weights, crop_pct=crop_pct)
    network = ExportedNetwork(plan.name, plan.architecture, len(result["images"]["classes"]), training)
    files, left_out = [last_of(folder, plan.name)], {}
    try:
        if network.shipped is None:
            code_of(network)  # refuses a family that has none, before anything is written
        files += write(network, "torch", str(weights))
    except InputError as error:
        left_out["timm"] = str(error)
        files.append(weights)
    try:
        files += write(network, "onnx", str(folder / f"{plan.name}.onnx"))
    except InputError as error:
        left_out["onnx"] = str(error)
    result["left_out"] = left_out
    names = sorted({file.name for file in files})
    card = model_card(network, plan, result, names, usage_of(folder, plan.name, result))
    write_own(folder / _CARD, card)
    result["files"] = [_CARD, *names]
    keep_record(folder, result)


def weights_of(folder: Path, name: str) -> Path:
    """Where the best weights are."""
    return folder / f"{name}.safetensors"


def last_of(folder: Path, name: str) -> Path:
    """Where the weights of the last epoch are."""
    return folder / f"{name}_last.safetensors"


def usage_of(folder: Path, name: str, result: dict[str, Any]) -> list[str]:
    """Lines of Python that load a finished network; none where its family has no timm code."""
    if "timm" in result.get("left_out", {}):
        return []
    return [
        f"import sys; sys.path.insert(0, {str(folder)!r})",
        f'import timm, {name}; model = timm.create_model("{name}", pretrained=True).eval()',
    ]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Works in a folder in which nobody else does.

    Raises:
        PlannerError: If somebody does.
    """
    descriptor = open_lock(folder / _LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise PlannerError(f"{folder}: another process finishes this network; wait for it") from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _refused() -> Iterator[None]:
    """Turns what the system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise PlannerError(told(error)) from error
