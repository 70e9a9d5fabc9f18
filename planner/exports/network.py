"""What is exported: an architecture with its name, its classes and, where there are some, its trained weights."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.text.quantities import format_count
from sampler import Architecture, BaseNetwork, architecture_complexity
from sampler import base as base_named
from trainer.declared.images import described
from trainer.declared.loading import ShippedNetwork, shipped_network
from trainer.declared.torch_family import arguments_of
from trainer.image_data import MEAN, STD
from trainer.network import build
from trainer.score import ACCURACY, Score
from trainer.weights import FINISH_FILE, load_trained, network_file

if TYPE_CHECKING:
    from torch import nn

    from planner.study.reader import Records

_SCHEMA = "planner-network/1"


@dataclass(frozen=True)
class KeptTraining:
    """Where trained weights come from.

    Attributes:
        study: Name of the study.
        trial: Number of the trial; None of a network that was finished (`planner.finishing`).
        accuracy: Accuracy that it reached, in [0, 1], or merit of another score: on the study's data, of finished ones
            on validation images.
        weights: The file that the training kept.
        score: Number that it is judged by.
        crop_pct: Share of an image's side, around its centre, that was scored.
    """

    study: str
    trial: int | None
    accuracy: float | None
    weights: Path
    score: Score = ACCURACY
    crop_pct: float = 1.0

    @property
    def whose(self) -> str:
        """The training that kept them."""
        return "a finished one" if self.trial is None else f"trial {self.trial}"

    @property
    def words(self) -> str:
        """For people."""
        where = "on validation images" if self.trial is None else "on the study's data"
        reached = "" if self.accuracy is None else f", {self.score.name} {self.score.text(self.accuracy)} {where}"
        if self.trial is None:
            return f"finished for study {self.study}{reached}"
        return f"study {self.study}, trial {self.trial}{reached}"

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        reached: dict[str, Any] = self.score.outward({"accuracy": self.accuracy})
        return {"study": self.study, "trial": self.trial, **reached}


@dataclass(frozen=True)
class ExportedNetwork:
    """What is exported.

    Attributes:
        name: Name of the timm model, and of the files.
        architecture: Integers of the network.
        classes: Outputs of the classifier.
        training: Where its weights come from; None for an untrained network.
    """

    name: str
    architecture: Architecture
    classes: int
    training: KeptTraining | None = None

    @property
    def crop_pct(self) -> float:
        """Share of an image's side that it is to be given, as timm's."""
        return 1.0 if self.training is None else self.training.crop_pct

    @property
    def base(self) -> BaseNetwork:
        """The base network's table."""
        return base_named(self.architecture.base)

    @property
    def shipped(self) -> ShippedNetwork | None:
        """The files of a declared network; None of networks of ours."""
        shipped = shipped_network(self.architecture.base)
        return None if shipped is None or shipped.is_table else shipped  # a table's family writes its code

    @property
    def mean(self) -> tuple[float, ...]:
        """What the trainer takes out of each channel of an image of 0 to 1."""
        return MEAN

    @property
    def std(self) -> tuple[float, ...]:
        """What it then divides each channel by."""
        return STD

    @property
    def title(self) -> str:
        """One line that says what it is."""
        cost, architecture = architecture_complexity(self.architecture, self.classes), self.architecture
        return (
            f"{architecture.base} scaled to {format_count(cost.macs)} MACs and {format_count(cost.params)} parameters"
        )

    def module(self) -> nn.Module:
        """The network in eval mode: with its trained weights, else freshly initialised, always the same.

        Raises:
            PlannerError: If the weights are another network's.
            InputError: If the weights cannot be read.
        """
        import torch

        if self.training is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return build(self.architecture, self.classes).eval()
        model, architecture, classes = load_trained(self.training.weights)
        if (architecture, classes) != (self.architecture, self.classes):
            raise PlannerError(
                f"{self.training.weights}: weights of another network than {self.training.whose} of study "
                f"{self.training.study}; remove the file, and the network is untrained"
            )
        return model.eval()

    def config(self) -> dict[str, Any]:
        """Everything that a user of the weights has to know, in JSON's types."""
        from importlib.metadata import version

        cost, training = architecture_complexity(self.architecture, self.classes), self.training
        return {
            "schema": _SCHEMA,
            "name": self.name,
            "architecture": asdict(self.architecture),
            "classes": self.classes,
            "input": self._input(),
            **({"declared": self._declared(shipped)} if (shipped := self.shipped) else {}),
            "macs": cost.macs,
            "params": cost.params,
            "trained": training and training.as_dict(),
            "versions": {name: version(name) for name in ("timm", "torch")},
        }

    def _input(self) -> dict[str, Any]:
        """What the network takes."""
        network, side = described(self.architecture.base), self.architecture.resolution
        if network is not None and not network.images:
            return {"size": side, "like": "what the function that declares the network says as its input"}
        channels = 3 if network is None else network.channels
        kinds = {1: "the mean of RGB, less mean and over std of each", 3: "RGB"}
        return {
            "shape": [channels, side, side],
            "channels": kinds.get(channels, f"{channels}"),
            "range": [0, 1],
            "mean": list(self.mean),
            "std": list(self.std),
            "crop": "the central square"
            + ("" if self.crop_pct == 1 else f", of its side the central {self.crop_pct:g}"),
        }

    def _declared(self, shipped: ShippedNetwork) -> dict[str, Any]:
        """How a declared network is built without the planner's studies: its file, its function and what that takes."""
        module, arguments = (
            shipped.beside[0][0] if shipped.beside else "",
            arguments_of(self.architecture, self.classes),
        )
        name = module.removesuffix(".py").replace("/", ".")
        call = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        return {
            "file": module,
            "function": shipped.function,
            "sha256": {file: hashlib.sha256(text.encode()).hexdigest() for file, text in shipped.beside},
            "arguments": arguments,
            "load": [
                f"from {name} import {shipped.function}",
                "from safetensors.torch import load_file",
                f"model = {shipped.function}({call})",
                f'model.load_state_dict(load_file("{self.name}.safetensors"))',
            ],
        }


def name_of(base: str, suffix: str) -> str:
    """A name that is one of Python's too, such as `efficientnet_b0_1_2g`."""
    return re.sub(r"\W+", "_", f"{base}_{suffix}").lower().strip("_")


def kept_training(ledger: Records, number: int) -> KeptTraining | None:
    """The weights that a trial kept, or None.

    Raises:
        PlannerError: If there is no such trial.
    """
    ledger.architecture(number)
    path = ledger.network_path(number)
    if not path.is_file():
        return None
    settings = ledger.settings
    accuracy, crop_pct = ledger.accuracy_of(number), settings.recipe.crop_pct
    return KeptTraining(ledger.folder.name, number, accuracy, path, settings.score, crop_pct)


def finished_training(ledger: Records, architecture: Architecture) -> KeptTraining | None:
    """The most accurate weights of an architecture that `planner finish` trained for a study, or None."""
    wanted, found = json.loads(json.dumps(asdict(architecture))), []
    for file in sorted((ledger.folder / "finished").glob(f"*/{FINISH_FILE}")):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            plan, accuracy = document["plan"], float(document["validation"]["accuracy"])
            same = plan["architecture"] == wanted and len(document["images"]["classes"]) == ledger.settings.data.classes
            weights, crop_pct = network_file(file.parent), float(plan["recipe"].get("crop_pct", 1.0))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ):  # not finished yet, or damaged: `planner finish` says so
            continue
        if same and weights.is_file():
            found.append(KeptTraining(ledger.folder.name, None, accuracy, weights, crop_pct=crop_pct))
    return max(found, key=lambda training: training.accuracy or 0.0, default=None)


def best_training(ledger: Records, architecture: Architecture) -> KeptTraining | None:
    """The weights of an architecture: finished ones, or else of its most accurate trial that kept its own; or None."""
    if (finished := finished_training(ledger, architecture)) is not None:
        return finished
    kept = [kept_training(ledger, number) for number in ledger.numbers(architecture)]
    return max(
        filter(None, kept),
        key=lambda training: -math.inf if training.accuracy is None else training.accuracy,
        default=None,
    )
