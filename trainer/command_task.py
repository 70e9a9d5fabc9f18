"""Trainings by a program of the user's: `trainer.program` runs it, all else is as with a function."""

from __future__ import annotations

from sampler import InputError
from trainer.function_task import FunctionTask
from trainer.observation import COMMAND, DataSpec, Training
from trainer.program import ProgramTrainer
from trainer.protocol import Trainer


class CommandTask(FunctionTask):
    """A `TrainingTask` that runs the program that each training names."""

    here = False

    def __init__(self) -> None:
        super().__init__(COMMAND)

    def prepare(self, data: DataSpec, fingerprint: str, study: str) -> None:
        """Nothing: the program looks after its own data."""

    def trainer_of(self, training: Training) -> Trainer:
        """The program of a training.

        Raises:
            InputError: If it names none.
        """
        if training.command is None:
            raise InputError(f"--trainer {COMMAND}: no command is given; give --command 'PROGRAM ..'")
        return ProgramTrainer(training.command)
