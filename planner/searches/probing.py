"""The probe of an adjustment that trains: a network on the ledger, then its utilisation on images held out of training.

Utilisation is kept beside the study's networks, named by the trial and by how it was measured, so that a search that
was killed replays what is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, ProxyProbe
from planner.searches.scoring import Candidate
from planner.searches.trained import TrainedScorer
from planner.searches.widths import Widths
from planner.text.documents import Format, number, shown
from sampler import Architecture
from trainer.batches import DeviceImages
from trainer.channel_units import check_units, units_of
from trainer.files import write_atomically
from trainer.images import ImageData, load_images
from trainer.observation import Training
from trainer.scoring import splits
from trainer.utilization import utilization
from trainer.weights import load_trained

if TYPE_CHECKING:
    from planner.study.ledger import Ledger

_SCHEMA = "utilization/1"
Record = dict[str, Any]


def units_in(document: dict[str, Any]) -> list[Record]:
    """The units of a record: names, increases of the loss (None for no number) and whether the drop rate was capped.

    Raises:
        PlannerError: If something of that is another thing.
    """
    units: list[Record] = document["units"]
    for unit in units:
        if not isinstance(unit["name"], str) or not isinstance(unit["capped"], bool):
            raise PlannerError(f"unit {shown(unit['name'])} is not a unit's name, or not known to be capped or not")
        if unit["loss_increase"] is not None:
            number(unit["loss_increase"], "loss_increase")
    return units


FORMAT = Format(_SCHEMA, "record of utilisation", "remove it and run again", units_in)


class TrainedProbe:
    """Trains networks and measures what their channels are worth.

    Args:
        scorer: Trains on a study's ledger; its recipe says whether with the channel dropout of the recipe `adjust`.
        architecture_of: The network of some widths, such as `WidthVector.architecture_of`.
        options: The drop rates and repeats.
        device: A torch device, on which utilisation is measured.

    Raises:
        PlannerError: If the study holds no training images out.
    """

    def __init__(
        self,
        scorer: TrainedScorer,
        architecture_of: Callable[[Widths], Architecture],
        options: AdjustOptions,
        device: str = "cpu",
    ) -> None:
        if not scorer.ledger.settings.data.holdout:
            raise PlannerError("utilisation needs training images that are held out; make a study with --holdout 0.2")
        self.scorer, self.architecture_of, self.options, self.device = scorer, architecture_of, options, device
        self._images: ImageData | None = None

    def __call__(self, widths: Widths, label: str) -> ProxyProbe:
        """What is known of the network, or what its training gives.

        Raises:
            PlannerError: If its record is damaged, or its family does not tell what its channels are.
        """
        architecture = self.architecture_of(widths)
        check_units(architecture)
        accuracy = self.scorer([Candidate(architecture, label=label)])[0]
        if accuracy is None:
            return ProxyProbe(None)
        trial = self.scorer.scored_by[architecture][0]  # of several seeds the first tells what channels are worth
        units = self._known(trial) or self._measured(trial)
        return ProxyProbe(
            accuracy,
            tuple(math.nan if unit["loss_increase"] is None else unit["loss_increase"] for unit in units),
            tuple(unit["name"] for unit in units if unit["capped"]),
        )

    @property
    def ledger(self) -> Ledger:
        """The study's."""
        return self.scorer.ledger

    def path(self, trial: int) -> Path:
        """Where a network's utilisation is kept."""
        options = self.options
        how = f"p{options.base_rate:g}-cap{options.cap:g}-x{options.times}"
        return self.ledger.folder / "networks" / f"{trial:06d}-utilization-{how}.json"

    def _known(self, trial: int) -> list[Record] | None:
        path = self.path(trial)
        return FORMAT.load(path, FORMAT.again) if path.is_file() else None

    def _measured(self, trial: int) -> list[Record]:
        settings, options = self.ledger.settings, self.options
        model, architecture, classes = load_trained(self.ledger.network_path(trial))
        data = settings.data_spec(self.scorer.cache)
        training = Training(architecture, settings.fidelity, settings.recipe, data, settings.seed)
        _, score = splits(training, self._loaded())
        images = DeviceImages(score, architecture.resolution, torch.device(self.device), settings.recipe.crop_pct)
        model = model.to(self.device)
        units = units_of(model, architecture, classes)
        found = utilization(model, images, units, options.base_rate, options.cap, options.times, settings.seed)
        facts = [_finite(asdict(unit)) for unit in found]
        record = {"schema": _SCHEMA, "trial": trial, "units": facts}
        write_atomically(self.path(trial), json.dumps(record, indent=1, sort_keys=True, allow_nan=False))
        return facts

    def _loaded(self) -> ImageData:
        if self._images is None:
            data = self.ledger.settings.data
            self._images = load_images(data.source, data.side, cache=self.scorer.cache)
        return self._images


def _finite(facts: Record) -> Record:
    """Facts with None for numbers that JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in facts.items()
    }
