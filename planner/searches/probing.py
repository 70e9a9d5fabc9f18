"""The probe of an adjustment that trains: a network on the ledger, then its utilisation on images held out of training.

Utilisation is kept beside the study's networks, named by the trial and by how it was measured, so that a search that
was killed replays what is known.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, ProxyProbe
from planner.searches.scoring import Candidate, Tell
from planner.searches.trained import TrainedScorer
from planner.searches.widths import Widths
from planner.text.documents import Format, number, shown
from planner.training.measuring import Jobs, with_images
from sampler import Architecture
from trainer.channel_units import check_units, units_of
from trainer.declared.loading import shipped_network
from trainer.files import write_atomically
from trainer.measuring import units_measured
from trainer.observation import NetworkMeasure, Training
from trainer.weights import load_trained

if TYPE_CHECKING:
    from planner.study.ledger import Ledger

_SCHEMA = "utilization/1"
# Of one network, so many are measured by one worker at a time; before them each passes over the images once more.
UNITS_A_JOB = 4
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
        tell: Told of a utilisation that could not be measured.

    A context manager: the workers that measure stay until it is left.

    Raises:
        PlannerError: If the study holds no training images out.
    """

    def __init__(
        self,
        scorer: TrainedScorer,
        architecture_of: Callable[[Widths], Architecture],
        options: AdjustOptions,
        tell: Tell = print,
    ) -> None:
        if not scorer.ledger.settings.data.holdout:
            raise PlannerError("utilisation needs training images that are held out; make a study with --holdout 0.2")
        self.scorer, self.architecture_of, self.options, self.tell = scorer, architecture_of, options, tell
        self._jobs: Jobs | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Begins; workers begin with the first network to measure."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers."""
        self._open.close()
        self._jobs = None

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
        trials = self.scorer.scored_by[architecture]
        units = [self._known(trial) or self._measured(trial) for trial in trials]
        if lost := [trial for trial, each in zip(trials, units, strict=True) if not each]:
            self.tell(f"{label}: the utilisation of trial {lost[0]} could not be measured")
            return ProxyProbe(None)
        increases = [
            [math.nan if one["loss_increase"] is None else one["loss_increase"] for one in each] for each in units
        ]
        return ProxyProbe(
            accuracy,
            tuple(statistics.fmean(of_seeds) for of_seeds in zip(*increases, strict=True)),
            tuple(one["name"] for one in units[0] if one["capped"]),  # which their costs decide, not their weights
            tuple(value for trial in trials if (value := self.ledger.accuracy_of(trial)) is not None),
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
        """The units as the workers measure them, some at a time; none where one was given up."""
        settings, options = self.ledger.settings, self.options
        kept = self.ledger.network_path(trial)
        model, architecture, classes = load_trained(kept)
        names = [unit.name for unit in units_of(model, architecture, classes)]
        parts = [tuple(names[first : first + UNITS_A_JOB]) for first in range(0, len(names), UNITS_A_JOB)]
        measures = [
            NetworkMeasure("utilization", options.times, units=part, base_rate=options.base_rate, cap=options.cap)
            for part in parts
        ]
        data, network = settings.data_spec(self.scorer.cache), shipped_network(settings.base)
        asked = Training(architecture, settings.fidelity, settings.recipe, data, settings.seed, parent=str(kept))
        asked = replace(asked, classes=classes, network=network)
        if self._jobs is None:
            jobs = with_images(self.ledger, self.scorer.cache, self.scorer.resources, self.tell)
            self._jobs = self._open.enter_context(jobs)
        found = self._jobs([replace(asked, measure=measure) for measure in measures])
        if any(one.status != "ok" for one in found):
            return []
        facts = [
            unit for one, part in zip(found, parts, strict=True) for unit in units_measured(one.history[-1].facts, part)
        ]
        record = {"schema": _SCHEMA, "trial": trial, "units": facts}
        write_atomically(self.path(trial), json.dumps(record, indent=1, sort_keys=True, allow_nan=False))
        return facts
