"""Which trained networks a study keeps: of all that it could, those of the highest accuracy."""

from __future__ import annotations

from contextlib import suppress

from planner.study.ledger import Ledger


def forget_networks(ledger: Ledger) -> None:
    """Removes the weights of the study's own trainings, but for the best of them.

    How many are kept says the study's `keep`; 0 keeps none, and removes none. Those that a training asked to keep for
    itself (a search's parents, say) stay and are not counted. Of equal accuracies the cheaper network is kept.

    Args:
        ledger: The study's.
    """
    if not ledger.settings.keep:
        return
    there = [number for number in ledger.finished_numbers() if ledger.network_path(number).is_file()]
    own = [number for number in there if not ledger.asks_of(number).get("keep")]
    ranked = sorted(own, key=lambda number: (-(ledger.accuracy_of(number) or 0.0), ledger.macs_of(number), number))
    for number in ranked[ledger.settings.keep :]:
        with suppress(OSError):  # the next training's end tries again
            ledger.network_path(number).unlink()
