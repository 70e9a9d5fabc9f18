"""How trainings go, told in Python: what is worth a line, and nothing else."""

from __future__ import annotations

import sys

from trainer.observation import Observation


class Notes:
    """Progress as lines on stderr: how much there is to do, and what went otherwise than expected."""

    def note(self, text: str) -> None:
        """Prints a line."""
        print(text, file=sys.stderr, flush=True)

    def start(self, waiting: int, finished: int) -> None:
        """Says how much there is to do."""
        self.note(f"{waiting} trainings to do, {finished} done before")

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """Says nothing."""

    def done(self, number: int, observation: Observation) -> None:
        """Says nothing."""

    def close(self) -> None:
        """Says nothing."""
