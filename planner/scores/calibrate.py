"""Cheap trainings beside a long one: the same architectures by each, on one ledger, as a table.

The long training is the study's own. A cheap one is a trial that asks for something else (`planner.scores.proxies`), so
that fits, fronts and counts of the study leave it out. Zen-scores join where the family has them. Whatever was trained
before is not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from planner.errors import PlannerError
from planner.formulas.stages import architectures_of
from planner.scores.parents import choose_parents
from planner.scores.proxies import ProxyTraining
from planner.scores.ranks import FEWEST_RANKED
from planner.study.ledger import Ledger
from planner.study.pace import TIME_COLUMNS, own_seconds
from planner.study.trials import asked_key, parameters
from planner.tables.frames import path_shown, read_frame
from planner.tables.table import csv_text
from planner.text.documents import write_own
from planner.training.loop import queue, train_queued
from planner.training.progress import Listener
from planner.training.resources import Resources
from sampler import Architecture, Architectures, InputError, architecture_complexity, rule_named
from sampler.architecture import stack
from sampler.moves import effective
from trainer.image_data import Progress
from trainer.images import load_images
from trainer.inherit import refusal
from trainer.zero_cost import zen_score

if TYPE_CHECKING:
    import pandas as pd

_Tell = Callable[[str], None]
_ORIGIN = "calibrate"
SCORES = "calibration.csv"  # in the study's folder
OF_SECONDS = " seconds"  # after the name of a score, the column of what it cost
ZEN = "zen"


class _Wish(NamedTuple):
    """A training that is wanted."""

    architecture: Architecture
    asks: Mapping[str, Any]

    @property
    def key(self) -> tuple[Architecture, str]:
        """Its key among the ledger's attempts."""
        return self.architecture, asked_key(self.asks)


@dataclass(frozen=True)
class Field:
    """Where, and by whom, trainings are done.

    Attributes:
        ledger: Ledger of the study.
        cache: Folder of its decoded images.
        resources: Where and how long to train.
        progress: Listener, told of every epoch and ending.
        tell: Function that is told what could not be scored.
        decoding: Function that is called with (what, done, total) while images are decoded.
    """

    ledger: Ledger
    cache: Path
    resources: Resources
    progress: Listener
    tell: _Tell
    decoding: Progress | None = None


def own_architectures(ledger: Ledger, n: int | None = None) -> list[Architecture]:
    """The architectures that a study trains itself, the first so many; as many as are missing are drawn and queued.

    Args:
        ledger: The study's ledger.
        n: How many; all that are queued or trained by default.

    Raises:
        PlannerError: If there are none, or no more can be drawn.
    """
    if n is not None:
        with ledger.queueing():
            queue(ledger, n)
    own = sorted((number, one) for (one, asks), (number, _) in ledger.attempts().items() if asks == asked_key({}))
    found = list(islice(dict.fromkeys(one for _, one in own), n))
    if not found:
        raise PlannerError(f"{ledger.folder}: no architecture of its own; give --architectures N, or a table of them")
    return found


def given_architectures(ledger: Ledger, path: Path) -> list[Architecture]:
    """The distinct architectures of a table, whose rows are of the study's base network.

    Args:
        ledger: The study's ledger.
        path: Table with the columns `resolution`, `width_1` .., `depth_1` .., and others that a study's table has.

    Raises:
        PlannerError: If a column is missing, a number is none, or an architecture cannot be built.
    """
    settings, network, name = ledger.settings, ledger.space.network, path_shown(path)
    frame = read_frame(path, "architecture", "architectures")
    others = sorted({str(one) for one in frame["base"]} - {settings.base}) if "base" in frame else []
    if others:
        raise PlannerError(f"{name}: networks of {others[0]}, and the study's are of {settings.base}; leave them out")
    try:
        found: Architectures | None = architectures_of(frame, network, rule_named(settings.space.rule))
    except (ValueError, TypeError) as error:
        raise PlannerError(f"{name}: not integers of architectures ({str(error)[:100]}); mend that cell") from error
    if found is None:
        wanted = f"resolution, width_1 .. width_{len(network.stages)} and depth_1 .. depth_{len(network.stages)}"
        raise PlannerError(f"{name}: whole numbers in every row of the columns {wanted} are wanted")
    architectures = list(dict.fromkeys(found))
    for one in architectures:
        architecture_complexity(one, settings.data.classes)  # refuses what cannot be built
    return architectures


def calibrate(field: Field, architectures: Sequence[Architecture], proxies: Sequence[ProxyTraining]) -> pd.DataFrame:
    """Trains architectures by the study's own training and by every proxy; goes on where it was stopped.

    Args:
        field: Where, and by whom.
        architectures: Networks to compare.
        proxies: Cheap trainings.

    Returns:
        A row per architecture: its integers, `macs`, `params`, the study's score (the negative of one whose smaller
        values are better) and every proxy's, each followed by a column of the seconds that it took on cores of its own
        (a parent's are shared by its children); also written to `SCORES` in the study's folder.

    Raises:
        PlannerError: If trainings remain when the time is over, or something cannot be trained; nothing is lost.
    """
    names = [one.name for one in proxies]
    if len(architectures) < FEWEST_RANKED:
        raise PlannerError(f"{len(architectures)} architectures to rank; at least {FEWEST_RANKED} are wanted")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise PlannerError(f"--proxy {twice!r} is there twice; leave one out, or give them a name=")
    images = {one.name: _images_of(one, field) for one in proxies}
    parents = {one.name: _parents_of(one, architectures, field) for one in proxies if one.inherit}
    own = [_Wish(one, {}) for one in architectures]
    asked = {one.name: _asked(one, architectures, images[one.name], field) for one in proxies if not one.inherit}
    raised = {
        one.name: {parent: _Wish(parent, one.parent_asks(field.ledger.settings, images[one.name])) for parent in chosen}
        for one in proxies
        if one.inherit
        for chosen in [dict.fromkeys(parents[one.name].values())]
    }
    _train(field, [*own, *_every(asked.values()), *(wish for each in raised.values() for wish in each.values())])
    for one in proxies:
        if one.inherit:
            tuned = one.asks(field.ledger.settings, images[one.name])
            asked[one.name] = _heirs(one, architectures, parents[one.name], raised[one.name], tuned, field)
    _train(field, _every(asked.values()))
    return _written(field, architectures, own, {name: asked[name] for name in names}, raised)


def _every(asked: Iterable[Sequence[_Wish | None]]) -> list[_Wish]:
    return [wish for each in asked for wish in each if wish is not None]


def _images_of(proxy: ProxyTraining, field: Field) -> dict[str, Any] | None:
    """The images of a proxy, as trials ask for them; None where they are the study's."""
    own = field.ledger.settings.data
    source, side = proxy.data or own.source, proxy.side or own.side
    if (source, side) == (own.source, own.side):
        return None
    found = load_images(source, side, cache=field.cache, progress=field.decoding)
    return {"source": source, "side": side, "classes": len(found.classes), "fingerprint": found.fingerprint}


def _asked(
    proxy: ProxyTraining, architectures: Sequence[Architecture], images: Mapping[str, Any] | None, field: Field
) -> list[_Wish | None]:
    """The trainings of a proxy, one per architecture; None for one that it cannot train."""
    settings = field.ledger.settings
    asks, found = proxy.asks(settings, images), list[_Wish | None]()
    for one in architectures:
        wish = _Wish(proxy.architecture(one, settings), asks)
        try:
            architecture_complexity(wish.architecture, settings.data.classes)
        except InputError as error:
            field.tell(f"{proxy.name}: not scored: {error}")
            found.append(None)
        else:
            found.append(wish)
    return found


def _parents_of(
    proxy: ProxyTraining, architectures: Sequence[Architecture], field: Field
) -> dict[Architecture, Architecture]:
    """The parent of each network that a proxy trains; those without one are left out."""
    settings = field.ledger.settings
    children = [proxy.architecture(one, settings) for one in architectures]
    return choose_parents(children, rule_named(settings.space.rule), settings.data.classes, settings.seed)


def _heirs(
    proxy: ProxyTraining,
    architectures: Sequence[Architecture],
    parents: Mapping[Architecture, Architecture],
    raised: Mapping[Architecture, _Wish],
    asks: Mapping[str, Any],
    field: Field,
) -> list[_Wish | None]:
    """The fine-tunes of inherited weights, one per architecture; None where there is nothing to inherit."""
    known, settings, found = field.ledger.attempts(), field.ledger.settings, list[_Wish | None]()
    for place, one in enumerate(architectures):
        child = proxy.architecture(one, settings)
        parent = parents.get(child)
        number, status = (None, None) if parent is None else known[raised[parent].key]
        if parent is None:
            why: str | None = "no parent is small enough and begins its stages as it does"
        elif status != "ok":
            why = f"the training of its parent ended as {status}"
        else:
            why = refusal(parent, child, settings.seed)
        if why:
            field.tell(f"{proxy.name}: architecture {place} is not scored: {why}")
        found.append(None if why else _Wish(child, {**asks, "parent": number}))
    return found


def _train(field: Field, wanted: Sequence[_Wish]) -> None:
    """Trains what was not trained before, and nothing else that waits.

    Raises:
        PlannerError: If trainings remain when the time is over.
    """
    ledger = field.ledger
    wishes = {wish.key: wish for wish in wanted}
    with ledger.queueing():
        known = ledger.attempts()
        for key, wish in wishes.items():
            if key not in known and wish.asks:
                ledger.ask_for(wish.architecture, _ORIGIN, wish.asks)
            elif key not in known:
                ledger.enqueue(effective(ledger.space.network, stack([wish.architecture])), _ORIGIN)
    if not _unfinished(ledger, wishes):
        return
    with ledger.training_only(_unfinished(ledger, wishes)):
        train_queued(ledger, field.cache, field.resources, field.progress)
    if left := len(_unfinished(ledger, wishes)):
        raise PlannerError(f"{left} trainings of the calibration remain; the same command goes on with them")


def _unfinished(ledger: Ledger, wishes: Iterable[tuple[Architecture, str]]) -> list[int]:
    known = ledger.attempts()
    return [number for number, status in (known[key] for key in wishes) if status is None]


def _written(
    field: Field,
    architectures: Sequence[Architecture],
    own: Sequence[_Wish],
    asked: Mapping[str, Sequence[_Wish | None]],
    raised: Mapping[str, Mapping[Architecture, _Wish]],
) -> pd.DataFrame:
    """The table of scores and seconds, written to the study's folder; Zen-scores that are not in it are computed."""
    import pandas as pd

    ledger = field.ledger
    settings, known, spent = ledger.settings, ledger.attempts(), _seconds_of(ledger)
    target = settings.score.name
    rows = []
    for place, one in enumerate(architectures):
        cost = architecture_complexity(one, settings.data.classes)
        row: dict[str, Any] = {"trial": known[own[place].key][0], "base": one.base, "stem": one.stem}
        row |= {**parameters(one, settings.space.knobs), "head": one.head, "macs": cost.macs, "params": cost.params}
        for name, wish in [(target, own[place]), *((name, wishes[place]) for name, wishes in asked.items())]:
            number = None if wish is None else known[wish.key][0]
            row[name] = None if number is None else ledger.accuracy_of(number)
            row[name + OF_SECONDS] = None if number is None else spent[number]
        rows.append(row)
    frame = pd.DataFrame(rows)
    for name, parents in raised.items():  # shared by those that inherit
        shared = sum(spent[known[wish.key][0]] for wish in parents.values())
        scored = frame[name].notna()
        frame.loc[scored, name + OF_SECONDS] += shared / max(int(scored.sum()), 1)
    path = ledger.folder / SCORES
    _add_zen(frame, architectures, path, field)
    write_own(path, csv_text(frame))
    return frame


def _seconds_of(ledger: Ledger) -> dict[int, float]:
    """What each finished training took on cores of its own, by its trial."""
    frame = ledger.frame()
    columns = (
        frame[name].to_numpy(dtype=np.float64, na_value=np.nan) if name in frame else None for name in TIME_COLUMNS
    )
    seconds, cpu, threads = (np.full(len(frame), np.nan) if one is None else one for one in columns)
    return dict(
        zip(frame["trial"].astype(int), own_seconds(np.nan_to_num(seconds), cpu, threads).tolist(), strict=True)
    )


def _add_zen(frame: pd.DataFrame, architectures: Sequence[Architecture], path: Path, field: Field) -> None:
    """Adds Zen-scores and their seconds, those of an earlier call as they were; nothing where the family has none."""
    settings = field.ledger.settings
    before = read_frame(path, "architecture", "scores") if path.is_file() else None
    known: dict[int, tuple[float, float]] = {}
    if before is not None and {"trial", ZEN, ZEN + OF_SECONDS} <= set(before):
        kept = before[["trial", ZEN, ZEN + OF_SECONDS]].dropna()
        known = {int(trial): (float(zen), float(cost)) for trial, zen, cost in kept.itertuples(index=False)}
    found = []
    for trial, one in zip(frame["trial"], architectures, strict=True):
        if trial not in known:
            began = time.process_time()
            try:
                zen = zen_score(one, settings.data.classes, seed=settings.seed, device="cpu").zen
            except InputError as error:
                field.tell(f"{ZEN}: left out: {error}")
                return
            known[trial] = zen, time.process_time() - began
        found.append(known[trial])
    frame[[ZEN, ZEN + OF_SECONDS]] = found
