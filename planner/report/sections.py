"""The sections of a report, from its numbers."""

from __future__ import annotations

from html import escape
from typing import Any

from planner.report import plots
from planner.report.markup import figure, legend, section
from planner.report.plots import RULE_SHAPES, Numbers, judged_by, percent, reached, span_words
from planner.text.markup import code, details, html_table, paragraph
from planner.text.quantities import format_count
from trainer.score import Score

ANSWER = "the answers: the best network for every budget, expected"
CELLS = (
    ("resolution", "Resolution"),
    ("depths", "Depths"),
    ("widths", "Widths"),
    ("macs", "MACs"),
    ("nudged", "Nudged"),
    ("multipliers", "Multipliers"),
    ("accuracy", "Accuracy"),
    ("range", "Range"),
)
ANSWERED = ("resolution", "depths", "widths", "macs", "accuracy")  # what a rung of the ladder has of its own
BOTH = ("range", "difference")  # what is said once of answer and formula


def header_section(numbers: Numbers) -> str:
    """What the report is about, in two lines."""
    base, formula, status = numbers["base"], numbers["formula"], numbers["status"]
    shown = len(numbers["trainings"]) + numbers["not_shown"]
    parts = [
        f"{base['name']} at {base['resolution']} px, {base['classes']} classes ({format_count(base['macs'])} MACs)"
    ]
    parts.append(f"{shown} trainings")
    if status:
        parts.append(f"{status['failed']} failed, {status['running']} running, {status['waiting']} waiting")
        parts.append(f"{status['spent_hours']:.2g} hours spent")
    if formula:
        low, high = (format_count(one) for one in formula["macs_range"])
        parts.append(f"formula of {formula['points']} points, {low} to {high} MACs")
    about = (
        "Budget in, architecture out: how to scale this network, as learned from its trainings. FLOPs are MACs here."
    )
    return f"<h1>{escape(numbers['name'])}: how to scale {escape(base['name'])}</h1>" + "\n".join(
        [
            *(paragraph(f"WARNING: {one}", "box") for one in numbers["warnings"]),
            paragraph(about),
            paragraph("; ".join(parts), "muted"),
            *(paragraph(one, "box") for one in numbers["doubts"]),
        ]
    )


def answer_section(numbers: Numbers, command: str) -> str:
    """The slider, or why there is none."""
    heading = "Which network for which budget?"
    if numbers["formula"] is None:
        why = f"There is no formula to read off yet: {numbers['why'].get('formula', 'none was fitted')}."
        return section("answer", heading, paragraph(why, "box"))
    laddered = bool(numbers["ladder"])
    note = (
        "The network within 1 % of the budget. Where rounded widths leave more at the formula's own resolution, that "
        "moves by some pixels, or one stage's width by a step or two. The same, with its params:"
    )
    if laddered:
        note = (
            "Answer: the best network within the budget by all that the trainings taught; it may leave some of it. "
            f"Formula, the smooth summary: {note[:1].lower()}{note[1:]}"
        )
    live = (
        '<div id="live" hidden><p><label for="budget">Budget in MACs, such as 200M: </label>'
        '<input type="text" id="budget" autocomplete="off" spellcheck="false"> '
        '<span id="wrong" role="alert" hidden>Write a number with an optional k, M, G, B or T, such as 200M or '
        "200,000,000.</span></p>"
        '<input type="range" id="slider" min="0" max="1000" step="1" aria-label="Budget in MACs">'
        f'<table aria-live="polite">{_cells(laddered, judged_by(numbers))}</table></div>'
        "<noscript><p>This part computes in the page, and needs JavaScript.</p></noscript>"
    )
    typed = f'<p><code id="command" data-start="{escape(command)}">{escape(command)}</code></p>'
    every = details("All answers", _ladder(numbers)) if laddered else ""
    return section("answer", heading, f'<div class="box">{live}</div>', paragraph(note, "muted"), typed, every)


def _cells(laddered: bool, score: Score) -> str:
    """The rows that the page fills in: of the formula, and beside it of the ladder's answer where there is one."""
    cells = [(key, name if key != "accuracy" or score.is_accuracy else escape(score.name)) for key, name in CELLS]
    if not laddered:
        rows = "".join(f'<tr><th scope="row">{name}</th><td id="out-{key}"></td></tr>' for key, name in cells)
        return f"<tbody>{rows}</tbody>"
    rows = ""
    for key, name in (*cells, ("difference", "Difference")):
        cell = f'<td id="out-{key}"></td>'
        if key in BOTH:
            cell = cell.replace("<td", '<td colspan="2"')
        elif key in ANSWERED:
            cell = f'<td id="out-answer-{key}"></td>{cell}'
        else:
            cell = f"<td></td>{cell}"
        rows += f'<tr><th scope="row">{name}</th>{cell}</tr>'
    head = '<tr><td></td><th scope="col">Answer</th><th scope="col">Formula</th></tr>'
    return f"<thead>{head}</thead><tbody>{rows}</tbody>"


def _ladder(numbers: Numbers) -> str:
    """Every rung of the ladder, for those who want no slider."""
    ladder, score = numbers["ladder"], judged_by(numbers)
    ends = [name for name in ("stem", "head") if any(one[name] for one in ladder)]
    ends += ["knobs"] if any("knobs" in one for one in ladder) else []
    rows = [
        [
            f"{one['macs']:,}",
            one["resolution"],
            *(" ".join(map(str, one[name])) for name in ("depths", "widths")),
            *(_knobs(one) if name == "knobs" else one[name] for name in ends),
            reached(one["accuracy"], score),
            span_words(one, score),
        ]
        for one in ladder
    ]
    header = ("from MACs", "px", "depths", "widths", *ends, "expected", "90 %")
    told = "The answer to a budget is the last one whose MACs are within it"
    return html_table(told, header, rows, texts=(2, 3, len(header) - 1))


def _knobs(one: Numbers) -> str:
    """The further whole numbers of a network, in words."""
    return "; ".join(f"{name} {' '.join(map(str, values))}" for name, values in one.get("knobs", {}).items())


def advice_section(numbers: Numbers) -> str:
    """What `planner next` recommends."""
    found = numbers["next"]
    if found is None:
        return section(
            "next", "What next?", paragraph("A table of trainings has no study whose next step could be told.")
        )
    what = found["what"][:1].upper() + found["what"][1:]
    hours = f" About {found['hours']:.2g} hours of training." if found["hours"] else ""
    typed = f"<p>{code(found['command'])}</p>" if found["command"] else ""
    return section(
        "next", "What next?", paragraph(f"{what}."), paragraph(f"Why: {found['why']}.{hours}", "muted"), typed
    )


def front_section(numbers: Numbers) -> str:
    """Accuracy over MACs, with the rules' answers as a table."""
    rules = sorted({one["rule"] for one in numbers["answers"]} - {"learned"}, key=list(RULE_SHAPES).index)
    surrogate = "surrogate" not in numbers["why"]
    score = judged_by(numbers)
    no_other, theirs = ("as accurate", "accuracies are") if score.is_accuracy else ("as good", f"{score.name} is")
    entries = [("circle", "training", "training"), ("line", "front", f"the front: no other is {no_other} for less")]
    if numbers["formula"]:
        entries.append(("diamond", "selected", "selected for the fit"))
    if numbers["front_accuracy"]:
        entries.append(("band", "learned", "fitted to those, with its 90 % interval"))
    if numbers["ladder"]:
        entries.append(("line", "answer", ANSWER))
    if surrogate:
        entries += [(RULE_SHAPES[rule], rule, f"{rule}, expected") for rule in rules]
    caption = "Point at a mark, touch it, or reach it by Tab and arrow keys, for its architecture. "
    if surrogate:
        caption += (
            f"Published rules were not trained here: their {theirs} expected by the surrogate, with 90 % "
            "intervals, side by side at each budget; paler where their networks lie outside the trainings, and little "
            "is known."
        )
    else:
        caption += (
            f"Published rules are not drawn, for nothing says what they would reach: {numbers['why']['surrogate']}."
        )
    if numbers["not_shown"]:
        caption += f" {numbers['not_shown']} trainings off the front are not drawn, nor in this page."
    missing = [paragraph(f"Without an answer: {one}.", "muted") for one in numbers["missing"]]
    parts = [
        figure(plots.scatter(numbers), caption, legend(entries)),
        *missing,
        details("The rules' networks", _rules(numbers)),
    ]
    return section("front", f"{score.name[:1].upper()}{score.name[1:]} and cost", *parts)


def _rules(numbers: Numbers) -> str:
    names = ("budget", "rule", "MACs", "params", "px", "depths", "widths", "expected", "90 %", "inside the trainings")
    rows, score = [], judged_by(numbers)
    for one in sorted(numbers["answers"], key=lambda each: each["budget"]):
        found = one["accuracy"]
        hope: list[str | None] = [None] * 3
        if found:
            hope = [reached(found["mean"], score), span_words(found, score), "yes" if found["in_range"] else "no"]
        shape = [" ".join(map(str, one[name])) for name in ("depths", "widths")]
        counts = [f"{one['macs']:,}", f"{one['params']:,}", one["resolution"]]
        rows.append([format_count(one["budget"]), one["rule"], *counts, *shape, *hope])
    return html_table("What each rule gives at equal MACs (within 1 %)", names, rows, texts=(1, 5, 6, 8, 9))


def curves_section(numbers: Numbers) -> str:
    """r, d and w, and each stage's width and depth, over c."""
    entries = [("circle", "training", "training"), ("diamond", "selected", "selected for the fit")]
    if numbers["formula"]:
        entries.insert(0, ("band", "learned", "learned, with its 90 % band"))
    entries.insert(1, ("line", "compound", "compound scaling (EfficientNet's constants)"))
    if numbers["ladder"]:
        entries.insert(1, ("line", "answer", "the answers, integers (resolution and stages)"))
    labels = {"r": "resolution multiplier r", "d": "depth multiplier d", "w": "width multiplier w"}
    three = "".join(f"<div>{plots.multiplier(numbers, name, label)}</div>" for name, label in labels.items())
    caption = (
        "c is MACs over the base network's. Bands: where a new one of those selected is expected, 90 %. The width is "
        "what the exact MACs leave at r and d, and its band is theirs carried over to first order."
    )
    stages = range(sum(key.startswith("width_") for key in numbers["compound_curves"]))
    each = "".join(f"<div>{plots.stage(numbers, kind, i)}</div>" for i in stages for kind in ("width", "depth"))
    parts = [legend(entries), f'<div class="grid-of">{three}</div>', paragraph(caption, "muted"), _growth(numbers)]
    stagewise = details("Each stage's width and depth over c", legend(entries), f'<div class="grid-of">{each}</div>')
    return section("curves", "Resolution, depth and width", *parts, stagewise)


def _growth(numbers: Numbers) -> str:
    """How r, d and w grow with the budget, in words and beside EfficientNet's constants."""
    formula = numbers["formula"]
    if not formula:
        return ""
    said = [paragraph(f"{name}: {line}.") for name, lines in formula["growth"].items() for line in lines]
    rows = [[f"learned ({name})", *_doublings(one)] for name, one in formula["exponents"].items()]
    known = formula["efficientnet"]
    rows.append(["EfficientNet, for 1.92 times", *(f"x{known[name]:.3f}" for name in ("alpha", "beta", "gamma"))])
    header = ("rule", "depth (alpha)", "width (beta)", "resolution (gamma)")
    return "".join(said) + html_table("For twice the MACs: slopes of the learned curves over their range", header, rows)


def _doublings(found: Numbers) -> list[str | None]:
    """What twice the MACs multiply d, w and r with, and between what."""
    cells: list[str | None] = []
    for name in "dwr":
        one = found.get(name)
        ends = None if one is None else f"{2 ** one['lower']:.2f} to {2 ** one['upper']:.2f}"
        bent = "" if one is None or one["power_law"] else ", no power law"
        cells.append(None if one is None else f"x{one['doubling']:.3f} ({ends}{bent})")
    return cells


def parts_section(numbers: Numbers) -> str:
    """Where the learned architectures spend their budget."""
    learned = [one for one in numbers["answers"] if one["rule"] == "learned"]
    if not learned:
        return ""
    stages = [f"stage {i + 1}" for i in range(len(learned[0]["widths"]))]
    ends, short = ["stem", *stages, "head"], [str(i + 1) for i in range(len(stages))]
    there = [i for i in range(len(ends)) if any(one["part_macs"][i] for one in learned)]
    named = [["stem", *short, "head"][i] for i in there]
    drawn = (
        ("macs", "share of the MACs (%)", lambda one, i: _share(one, there[i]), named),
        ("width", "width (channels)", lambda one, i: float(one["widths"][i]), short),
        ("depth", "depth (blocks)", lambda one, i: float(one["depths"][i]), short),
    )
    shown = learned[:: max(1, (len(learned) - 1) // (plots.BARS - 1))]
    entries = [("bar", f"step{k}", f"{format_count(one['budget'])} MACs") for k, one in enumerate(shown)]
    figures = [plots.stage_bars(numbers, *each) for each in drawn]
    rows = [
        [
            format_count(one["budget"]),
            name,
            one["part_macs"][i],
            percent(round(_share(one, i) / 100, 4)),
            *_size(one, i),
        ]
        for one in learned
        for i, name in enumerate(ends)
        if i in there
    ]
    listed = html_table(
        "Parts of the learned networks", ("budget", "part", "MACs", "share", "width", "depth"), rows, (1,)
    )
    caption = "Within a part, bars stand for rising budgets from left to right. Stages are numbered from the input."
    return section(
        "parts",
        "Where the MACs go",
        legend(entries),
        *figures,
        paragraph(caption, "muted"),
        details("The numbers", listed),
    )


def _share(one: Numbers, i: int) -> float:
    return float(100 * one["part_macs"][i] / sum(one["part_macs"]))


def _size(one: Numbers, i: int) -> list[Any]:
    """Width and depth of a part: stem, stages, head."""
    if i == 0:
        return [one["stem"] or None, None]
    if i == len(one["part_macs"]) - 1:
        return [one["head"] or None, None]
    return [one["widths"][i - 1], one["depths"][i - 1]]
