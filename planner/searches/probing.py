"""The probe of an adjustment that trains: a network from scratch, then its utilisation on images held out of training.

What came of a network is a JSON file named by everything that was asked, so that a search that was killed replays what
is known, and another search over the same networks shares it. The trained network lies beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, Probed
from planner.searches.widths import Widths
from sampler import Architecture
from trainer.files import write_atomically
from trainer.observation import DataSpec, Fidelity, Training
from trainer.recipe import Recipe

if TYPE_CHECKING:
    from trainer.images import ImageData
    from trainer.utilization import Utilization

SCHEMA = "adjust-probe/1"
Record = dict[str, Any]


class TrainingProbe:
    """Trains networks and measures what their channels are worth.

    Args:
        architecture_of: The network of some widths, such as `WidthVector.architecture_of`.
        data: On what; some of its training images must be held out, on which accuracy and utilisation are measured.
        fidelity: How much of the task.
        recipe: How; `adjust` has the channel dropout that the method trains with.
        seed: Of the trainings and of the masks.
        folder: Where results, trained networks and checkpoints are kept.
        options: The drop rates and repeats.
        device: A torch device.

    Raises:
        PlannerError: If no training images are held out.
    """

    def __init__(
        self,
        architecture_of: Callable[[Widths], Architecture],
        data: DataSpec,
        fidelity: Fidelity,
        recipe: Recipe,
        seed: int,
        folder: Path,
        options: AdjustOptions | None = None,
        device: str = "cpu",
    ) -> None:
        if not data.holdout:
            raise PlannerError("utilisation needs training images that are held out; set holdout above 0")
        self.architecture_of, self.data, self.fidelity, self.recipe = architecture_of, data, fidelity, recipe
        self.seed, self.folder, self.device = seed, folder, device
        self.options = options or AdjustOptions()
        self._images: ImageData | None = None

    def __call__(self, widths: Widths, label: str) -> Probed:
        """What is known of the network, or what its training gives.

        Raises:
            PlannerError: If its record is damaged, or the device is out of memory.
        """
        training = self.training(widths)
        record = self._known(training) or self._measured(training, label)
        units = record["utilization"]
        return Probed(
            record["accuracy"],
            tuple(math.nan if unit["loss_increase"] is None else unit["loss_increase"] for unit in units),
            tuple(unit["name"] for unit in units if unit["capped"]),
        )

    def training(self, widths: Widths) -> Training:
        """The training of the network of these widths."""
        return Training(self.architecture_of(widths), self.fidelity, self.recipe, self.data, self.seed)

    def path(self, training: Training) -> Path:
        """Where a training's result is kept; with `.safetensors`, the network."""
        text = json.dumps(self._asked(training), sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"

    def _asked(self, training: Training) -> Record:
        """Everything that a result depends on, in JSON's types; where decoded images are cached does not matter."""
        asked = asdict(training)
        del asked["data"]["cache"]
        options = self.options
        measured = {"base_rate": options.base_rate, "cap": options.cap, "times": options.times}
        plain: Record = json.loads(json.dumps({"schema": SCHEMA, "training": asked, "utilization": measured}))
        return plain

    def _known(self, training: Training) -> Record | None:
        path = self.path(training)
        if not path.is_file():
            return None
        try:
            record: Record = json.loads(path.read_text())
            if record["asked"] != self._asked(training) or not {"accuracy", "utilization"} <= record.keys():
                raise ValueError("of something else")
        except (ValueError, KeyError, TypeError) as error:
            raise PlannerError(f"{path}: not the record of a probe ({error}); remove it and run again") from error
        return record

    def _measured(self, training: Training, label: str) -> Record:
        from trainer.proxy import train

        path = self.path(training)
        checkpoint, kept = path.with_suffix(".pt"), path.with_suffix(".safetensors")
        found = train(training, self._loaded(), self.device, checkpoint=checkpoint, keep=kept)
        if found.status not in ("ok", "diverged"):
            raise PlannerError(f"{label}: the training ended as {found.status} ({found.message}); use another device")
        units = self._utilization(training, kept) if found.status == "ok" else []
        record = {
            "asked": self._asked(training),
            "label": label,
            "accuracy": found.accuracy,
            "observation": json.loads(found.to_json()),
            "images": self._loaded().fingerprint,
            "utilization": [_finite(asdict(unit)) for unit in units],
        }
        write_atomically(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False))
        checkpoint.unlink(missing_ok=True)
        return record

    def _utilization(self, training: Training, kept: Path) -> list[Utilization]:
        import torch

        from trainer.batches import DeviceImages
        from trainer.channel_units import units_of
        from trainer.scoring import splits
        from trainer.utilization import utilization
        from trainer.weights import load_network

        model, architecture, classes = load_network(kept)
        model = model.to(self.device)
        _, score = splits(training, self._loaded())
        images = DeviceImages(score, architecture.resolution, torch.device(self.device))
        units, options = units_of(model, architecture, classes), self.options
        return utilization(model, images, units, options.base_rate, options.cap, options.times, self.seed)

    def _loaded(self) -> ImageData:
        from trainer.images import load_images

        if self._images is None:
            cache = None if self.data.cache is None else Path(self.data.cache)
            self._images = load_images(self.data.source, self.data.side, cache=cache)
        return self._images


def _finite(facts: Record) -> Record:
    """Facts with None for numbers that JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in facts.items()
    }
