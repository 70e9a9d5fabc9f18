"""What the searches of a study found, in its report."""

from __future__ import annotations

from typing import Any

from planner.report.markup import section
from planner.report.plots import Numbers
from planner.report.source import ReportSource
from planner.searches.record import FOLDER, SearchRecord, read_found
from planner.text.markup import html_table, paragraph
from planner.text.quantities import format_count

_CHOSEN = {
    "trainings": "trainings from scratch",
    "fine-tunes": "fine-tunes",
    "zen": "Zen-scores",
    "zen-per-block": "Zen-scores per block",
    "": "not recorded",
}
_HEADER = (
    "search",
    "budget",
    "trainings",
    "chosen by",
    "start",
    "start, unchanged, as long",
    "found",
    "growing gained",
)


def searches_of(source: ReportSource) -> list[dict[str, Any]]:
    """Each search of the study, in JSON's types; nothing of a table."""
    if source.situation is None:
        return []
    return [_numbers(one) for one in read_found(source.situation.ledger.folder / FOLDER)]


def _numbers(one: SearchRecord) -> dict[str, Any]:
    gain = one.gain
    return {
        "method": one.method,
        "budget": one.budget,
        "trainings": one.trainings,
        "chosen_by": one.chosen_by,
        "seeds": one.seeds,
        "start": gain and gain.start,
        "control": gain and gain.control,
        "found": gain and gain.found,
        "over_control": gain and gain.over_control,
    }


def searches_section(numbers: Numbers) -> str:
    """What they found, and whether growing gained anything over the start trained as long."""
    searches = numbers.get("searches", [])
    if not searches:
        return ""
    rows = []
    for one in searches:
        scores = [None if one[name] is None else f"{one[name]:.4g}" for name in ("start", "control", "found")]
        gained = one["over_control"]
        told = None if gained is None else f"{gained:.4g}" if gained > 0 else f"nothing ({gained:.4g})"
        seeds = f" ({one['seeds']} seeds)" if one["seeds"] > 1 else ""
        begun = [one["method"], format_count(one["budget"]), one["trainings"], _CHOSEN[one["chosen_by"]] + seeds]
        rows.append([*begun, *scores, told])
    about = (
        "A network that inherits weights improves by training longer, too: what growing itself gained is what was "
        "found less what the unchanged start reaches by as many epochs."
    )
    return section(
        "searches", "What the searches found", html_table("Searches", _HEADER, rows, (0, 3)), paragraph(about)
    )
