"""The listeners of `--log` by their names: the tools that we write for, and what others registered."""

from __future__ import annotations

from pathlib import Path

from planner.training.mlflow_log import MlflowRuns
from planner.training.progress import LISTENERS, MakeListener, register_listener
from planner.training.run_logs import RunLog
from planner.training.tensorboard_log import EventFiles
from planner.training.wandb_log import OfflineRuns


def named_listener(name: str) -> MakeListener:
    """What makes the listener of a name.

    Raises:
        PlannerError: If there is none.
    """
    return LISTENERS[name]


@register_listener("tensorboard")
def tensorboard_listener(folder: Path) -> RunLog:
    """Trials as TensorBoard's event files.

    Raises:
        PlannerError: If it is not installed.
    """
    return RunLog(folder, EventFiles(folder))


@register_listener("wandb")
def wandb_listener(folder: Path) -> RunLog:
    """Trials as offline runs of Weights & Biases.

    Raises:
        PlannerError: If it is not installed.
    """
    return RunLog(folder, OfflineRuns(folder))


@register_listener("mlflow")
def mlflow_listener(folder: Path) -> RunLog:
    """Trials as runs of MLflow.

    Raises:
        PlannerError: If it is not installed.
    """
    return RunLog(folder, MlflowRuns(folder))
