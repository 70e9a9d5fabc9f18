"""A training on another machine: what goes out with it, how it is done there, what is done with what returns.

Paths of the coordinator's machine are used where the node sees them (a shared file system), and only there: images
and inherited networks are sent along, a network to keep is sent back, a checkpoint is resumed where it is seen.
"""

from __future__ import annotations

import socket
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from trainer.engines.engine import (
    Event,
    EventKind,
    checkpoint_path,
    clear_checkpoint,
    explained,
    write_observation,
)
from trainer.engines.shipping import Arrays, ShippedImages, arrays_of
from trainer.files import write_atomically
from trainer.image_data import ImageData
from trainer.images import load_images
from trainer.images_task import observe_images
from trainer.observation import DataSpec, Observation, Training
from trainer.protocol import Conditions, OnEpoch
from trainer.tasks import task_named
from trainer.trainers import file_of_trainer
from trainer.weights import network_file

# Of the checkpoint folder: a node that reads the same token there sees the coordinator's own folder.
SHARED_MARK = "shared-with"


@dataclass(frozen=True)
class Assignment:
    """What is sent to do one training.

    Attributes:
        key: Key of the training.
        training: Training that is asked for.
        images: Images to train on; None for another trainer than that of images.
        parent: The file it inherits from, b"" for none.
        checkpoint: Absolute path of its state, "" for none.
        token: Text that the checkpoint's folder holds as `SHARED_MARK`.
        threads: Torch threads.
        device: A torch device of the node.
        trainer: Text of the user's file that trains, b"" where it is none.
        teacher: The file of the network to distil from, b"" for none.
        alone: Whether it shares its GPU, or its machine where it has none, with no other training of ours.
    """

    key: int
    training: Training
    images: ShippedImages | None
    parent: bytes
    checkpoint: str
    token: str
    threads: int
    device: str
    trainer: bytes = b""
    teacher: bytes = b""
    alone: bool = True


@dataclass(frozen=True)
class Outcome:
    """What comes back.

    Attributes:
        kind: Kind of an event; `unseen` where the node has no images and none were sent.
        text: The observation as JSON of `done`, the node's name of `unseen`, why of all others.
        network: The trained network's file, where it was asked to be kept.
    """

    kind: EventKind | Literal["unseen"]
    text: str
    network: bytes = b""


# What a node does: the assignment, how it gets images that it does not see, what is told of every epoch.
Work = Callable[[Assignment, Callable[[], Arrays] | None, OnEpoch], Outcome]
_images: dict[str, ImageData] = {}  # of this process, by fingerprint


def perform(assignment: Assignment, fetch: Callable[[], Arrays] | None, on_epoch: OnEpoch) -> Outcome:
    """Does a training on this machine; whatever happens is an outcome."""
    shipped = assignment.images
    try:
        if shipped is None:
            return _trained_elsewise(assignment, on_epoch)
        if shipped.fingerprint not in _images:
            found = shipped.on_this_node(fetch)
            if found is None:
                return Outcome("unseen", socket.gethostname())
            _images.clear()  # one data set in memory at a time
            _images[shipped.fingerprint] = found
        return _trained(assignment, _images[shipped.fingerprint], on_epoch)
    except Exception as error:
        event = explained(assignment.key, error)
        return Outcome(event.kind, event.text)


def _trained(assignment: Assignment, images: ImageData, on_epoch: OnEpoch) -> Outcome:
    training = assignment.training
    conditions = Conditions(
        assignment.device, assignment.threads, on_epoch, _seen_checkpoint(assignment), alone=assignment.alone
    )
    with tempfile.TemporaryDirectory() as name:
        parent, keep = Path(name) / "parent.safetensors", Path(name) / "network.safetensors"
        if assignment.parent:
            parent.write_bytes(assignment.parent)
            training = replace(training, parent=str(parent))
        if training.keep:
            training = replace(training, keep=str(keep))
        if assignment.teacher:
            (teacher := Path(name) / "teacher.safetensors").write_bytes(assignment.teacher)
            training = replace(training, recipe=replace(training.recipe, teacher=str(teacher)))
        observation = observe_images(training, images, conditions)
        # A training that diverged leaves none.
        return Outcome("done", observation.to_json(), keep.read_bytes() if keep.is_file() else b"")


def _trained_elsewise(assignment: Assignment, on_epoch: OnEpoch) -> Outcome:
    """Does a training of another trainer, whose file was sent where this machine does not see the same one."""
    training = assignment.training
    conditions = Conditions(
        assignment.device, assignment.threads, on_epoch, _seen_checkpoint(assignment), True, assignment.alone
    )
    with tempfile.TemporaryDirectory() as name:
        trainer, file = training.trainer, file_of_trainer(training.trainer)
        if file is not None and not (file.is_file() and file.read_bytes() == assignment.trainer):
            (sent := Path(name) / file.name).write_bytes(assignment.trainer)
            trainer = f"{sent}:{trainer.rpartition(':')[2]}"
        observation = task_named(trainer).observe(training, conditions)
        return Outcome("done", observation.to_json())


def _seen_checkpoint(assignment: Assignment) -> Path | None:
    """The checkpoint, if its folder is the coordinator's and not merely one of the same name."""
    if not assignment.checkpoint:
        return None
    path = Path(assignment.checkpoint)
    try:
        seen = (path.parent / SHARED_MARK).read_text() == assignment.token
    except OSError:
        return None
    return path if seen else None


class Desk:
    """The coordinator's side: makes assignments, and files what returns.

    Args:
        folder: Where observations are written, as `KEY.json`.
        checkpoints: Where trainings keep what they have done so far; None for nowhere.
        threads: Torch threads of a training.
        device: The torch device of a training, on its node.
        alone: Whether trainings share that with no other.
    """

    def __init__(self, folder: Path, checkpoints: Path | None, threads: int, device: str, alone: bool = True) -> None:
        self.folder, self.threads, self.device, self.alone = folder.absolute(), threads, device, alone
        self.checkpoints = checkpoints.absolute() if checkpoints else None
        self.token = self._marked() if self.checkpoints else ""
        self.images: dict[tuple[str, int], ImageData] = {}
        self.shipped: dict[tuple[str, int], ShippedImages] = {}

    def assignment(self, key: int, training: Training) -> Assignment:
        """What to send for a training.

        Raises:
            InputError: If its images cannot be used.
            OSError: If the network that it inherits from, or its teacher, cannot be read.
        """
        parent = Path(training.parent).read_bytes() if training.parent else b""
        checkpoint = str(checkpoint_path(self.checkpoints, training)) if self.checkpoints else ""
        state = checkpoint, self.token, self.threads, self.device
        if training.trainer:
            file = file_of_trainer(training.trainer)
            return Assignment(key, training, None, parent, *state, file.read_bytes() if file else b"", alone=self.alone)
        named = training.recipe.teacher
        teacher = network_file(Path(named)).read_bytes() if named else b""
        shipped = self._shipped(training.data)
        return Assignment(key, training, shipped, parent, *state, teacher=teacher, alone=self.alone)

    def _shipped(self, spec: DataSpec) -> ShippedImages:
        what = spec.source, spec.side
        if what not in self.shipped:
            self.images[what] = load_images(*what, cache=Path(spec.cache) if spec.cache else None)
            self.shipped[what] = ShippedImages.of(self.images[what])
        return self.shipped[what]

    def arrays(self, assignment: Assignment) -> Arrays:
        """The images of an assignment, for a node that does not see them."""
        return arrays_of(self.images[assignment.training.data.source, assignment.training.data.side])

    def filed(self, assignment: Assignment, outcome: Outcome) -> Event:
        """Writes what a training gave, and tells of it.

        Raises:
            OSError: If it cannot be written.
        """
        if outcome.kind == "unseen":
            images = assignment.images
            assert images is not None
            path = images.files[0][0] if images.files else images.source
            text = f"{path}: machine {outcome.text} does not see it; put the study where all machines do"
            return Event("refused", assignment.key, text=text)
        if outcome.kind == "done":
            found = Observation.from_json(outcome.text)  # whole, or a defect here and not at the next start
            if outcome.network:
                write_atomically(Path(assignment.training.keep), outcome.network)
            write_observation(self.folder, assignment.key, assignment.training, found)
            if assignment.checkpoint:
                clear_checkpoint(Path(assignment.checkpoint))
            return Event("done", assignment.key)
        return Event(outcome.kind, assignment.key, text=outcome.text)

    def _marked(self) -> str:
        """The token of the checkpoint folder, written there once."""
        assert self.checkpoints
        path = self.checkpoints / SHARED_MARK
        if not path.is_file():
            write_atomically(path, uuid.uuid4().hex)
        return path.read_text()
