"""Trials as offline runs of Weights & Biases in the study's folder; nothing is sent anywhere.

`wandb sync STUDY/logs/wandb/offline-run-*` sends them. An offline run cannot be gone on with: one that was left
incomplete is removed when its trial goes on, and written anew with all its epochs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.training.run_logs import LOGS, RUNS, RunFacts, has_score, imported, run_name, trial_of
from trainer.observation import Observation

# An empty file in the folder of a run that is complete.
COMPLETE = "complete"
# Looks at a run's file, seconds apart, and bytes that it has before anything is in it.
_LOOKS, _APART, _HEAD = 100, 0.05, 7
# No files about the machine and the code, no words on the terminal, and several runs at once.
_SETTINGS: dict[str, Any] = {
    **{"mode": "offline", "silent": True, "console": "off", "reinit": "create_new", "symlink": False},
    **{"disable_git": True, "save_code": False, "disable_code": True},
    **{"x_disable_stats": True, "x_disable_meta": True, "x_save_requirements": False},
}


class OfflineRuns:
    """Offline runs in `logs/wandb`, the project called as the study.

    Args:
        folder: Folder of the study.

    Raises:
        PlannerError: If wandb is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.wandb = imported("wandb", "wandb")
        self.project, self.folder = folder.name, folder.absolute() / LOGS
        self.runs: dict[int, Any] = {}

    def ended(self) -> set[int]:
        """Trials whose runs are marked as complete."""
        return {trial_of(place.name) for place in self._places(RUNS) if (place / COMPLETE).exists()}

    def begin(self, number: int, facts: RunFacts, names: Sequence[str]) -> int:
        """Opens a run of its own; an incomplete one of the trial is removed."""
        name = run_name(number)
        for place in self._places(name):
            shutil.rmtree(place)
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.wandb.Settings(**_SETTINGS)
        about = {"project": self.project, "id": name, "name": name, "config": dict(facts), "settings": settings}
        self.runs[number] = self.wandb.init(dir=str(self.folder), **about)
        return 0

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Writes the numbers of an epoch."""
        self.runs[number].log({"epoch": epoch, **values}, step=epoch)

    def end(self, number: int, epoch: int, values: Mapping[str, float], observation: Observation) -> None:
        """Writes the summary and marks the run as complete."""
        run = self.runs.pop(number)
        run.summary.update({**values, "status": observation.status, "message": observation.message})
        place = Path(run.dir).parent
        run.finish(exit_code=0 if has_score(observation) else 1)
        if _is_written(place / f"run-{run_name(number)}.wandb"):
            (place / COMPLETE).touch()

    def close(self) -> None:
        """Ends the runs that are open, without the mark."""
        for number in list(self.runs):
            self.runs.pop(number).finish(exit_code=1)

    def _places(self, name: str) -> list[Path]:
        return sorted((self.folder / "wandb").glob(f"offline-run-*-{name}"))


def _is_written(file: Path) -> bool:
    """Whether a finished run is in its file, after a moment: wandb's own process may write it a little later."""
    sizes = [0]
    for _ in range(_LOOKS):
        sizes.append(file.stat().st_size if file.exists() else 0)
        if sizes[-1] == sizes[-2] > _HEAD:
            return True
        time.sleep(_APART)
    return False
