"""`planner next`: one recommendation, by rules in a fixed order; the first that applies is given.

1  nothing queued yet                             sample    the initial design
2  trainings wait or run                          train
3  many failed                                    mend
4  most trainings are no better than guessing     lengthen
5  the initial design is not done                 sample    what it lacks
6  the front touches a bound                      widen
7  no training was repeated, and there are many   repeat    some of the front, to measure the noise
8  no architecture promises more than the noise,  repeat
   and two neighbours on the front cannot be told
   apart, and scale differently
9  what could be gained drowns in noise           stop
10 else                                           propose
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from planner.advice.situation import Situation
from planner.tables.chance import guessing
from planner.text.quantities import format_count
from trainer.score import Score

Action = Literal["sample", "train", "mend", "lengthen", "widen", "repeat", "stop", "propose"]
# Of all that ended, and how many at least: fewer may be chance.
MANY_FAILED, FEWEST_FAILED = 0.3, 3
# Of the front, and how many points it has at least.
TOUCHES, FEWEST_FRONT = 0.6, 5
# Neighbours within this factor of MACs answer one budget; multipliers that differ by this factor answer it differently.
SAME_BUDGET, DISAGREE = math.log(1.5), math.log(1.25)
CONFIDENT = 1.645  # standard deviations, one-sided 95 %
MOST_SEEDS = 5
# Of all trainings: what goes into repeats is lost to architectures that were never tried.
MOST_REPEATS = 0.2
# Trainings from which on some are repeated where none was, and how many: a surrogate learns noise from repeats alone,
# and takes luck for truth without; three tell its size within a factor of two, more than five hardly better.
FEWEST_FOR_NOISE, _REPEATS = 15, (3, 5)
# Of hypervolume: less than this is not worth a training, if the accuracy to be gained is below the noise as well.
WORTH = 0.005
# A batch is a quarter of what was trained: the surrogate is fitted again when it has so much more to learn from.
BATCH_SHARE, _LARGEST_BATCH = 0.25, 8
WIDER = 1.5


@dataclass(frozen=True)
class Advice:
    """What to do next.

    Attributes:
        action: Name of the rule.
        what: Words for what to do.
        why: The reason, with its numbers.
        command: Command to type; "" where it is not one.
        hours: Hours of training that it is expected to take; None where nothing was measured, or nothing is trained.
        gain: Expected gain in hypervolume, as a share of what was reached; None where it is not known.
        points: Expected gain in accuracy at the budget where most is to be gained, in [0, 1].
        macs: MACs of that budget.
    """

    action: Action
    what: str
    why: str
    command: str = ""
    hours: float | None = None
    gain: float | None = None
    points: float | None = None
    macs: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)


def recommend(situation: Situation) -> Advice:
    """The first rule that applies."""
    for rule in (_nothing, _waiting, _failed, _guessing, _initial, _bounds, _unmeasured, _indistinct, _enough):
        advice = rule(situation)
        if advice is not None:
            return advice
    return _propose(situation)


def _nothing(situation: Situation) -> Advice | None:
    if sum(situation.counts.values()):
        return None
    return _sample(situation, situation.initial_size, "nothing is trained yet")


def _waiting(situation: Situation) -> Advice | None:
    counts = situation.counts
    if not counts["waiting"]:
        if not counts["running"]:
            return None
        why = "nothing else is queued; if no process trains them any more, `planner train` takes them up again"
        return Advice("train", f"let the {counts['running']} running trainings end", why, _command(situation, "train"))
    hours = situation.hours_of(situation.waiting_work)
    what = f"train the {counts['waiting']} that wait"
    return Advice("train", what, "queued architectures teach nothing before", _command(situation, "train"), hours)


def _failed(situation: Situation) -> Advice | None:
    failed, ended = situation.counts["failed"], situation.counts["failed"] + situation.counts["ok"]
    if failed < FEWEST_FAILED or failed < MANY_FAILED * ended:
        return None
    kinds = ", ".join(f"{n} {name}" for name, n in situation.as_dict()["lost"].items())
    why = f"{failed} of {ended} trainings ended without {_a_score(situation)} ({kinds}); more of the same will too"
    messages = [str(text) for text in situation.finished["message"].dropna() if str(text)]
    what = "find out why trainings fail" + (f"; the last says: {messages[-1]}" if messages else "")
    return Advice("mend", what, why, _command(situation, "status"))


def _guessing(situation: Situation) -> Advice | None:
    rows = situation.rows
    score = situation.ledger.settings.score
    why = guessing(rows["accuracy"], int(rows["classes"].iloc[0]), score) if len(rows) else None
    if why is None:
        return None
    epochs = situation.ledger.settings.fidelity.epochs
    what = f"train for longer: make another study with --epochs {4 * epochs}, or with more images"
    return Advice("lengthen", what, f"{why}: their order says nothing of the architectures")


def _initial(situation: Situation) -> Advice | None:
    done, size = situation.counts["ok"], situation.initial_size
    return _sample(situation, size - done, f"{done} of {size} are trained") if done < size else None


def _sample(situation: Situation, n: int, why: str) -> Advice:
    reason = (
        f"{why}; an initial design of {situation.initial_size}, stratified by MACs, has two trainings for each "
        f"coefficient of a line in {situation.ledger.space.dimensions} factors"
    )
    command = f"planner sample --study {situation.ledger.folder.name} --trials {n}"
    low, high = situation.ledger.space.macs_window
    hours = situation.hours_of(np.geomspace(low, high, n))
    what = f"queue {n} architectures between {format_count(low)} and {format_count(high)} MACs"
    return Advice("sample", what, reason, command, hours)


def _bounds(situation: Situation) -> Advice | None:
    n = len(situation.front)
    touching = [one for one in situation.touching() if one[2] >= TOUCHES] if n >= FEWEST_FRONT else []
    if not touching:
        return None
    name, side, share = max(touching, key=lambda one: one[2])
    low, high = getattr(situation.ledger.space, name)
    wider = (low / WIDER, high) if side == "lowest" else (low, high * WIDER)
    more = ", and a larger --side, as the images limit r" if (name, side) == ("r", "highest") else ""
    bound = low if side == "lowest" else high
    return Advice(
        "widen",
        f"widen the space: make another study with --{name} {wider[0]:.3g} {wider[1]:.3g}{more}",
        f"{share:.0%} of the {n} points on the front touch the {side} {name}, {bound:.3g}: better ones may lie beyond",
    )


def _unmeasured(situation: Situation) -> Advice | None:
    """A few repeats, evenly over the front, once there are trainings enough and nobody knows how far seeds differ."""
    done, front = len(situation.rows), situation.front
    if situation.noise_measured or done < FEWEST_FOR_NOISE:
        return None
    wanted = int(min(max(MOST_REPEATS * done, _REPEATS[0]), _REPEATS[1]))
    places = np.unique(np.linspace(0, len(front) - 1, min(wanted, len(front))).round().astype(int))
    seeds = math.ceil(wanted / len(places))
    trials = ",".join(str(int(front["trial"].iloc[place])) for place in places)
    hours = situation.hours_of(np.repeat(front["macs"].to_numpy(dtype=np.float64)[places], seeds))
    return Advice(
        "repeat",
        f"train {len(places)} of the front with {seeds} more seed{'s' * (seeds > 1)} each: nobody knows how far seeds "
        "differ",
        f"none of {done} trainings was repeated, so that luck counts as merit; {wanted} repeats tell the two apart in "
        "all that is learned from then on",
        f"planner propose --study {situation.ledger.folder.name} --repeat {trials} --seeds {seeds}",
        hours,
    )


def _indistinct(situation: Situation) -> Advice | None:
    front = situation.front
    if len(front) < 2:
        return None
    noise = situation.noise_std
    # As long as new architectures promise more than seeds scatter, they teach more than repeats.
    if noise is None or float(situation.promised["points"].max()) >= noise:
        return None
    for (_, one), (_, other) in zip(front.iloc[:-1].iterrows(), front.iloc[1:].iterrows(), strict=True):
        apart = {name: abs(math.log(other[name] / one[name])) for name in ("macs", "r", "d")}
        gap = float(other["accuracy"] - one["accuracy"])
        if apart["macs"] > SAME_BUDGET or max(apart["r"], apart["d"]) < DISAGREE or gap <= 0:
            continue
        wanted = math.ceil(2 * (CONFIDENT * noise / gap) ** 2)  # seeds of each, for a gap of that many deviations
        have = int(min(one.get("repeats", 1), other.get("repeats", 1)))
        more = len(situation.rows) - len(situation.rows.drop_duplicates(situation.integers)) + 2 * (wanted - have)
        if have < wanted <= MOST_SEEDS and more <= MOST_REPEATS * (len(situation.rows) + 2 * (wanted - have)):
            return _repeat(situation, one, other, wanted - have, gap, noise)
    return None


def _repeat(situation: Situation, one: Any, other: Any, seeds: int, gap: float, noise: float) -> Advice:
    trials, score = f"{int(one['trial'])},{int(other['trial'])}", situation.ledger.settings.score
    hours = situation.hours_of(np.repeat([float(one["macs"]), float(other["macs"])], seeds))
    scales = " and ".join(f"r {row['r']:.2f}, d {row['d']:.2f} at {format_count(row['macs'])}" for row in (one, other))
    return Advice(
        "repeat",
        f"train trials {trials.replace(',', ' and ')} with {seeds} more seed{'s' * (seeds > 1)} each: the rules cannot "
        "be told apart",
        f"they scale differently ({scales} MACs), and a difference of {score.gap(gap, '.2g')} is not certain where "
        f"seeds scatter by {score.gap(noise, '.2g').removesuffix(' points')}",
        f"planner propose --study {situation.ledger.folder.name} --repeat {trials} --seeds {seeds}",
        hours,
    )


def _enough(situation: Situation) -> Advice | None:
    """Optuna's terminator (Makarova et al. 2022), with what is expected instead of a bound: less than the noise."""
    best, points, noise = _best(situation), float(situation.promised["points"].max()), situation.noise_std
    if noise is None or best["gain"] >= WORTH or points >= noise:
        return None
    score = situation.ledger.settings.score
    why = (
        f"of {len(situation.promised):,} architectures none is expected to add more than {best['gain']:.2%} to the "
        f"hypervolume, nor {_of(points, score)}, and seeds alone differ by {score.gap(noise, '.2g')}"
    )
    return Advice(
        "stop", "stop: more trainings of this space will not pay", why, _command(situation, "fit"), 0.0, **best
    )


def _propose(situation: Situation) -> Advice:
    n = max(1, min(_LARGEST_BATCH, round(BATCH_SHARE * situation.counts["ok"])))
    best = _best(situation)
    points = _of(best["points"], situation.ledger.settings.score)
    why = (
        f"the best is expected to add {best['gain']:.2g} of the hypervolume, and {points} "
        f"at {format_count(best['macs'])} MACs"
    )
    if situation.learned < len(situation.rows):
        why += f" (so says a surrogate of {situation.learned} trainings drawn by chance)"
    hours = situation.hours_of(situation.promised["macs"].to_numpy(dtype=np.float64)[:n])
    command = f"planner propose --study {situation.ledger.folder.name} -n {n}"
    return Advice("propose", f"train the {n} architectures that promise most", why, command, hours, **best)


def _best(situation: Situation) -> dict[str, float]:
    row = situation.promised.iloc[0]
    return {name: float(row[name]) for name in ("gain", "points", "macs")}


def _of(gain: float, score: Score) -> str:
    """A gain of the score, in words."""
    return f"{score.gap(gain, '.2g')} of {score.name}"


def _a_score(situation: Situation) -> str:
    score = situation.ledger.settings.score
    return "an accuracy" if score.is_accuracy else f"a score ({score.name})"


def _command(situation: Situation, verb: str) -> str:
    return f"planner {verb} --study {situation.ledger.folder.name}"
