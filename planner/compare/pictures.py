"""A comparison as a picture: accuracy against MACs, with intervals over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.compare.rows import Row
from planner.compare.summary import Summary, summaries
from planner.text.documents import write_figure
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^v<>ph*XPd8"
_APART = 0.006  # of log MACs: methods at one budget stand side by side, so that bars can be told apart


def plain_ticks(axes: Axes) -> None:
    """Writes the marks of a logarithmic axis as numbers: 1.5, not 1.5 x 10^0."""
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="x", which="both", labelsize=8)


def named(method: str, found: Sequence[Summary]) -> str:
    """A method, with what else than its one dimension had to move, and at which budgets."""
    moved = [(one.first.label.removeprefix(method).strip(" ()"), one.first.budget) for one in found]
    told = [f"{what} at {format_count(budget)}" for what, budget in sorted(moved, key=lambda one: one[1]) if what]
    return f"{method} ({', '.join(told)})" if told else method


def plot_comparison(path: Path, rows: Sequence[Row]) -> None:
    """Draws a comparison into a file; the suffix says the format.

    Args:
        path: The picture.
        rows: The comparison.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    methods: dict[str, list[Summary]] = {}
    score = rows[0].score
    for here in summaries(rows).values():
        for one in here:
            if one.accuracy is not None:
                methods.setdefault(one.first.method, []).append(one)
    figure = Figure(figsize=(9, 5.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    plain_ticks(axes)
    for place, (method, found) in enumerate(methods.items()):
        aside = (1 + _APART) ** (place - (len(methods) - 1) / 2)
        found = sorted(found, key=lambda one: one.first.macs or 0)
        axes.errorbar(
            [aside * (one.first.macs or 0) / 1e6 for one in found],
            [score.drawn(one.accuracy.mean) for one in found if one.accuracy],
            yerr=[abs(score.drawn(one.accuracy.half or 0.0)) for one in found if one.accuracy],
            marker=MARKERS[place % len(MARKERS)],
            linestyle="-" if len(found) > 1 else "none",
            markersize=5,
            linewidth=1,
            capsize=3,
            label=named(method, found),
        )
    axes.set_xlabel(f"MACs (millions); methods {100 * _APART:g} % apart, so that bars can be told apart")
    axes.set_ylabel(f"{score.title}{score.axis}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    first = rows[0]
    after = f" after {first.epochs} epoch{'s' * (first.epochs > 1)}" if first.epochs else ""
    where = "from a table" if first.scored_on == "table" else f"on {first.scored_on} images"
    axes.set_title(f"{first.base}, {first.classes} classes: {score.name} {where}{after}, 95 % over seeds", fontsize=10)
    write_figure(figure, path)
