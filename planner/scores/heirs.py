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
from planner.text.documents import write_own
from planner.training.measuring import Jobs
from sampler import Architecture, rule_named
from trainer.declared.loading import shipped_network
from trainer.observation import Fidelity, Observation, Training
from trainer.recipe import recipe_named

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
        jobs: Trains them, several at a time.
        tell: Told what is done.

    Raises:
        PlannerError: If a parent's file is damaged.
    """

    def __init__(
        self, ledger: Records, cache: Path, architectures: Sequence[Architecture], epochs: int, jobs: Jobs, tell: _Tell
    ) -> None:
        settings = ledger.settings
        self.jobs, self.tell, self.epochs = jobs, tell, epochs
        self.folder = ledger.folder / "parents"
        self.parents = read_parents(self.folder)
        for digest in self.parents:  # of one that was killed at its end, by an older version
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
            network=shipped_network(settings.base),
        )
        different = len(set(self.parent_of.values()))
        tell(f"{different} parents for {len(self.parent_of)} of {len(set(architectures))} architectures")

    def scores(self, done: Callable[[Architecture, HeirScore], None]) -> None:
        """Trains the parents that are missing, then fine-tunes every architecture that has one.

        Args:
            done: Told of each that ends; not of one without a parent, or whose training or parent's failed.
        """
        self._train_parents()
        asked = {one: self._heir(one, parent) for one, parent in self.parent_of.items() if self._is_there(parent)}
        if asked:
            found = self.jobs(list(asked.values()), lambda one: self._tuned(one, done))
            for one in found:  # also what was known before
                self._tuned(one, done, told=True)

    def _train_parents(self) -> None:
        missing = [one for one in dict.fromkeys(self.parent_of.values()) if digest_of(one) not in self.parents]
        if not missing:
            return
        self.folder.mkdir(exist_ok=True)
        asked = [
            replace(self.training, architecture=one, keep=str(self.folder / f"{digest_of(one)}.safetensors"))
            for one in missing
        ]
        for found in self.jobs(asked, self._raised):
            self._raised(found)

    def _raised(self, found: Observation) -> None:
        """Records a parent that was trained."""
        digest = digest_of(found.architecture)
        if digest in self.parents:
            return
        write_own(self.folder / f"{digest}.json", found.to_json())  # last: what it names is there
        self.parents[digest] = found
        outcome = found.status if found.accuracy is None else f"accuracy {found.accuracy:.1%}"
        self.tell(f"parent {digest}: {found.macs:,} MACs, {outcome}, {found.seconds:.0f} s")

    def _is_there(self, parent: Architecture) -> bool:
        return self.parents[digest_of(parent)].accuracy is not None

    def _heir(self, architecture: Architecture, parent: Architecture) -> Training:
        return replace(
            self.training,
            architecture=architecture,
            fidelity=Fidelity(self.epochs, self.training.fidelity.data_share),
            recipe=recipe_named(_FINE_TUNE).seen_as(self.training.recipe),
            parent=str(self.folder / f"{digest_of(parent)}.safetensors"),
        )

    def _tuned(self, found: Observation, done: Callable[[Architecture, HeirScore], None], told: bool = False) -> None:
        if found.accuracy is None:
            if not told:
                self.tell(f"not inherited: the fine-tune ended as {found.status}")
            return
        parent = digest_of(self.parent_of[found.architecture])
        done(
            found.architecture,
            {"inherited": found.accuracy, "inherited_seconds": found.seconds, "inherited_parent": parent},
        )

    def why_not(self, architecture: Architecture) -> str:
        """Why an architecture has no score before it is fine-tuned, in words; "" where it may get one."""
        parent = self.parent_of.get(architecture)
        if parent is None:
            return "not inherited: no parent is small enough and begins its stages as this architecture does"
        found = self.parents.get(digest_of(parent))
        if found is not None and found.accuracy is None:
            return f"not inherited: the training of its parent ended as {found.status}"
        return ""
