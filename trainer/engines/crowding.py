"""Which trainings wait to have a device for themselves, and how many a device takes at once meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence

from trainer.observation import Training

_Job = tuple[int, Training]


class Crowding:
    """What memory that ran out teaches of some devices.

    A training whose memory ran out beside others begins again once nothing else is on its device; until then nothing
    new begins there, and afterwards one training fewer at once than were there when it happened.

    Args:
        devices: Device of each worker.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._most = Counter(devices)
        self._waiting: defaultdict[str, deque[_Job]] = defaultdict(deque)
        self._alone: set[str] = set()

    def waits(self, device: str) -> bool:
        """Whether a training waits to be alone on a device."""
        return bool(self._waiting[device])

    def admits(self, device: str, busy: int) -> bool:
        """Whether one more training may begin on a device beside those that are there."""
        return not self.waits(device) and device not in self._alone and busy < self._most[device]

    def add(self, device: str, job: _Job, busy: int) -> None:
        """Takes note that a training found no memory on a device, where so many ran in all."""
        self._waiting[device].append(job)
        self._most[device] = max(1, min(self._most[device], busy - 1))

    def taken(self, device: str) -> _Job:
        """The next training that has a device for itself from now on, until `ended`."""
        self._alone.add(device)
        return self._waiting[device].popleft()

    def is_alone(self, device: str) -> bool:
        """Whether a training has a device for itself."""
        return device in self._alone

    def ended(self, device: str) -> None:
        """Opens a device again after the training that had it for itself."""
        self._alone.discard(device)
