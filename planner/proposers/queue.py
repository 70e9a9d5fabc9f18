"""What `planner propose` does: chooses architectures on a study's ledger, queues them, and says what they promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.proposers.apart import Varied
from planner.proposers.gain import aim
from planner.proposers.methods import (
    choose_epochs,
    choose_rows,
    front_architectures,
    initial_size,
    missing_initial,
    noise_variance,
)
from planner.proposers.outlook import Outlook
from planner.proposers.pool import SIZE, architectures_frame, make_pool
from planner.proposers.protocol import GainPer, ProposalTask
from planner.proposers.registry import PROPOSERS, about, trait
from planner.study.designs import draw_design
from planner.study.trials import trained
from sampler import Architectures, Limit, SearchSpace
from sampler.seeds import offset_seed
from trainer.score import ACCURACY, Score

if TYPE_CHECKING:
    import pandas as pd

    from planner.study.ledger import Ledger


@dataclass(frozen=True)
class ProposalOptions:
    """How proposals are made.

    Attributes:
        per: Whether gain per `trial` or per `second` of training counts.
        budgets: MACs whose answers are to be improved, instead of the whole front; None for the front.
        epochs: Numbers of epochs among which is chosen; None for the study's own.
        pool: Number of architectures among which is chosen.
        kind: Space of the proposals, `uniform` or `stage`; None for the study's.
        limits: Costs that must not be passed.
        seeds: Number of trainings of each.
        seed: Random seed of the pool and the choice; None for the study's.
    """

    per: GainPer = "trial"
    budgets: Sequence[float] | None = None
    epochs: Sequence[int] | None = None
    pool: int = SIZE
    kind: Any = None
    limits: Sequence[Limit] = ()
    seeds: int = 1
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class QueuedProposals:
    """What was queued, and why.

    Attributes:
        study: Name of the study.
        method: Name of the proposer; `stratified` for the initial design, `repeat` for more seeds.
        architectures: Architectures that were queued; None for none.
        space: Space that they are of.
        promised: Expected accuracy and gain of each, where enough is known.
        notes: Sentences that say what was done and why.
        counts: Trials of the study by what became of them.
        score: Number that the study's trainings are judged by.
    """

    study: str
    method: str
    architectures: Architectures | None
    space: SearchSpace
    promised: pd.DataFrame | None
    notes: tuple[str, ...]
    counts: dict[str, int]
    score: Score = ACCURACY

    def __repr__(self) -> str:
        return f"QueuedProposals({len(self.architectures or ())} by {self.method} in {self.study})"

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types."""
        frame = None if self.architectures is None else architectures_frame(self.architectures, self.space)
        queued = [] if frame is None else [self._facts(frame, row) for row in range(len(frame))]
        facts = {"study": self.study, "method": self.method, "queued": queued, "notes": list(self.notes), **self.counts}
        said = {} if self.score.is_accuracy else {"score": self.score.as_dict()}
        told: dict[str, Any] = self.score.outward(facts | said)
        return told

    def _facts(self, frame: pd.DataFrame, row: int) -> dict[str, Any]:
        assert self.architectures is not None
        one = self.architectures[row]
        facts: dict[str, Any] = {"resolution": one.resolution, "widths": list(one.widths), "depths": list(one.depths)}
        facts.update({name: float(frame[name][row]) for name in ("r", "d", "w")})
        facts.update({name: int(frame[name][row]) for name in ("macs", "params")})
        facts["accuracy"] = facts["gain"] = None
        if self.promised is not None:
            found = {name: float(self.promised[name].iloc[row]) for name in ("mean", "lower", "upper", "gain")}
            facts["gain"] = found.pop("gain")
            facts["accuracy"] = found | {"in_range": bool(self.promised["in_range"].iloc[row])}
        return facts


def propose_for(
    ledger: Ledger, n: int = 4, method: str = "bayes", options: ProposalOptions | None = None
) -> QueuedProposals:
    """Queues the architectures that promise most: none that was tried, all inside the window and the limits.

    Before enough is trained it queues what the initial design lacks, and says so.

    Args:
        ledger: The study's ledger.
        n: Number of architectures.
        method: Name of a proposer.
        options: How proposals are made.

    Raises:
        PlannerError: If there is no such proposer, nothing is left to try, or options are impossible.
    """
    options = options or ProposalOptions()
    space = replace(ledger.space, limits=tuple(options.limits), kind=options.kind or ledger.space.kind)
    proposer = PROPOSERS[method]
    if options.epochs:
        _check_epochs(ledger, method, options.epochs)
    with ledger.queueing():
        rows, size = trained(ledger.frame()), initial_size(space)
        if not trait(proposer, "from_nothing") and _too_few(rows, size):
            return _initial(ledger, space, size, 1 if options.epochs else options.seeds)
        n, capped = _capped(rows, space, n) if trait(proposer, "extrapolates") else (n, [])
        seed = offset_seed(ledger.settings.seed, ledger.asked()) if options.seed is None else options.seed
        pool = make_pool(space, options.pool, seed, ledger.tried(), front_architectures(rows, space))
        if options.epochs:
            return _with_epochs(ledger, space, pool, n, options, seed, capped)
        return _chosen(ledger, space, rows, pool, n, method, options, seed, capped)


def repeat_trials(ledger: Ledger, trials: Sequence[int], seeds: int = 1) -> QueuedProposals:
    """Queues trials with more seeds.

    Raises:
        PlannerError: If there is no such trial.
    """
    with ledger.queueing():
        for trial in dict.fromkeys(trials):
            ledger.repeat(trial, seeds)
        note = f"trials {', '.join(map(str, dict.fromkeys(trials)))} are queued with {seeds} more seeds each"
        return _queued(ledger, "repeat", None, ledger.space, [note])


def _check_epochs(ledger: Ledger, method: str, epochs: Sequence[int]) -> None:
    usual = ledger.settings.fidelity.epochs
    if method != "bayes" or min(epochs) < 1 or max(epochs) > usual:
        raise PlannerError(f"--epochs {list(epochs)}: for --method bayes, and between 1 and the study's own {usual}")


def _chosen(
    ledger: Ledger,
    space: SearchSpace,
    rows: pd.DataFrame,
    pool: Architectures,
    n: int,
    method: str,
    options: ProposalOptions,
    seed: int,
    capped: list[str],
) -> QueuedProposals:
    """Queues what a proposer chooses, and says what and why."""
    pending = ledger.pending()
    chosen = pool.take(choose_rows(ledger, pool, n, method, seed, options.per, options.budgets))
    promised = _promised(ledger, rows, architectures_frame(pool, space), architectures_frame(chosen, space), seed)
    ledger.enqueue(chosen, method, options.seeds)
    why = about(method, PROPOSERS[method], ProposalTask((), per=options.per, budgets=options.budgets))
    notes = [f"{why}; chosen among {len(pool):,} that cost what the window and the budgets allow", *capped]
    if pending is not None:
        notes.append(f"{len(pending)} waiting or running were taken into account")
    return _queued(ledger, method, chosen, space, notes, promised)


def _with_epochs(
    ledger: Ledger,
    space: SearchSpace,
    pool: Architectures,
    n: int,
    options: ProposalOptions,
    seed: int,
    capped: list[str],
) -> QueuedProposals:
    """Queues trainings of different lengths, and says what and why."""
    usual, method = ledger.settings.fidelity.epochs, "bayes"
    pairs = choose_epochs(ledger, pool, n, options.epochs or (), seed, options.budgets)
    chosen = pool.take([row for row, _ in pairs])
    for place, (_, length) in enumerate(pairs):
        if length == usual:
            ledger.enqueue(chosen.take([place]), method)
        else:
            ledger.ask_for(chosen[place], method, {"epochs": length})
    lengths = ", ".join(f"{length}" for _, length in pairs)
    what = aim(ProposalTask((), per="second", budgets=options.budgets))
    note = f"{method}: {what}, by what each teaches of {usual} epochs; epochs {lengths}"
    return _queued(ledger, method, chosen, space, [note, *capped])


def _capped(rows: pd.DataFrame, space: SearchSpace, n: int) -> tuple[int, list[str]]:
    """How many may be proposed at once, and why fewer than `n`: what is believed of stages apart may be wrong."""
    if space.kind == "uniform" or (varied := Varied.of(rows, space)).batch(n) == n:
        return n, []
    return varied.batch(n), [varied.words(n)]


def _too_few(rows: pd.DataFrame, wanted: int) -> bool:
    """Whether the initial design is not done; equal accuracies everywhere teach nothing either."""
    return len(rows) < wanted or rows["accuracy"].nunique() < 2


def _initial(ledger: Ledger, space: SearchSpace, size: int, seeds: int) -> QueuedProposals:
    """Queues what the initial design lacks."""
    missing, done = missing_initial(ledger, space), ledger.counts()["ok"]
    why = (
        f"the initial design has {size} architectures, two for each coefficient of a line in {space.dimensions} factors"
    )
    if not missing:
        note = f"nothing queued: {why}; {done} are trained and the others are queued; run `planner train` first"
        return _queued(ledger, "stratified", None, space, [note])
    seed, asked = offset_seed(ledger.settings.seed, ledger.asked()), ledger.asked()
    apart = ledger.settings.space.apart
    design = draw_design(space, missing, "stratified", seed, apart=apart, before=asked, seen=ledger.tried())
    ledger.enqueue(design, "stratified", seeds)
    note = f"{why}; {done} are trained, and {missing} more, stratified by MACs, are queued instead of proposals"
    return _queued(ledger, "stratified", design, space, [note])


def _promised(
    ledger: Ledger, rows: pd.DataFrame, pool: pd.DataFrame, chosen: pd.DataFrame, seed: int
) -> pd.DataFrame | None:
    """Expected accuracy and gain of what was chosen; None where too little is known (method random)."""
    if _too_few(rows, 2):
        return None
    return Outlook.of(rows, pool, noise_variance(ledger), seed, ledger.space).of_rows(chosen)


def _queued(
    ledger: Ledger,
    method: str,
    architectures: Architectures | None,
    space: SearchSpace,
    notes: Sequence[str],
    promised: pd.DataFrame | None = None,
) -> QueuedProposals:
    score = ledger.settings.score
    return QueuedProposals(
        ledger.folder.name, method, architectures, space, promised, tuple(notes), ledger.counts(), score
    )
