"""`planner status`: where a study stands."""

from __future__ import annotations

from typing import Any

import click

from planner.commands.options import as_json, echo_json, echo_table, study
from planner.text.quantities import format_count
from trainer.score import Score, score_from


@click.command(
    name="status",
    epilog="Example: planner status --study dogs",
    short_help="Where a study stands.",
)
@study
@as_json
def command(study: str | None, json_: bool) -> None:
    """Counts trainings by what became of them, hours spent and wasted, and the best of each band of MACs."""
    from planner.advice.situation import Situation
    from planner.study.opening import read_ledger

    answer = Situation(read_ledger(study)).as_dict()
    if json_:
        echo_json(answer)
        return
    click.echo(
        f"{answer['study']}: {answer['ok']} trained, {answer['failed']} failed or stopped, "
        f"{answer['running']} running, {answer['waiting']} wait{_others(answer)}"
    )
    click.echo(_hours(answer))
    header = ("MACs from", "to", "trained", "best", "trial", "px", "r", "d", "w")
    score = score_from(answer.get("score"))
    header = header if score.is_accuracy else (*header[:3], f"best {score.name}", *header[4:])
    echo_table(header, [_cells(band, score) for band in answer["bands"]])


def _others(answer: dict[str, Any]) -> str:
    """What Optuna's own commands put into the ledger."""
    n = answer["other_programs"]
    return f"; {n} trial{'s' * (n > 1)} of other programs left out" if n else ""


def _hours(answer: dict[str, Any]) -> str:
    """What was spent, wasted, and what waits, in hours."""
    lost = ", ".join(f"{n} {name}" for name, n in answer["lost"].items())
    untimed = f"; {answer['untimed']} of them nobody timed" if answer["untimed"] else ""
    wasted = f", {answer['wasted_hours']:.2g} h of them wasted ({lost}{untimed})" if lost else ""
    waits = answer["waiting_hours"]
    ahead = f"; about {waits:.2g} h wait" if waits else ""
    return f"{answer['spent_hours']:.2g} h of training spent{wasted}{ahead}"


def _cells(band: dict[str, Any], score: Score) -> list[str]:
    """One band of MACs; dashes where nothing was trained."""
    cells = [format_count(band["low"]), format_count(band["high"]), str(band["trained"])]
    best = band.get("best")
    if best is None:
        return [*cells, *["-"] * 6]
    sizes = (f"{best[name]:.3f}" for name in ("r", "d", "w"))
    return [*cells, score.text(score.merit(best[score.name])), str(best["trial"]), str(best["resolution"]), *sizes]
