"""`planner calibrate`: which cheap training ranks networks as a long one does."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.commands.options import SEED, TRIALS, as_json, echo_json, echo_table, study
from planner.commands.resource_options import RESOURCES, resources
from planner.commands.together import refuse, replaces
from planner.commands.types import Whole
from planner.errors import PlannerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from planner.scores.calibrated import Calibrated
    from planner.scores.proxies import ProxyTraining
    from planner.study.ledger import Ledger
    from planner.training.resources import Resources

_COLUMNS = 80
_NAME_SHOWN = 16


@click.command(
    name="calibrate",
    epilog="""\b
Examples:
  planner calibrate --study long --architectures 24 --proxy epochs=3,share=0.2
    --proxy "name=few classes,epochs=3,data=npz:few.npz" --proxy inherit,epochs=5
  planner calibrate --scores results/long/calibration.csv""",
    short_help="Which cheap training ranks networks as a long one does.",
)
@replaces("--scores", "--study", "--architectures", "--proxy", *RESOURCES)
@study
@click.option(
    "--architectures",
    metavar="N|TABLE",
    help="How many of the study's own, drawn where there are fewer, or a table of them; all its own by default.",
)
@click.option("--proxy", "proxies", multiple=True, metavar="SPEC", help="A cheap training, as below; may be repeated.")
@click.option("--scores", metavar="FILE", help="Only judge a table that was written before: a calibration.csv.")
@click.option("--resamples", type=Whole(100, 100_000), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the bootstrap.")
@resources
@as_json
def command(
    study: str | None,
    architectures: str | None,
    proxies: tuple[str, ...],
    scores: str | None,
    resamples: int,
    seed: int,
    where: Resources,
    json_: bool,
) -> None:
    """Compares cheap trainings by how they rank what a study's own, long training ranks.

    All architectures are trained by the study and by each --proxy, and Zen-scores join them. Stop it at any time: the
    same command goes on. A --proxy says in what it differs from the study's training, in parts between commas:

    \b
    epochs=3, share=0.2       fewer epochs, a share of the images
    resolution=0.5, side=32   smaller inputs; images decoded to so many pixels
    recipe=tinynet, lr=0.01   another recipe, or a value of it: schedule, batch, ..
    inherit                   weights inherited from a few small parents, trained
                              once each, then fine-tuned (20 epochs of the recipe
                              amplify by default; parent_epochs=, noise=)
    name=TEXT                 what its column is called
    data=SOURCE               other images; the last part

    Printed are rank correlations with 90 % intervals, what each costs in seconds, and which to take: the best where it
    is surely better than all others, else the cheapest that is not clearly worse than it.
    """  # noqa: D301 - \b is click's mark for lines not to be joined
    from planner.scores.calibrated import judge
    from planner.tables.frames import path_shown, read_frame

    if scores is not None:
        path = Path(scores)
        found = judge(read_frame(path, "architecture", "scores"), path_shown(path), resamples, seed)
        echo_json(found.as_dict()) if json_ else _show(found)
        return
    ledger, asked, frame, path = _calibrated(study, architectures, proxies, where)
    found = judge(frame, str(path), resamples, seed)
    chosen = next((one for one in asked if one.name == found.choice.chosen), None)
    if json_:
        offered = None if chosen is None else chosen.as_settings(ledger.settings)
        echo_json({"study": ledger.folder.name, "table": str(path), **found.as_dict(), "settings": offered})
        return
    _show(found)
    _offer(found, chosen, ledger)
    _say(f"{path} has every score; planner calibrate --scores {path} prints this again")


def _calibrated(
    study: str | None, architectures: str | None, proxies: Sequence[str], where: Resources
) -> tuple[Ledger, list[ProxyTraining], pd.DataFrame, Path]:
    """Trains what is missing."""
    from planner.commands.progress import TerminalProgress, decoding
    from planner.scores.calibrate import SCORES, Field, calibrate, given_architectures, own_architectures
    from planner.scores.proxies import read_proxy
    from planner.study.folder import cache_of
    from planner.study.opening import open_ledger

    refuse(("--stop-early",), "on a calibration, which needs every training to its end")
    if not proxies:
        raise PlannerError("no proxy given: name a cheap training to compare, such as --proxy epochs=3,share=0.2")
    ledger = open_ledger(study)
    asked = [read_proxy(text, ledger.settings) for text in proxies]
    if architectures is None or architectures.isdecimal():
        n = None if architectures is None else TRIALS.convert(int(architectures), None, click.get_current_context())
        networks = own_architectures(ledger, n)
    else:
        networks = given_architectures(ledger, Path(architectures))

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    field = Field(ledger, cache_of(ledger.folder), where, TerminalProgress(), tell, decoding)
    return ledger, asked, calibrate(field, networks, asked), ledger.folder / SCORES


def _show(found: Calibrated) -> None:
    """Prints what was found for people, 80 columns wide."""
    from planner.commands.audit import estimate_cell, shortened, verdict
    from planner.scores.bootstrap import LEVEL

    whole = found.seconds[found.target]
    left_out = "".join(f"; {n:,} left out ({reason})" for reason, n in found.audit.left_out.items())
    _say(f"target: {found.target} of {found.audit.rows:,} architectures, {whole:,.0f} s{left_out}")
    for name, n in found.left_out.items():
        _say(f"{name}: left out: only {n} architectures have it")
    rows = []
    for one in found.ranked:
        spent = found.seconds.get(one.name)
        cost = ["", "", ""]
        if spent is not None:
            share = f"{spent / whole:.0%}" if whole else ""
            cost = [f"{found.choice.best_in.get(one.name, 0):.0%}", f"{spent:,.0f} s", share]
        name = shortened(f"{one.name} *" if one.baseline else one.name, _NAME_SHOWN)
        cells = [estimate_cell(one.measures[measure]) for measure in ("spearman", "kendall")]
        rows.append([name.ljust(_NAME_SHOWN), *cells, *cost])
    header = ["".ljust(_NAME_SHOWN), f"Spearman, {LEVEL:.0%}", "Kendall", "best", "cost", "of all"]
    echo_table(header, rows)
    _say("best: share of bootstrap resamples with the highest Spearman; of all: of the target's cost; * baseline")
    _say(_chosen_in_words(found))
    chosen = next((one for one in found.audit.scores if one.name == found.choice.chosen), None)
    if chosen is not None:
        _say(verdict(chosen))


def _chosen_in_words(found: Calibrated) -> str:
    """Which score to take, and how sure that is."""
    choice = found.choice
    if choice.best is None:
        return "nothing to choose: every score is constant"
    if len(choice.behind) == 1:
        return f"nothing to choose: {choice.best} is the only score"
    often = f"it is the best in {choice.best_in[choice.best]:.0%} of the resamples"
    if choice.winner:
        return f"winner: {choice.best}: surely above every other score; {often}"
    near = [
        name for name, one in choice.behind.items() if name != choice.best and (one.lower or 0.0) <= 0 and not one.why
    ]
    return (
        f"no winner: {choice.best} has the highest Spearman ({often}), but not surely above {', '.join(near)}; the "
        f"cheapest that is not clearly worse is {choice.chosen}"
    )


def _offer(found: Calibrated, chosen: ProxyTraining | None, ledger: Ledger) -> None:
    """Prints how another study trains so."""
    import tomli_w

    if found.choice.chosen is None:
        return
    if chosen is None:
        _say("it trains nothing: planner score --zen, or planner scale --method rbis --score zen")
    elif chosen.inherit:
        epochs = chosen.asks(ledger.settings, None)["epochs"]
        _say(f"searches inherit and fine-tune: planner scale --method greedy --fine-tune {epochs}")
    else:
        _say(f"{chosen.name}, in the study.toml of a study that is made for it:")
        click.echo(tomli_w.dumps(chosen.as_settings(ledger.settings)).strip())


def _say(text: str) -> None:
    """Prints a line, folded."""
    click.echo(textwrap.fill(text, _COLUMNS, subsequent_indent="  "))
