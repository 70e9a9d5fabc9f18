"""Trials as runs of TensorBoard: event files in the study's folder, one folder for each trial."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.training.run_logs import AT_THE_END, LOGS, RUNS, RunFacts, has_score, imported, run_name, trial_of
from trainer.observation import Observation

# TensorBoard's own tags of a run's hyper-parameters and of its end, and ours of the reason why it failed.
_EXPERIMENT, _STARTED, _ENDED = (
    f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info")
)
_MESSAGE = "message/text_summary"


class EventFiles:
    """Event files in `logs/tensorboard`; `tensorboard --logdir` shows them, live, and the table of hyper-parameters.

    Args:
        folder: Folder of the study.

    Raises:
        PlannerError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        # Its own modules, and not what torch makes of them: to import torch takes seconds.
        self.reading = _imported("backend.event_processing.event_accumulator")
        self.writing = _imported("summary.writer.event_file_writer")
        self.events = _imported("compat.proto.event_pb2")
        self.summaries = _imported("compat.proto.summary_pb2")
        self.tensors = _imported("compat.proto.tensor_pb2")
        self.types = _imported("compat.proto.types_pb2")
        self.hparams = _imported("plugins.hparams.plugin_data_pb2")
        self.folder = folder / LOGS / "tensorboard"
        self.writers: dict[int, Any] = {}
        self.written: dict[int, set[str]] = {}  # tags of each run that is open

    def ended(self) -> set[int]:
        """Trials whose event files say that they ended."""
        found = {trial_of(place.name): place for place in self.folder.glob(RUNS)}
        return {number for number, place in found.items() if _ENDED in self._read(place).summary_metadata}

    def begin(self, number: int, facts: RunFacts, names: Sequence[str]) -> int:
        """Opens a run; its hyper-parameters are written once."""
        place = self.folder / run_name(number)
        found = self._read(place) if place.is_dir() else None
        tags = set(found.Tags()["scalars"]) if found else set()
        self.written[number] = tags | (set(found.summary_metadata) if found else set())
        if found:
            _wait_for_a_later_name(place)
        self.writers[number] = self.writing.EventFileWriter(str(place))
        if _STARTED not in self.written[number]:
            self._write(number, 0, self._about(facts, names))
        return (
            max((event.step for tag in tags - {*AT_THE_END} for event in found.Scalars(tag)), default=0) if found else 0
        )

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Writes the numbers of an epoch."""
        self._write(number, epoch, [self._value(name, simple_value=value) for name, value in values.items()])

    def end(self, number: int, epoch: int, values: Mapping[str, float], observation: Observation) -> None:
        """Writes what the epochs did not say, and how it ended, as one event."""
        known = self.written[number]
        said = [self._value(name, simple_value=value) for name, value in values.items() if name not in known]
        if observation.message:
            text = self.tensors.TensorProto(dtype=self.types.DT_STRING, string_val=[observation.message.encode()])
            said.append(self._value(_MESSAGE, tensor=text, metadata=self._metadata("text", b"")))
        status = "STATUS_SUCCESS" if has_score(observation) else "STATUS_FAILURE"
        said.append(self._hparam(_ENDED, session_end_info={"status": status, "end_time_secs": time.time()}))
        self._write(number, epoch, said)
        self._close(number)

    def close(self) -> None:
        """Closes the event files."""
        for number in list(self.writers):
            self._close(number)

    def _about(self, facts: RunFacts, names: Sequence[str]) -> list[Any]:
        """What a run is made with, and which of its numbers are results."""
        experiment = {
            "hparam_infos": [{"name": name} for name in facts],
            "metric_infos": [{"name": {"tag": name}} for name in names],
        }
        started = self.hparams.SessionStartInfo(start_time_secs=time.time())
        for name, value in facts.items():
            if isinstance(value, str):
                started.hparams[name].string_value = value
            else:
                started.hparams[name].number_value = value
        return [self._hparam(_EXPERIMENT, experiment=experiment), self._hparam(_STARTED, session_start_info=started)]

    def _hparam(self, tag: str, **about: Any) -> Any:
        content = self.hparams.HParamsPluginData(version=0, **about).SerializeToString()
        return self._value(tag, metadata=self._metadata("hparams", content))

    def _metadata(self, plugin: str, content: bytes) -> Any:
        return {"plugin_data": {"plugin_name": plugin, "content": content}}

    def _value(self, tag: str, **of: Any) -> Any:
        return self.summaries.Summary.Value(tag=tag, **of)

    def _write(self, number: int, epoch: int, values: Sequence[Any]) -> None:
        """Writes one event, which a reader takes whole or not, and has it on disk."""
        event = self.events.Event(step=epoch, wall_time=time.time(), summary={"value": values})
        self.writers[number].add_event(event)
        self.writers[number].flush()
        self.written[number] |= {value.tag for value in values}

    def _close(self, number: int) -> None:
        self.writers.pop(number).close()

    def _read(self, place: Path) -> Any:
        found = self.reading.EventAccumulator(str(place), size_guidance={self.reading.SCALARS: 0})
        found.Reload()
        return found


def _wait_for_a_later_name(place: Path) -> None:
    """Files are read in the order of their names, which begin with the second in which they were made."""
    if any(file.stat().st_ctime > time.time() - 1 for file in place.iterdir()):
        time.sleep(1)


def _imported(module: str) -> Any:
    return imported(f"tensorboard.{module}", "tensorboard")
