"""The pictures of a study's report, as matplotlib's Axes: `planner.plot`. Their numbers are the report's.

Every function takes a study and draws into `ax`, or into a figure of its own, and gives the Axes back, so that titles,
limits and files are the caller's: `planner.plot.front(study).figure.savefig("front.png")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from planner.compare.pictures import plain_ticks
from planner.errors import PlannerError
from planner.report.answers import REPORT_RULES, answers_of, front_accuracy
from planner.report.curves import Band, bands_of
from planner.report.numbers import calibration_of, time_of, trainings_of
from planner.report.source import ReportSource, of_study
from planner.rules import compound
from planner.tables.status import is_ok
from planner.text.quantities import format_count
from planner.workbench.study import Study
from sampler import base as base_named
from sampler.checks import checked_whole, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_check", "front", "growth", "stage_growth", "stage_shares", "time_spent"]

Multiplier = Literal["r", "d", "w"]
StageSize = Literal["width", "depth"]
ShareKind = Literal["macs", "width", "depth"]
_LABELS = {"r": "resolution multiplier r", "d": "depth multiplier d", "w": "width multiplier w"}
_UNITS = {"width": "channels", "depth": "blocks", "macs": "share of the MACs"}
_MARKERS = dict(zip(REPORT_RULES, "^svxP", strict=True))
_LEARNED, _COPIED = "tab:blue", "tab:gray"
_GROUPS = 5  # budgets side by side
_ENDS = ("mean", "lower", "upper")


def front(study: Study, *, ax: Axes | None = None) -> Axes:
    """Accuracy over MACs: every training, the front, its curve, and what published rules are expected to reach.

    Args:
        study: The study; without a formula of its own one is fitted for the picture.
        ax: Where to draw; a new figure by default.

    Raises:
        PlannerError: If nothing was trained.
    """
    source, axes = _source(study), _axes(ax)
    score = source.table.score
    trainings = sorted(trainings_of(source), key=lambda one: float(one["macs"]))
    curve = [] if source.formula is None else front_accuracy(source.formula)
    if curve:
        macs = [one["macs"] for one in curve]
        mean, lower, upper = ([score.drawn(one[end]) for one in curve] for end in _ENDS)
        axes.fill_between(macs, lower, upper, color=_LEARNED, alpha=0.15, linewidth=0)
        axes.plot(macs, mean, color=_LEARNED, label="expected on the front, 90 %")
    everywhere = [(one["macs"], score.drawn(one["accuracy"])) for one in trainings]
    _scatter(axes, everywhere, "o", "training", color="0.6")
    best = [(one["macs"], score.drawn(one["accuracy"])) for one in trainings if one["front"]]
    axes.step(*zip(*best, strict=True), where="post", color="black", linewidth=1, label="front")
    chosen = [(one["macs"], score.drawn(one["accuracy"])) for one in trainings if one["selected"]]
    _scatter(axes, chosen, "D", "selected for the fit", color=_LEARNED)
    _published(axes, source)
    _logarithmic(axes, "MACs of one image")
    axes.xaxis.set_major_formatter(lambda value, _: format_count(value))
    axes.xaxis.set_minor_formatter(lambda value, _: format_count(value))
    axes.set_ylabel(f"{score.title}{score.axis}")
    axes.legend(fontsize=8)
    return axes


def growth(study: Study, multiplier: Multiplier = "r", *, ax: Axes | None = None) -> Axes:
    """A multiplier over c, the MACs over the base network's: learned, of compound scaling, and of the trainings.

    Args:
        study: The study.
        multiplier: `r`, `d` or `w`.
        ax: Where to draw; a new figure by default.

    Raises:
        PlannerError: If there is no such multiplier, or too little was trained for a formula.
    """
    _check("multiplier", multiplier, get_args(Multiplier))
    source, axes = _source(study), _axes(ax)
    points = [(one["c"], one[multiplier], one["selected"]) for one in trainings_of(source) if multiplier in one]
    _grown(axes, source, multiplier, points)
    axes.set_yscale("log")
    axes.set_ylabel(_LABELS[multiplier])
    return axes


def stage_growth(study: Study, stage: int, size: StageSize = "width", *, ax: Axes | None = None) -> Axes:
    """The width or depth of one stage over c, as `growth` draws multipliers; of the trainings those that were selected.

    Args:
        study: The study.
        stage: Number of the stage, from 1.
        size: `width` (channels) or `depth` (blocks).
        ax: Where to draw; a new figure by default.

    Raises:
        PlannerError: If there is no such stage, or too little was trained for a formula.
    """
    _check("size", size, get_args(StageSize))
    number = checked_whole("stage", stage, 1, len(base_named(study.settings.base).stages))
    source, axes = _source(study), _axes(ax)
    chosen = [one for one in trainings_of(source) if one["selected"] and f"{size}s" in one]
    _grown(axes, source, f"{size}_{number}", [(one["c"], one[f"{size}s"][number - 1], True) for one in chosen])
    axes.set_ylabel(f"stage {number}: {size} ({_UNITS[size]})")
    return axes


def stage_shares(study: Study, what: ShareKind = "macs", *, ax: Axes | None = None) -> Axes:
    """How budgets are spent: bars of each part of the formula's networks, side by side for rising budgets.

    Args:
        study: The study.
        what: `macs` (shares), `width` (channels) or `depth` (blocks).
        ax: Where to draw; a new figure by default.

    Raises:
        PlannerError: If there is no such quantity, or too little was trained for a formula.
    """
    _check("what", what, get_args(ShareKind))
    source, axes = _source(study), _axes(ax)
    _formula(source)
    learned = [one for one in answers_of(source)[0] if one["rule"] == "learned"]
    networks = learned[:: max(1, (len(learned) - 1) // (_GROUPS - 1))]
    rows = [_spent(one, what) for one in networks]
    stages = [f"stage {i + 1}" for i in range(len(base_named(study.settings.base).stages))]
    parts = stages if len(rows[0]) == len(stages) else ["stem", *stages, "head"]
    width = 0.8 / len(rows)
    for place, (row, one) in enumerate(zip(rows, networks, strict=True)):
        at = np.arange(len(row)) + (place - (len(rows) - 1) / 2) * width
        axes.bar(at, row, width, color=str(0.8 - 0.6 * place / len(rows)), label=f"{format_count(one['budget'])} MACs")
    axes.set_xticks(range(len(parts)), parts, rotation=45, ha="right")
    axes.set_ylabel(_UNITS[what])
    axes.legend(fontsize=8)
    return axes


def accuracy_check(study: Study, *, ax: Axes | None = None) -> Axes:
    """Measured accuracy over the one expected by a surrogate that had not seen the training (cross-validation).

    Args:
        study: The study.
        ax: Where to draw; a new figure by default.

    Raises:
        PlannerError: If too little was trained for a surrogate.
    """
    source = _source(study)
    found = calibration_of(source)
    if found is None:
        why = source.why.get("surrogate", "its surrogate reads other columns than the trainings have")
        raise PlannerError(f"{study.folder}: nothing to check accuracies by: {why}")
    axes, score = _axes(ax), source.table.score
    for label, marker, inside in (("inside its 90 % interval", "o", True), ("outside", "x", False)):
        rows = [one for one in found["rows"] if (one["inside_90"] is not False) == inside]
        _scatter(axes, [(score.drawn(one["expected"]), score.drawn(one["measured"])) for one in rows], marker, label)
    ends = [score.drawn(one[name]) for one in found["rows"] for name in ("expected", "measured")]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.6", linewidth=1)
    axes.set_xlabel(f"expected {score.name}, not having seen it{score.axis}")
    axes.set_ylabel(f"measured {score.name}{score.axis}")
    axes.legend(fontsize=8)
    return axes


def time_spent(study: Study, *, ax: Axes | None = None) -> Axes:
    """Hours of training, by what chose the trainings and what became of them.

    Args:
        study: The study.
        ax: Where to draw; a new figure by default.

    Raises:
        PlannerError: If nobody recorded the seconds of a training.
    """
    rows = [one for one in time_of(study.table()) if one["seconds"] > 0]
    if not rows:
        raise PlannerError(f"{study.folder}: nobody recorded the seconds of these trainings")
    axes, names = _axes(ax), [f"{one['origin']}, {one['status']}" for one in rows]
    colours = ["tab:green" if is_ok(one) else "tab:red" for one in rows]
    axes.barh(range(len(rows)), [one["seconds"] / 3600 for one in rows], color=colours)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xlabel("hours of training")
    return axes


def _source(study: Study) -> ReportSource:
    """What a report of the study reads.

    Raises:
        PlannerError: If it is no study.
    """
    if not isinstance(study, Study):
        raise PlannerError(f"{shown(study)} is no study; give one of planner.load_study()")
    return of_study(study.name)


def _formula(source: ReportSource) -> Any:
    """The formula of a report.

    Raises:
        PlannerError: If too little was trained for one.
    """
    if source.formula is None:
        raise PlannerError(f"{source.name}: no curve to draw: {source.why['formula']}")
    return source.formula


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _scatter(axes: Axes, points: Sequence[tuple[float, float]], marker: str, label: str, **style: Any) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), marker, markersize=4, label=label, **style)


def _published(axes: Axes, source: ReportSource) -> None:
    """What published rules are expected to reach, with 90 % intervals."""
    answers = [one for one in answers_of(source)[0] if one["accuracy"]]
    for rule, marker in _MARKERS.items():
        found = [one for one in answers if one["rule"] == rule]
        if found:
            ends = (np.array([one["accuracy"][k] for one in found]) for k in _ENDS)
            mean, *span = (source.table.score.drawn(end) for end in ends)
            off = [mean - np.minimum(*span), np.maximum(*span) - mean]
            macs = [one["macs"] for one in found]
            axes.errorbar(macs, mean, off, fmt=marker, markersize=4, linewidth=0.7, alpha=0.6, label=rule)


def _grown(axes: Axes, source: ReportSource, name: str, points: Sequence[tuple[float, float, bool]]) -> None:
    """A quantity over c: the trainings, the learned curve with its band, and compound scaling's."""
    formula, table = _formula(source), source.table
    reference = bands_of(compound(table.base, table.resolution, table.classes), formula.c_range)
    for chosen, colour, label in ((False, "0.6", "training"), (True, _LEARNED, "selected for the fit")):
        _scatter(axes, [(c, value) for c, value, mark in points if mark == chosen], "o", label, color=colour)
    _bands(axes, reference.get(name, []), _COPIED, "compound scaling", "--")
    _bands(axes, bands_of(formula).get(name, []), _LEARNED, "learned, 90 %", "-")
    _logarithmic(axes, "c, MACs over those of the base network")
    axes.legend(fontsize=8)


def _bands(axes: Axes, bands: Sequence[Band], colour: str, label: str, style: str) -> None:
    """Curves with their intervals, one for each direction; the first tells the label."""
    for place, band in enumerate(bands):
        axes.plot(band.c, band.mean, style, color=colour, label="_" * bool(place) + label)
        axes.fill_between(band.c, band.lower, band.upper, color=colour, alpha=0.15, linewidth=0)


def _logarithmic(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    plain_ticks(axes)
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)


def _spent(one: dict[str, Any], what: str) -> list[float]:
    """What each part of a network has."""
    if what == "macs":
        return [part / sum(one["part_macs"]) for part in one["part_macs"]]
    ends = what == "width" and (one["stem"] or one["head"])
    return [one["stem"], *one["widths"], one["head"]] if ends else one[f"{what}s"]


def _check(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuses a word that is none of those known."""
    if value not in known:
        raise PlannerError(f"{name} {shown(value)} is unknown; known: {', '.join(known)}")
