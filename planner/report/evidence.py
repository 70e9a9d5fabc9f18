"""The sections of a report that say how far it can be trusted, and what it rests on."""

from __future__ import annotations

from planner.formulas.kinds import FORMULA_KINDS
from planner.report import plots
from planner.report.markup import figure, legend, section
from planner.report.plots import Numbers, judged_by, percent, reached
from planner.text.markup import details, html_table, paragraph
from planner.text.quantities import format_count
from trainer.score import Score

_LEVELS = ("50", "80", "90")
_LISTED = ("trial", "origin", "accuracy", "macs", "resolution", "r", "d", "w", "depths", "widths", "front", "selected")
NOTED = {
    "r": "r of a selected training that was left out",
    "d": "d of a selected training that was left out",
    "log_error": "log of the fitted error, of a selected training left out",
    "accuracy_between_seeds": "accuracy between seeds, standard deviation",
}


def trust_section(numbers: Numbers) -> str:
    """Expected against measured accuracies, coverage, and the errors of the curves."""
    heading, found = "How far can it be trusted?", numbers["calibration"]
    if found is None:
        why = numbers["why"].get("surrogate", "its surrogate reads other columns than this table has")
        return section("trust", heading, paragraph(f"There is nothing to calibrate: {why}."), _errors(numbers))
    score = judged_by(numbers)
    entries = [
        ("circle", "training", "inside its 90 % interval"),
        ("cross", "missed", "outside"),
        ("line", "even", "equal"),
    ]
    caption = (
        f"Each training, expected by a surrogate that was fitted without it (cross-validation): off by "
        f"{score.gap(found['rmse'], '.3g')} (root mean square). On the line, both agree."
    )
    rows = [
        [f"{level} %", *(None if one is None else percent(round(one, 3)) for one in _covered(found, level))]
        for level in _LEVELS
    ]
    header = ("interval", "trainings inside", "of a linear model's")
    covered = html_table("Coverage: how many fall inside their interval, calibrated on other trainings", header, rows)
    drawn = figure(plots.calibration(numbers), caption, legend(entries))
    return section("trust", heading, drawn, covered, _errors(numbers))


def _covered(found: Numbers, level: str) -> list[float | None]:
    return [found["coverage"].get(level), found["errors"].get(f"linear_coverage_{level}")]


def _errors(numbers: Numbers) -> str:
    """Leave-one-out errors of the curves."""
    if not numbers["formula"]:
        return ""
    rows = []
    for name, value in numbers["formula"]["errors"].items():
        direction, _, rest = name.partition("_")
        words = _noted(name, judged_by(numbers)) or (f"{direction}: {NOTED[rest]}" if rest in ("r", "d") else None)
        if words:
            rows.append([words, f"{value:.3g}"])
    unit = "in logs; " if FORMULA_KINDS[numbers["formula"]["kind"]].logs else ""
    return details(
        "Errors of the curves", html_table(f"Root mean square errors ({unit}cross-validated)", ("of", "error"), rows)
    )


def _noted(name: str, score: Score) -> str | None:
    words = NOTED.get(name)
    return words and words.replace("accuracy", score.name)


def time_section(numbers: Numbers) -> str:
    """Where the time went."""
    rows = numbers["time"]
    if not any(one["seconds"] for one in rows):
        return section("time", "Where did the time go?", paragraph("Nobody recorded the seconds of these trainings."))
    cells = [
        [one["origin"], one["status"], one["trainings"], f"{one['seconds'] / 3600:.3g}", one["untimed"]] for one in rows
    ]
    header = ("chosen by", "status", "trainings", "hours", "not timed")
    listed = html_table("Hours of training, by what chose the trainings and what became of them", header, cells, (0, 1))
    entries = [("bar", "ok", "trained (ok)"), ("bar", "failed", "any other status")]
    caption = "Seconds as they were recorded: pauses, and other programs on the machine, are in them."
    return section("time", "Where did the time go?", figure(plots.time_plot(rows), caption, legend(entries)), listed)


def data_section(numbers: Numbers) -> str:
    """The trainings, and everything as files."""
    score = judged_by(numbers)
    names = [name for name in _LISTED if any(one.get(name) is not None for one in numbers["trainings"])]
    rows = [
        [_cell(name, one, score) for name in names] for one in sorted(numbers["trainings"], key=lambda one: one["macs"])
    ]
    words = [i for i, name in enumerate(names) if name in ("origin", "depths", "widths", "front", "selected")]
    listed = details(
        f"The {len(rows)} trainings",
        html_table("By rising MACs", [score.name if name == "accuracy" else name for name in names], rows, words),
    )
    lost = [[one["trial"], one["status"], one["message"]] for one in numbers["lost"]]
    failed = details(
        f"The {len(lost)} trainings without {'an accuracy' if score.is_accuracy else 'a score'}",
        html_table("The last ones, and what they said", ("trial", "status", "message"), lost, (1, 2)),
    )
    files = ["trainings.csv", "answers.csv", "numbers.json", *(["formula.json"] if numbers["formula"] else [])]
    buttons = "".join(f'<button type="button" data-file="{name}">{name}</button>' for name in files)
    note = "trainings.csv is a table that `planner fit` and `planner report` read."
    if not score.is_accuracy:
        note = f"trainings.csv has {score.name} as it was reported; accuracies in the other files are its merits."
    kept = [f"<p>{buttons}</p>", paragraph(note, "muted"), listed, failed if lost else ""]
    return section("data", "The numbers", *kept)


def _cell(name: str, one: Numbers, score: Score) -> str | None:
    value = one.get(name)
    if value is None:
        return None
    if name in ("depths", "widths"):
        return " ".join(map(str, value))
    if name in ("front", "selected"):
        return "yes" if value else "no"
    if name == "macs":
        return format_count(value)
    if name == "accuracy":
        return reached(value, score)
    return f"{value:.3f}" if isinstance(value, float) else str(value)
