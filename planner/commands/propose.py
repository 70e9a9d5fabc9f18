"""`planner propose`: queues the architectures that promise most."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import (
    BUDGETS,
    REPEATS,
    SEED,
    as_json,
    budgets,
    counts,
    echo_json,
    echo_table,
    integers,
    study,
)
from planner.commands.together import needs, replaces
from planner.commands.types import Whole
from planner.errors import PlannerError
from planner.text.quantities import format_count
from sampler.seeds import offset_seed

if TYPE_CHECKING:
    import pandas as pd

    from planner.study.ledger import Ledger
    from sampler import Architectures, Limit, SearchSpace

_METHODS = ("bayes", "tpe", "gp", "nsga2", "nsga3", "random")  # of planner.proposers.methods, too heavy to import here


@dataclass(frozen=True)
class Aim:
    """What proposals are to improve: the whole front, or the answers at budgets of MACs; per `trial` or `second`."""

    per: Any = "trial"
    budgets: list[float] | None = None

    @property
    def words(self) -> str:
        """The same for people."""
        if not self.budgets:
            return f"largest expected gain in hypervolume per {self.per}"
        at = ", ".join(format_count(budget) for budget in self.budgets)
        return f"largest expected improvement of the answers at {at} MACs per {self.per}"


@click.command(
    name="propose",
    epilog="Example: planner propose --study dogs -n 4 --params 4M",
    short_help="Queue the architectures that promise most.",
)
@replaces("--repeat", "-n", "--for", "--method", "--per", "--epochs", "--pool", "--space", "--seed", *BUDGETS)
@replaces("--epochs", "--per", "--seeds")
@needs("--per", "--method bayes")
@needs("--for", "--method bayes")
@study
@click.option("-n", "n", type=Whole(1, 1000), default=4, show_default=True, help="Architectures to queue.")
@click.option(
    "--for",
    "budgets_",
    callback=counts,
    metavar="N,N,..",
    help="For bayes: improve the answers at these budgets of MACs (200M,400M) instead of the whole front.",
)
@click.option("--method", type=click.Choice(_METHODS), default="bayes", show_default=True)
@click.option(
    "--per",
    type=click.Choice(["trial", "second"]),
    default="trial",
    show_default=True,
    help="For bayes: gain per training, or per second of training.",
)
@click.option(
    "--epochs",
    callback=integers,
    metavar="N,N,..",
    help="For bayes: epochs among which to choose, by what a shorter training teaches per second.",
)
@click.option(
    "--pool",
    type=Whole(1, 1_000_000),
    default=20_000,
    show_default=True,
    help="Architectures among which is chosen.",
)
@click.option(
    "--space", type=click.Choice(["uniform", "stage"]), help="Of the proposals; that of the study by default."
)
@click.option("--seeds", type=REPEATS, default=1, show_default=True, help="Trainings of each.")
@click.option(
    "--repeat", callback=integers, metavar="N,N,..", help="Queue these trials with more --seeds, instead of new ones."
)
@click.option("--seed", type=SEED, help="Of the pool and the choice; the study's by default.")
@budgets
@as_json
def command(
    study: str | None,
    n: int,
    budgets_: list[float] | None,
    method: str,
    per: str,
    epochs: list[int] | None,
    pool: int,
    space: str | None,
    seeds: int,
    repeat: list[int] | None,
    seed: int | None,
    flops: float | None,
    limits: list[Limit],
    json_: bool,
) -> None:
    """Queues architectures for `planner train`: none that was tried, all inside the window and the budgets given.

    bayes: the largest expected gain in hypervolume of accuracy over log MACs; with --for, the largest expected
    improvement of the answers at these budgets instead, each the best that is believed within it. tpe, gp, nsga2,
    nsga3, random: Optuna's samplers, each suggestion moved to the nearest architecture that may be trained.

    Before enough is trained it queues what the initial design lacks, and says so. With `--space stage` the proposals
    of a uniform study may scale every stage on its own: its ledger holds any integers, and r, d, w are then effective
    ones (pixels, total blocks, mean log width). Until a fifth of the trainings did so, three are queued at most, and
    expected to be worth what uniform ones are, with wide intervals.
    """
    from planner.commands.progress import patience
    from planner.study.opening import open_ledger
    from sampler import exact_limit

    ledger = open_ledger(study)
    if flops is not None:
        limits = [*limits, exact_limit("macs", flops)]
    kind: Any = space or ledger.space.kind
    where = replace(ledger.space, limits=tuple(limits), kind=kind)
    with ledger.queueing(), patience(f"choosing among {pool:,} architectures, by what is trained"):
        if epochs and repeat is None:
            answer = _with_epochs(ledger, where, n, method, epochs, pool, seed, budgets_)
        elif repeat is None:
            answer = _proposed(ledger, where, n, method, Aim(per, budgets_), pool, seeds, seed)
        else:
            answer = _repeated(ledger, repeat, seeds)
    if json_:
        echo_json(answer)
    else:
        _show(answer)


def _proposed(
    ledger: Ledger, space: SearchSpace, n: int, method: str, aim: Aim, size: int, seeds: int, seed: int | None
) -> dict[str, Any]:
    """Queues, and says what and why."""
    from planner.proposers import methods
    from planner.proposers.pool import architectures_frame, make_pool
    from planner.study.trials import trained

    seed = offset_seed(ledger.settings.seed, ledger.asked()) if seed is None else seed
    rows, pending = trained(ledger.frame()), ledger.pending()
    if method != "random" and _too_few(rows, methods.initial_size(space)):
        return _initial(ledger, space, methods.initial_size(space), methods.missing_initial(ledger, space), seeds)
    tried, front = ledger.tried(), methods.front_architectures(rows, space)
    pool = make_pool(space, size, seed, tried, front)
    n, capped = _capped(rows, space, n) if method == "bayes" else (n, [])
    chosen = pool.take(methods.choose(ledger, pool, n, method, seed, aim.per, aim.budgets))
    promised = _promised(ledger, rows, architectures_frame(pool, space), architectures_frame(chosen, space), seed)
    ledger.enqueue(chosen, method, seeds)
    moved = f"{method} of Optuna; its suggestions were moved to the nearest of the pool's architectures"
    why = f"{method}: {aim.words}" if method == "bayes" else moved
    notes = [f"{why}; chosen among {len(pool):,} that cost what the window and the budgets allow", *capped]
    if pending is not None:
        notes.append(f"{len(pending)} waiting or running were taken into account")
    return _answer(ledger, method, chosen, space, promised, notes)


def _with_epochs(
    ledger: Ledger,
    space: SearchSpace,
    n: int,
    method: str,
    epochs: list[int],
    size: int,
    seed: int | None,
    budgets: list[float] | None,
) -> dict[str, Any]:
    """Queues trainings of different lengths, and says what and why."""
    from planner.proposers import methods
    from planner.proposers.pool import make_pool
    from planner.study.trials import trained

    usual = ledger.settings.fidelity.epochs
    if method != "bayes" or min(epochs) < 1 or max(epochs) > usual:
        raise PlannerError(f"--epochs {epochs}: for --method bayes, and between 1 and the study's own {usual}")
    seed = offset_seed(ledger.settings.seed, ledger.asked()) if seed is None else seed
    rows = trained(ledger.frame())
    if _too_few(rows, methods.initial_size(space)):
        return _initial(ledger, space, methods.initial_size(space), methods.missing_initial(ledger, space), 1)
    pool = make_pool(space, size, seed, ledger.tried(), methods.front_architectures(rows, space))
    n, capped = _capped(rows, space, n)
    pairs = methods.choose_epochs(ledger, pool, n, epochs, seed, budgets)
    chosen = pool.take([row for row, _ in pairs])
    for place, (_, length) in enumerate(pairs):
        if length == usual:
            ledger.enqueue(chosen.take([place]), method)
        else:
            ledger.ask_for(chosen[place], method, {"epochs": length})
    lengths = ", ".join(f"{length}" for _, length in pairs)
    aim = Aim("second", budgets).words
    note = f"bayes: {aim}, by what each teaches of {usual} epochs; epochs {lengths}"
    return _answer(ledger, method, chosen, space, None, [note, *capped])


def _capped(rows: pd.DataFrame, space: SearchSpace, n: int) -> tuple[int, list[str]]:
    """How many may be proposed at once, and why fewer than `n`: what is believed of stages apart may be wrong."""
    from planner.proposers.apart import Varied

    if space.kind == "uniform" or (varied := Varied.of(rows, space)).batch(n) == n:
        return n, []
    return varied.batch(n), [varied.words(n)]


def _repeated(ledger: Ledger, trials: list[int], seeds: int) -> dict[str, Any]:
    """Queues trials with more seeds."""
    for trial in dict.fromkeys(trials):
        ledger.repeat(trial, seeds)
    note = f"trials {', '.join(map(str, dict.fromkeys(trials)))} are queued with {seeds} more seeds each"
    return _answer(ledger, "repeat", None, ledger.space, None, [note])


def _too_few(rows: pd.DataFrame, wanted: int) -> bool:
    """Whether the initial design is not done; equal accuracies everywhere teach nothing either."""
    return len(rows) < wanted or rows["accuracy"].nunique() < 2


def _initial(ledger: Ledger, space: SearchSpace, size: int, missing: int, seeds: int) -> dict[str, Any]:
    """Queues what the initial design lacks."""
    from planner.study.designs import drawn

    done = ledger.counts()["ok"]
    why = (
        f"the initial design has {size} architectures, two for each coefficient of a line in {space.dimensions} factors"
    )
    if not missing:
        note = f"nothing queued: {why}; {done} are trained and the others are queued; run `planner train` first"
        return _answer(ledger, "stratified", None, space, None, [note])
    seed, asked = offset_seed(ledger.settings.seed, ledger.asked()), ledger.asked()
    apart = ledger.settings.space.apart
    design = drawn(space, missing, "stratified", seed, apart=apart, before=asked, seen=ledger.tried())
    ledger.enqueue(design, "stratified", seeds)
    note = f"{why}; {done} are trained, and {missing} more, stratified by MACs, are queued instead of proposals"
    return _answer(ledger, "stratified", design, space, None, [note])


def _promised(
    ledger: Ledger, rows: pd.DataFrame, pool: pd.DataFrame, chosen: pd.DataFrame, seed: int
) -> pd.DataFrame | None:
    """Expected accuracy and gain of what was chosen; None where too little is known (method random)."""
    from planner.proposers.methods import noise_variance
    from planner.proposers.outlook import Outlook

    if _too_few(rows, 2):
        return None
    return Outlook.of(rows, pool, noise_variance(ledger), seed, ledger.space).of_rows(chosen)


def _answer(
    ledger: Ledger,
    method: str,
    chosen: Architectures | None,
    space: SearchSpace,
    promised: pd.DataFrame | None,
    notes: list[str],
) -> dict[str, Any]:
    """What was queued, in JSON's types."""
    from planner.proposers.pool import architectures_frame

    queued = []
    frame = None if chosen is None else architectures_frame(chosen, space)
    for row, one in enumerate(chosen or ()):
        assert frame is not None
        facts: dict[str, Any] = {"resolution": one.resolution, "widths": list(one.widths), "depths": list(one.depths)}
        facts.update({name: float(frame[name][row]) for name in ("r", "d", "w")})
        facts.update({name: int(frame[name][row]) for name in ("macs", "params")})
        facts["accuracy"] = facts["gain"] = None
        if promised is not None:
            found = {name: float(promised[name].iloc[row]) for name in ("mean", "lower", "upper", "gain")}
            facts["gain"] = found.pop("gain")
            facts["accuracy"] = found | {"in_range": bool(promised["in_range"].iloc[row])}
        queued.append(facts)
    return {"study": ledger.folder.name, "method": method, "queued": queued, "notes": notes, **ledger.counts()}


def _show(answer: dict[str, Any]) -> None:
    """Prints what was queued for people."""
    header = ("MACs", "px", "r", "d", "w", "expected", "90 %", "gain")
    if answer["queued"]:
        echo_table(header, [_cells(row) for row in answer["queued"]])
    for note in answer["notes"]:
        click.echo(note)
    click.echo(f"{answer['study']}: {answer['waiting']} wait. Next: planner train --study {answer['study']}")


def _cells(row: dict[str, Any]) -> list[str]:
    """One row of the table; the gain is a share of the hypervolume reached, `outside` says beyond the trainings."""
    size = [format_count(row["macs"]), str(row["resolution"]), *(f"{row[name]:.3f}" for name in ("r", "d", "w"))]
    accuracy = row["accuracy"]
    if accuracy is None:
        return [*size, "-", "-", "-"]
    gain = 100 * row["gain"] if math.isfinite(row["gain"]) else 0.0
    return [
        *size,
        f"{accuracy['mean']:.1%}",
        f"{accuracy['lower']:.1%}..{accuracy['upper']:.1%}" + " outside" * (not accuracy["in_range"]),
        f"{gain:+.2g} %",
    ]
