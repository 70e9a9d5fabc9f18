"""Optuna's database storage, reading trials in four plain queries, without their parameters.

Optuna makes an object of every parameter and attribute: of ten thousand trials, half a million, which takes most of
the time of every command. What is read, and all that is written, is Optuna's own. Nobody here asks for parameters: a
trial's attributes hold its architecture, of which they are a part.

The one method that is replaced, and the tables, are Optuna's own affair, which it may change: where they are not as
they are known here, nothing is replaced, and Optuna reads by itself; slower, and as right.
"""

from __future__ import annotations

import gc
import inspect
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.orm import Session

# Database systems limit how many values a query may list.
_MOST_LISTED = 500
# What is replaced takes these arguments, in the versions of Optuna that were tried.
_METHOD = "_get_trials"
_ARGUMENTS = ["study_id", "states", "included_trial_ids", "trial_id_greater_than"]
_TABLES = (
    *("TrialModel", "TrialValueModel", "TrialUserAttributeModel", "TrialSystemAttributeModel"),
    "TrialIntermediateValueModel",
)


class DamagedError(Exception):
    """Rows that no ledger can have."""


def read_fast(storage: Any) -> Any:
    """Has a storage of Optuna's read trials fast, where that is known to give the same.

    Args:
        storage: An `optuna.storages.RDBStorage`.

    Returns:
        The storage.
    """
    if _is_known(storage):

        def trials(
            study_id: int,
            states: Container[TrialState] | None,
            included_trial_ids: set[int],
            trial_id_greater_than: int,
        ) -> list[FrozenTrial]:
            return _trials(storage.engine, study_id, states, included_trial_ids, trial_id_greater_than)

        setattr(storage, _METHOD, trials)
    return storage


def _is_known(storage: Any) -> bool:
    """Whether Optuna's storage and tables are as those that were tried."""
    try:
        from optuna.storages._rdb import models

        arguments = list(inspect.signature(getattr(storage, _METHOD)).parameters)
    except (ImportError, AttributeError):
        return False
    return arguments == _ARGUMENTS and all(hasattr(models, name) for name in _TABLES)


def _trials(
    engine: Any,
    study_id: int,
    states: Container[TrialState] | None,
    included_trial_ids: set[int],
    trial_id_greater_than: int,
) -> list[FrozenTrial]:
    """Trials after one, and others by their ids: as Optuna's own method gives them, but without parameters."""
    from optuna.storages._rdb import models
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    trial = models.TrialModel
    with _readable(), Session(engine) as session, _uncollected():
        query = select(trial).where(trial.study_id == study_id).order_by(trial.trial_id)
        if not included_trial_ids:
            query = query.where(trial.trial_id > trial_id_greater_than)
        found: Iterable[Any] = session.scalars(query)
        rows = [
            row
            for row in found
            if (row.trial_id > trial_id_greater_than or row.trial_id in included_trial_ids)
            and (states is None or row.state in states)
        ]
        return _Parts(models, session, study_id, [row.trial_id for row in rows]).trials(rows)


@contextmanager
def _readable() -> Iterator[None]:
    """Tells errors of Optuna's and Python's readers, whatever they raise of what they do not expect, as damage."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as e:
        raise DamagedError(f"{type(e).__name__}: {e}") from e


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps Python from looking for garbage among half a million new objects that are none, which takes as long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Parts:
    """What belongs to some trials, by their ids."""

    def __init__(self, models: Any, session: Session, study_id: int, ids: list[int]) -> None:
        self.models, self.session, self.study_id, self.ids = models, session, study_id, ids

    def trials(self, rows: Sequence[Any]) -> list[FrozenTrial]:
        """The trials of rows of their table."""
        from optuna.trial import FrozenTrial

        if not self.ids:
            return []
        values = self._values()
        kinds = self.models.TrialUserAttributeModel, self.models.TrialSystemAttributeModel
        user, system = (self._attributes(kind) for kind in kinds)
        steps = self._intermediate()
        return [
            FrozenTrial(
                number=row.number,
                state=row.state,
                value=None,
                values=[one for _, one in sorted(values[row.trial_id])] if row.trial_id in values else None,
                datetime_start=row.datetime_start,
                datetime_complete=row.datetime_complete,
                params={},
                distributions={},
                user_attrs=user.get(row.trial_id, {}),
                system_attrs=system.get(row.trial_id, {}),
                intermediate_values=steps.get(row.trial_id, {}),
                trial_id=row.trial_id,
            )
            for row in rows
        ]

    def _select(self, table: Any, *names: str) -> Iterable[Any]:
        """Some columns of a table's rows."""
        return self._rows(table, *(getattr(table, name) for name in names))

    def _rows(self, table: Any, *columns: Any, grouped: bool = False) -> Iterable[Any]:
        """Rows of a table, each beginning with the id of its trial; `grouped`: one for each trial."""
        from sqlalchemy import select

        query = select(table.trial_id, *columns)
        if len(self.ids) <= _MOST_LISTED:
            query = query.where(table.trial_id.in_(self.ids))
        else:
            trial = self.models.TrialModel
            query = query.join(trial, trial.trial_id == table.trial_id).where(trial.study_id == self.study_id)
            query = query.where(table.trial_id >= self.ids[0])
        if grouped:
            query = query.group_by(table.trial_id)
        return self.session.execute(query)

    def _values(self) -> dict[int, list[tuple[int, float]]]:
        model = self.models.TrialValueModel
        values: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for trial_id, objective, value, kind in self._select(model, "objective", "value", "value_type"):
            values[trial_id].append((objective, model.stored_repr_to_value(value, kind)))
        return values

    def _attributes(self, table: Any) -> dict[int, dict[str, Any]]:
        """Attributes of every trial: the database joins their texts to one JSON object each, Python reads them at once.

        Reading them as one text makes the objects share their keys.
        """
        from sqlalchemy import func, literal

        key = func.replace(func.replace(table.key, "\\", "\\\\"), '"', '\\"')
        pair = literal('"').concat(key).concat('": ').concat(table.value_json)
        rows = list(self._rows(table, func.aggregate_strings(pair, ", "), grouped=True))
        # A key may hold any character; those below a blank need no escape where `strict` is off.
        objects = json.loads("[" + ", ".join(f"{{{text}}}" for _, text in rows) + "]", strict=False)
        return {trial_id: found for (trial_id, _), found in zip(rows, objects, strict=True)}

    def _intermediate(self) -> dict[int, dict[int, float]]:
        model = self.models.TrialIntermediateValueModel
        found: dict[int, dict[int, float]] = defaultdict(dict)
        names = ("step", "intermediate_value", "intermediate_value_type")
        for trial_id, step, value, kind in self._select(model, *names):
            found[trial_id][step] = model.stored_repr_to_intermediate_value(value, kind)
        return found
