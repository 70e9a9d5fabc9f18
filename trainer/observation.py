"""What was asked of a training, and what came of it: plain records, no torch."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from sampler import Architecture, architecture_from
from trainer.declared.loading import ShippedNetwork
from trainer.recipe import Recipe
from trainer.score import ACCURACY, Score, score_from

Status = Literal["ok", "stopped", "diverged", "out_of_memory", "killed"]
STATUSES: tuple[Status, ...] = ("ok", "stopped", "diverged", "out_of_memory", "killed")


@dataclass(frozen=True)
class Fidelity:
    """How much of the target task a proxy training does.

    Attributes:
        epochs: Passes over the images used.
        data_share: Share of the training images used, the same of every class.
    """

    epochs: int = 3
    data_share: float = 1.0


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from, and which of them score a training.

    Attributes:
        source: `fractal..`, `npz:PATH` or `imagefolder:PATH`.
        side: Side to which images are decoded once, in pixels.
        holdout: Share of the *training* images held out to score trainings, so that the validation split stays
            untouched for reports; 0 scores on the validation split.
        cache: Folder of decoded images, or None.
    """

    source: str = "fractal"
    side: int = 64
    holdout: float = 0.2
    cache: str | None = None


# Of the weights that lead to or from a repeated channel, in standard deviations: without it equal channels stay equal
# under fine-tuning. Efficient Architecture Search (Cai et al. 2018) takes as little; 0.1 moved accuracies by points.
INHERITANCE_NOISE = 1e-3

# The name of the trainer that is a program.
COMMAND = "command"


@dataclass(frozen=True)
class Command:
    """A program that trains, as text: `trainer.command_line` says what it may hold.

    Attributes:
        line: Command line, with `{names}` that each training fills in.
        score_file: Path of the file that holds the score in the end, with `{names}`; "" for what the program prints.
    """

    line: str
    score_file: str = ""


@dataclass(frozen=True)
class Training:
    """One training asked for: everything its result depends on.

    Attributes:
        architecture: Network to train.
        fidelity: How much of the task.
        recipe: How.
        data: On what.
        seed: Random seed of the initial weights, the batches and the augmentation.
        parent: File of a trained network (`trainer.weights`) whose weights it inherits; "" for random ones.
        noise: Noise on what it inherits, as `trainer.inherit.inherit` takes it.
        keep: File that the trained network is written to; "" for none.
        trainer: Name of the trainer, as `trainer.trainers.trainer_named` takes it; "" for the image trainer. Any other
            has its own data and recipe.
        classes: Outputs of the classifier, for another trainer; the image trainer's data say it themselves.
        network: Declared network, as a process needs it to build one; None for networks of ours.
        score: Number that another trainer's trainings are judged by; accuracy for the image trainer.
        command: Program that trains; None where `trainer` is not `COMMAND`.
        limit: Seconds after which it is ended, those before it was interrupted included; 0 for never. Its result does
            not depend on it.
    """

    architecture: Architecture
    fidelity: Fidelity
    recipe: Recipe
    data: DataSpec
    seed: int = 0
    parent: str = ""
    noise: float = INHERITANCE_NOISE
    keep: str = ""
    trainer: str = ""
    classes: int = 0
    network: ShippedNetwork | None = None
    score: Score = ACCURACY
    command: Command | None = None
    limit: float = 0.0

    def facts(self) -> dict[str, Any]:
        """What was asked for beside architecture, fidelity and seed, in JSON's types; wherever the study's folder is.

        `parent` and `keep` are the numbers of their trials as files.
        """
        data = {"source": self.data.source, "side": self.data.side, "holdout": self.data.holdout}
        kept = {"parent": Path(self.parent).stem, "keep": Path(self.keep).stem, **self._noise()}
        other = {"trainer": self.trainer} if self.trainer else {}
        own = {**self._score(), **self._command(), **self._network()}
        return {"recipe": self.recipe.as_dict(), "data": data, **kept, **other, **own}

    def key(self) -> dict[str, Any]:
        """All fields by their names, in JSON's types, but for what only another trainer has, where it has none.

        Of a declared network its digest; nothing where there is none.
        """
        asked = asdict(self) | {"recipe": self.recipe.as_dict()}
        if not self.trainer:
            del asked["trainer"], asked["classes"]
        del asked["network"], asked["score"], asked["command"], asked["limit"], asked["noise"]
        return asked | self._noise() | self._score() | self._command() | self._network()

    def _noise(self) -> dict[str, float]:
        return {"noise": self.noise} if self.parent else {}

    def _score(self) -> dict[str, Any]:
        return {} if self.score.is_accuracy else {"score": self.score.as_dict()}

    def _command(self) -> dict[str, str]:
        return {} if self.command is None else {"command": self.command.line, "score_file": self.command.score_file}

    def _network(self) -> dict[str, str]:
        if self.network is None:
            return {}
        declared = json.dumps([self.network.function, self.network.beside])
        return {"network": hashlib.sha256(declared.encode()).hexdigest()}


@dataclass(frozen=True)
class EpochRecord:
    """What was seen at the end of one epoch; nothing in it changed the training.

    Attributes:
        epoch: Epochs done.
        training_loss: Mean of the loss that was minimised, smoothing, mixup and distillation included; None where a
            trainer does not say it.
        accuracy: Top-1 on the scoring images, in [0, 1]; None after an epoch that was not scored. Of another trainer
            its score, as it was reported.
        loss: Cross-entropy on the scoring images, in nats; None likewise.
        facts: Further numbers that another trainer reported, by their names; `seconds` are those of the training so
            far, where it knows them better than the clock.
    """

    epoch: int
    training_loss: float | None
    accuracy: float | None = None
    loss: float | None = None
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """One architecture, one fidelity, one seed: its numbers and its status.

    Attributes:
        architecture: Network that was trained.
        fidelity: How much of the task.
        seed: Random seed of the training.
        status: `ok`; `stopped` before its last epoch, because it could not reach the front; or why there is no
            accuracy: `diverged`, `out_of_memory`, `killed`.
        accuracy: Top-1, in [0, 1], at the last scored epoch; None unless `ok` or `stopped`. Of another trainer its
            score, as it was reported.
        loss: Cross-entropy on the scoring images, in nats; likewise. Other trainers may have none.
        macs: Exact multiply-accumulates of one image.
        params: Exact learnable scalars.
        activations: Exact output elements of convolutions and linear layers.
        seconds: Wall-clock seconds of the training, data loading left out.
        device: Where it ran.
        versions: Versions of the libraries a result depends on.
        message: Reason of what went wrong, in one line.
        history: Every epoch that ended with a finite loss; empty in records older than it.
        memory: Estimate of the peak memory of inference for one image, in bytes; None in older records.
        asked: `Training.facts` of the training that this came of; empty in older records.
        cpu_seconds: Processor time of all threads in those seconds, of a training on a CPU: beside the wall clock it
            tells a crowded machine. None on other devices, and in older records.
        threads: Torch threads; None in older records.
        micro_batches: Parts in which each batch was done as memory was short, whose statistics batch norm then saw;
            None in older records, and of other trainers.
        alone: Whether no other training of ours shared its device; None where nobody knows.
        peak_bytes: Most memory that its tensors took on a GPU at once; None on other devices.
    """

    architecture: Architecture
    fidelity: Fidelity
    seed: int
    status: Status
    accuracy: float | None
    loss: float | None
    macs: int
    params: int
    activations: int
    seconds: float
    device: str
    versions: dict[str, str] = field(default_factory=dict)
    message: str = ""
    history: tuple[EpochRecord, ...] = ()
    memory: int | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    cpu_seconds: float | None = field(default=None, compare=False)  # no two trainings that are the same have the same
    threads: int | None = None
    micro_batches: int | None = None
    alone: bool | None = field(default=None, compare=False)  # circumstances, which change nothing in its result
    peak_bytes: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is unknown; known: {', '.join(STATUSES)}")
        if self.status == "ok":
            for name in ("accuracy", *(["loss"] if self.loss is not None else [])):
                value = getattr(self, name)
                if value is None or not math.isfinite(value):
                    raise ValueError(f"an observation with status 'ok' needs a finite {name}, got {value}")

    def other_than(self, training: Training) -> str | None:
        """In what this is not an observation of a training, such as `recipe.batch_size`; None where it may be.

        Older records do not say all of it, and may be of any training that agrees in the rest.
        """
        ours = {"architecture": self.architecture, "seed": self.seed, **asdict(self.fidelity)}
        wanted = {"architecture": training.architecture, "seed": training.seed, **asdict(training.fidelity)}
        if self.asked:
            ours, wanted = {**ours, **_flat(self.asked)}, {**wanted, **_flat(training.facts())}
            ours = {"noise": wanted.get("noise"), **ours}  # older records of heirs do not say it
        # A field of the recipe that only one of them says has another value there (`Recipe.as_dict`).
        names = (*wanted, *(name for name in ours if name.startswith("recipe.")))
        return next((name for name in names if ours.get(name) != wanted.get(name)), None)

    def to_json(self) -> str:
        """One line of JSON; NaN is refused."""
        document = asdict(self)
        document["history"] = [epoch_dict(record) for record in self.history]
        return json.dumps(document, allow_nan=False, sort_keys=True)

    @property
    def score(self) -> Score:
        """What it is judged by, as far as it says what was asked."""
        return score_from(self.asked.get("score"))

    @classmethod
    def from_json(cls, text: str) -> Observation:
        """The observation that `to_json` wrote.

        Raises:
            ValueError: If the text is not JSON, or a field is missing, unknown or impossible.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            architecture = fields.pop("architecture")
            fidelity = Fidelity(**fields.pop("fidelity"))
            history = tuple(EpochRecord(**record) for record in fields.pop("history", ()))
            fields["asked"] = dict(fields.get("asked", {}))
            return cls(architecture=architecture_from(architecture), fidelity=fidelity, history=history, **fields)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an observation: {error}") from error


def epoch_dict(record: EpochRecord) -> dict[str, Any]:
    """An epoch in JSON's types, without the facts that nobody reported."""
    document = asdict(record)
    if not record.facts:
        del document["facts"]
    return document


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """Members of members by their dotted names."""
    pairs = ((name, value if isinstance(value, dict) else {"": value}) for name, value in document.items())
    return {f"{name}.{inner}".rstrip("."): value for name, members in pairs for inner, value in members.items()}
