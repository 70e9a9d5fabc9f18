"""Which task a study's trainings are, by the name of its trainer."""

from __future__ import annotations

from trainer.command_task import CommandTask
from trainer.function_task import FunctionTask
from trainer.images_task import ImagesTask
from trainer.observation import COMMAND
from trainer.protocol import TrainingTask


def task_named(trainer: str) -> TrainingTask:
    """The task of a trainer.

    Args:
        trainer: Name of the trainer, as `trainer.trainers.trainer_named` takes it; "" for the image trainer, `COMMAND`
            for the program that a training names.
    """
    if trainer == COMMAND:
        return CommandTask()
    return FunctionTask(trainer) if trainer else ImagesTask()
