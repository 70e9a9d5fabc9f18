"""What every proposer must keep to, as assertions: for ours, and for anybody's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.proposers.protocol import ProposalTask, Proposer

if TYPE_CHECKING:
    import pandas as pd

_TASK = ProposalTask(("width", "depth"), seed=3)


def check_proposer(proposer: Proposer) -> None:
    """Asserts that a proposer keeps to `Proposer` on a small made-up study of 72 networks.

    It stays in the pool, gives as many different rows as are wanted and there are, the same ones for the same seed,
    works where nothing or only failures were observed and where results are still to come, and changes no table.

    Raises:
        AssertionError: Saying in one sentence what it does not keep to.
    """
    pool = _networks()
    observed = pool.sample(12, random_state=0)
    observed = observed.assign(accuracy=0.9 - 0.5 * observed["macs"].rank(pct=True) ** -0.1, status="ok")
    left = pool.drop(observed.index)
    _check_choice(proposer, observed, left, "of twelve results")
    _check_choice(proposer, observed.head(0), pool, "of nothing observed")
    failed = observed.assign(accuracy=np.nan, status="diverged")
    _check_choice(proposer, failed, left, "where every training diverged")
    coming = observed.assign(
        status=["ok"] * 9 + ["running", "waiting", "queued"],
        accuracy=observed["accuracy"].where(np.arange(12) < 9),
    )
    _check_choice(proposer, coming, left, "where three results are still to come")
    few = _rows(proposer, observed, left.head(2), 5)
    assert sorted(few) == sorted(left.index[:2]), f"of a pool of two rows it gives {few}; both are wanted, once each"


def _check_choice(proposer: Proposer, observed: pd.DataFrame, pool: pd.DataFrame, where: str) -> None:
    """Three rows, twice; and the tables as they were."""
    before = observed.copy(deep=True), pool.copy(deep=True)
    first, again = (_rows(proposer, observed, pool, 3) for _ in range(2))
    for name, table, copy in (("observed", observed, before[0]), ("pool", pool, before[1])):
        assert table.equals(copy) and list(table.columns) == list(copy.columns), f"it changes {name}, {where}"
    strange = [label for label in first if label not in pool.index]
    assert not strange, f"{where} it gives {strange[0]!r}, which is no label of the pool"
    assert len(first) == 3 == len(set(first)), f"{where} it gives {first}; three different rows are wanted"
    assert first == again, f"{where} the same seed gives {first}, then {again}"


def _rows(proposer: Proposer, observed: pd.DataFrame, pool: pd.DataFrame, n: int) -> list[Any]:
    """The labels that a proposer gives."""
    labels: Sequence[Any] = proposer(observed, pool, n, _TASK)
    assert not isinstance(labels, str) and hasattr(labels, "__len__"), (
        f"it gives {labels!r}; a list of labels is wanted"
    )
    return list(labels)


def _networks() -> pd.DataFrame:
    """72 networks of two whole numbers, with words for labels, so that labels are no positions."""
    import pandas as pd

    sizes = [(width, depth) for width in range(8, 104, 8) for depth in range(1, 7)]
    frame = pd.DataFrame(sizes, columns=["width", "depth"], index=[f"{w}x{d}" for w, d in sizes])
    return frame.assign(macs=frame["width"] ** 2 * frame["depth"] * 1000)
