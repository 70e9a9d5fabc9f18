"""Trials as runs of MLflow: in a database in the study's folder, or where MLFLOW_TRACKING_URI says.

`mlflow ui --backend-store-uri sqlite:///STUDY/logs/mlflow.db` shows them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.training.run_logs import AT_THE_END, LOGS, RunFacts, has_score, imported, run_name
from trainer.observation import Observation

# Tags of a run: which trial of which study it is.
_TRIAL, _STUDY = "planner.trial", "planner.study"
# A server that is away is waited for shortly, where the user did not say otherwise: the trainings wait as long.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_COMPLETE, _OPEN = ("FINISHED", "FAILED"), "KILLED"
_MOST = 50_000  # of runs that one question asks for


class MlflowRuns:
    """Runs of an experiment called as the study.

    Args:
        folder: Folder of the study.

    Raises:
        PlannerError: If MLflow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        for name, value in {**_PATIENCE, "MLFLOW_DISABLE_TELEMETRY": "true"}.items():
            os.environ.setdefault(name, value)
        self.entities = imported("mlflow.entities", "mlflow")
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells how it makes its tables
        logs = folder.absolute() / LOGS
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri is None:
            logs.mkdir(parents=True, exist_ok=True)
        self.client = imported("mlflow.tracking", "mlflow").MlflowClient(uri or f"sqlite:///{logs / 'mlflow.db'}")
        self.study = folder.name
        found = self.client.get_experiment_by_name(self.study)
        place = None if uri else (logs / "mlflow-artifacts").as_uri()
        self.experiment = found.experiment_id if found else self.client.create_experiment(self.study, place)
        self.runs: dict[int, str] = {}  # identities of those that are open
        self.known: dict[int, set[str]] = {}  # metrics that they have
        for run in self._found():  # of a process that was killed; a trial that goes on opens its own again
            if run.info.status not in (*_COMPLETE, _OPEN):
                self.client.set_terminated(run.info.run_id, _OPEN)

    def ended(self) -> set[int]:
        """Trials whose runs are complete."""
        return {int(run.data.tags[_TRIAL]) for run in self._found() if run.info.status in _COMPLETE}

    def begin(self, number: int, facts: RunFacts, names: Sequence[str]) -> int:
        """Opens a run, or goes on with that of the trial."""
        found = self._found(f" and tags.`{_TRIAL}` = '{number}'")
        if found:
            run = found[0]
            self.client.update_run(run.info.run_id, "RUNNING")
        else:
            tags = {_TRIAL: str(number), _STUDY: self.study}
            run = self.client.create_run(self.experiment, tags=tags, run_name=run_name(number))
        self.runs[number], metrics = run.info.run_id, run.data.metrics
        self.known[number] = set(metrics)
        made = [self.entities.Param(name, str(value)) for name, value in facts.items()]
        self.client.log_batch(run.info.run_id, params=made)  # of equal values any number of times
        return max((self._last(number, name) for name in metrics.keys() - set(AT_THE_END)), default=0)

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Writes the numbers of an epoch, in one transaction."""
        now = int(1000 * time.time())
        metrics = [self.entities.Metric(name, value, now, epoch) for name, value in values.items()]
        self.client.log_batch(self.runs[number], metrics=metrics)
        self.known[number] |= values.keys()

    def end(self, number: int, epoch: int, values: Mapping[str, float], observation: Observation) -> None:
        """Writes what the epochs did not say, and how it ended."""
        known = self.known[number]
        self.epoch(number, epoch, {name: value for name, value in values.items() if name not in known})
        run = self.runs.pop(number)
        self.client.set_tag(run, "status", observation.status)
        if observation.message:
            self.client.set_tag(run, "message", observation.message)
        self.client.set_terminated(run, "FINISHED" if has_score(observation) else "FAILED")

    def close(self) -> None:
        """Marks the runs that are open as killed; they are gone on with."""
        for number in list(self.runs):
            self.client.set_terminated(self.runs.pop(number), _OPEN)

    def _last(self, number: int, name: str) -> int:
        return max((metric.step for metric in self.client.get_metric_history(self.runs[number], name)), default=0)

    def _found(self, also: str = "") -> list[Any]:
        """The study's runs."""
        wanted = f"tags.`{_STUDY}` = '{self.study}'{also}"
        return list(self.client.search_runs([self.experiment], wanted, max_results=_MOST))
