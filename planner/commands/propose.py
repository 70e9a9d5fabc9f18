"""`planner propose`: queues the architectures that promise most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import (
    BUDGET_OPTIONS,
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
from planner.proposers.names import PROPOSER_NAMES
from planner.text.quantities import format_count
from trainer.score import Score, score_from

if TYPE_CHECKING:
    from sampler import Limit


class ProposerName(click.Choice):  # type: ignore[type-arg]  # generic from click 8.2 on
    """A proposer's name: one of ours, shown in the help, or another that is registered."""

    name = "choice"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, if there is such a proposer."""
        if value in self.choices:
            return value
        from planner.proposers.registry import PROPOSERS

        return click.Choice(PROPOSERS.names()).convert(value, param, ctx)


@click.command(
    name="propose",
    epilog="Example: planner propose --study dogs -n 4 --params 4M",
    short_help="Queue the architectures that promise most.",
)
@replaces("--repeat", "-n", "--for", "--method", "--per", "--epochs", "--pool", "--space", "--seed", *BUDGET_OPTIONS)
@replaces("--epochs", "--per", "--seeds")
@needs("--per", "--method bayes")
@needs("--for", "--method bayes")
@study
@click.option("-n", "n", type=Whole(1, 1000), default=4, show_default=True, help="Architectures to queue.")
@click.option(
    "--for",
    "budgets",
    callback=counts,
    metavar="N,N,..",
    help="For bayes: improve the answers at these budgets of MACs (200M,400M) instead of the whole front.",
)
@click.option("--method", type=ProposerName(PROPOSER_NAMES), default="bayes", show_default=True)
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
    "--space",
    "kind",
    type=click.Choice(["uniform", "stage"]),
    help="Of the proposals; that of the study by default.",
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
    method: str,
    repeat: list[int] | None,
    flops: float | None,
    limits: list[Limit],
    json_: bool,
    **options: Any,
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
    from planner.proposers.queue import ProposalOptions, propose_for, repeat_trials
    from planner.study.opening import open_ledger
    from sampler import exact_limit

    ledger = open_ledger(study)
    if flops is not None:
        limits = [*limits, exact_limit("macs", flops)]
    with patience(f"choosing among {options['pool']:,} architectures, by what is trained"):
        if repeat is None:
            found = propose_for(ledger, n, method, ProposalOptions(limits=tuple(limits), **options))
        else:
            found = repeat_trials(ledger, repeat, options["seeds"])
    if json_:
        echo_json(found.as_dict())
    else:
        _show(found.as_dict())


def _show(answer: dict[str, Any]) -> None:
    """Prints what was queued for people."""
    score = score_from(answer.get("score"))
    expected = "expected" if score.is_accuracy else f"expected {score.name}"
    header = ("MACs", "px", "r", "d", "w", expected, "90 %", "gain")
    if answer["queued"]:
        echo_table(header, [_cells(row, score) for row in answer["queued"]])
    for note in answer["notes"]:
        click.echo(note)
    click.echo(f"{answer['study']}: {answer['waiting']} wait. Next: planner train --study {answer['study']}")


def _cells(row: dict[str, Any], score: Score) -> list[str]:
    """One row of the table; the gain is a share of the hypervolume reached, `outside` says beyond the trainings."""
    size = [format_count(row["macs"]), str(row["resolution"]), *(f"{row[name]:.3f}" for name in ("r", "d", "w"))]
    accuracy = row[score.name]
    if accuracy is None:
        return [*size, "-", "-", "-"]
    low, high = (score.text(score.merit(accuracy[end])) for end in ("lower", "upper"))
    gain = 100 * row["gain"] if math.isfinite(row["gain"]) else 0.0
    return [
        *size,
        score.text(score.merit(accuracy["mean"])),
        f"{low}..{high}" + " outside" * (not accuracy["in_range"]),
        f"{gain:+.2g} %",
    ]
