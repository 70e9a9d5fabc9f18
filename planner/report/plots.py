"""The drawings of a report, from its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from planner.report.svg import Axis, Drawing, spanning
from planner.text.quantities import format_count
from trainer.score import Score, score_from

Numbers = dict[str, Any]
# Shape and line of each rule; the style sheet gives the colours by the same names.
RULE_SHAPES = {"learned": "diamond", "compound": "up", "fast": "square", "resnet-rs": "down", "regnet": "cross"}
RULE_SHAPES |= {"tinynet": "plus"}
MACS = "MACs of one image"
ASIDE = 9  # units between rules at one budget
BARS = 5  # budgets beside each other in a group


def percent(value: float) -> str:
    """A share with as many digits as it needs."""
    return f"{100 * value:.4g} %"


def judged_by(numbers: Numbers) -> Score:
    """What the report's trainings are judged by."""
    return score_from(numbers.get("score"))


def reached(merit: float, score: Score) -> str:
    """A score in words: an accuracy in percent."""
    return percent(merit) if score.is_accuracy else score.text(merit)


def span_words(found: Numbers, score: Score) -> str:
    """The interval of an expectation in words."""
    ends = (found["upper"], found["lower"]) if score.lower else (found["lower"], found["upper"])
    return " to ".join(reached(end, score) for end in ends)


def architecture(one: Numbers) -> str:
    """An architecture in words, as every point tells it."""
    parts = [f"{format_count(one['macs'])} MACs"]
    if "resolution" in one:
        parts.append(f"{one['resolution']} px")
    parts += [f"{name} {one[name]:.3f}" for name in "rdw" if isinstance(one.get(name), float)]
    for name in ("depths", "widths"):
        if name in one:
            parts.append(f"{name} {' '.join(map(str, one[name]))}")
    return ", ".join(parts)


def training(one: Numbers, score: Score) -> str:
    """A training in words."""
    head = f"trial {one['trial']}" if "trial" in one else f"row {one['row'] + 1}"
    marks = ", on the front" * one["front"] + ", selected for the fit" * one["selected"]
    return f"{head}{marks}: {score.name} {reached(one['accuracy'], score)}, {architecture(one)}"


def expected(one: Numbers, score: Score) -> str:
    """A rule's answer in words."""
    found = one["accuracy"]
    told = f"expected {reached(found['mean'], score)} ({span_words(found, score)}, 90 %)"
    beyond = "" if found["in_range"] else ", outside the range of the trainings"
    return f"{one['rule']} at {format_count(one['budget'])} MACs: {told}{beyond}, {architecture(one)}"


def scatter(numbers: Numbers) -> str:
    """Accuracy over MACs: every training, the front and its curve, and what the published rules would give."""
    trainings, front, score = numbers["trainings"], numbers["front_accuracy"], judged_by(numbers)
    answers = [one for one in numbers["answers"] if one["accuracy"]]
    costs = [one["macs"] for one in [*trainings, *answers, *front]]
    heights = [one["accuracy"] for one in trainings] + [one["accuracy"]["mean"] for one in answers]
    heights += [one["mean"] for one in front] + [one["accuracy"] for one in numbers["ladder"]]
    x, y = spanning(costs, 66, 548, log=True), spanning([score.drawn(one) for one in heights], 350, 30)
    title = f"{score.name[:1].upper()}{score.name[1:]} over MACs: trainings, front and published rules"
    drawing = Drawing(title, 560, 394, x, y, "scatter")
    drawing.frame(MACS, f"{score.title}{score.axis}", format_count, lambda one: f"{one:.4g}")
    macs = [one["macs"] for one in front]
    lower, mean, upper = ([score.drawn(one[end]) for one in front] for end in ("lower", "mean", "upper"))
    drawing.band(macs, lower, upper, "learned")
    drawing.line(macs, mean, "learned")
    _rules(drawing, [one for one in answers if one["rule"] != "learned"], score)
    for shown, kind, end in (
        ([one for one in trainings if one["front"]], "front", x.high),
        (numbers["ladder"], "answer", _ends(numbers)),
    ):
        _steps(drawing, [(one["macs"], score.drawn(one["accuracy"])) for one in shown], kind, end)
    for one in sorted(trainings, key=lambda each: bool(each["selected"])):
        shape, kind = ("diamond", "selected") if one["selected"] else ("circle", "training")
        drawing.mark(one["macs"], score.drawn(one["accuracy"]), shape, kind, training(one, score))
    drawing.cursor("macs")
    return drawing.svg("big plot")


def _steps(drawing: Drawing, points: Iterable[tuple[float, float]], kind: str, end: float) -> None:
    """What holds from one point's place to the next one's, and to an end: the most that was reached for a budget."""
    xs: list[float] = []
    ys: list[float] = []
    for x, y in sorted(points):
        xs += [x] * (1 + bool(ys))
        ys += [*ys[-1:], y]
    if ys:
        drawing.line([*xs, end], [*ys, ys[-1]], kind)


def _ends(numbers: Numbers) -> float:
    """The largest budget that the ladder answers."""
    return float(numbers["formula"]["macs_range"][1]) if numbers["ladder"] else 0.0


def _rules(drawing: Drawing, answers: list[Numbers], score: Score) -> None:
    """What rules are expected to reach, those of one budget side by side."""
    rules = [rule for rule in RULE_SHAPES if any(one["rule"] == rule for one in answers)]
    for one in answers:
        found, rule = one["accuracy"], one["rule"]
        shift = ASIDE * (rules.index(rule) - (len(rules) - 1) / 2)
        low, high = sorted(score.drawn(found[end]) for end in ("lower", "upper"))
        drawing.interval(one["macs"], low, high, rule, shift)
        kind = f"rule {rule}" + ("" if found["in_range"] else " outside")
        drawing.mark(one["macs"], score.drawn(found["mean"]), RULE_SHAPES[rule], kind, expected(one, score), shift)


def multiplier(numbers: Numbers, name: str, label: str) -> str:
    """r, d or w over c: the learned curve with its band, compound scaling's, and the trainings."""
    points = [(one, one[name]) for one in numbers["trainings"] if isinstance(one.get(name), float)]
    return _curve(numbers, name, label, points, log=True)


def stage(numbers: Numbers, kind: str, index: int) -> str:
    """The width or depth of one stage over c, with the trainings selected for the fit, or else those of the front."""
    key, label = f"{kind}_{index + 1}", f"stage {index + 1}: {kind} ({'channels' if kind == 'width' else 'blocks'})"
    mark = "selected" if numbers["formula"] else "front"
    chosen = [one for one in numbers["trainings"] if one[mark] and f"{kind}s" in one]
    return _curve(numbers, key, label, [(one, one[f"{kind}s"][index]) for one in chosen], log=False)


def _curve(numbers: Numbers, key: str, label: str, points: list[tuple[Numbers, float]], log: bool) -> str:
    learned, compound = (numbers[name].get(key, []) for name in ("curves", "compound_curves"))
    parts = [*learned, *compound]
    steps, one_c = _rungs(numbers, key), numbers["base"]["macs"]
    across = [c for part in parts for c in part["c"]] + [one["c"] for one, _ in points]
    heights = [value for part in parts for value in part["mean"]] + [value for _, value in points]
    heights += [value for _, value in steps]
    y = _within(heights, learned, log)
    drawing = Drawing(f"{label} over c", 320, 220, spanning(across, 46, 310, log=True), y, f"curve-{key}")
    drawing.frame("c = MACs over the base network's", label, short, short, whole=not log)
    for part in learned:
        drawing.band(part["c"], part["lower"], part["upper"], "learned")
    for part in compound:
        drawing.line(part["c"], part["mean"], "compound")
    for part in learned:
        drawing.line(part["c"], part["mean"], "learned")
    _steps(drawing, steps, "answer", _ends(numbers) / one_c)
    for one, value in points:
        shape, kind = ("diamond", "selected") if one["selected"] else ("circle", "training")
        # Few points tell their architecture twice: the scatter does for all.
        drawing.mark(
            one["c"], value, shape, f"{kind} little", training(one, judged_by(numbers)) if one["selected"] else ""
        )
    drawing.cursor("c")
    return drawing.svg("small plot")


def _rungs(numbers: Numbers, key: str) -> list[tuple[float, float]]:
    """What the ladder's networks have over c: r, or a stage's width or depth; integers have no one d or w."""
    kind, _, stage = key.partition("_")
    if kind not in ("r", "width", "depth"):
        return []
    base = numbers["base"]
    return [
        (
            one["macs"] / base["macs"],
            one[f"{kind}s"][int(stage) - 1] if stage else one["resolution"] / base["resolution"],
        )
        for one in numbers["ladder"]
    ]


def _within(heights: list[float], learned: list[Numbers], log: bool) -> Axis:
    """The axis of what was measured and drawn; bands may leave it, by half of its extent at most."""
    plain = spanning(heights, 182, 26, log)
    ends = [value for part in learned for end in ("lower", "upper") for value in part[end]]
    if log:
        low, high = plain.low / (plain.high / plain.low) ** 0.5, plain.high * (plain.high / plain.low) ** 0.5
    else:
        low, high = max(0.0, plain.low - (plain.high - plain.low) / 2), plain.high + (plain.high - plain.low) / 2
    kept = [min(max(value, low), high) for value in ends if value > 0]
    return spanning([*heights, *kept], 182, 26, log, margin=0.03)


def short(value: float) -> str:
    """A tick's number.

    Example:
        >>> short(0.05), short(2000.0)
        ('0.05', '2000')
    """
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def stage_bars(
    numbers: Numbers, what: str, label: str, value: Callable[[Numbers, int], float], names: list[str]
) -> str:
    """Bars of each part of the learned architectures, side by side for rising budgets."""
    learned = [one for one in numbers["answers"] if one["rule"] == "learned"]
    shown = learned[:: max(1, (len(learned) - 1) // (BARS - 1))]
    if not shown:
        return ""
    table = [[value(one, i) for one in shown] for i in range(len(names))]
    top = max(max(row) for row in table)
    x, y = Axis(0, len(names), 46, 552), Axis(0, 1.08 * top, 180, 26)
    drawing = Drawing(f"{label}, by part and budget", 560, 220, x, y, f"bars-{what}")
    places = {i + 0.5: name for i, name in enumerate(names)}
    drawing.frame("part of the network", label, lambda one: places[one], short, list(places), whole=True)
    width = 0.8 * (x.at(1) - x.at(0)) / len(shown)
    for i, row in enumerate(table):
        for k, height in enumerate(row):
            one, left = shown[k], x.at(i + 0.1) + k * width
            told = f"{names[i]} at {format_count(one['budget'])} MACs: {label} {short(height)}; {architecture(one)}"
            drawing.bar(left, y.at(height), 0.88 * width, y.at(0) - y.at(height), f"step{k}", told)
    return drawing.svg("big plot")


def calibration(numbers: Numbers) -> str:
    """Measured scores over those expected by a surrogate that had not seen the training."""
    found, score = numbers["calibration"], judged_by(numbers)
    known = {one["row"]: one for one in numbers["trainings"]}
    values = [score.drawn(one[name]) for one in found["rows"] for name in ("measured", "expected")]
    x, y = spanning(values, 60, 410), spanning(values, 370, 26)
    drawing = Drawing(f"Measured over expected {score.name}, out of fold", 420, 420, x, y, "calibration")
    seen = f"expected {score.name}, not having seen it{score.axis}"
    drawing.frame(seen, f"measured {score.name}{score.axis}", short, short)
    drawing.line([x.low, x.high], [x.low, x.high], "even")
    for one in found["rows"]:
        inside = one["inside_90"] is not False
        place = "inside" if inside else "outside"
        what = training(known[one["row"]], score) if one["row"] in known else f"row {one['row'] + 1}"
        told = f"expected {reached(one['expected'], score)}, {place} the 90 % interval; {what}"
        shape, kind = ("circle", "training") if inside else ("cross", "missed")
        drawing.mark(score.drawn(one["expected"]), score.drawn(one["measured"]), shape, kind, told)
    return drawing.svg("square plot")


def time_plot(rows: list[Numbers]) -> str:
    """Hours by what chose the trainings and what became of them."""
    shown = [one for one in rows if one["seconds"] > 0][:12]
    if not shown:
        return ""
    height = 46 + 26 * len(shown)
    x = Axis(0, max(one["seconds"] for one in shown) / 3600 * 1.05, 170, 550)
    drawing = Drawing("Hours by origin and status", 560, height, x, Axis(0, 1, height - 40, 4), "time")
    for value in x.ticks():
        drawing.text(x.at(value), height - 24, short(value), "middle")
    drawing.text((x.start + x.end) / 2, height - 6, "hours of training", "middle", "label")
    for i, one in enumerate(shown):
        name, hours = f"{one['origin']}, {one['status']}", one["seconds"] / 3600
        told = f"{name}: {hours:.3g} hours, {one['trainings']} trainings"
        drawing.text(164, 24 + 26 * i, name if len(name) < 26 else f"{name[:24]}..", "end")
        kind = "ok" if one["status"] == "ok" else "failed"
        drawing.bar(x.start, 9 + 26 * i, x.at(hours) - x.start, 20, kind, told)
    return drawing.svg("big plot")
