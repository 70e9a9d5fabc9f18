"""`planner audit`: how far a cheap score can be trusted."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import SEED, as_json, echo_json, echo_table
from planner.commands.types import Whole

if TYPE_CHECKING:
    from planner.scores.audit import Audit
    from planner.scores.bootstrap import Estimate, Trust

_COLUMNS = 80
_MOST_POINTS = 5000  # of a picture; more only hide each other
# Tables: title and, by heading, the measure in each column.
_BLOCKS: tuple[tuple[str, dict[str, str]], ...] = (
    ("Spearman", {"all": "spearman", "top 20 %": "spearman_top20", "top 5 %": "spearman_top5"}),
    ("Kendall", {"all": "kendall", "top 20 %": "kendall_top20", "top 5 %": "kendall_top5"}),
    ("Regret of taking", {"the best": "regret_1", "best of 5": "regret_5", "best of 10": "regret_10"}),
    ("Top found (chance 20, 5 %)", {"top 20 %": "found_top20", "top 5 %": "found_top5"}),
    ("Less best other *", {"all": "beyond", "top 20 %": "beyond_top20", "top 5 %": "beyond_top5"}),
    ("Partial Spearman", {"at equal MACs": "equal_macs"}),
)


def columns(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    """A list of columns such as run1,run2."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


@click.command(
    name="audit",
    epilog="Example: planner audit table.csv --proxy zen --proxy short_accuracy --target accuracy",
    short_help="How far a cheap score can be trusted, in the tail too.",
)
@click.argument("table")
@click.option("--proxy", "proxies", multiple=True, required=True, metavar="COL", help="A score; may be repeated.")
@click.option("--target", metavar="COL", help="What it should predict; the mean of --repeats by default.")
@click.option("--smaller", multiple=True, metavar="COL", help="A column whose smaller values are better (an error).")
@click.option("--repeats", callback=columns, metavar="COL,COL,..", help="Repeated trainings of the target.")
@click.option("--group", metavar="COL", help="Rows equal in it are repeated trainings of one architecture.")
@click.option("--macs", metavar="COL", help="The column of MACs; macs where there is one.")
@click.option("--resamples", type=Whole(100, 100_000), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the bootstrap.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="Scatter of each proxy."
)
@as_json
def command(table: str, plot: Path | None, json_: bool, **options: Any) -> None:
    """Compares cheap scores with the accuracy of long trainings in TABLE, a CSV file of one row per network.

    Rank correlations over all rows and within the target's best 20 % and 5 %; the regret of trusting the score's
    best; how much of the target's top it finds; and what it knows beyond MACs and params, the baselines that every
    cheap score must beat (they join where the table has the columns macs and params). With repeated trainings, what a
    perfect score would reach: the noise ceiling.

    A score is worth using if its Spearman is above the best baseline's with the whole 90 % interval of the
    difference (paired bootstrap), and not surely below it within one of the tails.
    """
    from planner.scores.audit import audit

    if plot:
        from planner.latency.plots import check_plot

        check_plot(plot)
    found = audit(table, **options)
    if plot:
        draw(found, plot)
    if json_:
        echo_json(_summary(found))
    else:
        _show(found, options)


def _summary(found: Audit) -> dict[str, Any]:
    """What `audit --json` prints."""
    scores = [asdict(score) | {"verdict": verdict(score, found.smaller)} for score in found.scores]
    noise = None if found.noise is None else asdict(found.noise)
    named = {name: getattr(found, name) for name in ("target", "rows", "tops", "left_out", "smaller")}
    return named | {"scores": scores, "noise": noise}


def _show(found: Audit, options: dict[str, Any]) -> None:
    """Prints an audit for people, 80 columns wide; `options` are those of the command."""
    from planner.scores.bootstrap import LEVEL
    from planner.scores.ranks import FEWEST_RANKED

    left_out = "".join(f"; {n:,} left out ({reason})" for reason, n in found.left_out.items())
    _say(f"target: {found.target}, {found.rows:,} rows{left_out}")
    top20, top5 = found.tops["top20"], found.tops["top5"]
    _say(f"its top 20 %: {top20:,} rows; its top 5 %: {top5:,}; under {FEWEST_RANKED}: too few")
    if found.smaller:
        _say(f"smaller is better: {', '.join(found.smaller)}")
    _say(f"intervals: {LEVEL:.0%}, {options['resamples']:,} bootstrap resamples, seed {options['seed']}; * baseline")
    for title, measures in _BLOCKS:
        click.echo()
        show_block(found, title, measures)
    click.echo()
    for score in found.scores:
        if score.name in options["proxies"]:
            _say(verdict(score, found.smaller))
    _say(noise_in_words(found))


def _say(text: str) -> None:
    """Prints a line, folded."""
    click.echo(textwrap.fill(text, _COLUMNS, subsequent_indent="  "))


def show_block(found: Audit, title: str, measures: dict[str, str]) -> None:
    """Prints one table: a row for each score, and for a perfect one where the noise is known."""
    rows = [(f"{one.name} *" if one.baseline else one.name, one.measures) for one in found.scores]
    if found.noise and "beyond" not in measures.values():
        rows.append(("(perfect score)", found.noise.measures))
    cells = [[estimate_cell(values[name], name) for name in measures.values()] for _, values in rows]
    taken = sum(2 + max(map(len, column)) for column in zip(measures, *cells, strict=True))
    room = max(8, _COLUMNS - taken)
    names = [shortened(name, room) for name in [title, *(name for name, _ in rows)]]
    width = max(map(len, names))
    echo_table(
        [names[0].ljust(width), *measures], [[a.ljust(width), *b] for a, b in zip(names[1:], cells, strict=True)]
    )


def shortened(name: str, room: int) -> str:
    """A name that fits."""
    return name if len(name) <= room else f"{name[: room - 2]}.."


def estimate_cell(one: Estimate, name: str = "") -> str:
    """A number and its interval."""
    if one.value is None:
        return one.why
    if name.startswith("regret"):
        return f"{one.value:.2g} {one.lower:.2g}..{one.upper:.2g}"
    if name.startswith("found"):
        return f"{one.value:.0%} {one.lower:.0%}..{one.upper:.0%}"
    digits = 3 if 0.99 <= abs(one.value) < 1 else 2
    return f"{one.value:+.{digits}f} {one.lower:+.{digits}f}..{one.upper:+.{digits}f}"


def verdict(score: Trust, smaller: Sequence[str] = ()) -> str:
    """Whether a score is worth using, what it knows at equal cost, and whether it should be turned round.

    Args:
        score: Findings of it.
        smaller: Columns whose smaller values were taken for better.
    """
    overall = score.measures["spearman"]
    if overall.upper is None or overall.upper >= 0:
        return _worth(score)
    given = f"leave --smaller {score.name} out" if score.name in smaller else f"give --smaller {score.name}"
    better, of = ("larger", "") if score.name in smaller else ("smaller", ", as of a loss")
    return f"{_worth(score)} It ranks in reverse: if {better} values are better{of}, {given}."


def _worth(score: Trust) -> str:
    if score.measures["spearman"].value is None:
        return f"{score.name}: not worth using: it is constant and ranks nothing."
    if score.rival is None:
        return f"{score.name}: no verdict: there is no other column of MACs or params to beat (see --macs)."
    answer = "worth using" if score.worth_using else "not worth using alone"
    overall = score.measures["beyond"]
    said = f"Spearman less that of {score.rival} is {_in_words(overall)}"
    for part, name in (("_top20", "top 20 %"), ("_top5", "top 5 %")):
        tail = score.measures[f"beyond{part}"]
        if tail.upper is not None and tail.upper < 0:
            said += f", within the {name} {_in_words(tail)}"
    return f"{score.name}: {answer}: {said}{at_equal_cost(score.measures['equal_macs'])}."


def _in_words(one: Estimate) -> str:
    """A number and its interval within a sentence."""
    return f"{one.value:+.2f} ({one.lower:+.2f} to {one.upper:+.2f})"


def at_equal_cost(equal: Estimate) -> str:
    """What a score knows beside the MACs, as the end of a sentence."""
    if equal.lower is None or equal.upper is None:
        return ""
    if equal.lower > 0:
        return f"; at equal MACs it still ranks: {_in_words(equal)}"
    return f"; at equal MACs it ranks {'the wrong way' if equal.upper < 0 else 'nothing for sure'}: {_in_words(equal)}"


def noise_in_words(found: Audit) -> str:
    """What the target's own noise leaves to a score."""
    noise = found.noise
    if noise is None:
        return "noise of the target: unknown; give --repeats or --group for the ceiling that it sets"
    ceiling, regret = noise.measures["spearman"], noise.measures["regret_1"]
    return (
        f"noise of the target: one training varies by {noise.std:.2g} (standard deviation), {noise.trainings:.3g} of "
        f"them are behind each row; a perfect score would reach Spearman {estimate_cell(ceiling)}, and seem to "
        f"have a regret of {estimate_cell(regret, 'regret')}. One that is among the repeats shares their noise: it "
        "looks better."
    )


def draw(found: Audit, path: Path) -> None:
    """Draws each proxy against the target into a file; the target's top 5 % and the proxy's best row are marked."""
    import math

    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    from planner.text.documents import write_figure

    across = min(3, len(found.scores))
    down = math.ceil(len(found.scores) / across)
    figure = Figure(figsize=(4.5 * across, 4 * down), dpi=120, layout="constrained")
    signed = found.frame.copy()
    for column in found.smaller:
        signed[column] *= -1
    best = signed[found.target] >= signed[found.target].nlargest(found.tops["top5"]).min()
    some = found.frame.sample(min(len(best), _MOST_POINTS), random_state=0)
    for i, score in enumerate(found.scores):
        axes = figure.add_subplot(down, across, i + 1)
        axes.plot(some[score.name], some[found.target], ".", markersize=3, alpha=0.4, color="tab:gray")
        top, choice = found.frame[best], found.frame.iloc[int(signed[score.name].argmax())]
        axes.plot(top[score.name], top[found.target], ".", markersize=4, color="tab:blue", label="target's top 5 %")
        axes.plot(choice[score.name], choice[found.target], "*", markersize=11, color="tab:red", label="proxy's best")
        axes.set_xlabel(score.name)
        axes.set_ylabel(found.target)
        axes.set_title(f"Spearman {estimate_cell(score.measures['spearman'])}", fontsize=9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    write_figure(figure, path)
