"""Scores by inheritance: parents trained once each and kept, architectures fine-tuned from their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from planner.errors import PlannerError
from planner.scores.parents import choose_parents
from planner.study.reader import Records
from sampler import Architecture, rule_named
from trainer.files import write_atomically
from trainer.images import ImageData, load_images
from trainer.inherit import inherit
from trainer.observation import INHERITANCE_NOISE, Fidelity, Observation, Training
from trainer.proxy import train
from trainer.recipe import recipe_named
from trainer.weights import load_trained

_Tell = Callable[[str], None]
HeirScore = dict[str, float | str]
# Of the study's epochs: what a fine-tune may cost beside a training.
_FINE_TUNE = "amplify"
_DIGITS = 16


def digest_of(architecture: Architecture) -> str:
    """An architecture's name as a file: the first hexadecimal digits of the sha256 of its JSON."""
    return hashlib.sha256(json.dumps(asdict(architecture), sort_keys=True).encode()).hexdigest()[:_DIGITS]


def read_parents(folder: Path) -> dict[str, Observation]:
    """The trainings of a study's parents by their digests, those that failed included.

    Args:
        folder: The study's `parents`: for each `DIGEST.json` and, where it succeeded, `DIGEST.safetensors`.

    Raises:
        PlannerError: If a file is damaged.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Observation.from_json(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise PlannerError(f"{path}: not a parent's training ({error}); remove it and score again") from error
    return found


def with_shares(known: Mapping[int, HeirScore], parents: Mapping[str, Observation]) -> dict[int, HeirScore]:
    """Scores with `inherited_parent_seconds`: the parent's training, shared equally by its children."""
    children = [scores.get("inherited_parent") for scores in known.values()]
    shares = {digest: parent.seconds / max(children.count(digest), 1) for digest, parent in parents.items()}
    return {
        trial: scores | {"inherited_parent_seconds": shares[digest]}
        if (digest := str(scores.get("inherited_parent"))) in shares
        else dict(scores)
        for trial, scores in known.items()
    }


class Heirs:
    """Fine-tunes architectures from the weights of a few trained parents.

    Args:
        ledger: The study.
        cache: Folder of decoded images.
        architectures: Architectures to score.
        epochs: Number of epochs of the fine-tune.
        device: A torch device.
        tell: Told what is done.

    Raises:
        PlannerError: If a parent's file is damaged.
    """

    def __init__(
        self, ledger: Records, cache: Path, architectures: Sequence[Architecture], epochs: int, device: str, tell: _Tell
    ) -> None:
        settings = ledger.settings
        self.device, self.tell, self.epochs = device, tell, epochs
        self.folder = ledger.folder / "parents"
        self.data: ImageData = load_images(settings.data.source, settings.data.side, cache=cache)
        self.parents = read_parents(self.folder)
        for digest in self.parents:  # of one that was killed at its end
            (self.folder / f"{digest}.pt").unlink(missing_ok=True)
        kept = [one.architecture for one in self.parents.values() if one.accuracy is not None]
        rule, classes = rule_named(settings.space.rule), settings.data.classes
        self.parent_of = choose_parents(architectures, rule, classes, settings.seed, kept)
        self.training = Training(
            next(iter(architectures)),
            settings.fidelity,
            settings.recipe,
            settings.data_spec(cache),
            settings.seed,
        )
        different = len(set(self.parent_of.values()))
        tell(f"{different} parents for {len(self.parent_of)} of {len(set(architectures))} architectures")

    def score(self, architecture: Architecture) -> HeirScore:
        """Accuracy after the fine-tune; nothing where no parent is possible, or its training failed."""
        parent = self.parent_of.get(architecture)
        if parent is None:
            self.tell("not inherited: no parent is small enough and begins its stages as this architecture does")
            return {}
        digest = digest_of(parent)
        if digest not in self.parents:
            self.parents[digest] = self._train_parent(parent, digest)
        if self.parents[digest].accuracy is None:
            self.tell(f"not inherited: the training of its parent ended as {self.parents[digest].status}")
            return {}
        return self._fine_tuned(architecture, digest)

    def _train_parent(self, parent: Architecture, digest: str) -> Observation:
        asked = replace(self.training, architecture=parent)
        weights, checkpoint, record = (self.folder / f"{digest}.{end}" for end in ("safetensors", "pt", "json"))
        try:
            self.folder.mkdir(exist_ok=True)
            found = train(asked, self.data, self.device, checkpoint=checkpoint, keep=weights)
            write_atomically(record, found.to_json())  # last: what it names is there
        except OSError as error:
            raise PlannerError(f"{error.filename}: {error.strerror or error}; free space, then run again") from error
        checkpoint.unlink(missing_ok=True)
        outcome = found.status if found.accuracy is None else f"accuracy {found.accuracy:.1%}"
        self.tell(f"parent {digest}: {found.macs:,} MACs, {outcome}, {found.seconds:.0f} s")
        return found

    def _fine_tuned(self, architecture: Architecture, digest: str) -> HeirScore:
        network, parent, classes = load_trained(self.folder / f"{digest}.safetensors")
        child = inherit(network, parent, architecture, classes, self.training.seed, INHERITANCE_NOISE)
        asked = replace(
            self.training,
            architecture=architecture,
            fidelity=Fidelity(self.epochs, self.training.fidelity.data_share),
            recipe=recipe_named(_FINE_TUNE).seen_as(self.training.recipe),
        )
        found = train(asked, self.data, self.device, weights=child.state_dict())
        if found.accuracy is None:
            self.tell(f"not inherited: the fine-tune ended as {found.status}")
            return {}
        return {"inherited": found.accuracy, "inherited_seconds": found.seconds, "inherited_parent": digest}
