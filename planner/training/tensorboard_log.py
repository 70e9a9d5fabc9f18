"""Trials as runs of TensorBoard: event files in the study's folder, one folder for each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.training.run_logs import COSTS, LOGS, RUNS, Facts, imported, is_whole, run_name, trial_of
from trainer.observation import Observation

# TensorBoard's own tag of a run's end, and that of a text.
_ENDED, _MESSAGE = "_hparams_/session_end_info", "message/text_summary"


class EventFiles:
    """Event files in `logs/tensorboard`; `tensorboard --logdir` shows them, live, and the table of hyper-parameters.

    Args:
        folder: Folder of the study.

    Raises:
        PlannerError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.writing = imported("torch.utils.tensorboard", "tensorboard")
        self.reading = imported("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
        self.folder = folder / LOGS / "tensorboard"
        self.writers: dict[int, Any] = {}
        self.written: dict[int, set[str]] = {}  # tags of each run that is open

    def ended(self) -> set[int]:
        """Trials whose event files say that they ended."""
        found = {trial_of(place.name): place for place in self.folder.glob(RUNS)}
        return {number for number, place in found.items() if _ENDED in self._read(place).summary_metadata}

    def begin(self, number: int, facts: Facts, names: Sequence[str]) -> int:
        """Opens a run; its hyper-parameters are written once."""
        place = self.folder / run_name(number)
        found = self._read(place) if place.is_dir() else None
        writer = self.writers[number] = self.writing.SummaryWriter(str(place))
        if found is None or not found.summary_metadata:
            for about in self.writing.summary.hparams(dict(facts), dict.fromkeys(names, 0.0))[:2]:
                writer.file_writer.add_summary(about)
            writer.flush()
        if found is None:
            self.written[number] = set()
            return 0
        tags = set(found.Tags()["scalars"])
        self.written[number] = tags | set(found.summary_metadata)
        return max((event.step for tag in tags.difference(COSTS) for event in found.Scalars(tag)), default=0)

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Writes the numbers of an epoch."""
        self._write(number, epoch, values)

    def end(self, number: int, epoch: int, values: Mapping[str, float], observation: Observation) -> None:
        """Writes what the epochs did not say, and that the run ended."""
        writer, known = self.writers[number], self.written[number]
        self._write(number, epoch, {name: value for name, value in values.items() if name not in known})
        if observation.message and _MESSAGE not in known:
            writer.add_text("message", observation.message, epoch)
        status = "STATUS_SUCCESS" if is_whole(observation) else "STATUS_FAILURE"
        hparams = imported("tensorboard.plugins.hparams.summary", "tensorboard")
        proto = imported("tensorboard.plugins.hparams.api_pb2", "tensorboard")
        writer.file_writer.add_summary(hparams.session_end_pb(proto.Status.Value(status)))
        self._close(number)

    def close(self) -> None:
        """Closes the event files."""
        for number in list(self.writers):
            self._close(number)

    def _write(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Writes numbers as one event, and has it on disk."""
        proto = imported("tensorboard.compat.proto.summary_pb2", "tensorboard")
        numbers = [proto.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.writers[number].file_writer.add_summary(proto.Summary(value=numbers), epoch)
        self.writers[number].flush()
        self.written[number] |= values.keys()

    def _close(self, number: int) -> None:
        self.writers.pop(number).close()

    def _read(self, place: Path) -> Any:
        found = self.reading.EventAccumulator(str(place), size_guidance={self.reading.SCALARS: 0})
        found.Reload()
        return found
