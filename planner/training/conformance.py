"""Checks of a listener, whoever wrote it: call it in a test of your own.

from planner.training.conformance import check_listener
check_listener(MyListener(folder))
"""

from __future__ import annotations

from planner.training.progress import Listener, TrialListener
from trainer.conformance import SMALL_NETWORK
from trainer.observation import DataSpec, EpochRecord, Fidelity, Observation, Status, Training
from trainer.recipe import Recipe


def check_listener(listener: Listener) -> None:
    """Tells a listener of trainings as a coordinator does: of good ones, and of what goes wrong.

    Args:
        listener: Listener to check.

    Raises:
        AssertionError: If it raises something, saying what it was told.
    """
    _told(listener, "note", "resumed: 1 finished trainings recorded, 0 interrupted ones queued again")
    _told(listener, "start", 3, 1)
    _told(listener, "note", "plan: 1 h; nothing was measured yet, so one training begins alone")
    _told_epochs(listener, 0, 3)
    _told(listener, "done", 0, _observation("ok"))
    _told_epochs(listener, 1, 1)
    _told(listener, "done", 1, _observation("stopped"))
    _told(listener, "done", 2, _observation("diverged"))  # before its first epoch
    _told(listener, "done", 2, _observation("ok", loss=None))
    _told(listener, "close")


def _told_epochs(listener: Listener, number: int, epochs: int) -> None:
    history = _observation("ok").history
    if isinstance(listener, TrialListener):
        training = Training(SMALL_NETWORK, Fidelity(3), Recipe(), DataSpec(), trainer="train.py:train", classes=10)
        _told(listener, "begun", number, training)
    for epoch in range(1, epochs + 1):
        if isinstance(listener, TrialListener):
            _told(listener, "scored", number, history[:epoch], 3)
        else:
            _told(listener, "epoch", number, epoch, 3)


def _observation(status: Status, loss: float | None = 1.0) -> Observation:
    """Of a network that trained for three epochs, or failed."""
    failed = status == "diverged"
    history = () if failed else tuple(EpochRecord(epoch, None, 0.5, loss) for epoch in (1, 2, 3))
    return Observation(
        SMALL_NETWORK,
        Fidelity(3),
        seed=0,
        status=status,
        accuracy=None if failed else 0.5,
        loss=None if failed else loss,
        macs=1_000_000,
        params=10_000,
        activations=50_000,
        seconds=1.5,
        device="cpu",
        message="the score is nan after epoch 1" if failed else "",
        history=history,
        asked={"trainer": "train.py:train"},
    )


def _told(listener: Listener, what: str, *facts: object) -> None:
    try:
        getattr(listener, what)(*facts)
    except Exception as error:
        raise AssertionError(f"told {what}{facts}, it raised {type(error).__name__}: {error}") from error
