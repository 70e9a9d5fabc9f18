"""What the formula and the published rules answer to some budgets, part by part, and what is expected of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.errors import InputError
from planner.formulas.columns import columns_of
from planner.formulas.formula import FormulaCurves
from planner.formulas.prediction import Prediction
from planner.formulas.stages import part_macs
from planner.report.source import ReportSource
from planner.rules import RuleAnswer, at_budget, compound
from sampler.architecture import FloatArray
from sampler.knobs import stack_alike

REPORT_BUDGETS = 9
_LEARNED = "learned"
# As they are drawn and listed; a rule that a base network cannot have is left out.
REPORT_RULES = ("compound", "fast", "resnet-rs", "regnet", "tinynet")


def budgets_of(source: ReportSource) -> list[int]:
    """Whole MACs, evenly spaced in their logarithm, over what the formula or else the table has seen."""
    macs = source.table.frame["macs"]
    low, high = source.formula.macs_range if source.formula else (float(macs.min()), float(macs.max()))
    return sorted({round(one) for one in np.geomspace(low, high, REPORT_BUDGETS).tolist()})


def answers_of(source: ReportSource) -> tuple[list[dict[str, Any]], list[str]]:
    """Every rule's network for every budget, in JSON's types; and which rules gave none, in words."""
    found: list[tuple[str, Prediction | RuleAnswer]] = []
    missing: list[str] = []
    table, budgets = source.table, budgets_of(source)
    for budget in budgets if source.formula else ():
        assert source.formula is not None
        try:
            found.append((_LEARNED, source.formula.predict(budget, extrapolate=True)))
        except InputError as error:
            missing.append(f"{_LEARNED} at {budget:,} MACs: {error}")
    for rule in REPORT_RULES:
        if rule == "regnet" and not table.base.startswith("regnet"):
            continue
        try:
            found += [(rule, at_budget(rule, table.base, one, table.resolution, table.classes)) for one in budgets]
        except InputError as error:
            missing.append(f"{rule}: {error}")
    return _listed(source, found), missing


def _listed(source: ReportSource, found: list[tuple[str, Prediction | RuleAnswer]]) -> list[dict[str, Any]]:
    """Answers with their costs, their parts and their expected accuracies."""
    if not found:
        return []
    table = source.table
    # Any formula of the base network at this size knows how to count; this one is always there.
    carrier = compound(table.base, table.resolution, table.classes)
    architectures = stack_alike(carrier.network, [answer.architecture for _, answer in found])
    parts, columns = part_macs(carrier.network, architectures, table.classes), columns_of(carrier, architectures)
    # A surrogate was taught the multipliers before rounding.
    columns |= {name: np.array([getattr(answer, name) for _, answer in found]) for name in "rdw"}
    accuracies = _expected(source, columns)
    listed = []
    for i, (rule, answer) in enumerate(found):
        one = answer.architecture
        numbers: dict[str, Any] = {"rule": rule, "budget": answer.budget, "macs": answer.macs, "params": answer.params}
        numbers |= {"resolution": one.resolution, "stem": one.stem, "head": one.head}
        numbers |= {"widths": list(one.widths), "depths": list(one.depths), "part_macs": parts[i].tolist()}
        numbers |= {"knobs": one.as_dict()["knobs"]} if one.knobs else {}
        numbers |= {name: getattr(answer, name) for name in "rdw"}
        listed.append(numbers | {"accuracy": accuracies[i] if accuracies else None})
    return listed


def _expected(source: ReportSource, columns: dict[str, FloatArray]) -> list[dict[str, Any]] | None:
    """Accuracies with 90 % intervals, and whether the inputs lie within those of the trainings."""
    surrogate = source.surrogate
    if surrogate is None:
        return None
    inputs = np.column_stack([columns[name] for name in surrogate.inputs])
    cost = columns[surrogate.cost] if surrogate.cost else None
    score = source.table.score
    mean, lower, upper = (
        [score.clipped(one) for one in part.tolist()] for part in surrogate.intervals_of(inputs, cost)
    )
    inside = surrogate.in_range_of(inputs, cost)
    return [
        {"mean": mean[i], "lower": lower[i], "upper": upper[i], "in_range": bool(inside[i])} for i in range(len(inputs))
    ]


def front_accuracy(formula: FormulaCurves) -> list[dict[str, float]]:
    """Expected accuracy of the front over MACs, with its 90 % interval; empty where none was fitted."""
    if formula.accuracy is None:
        return []
    points, score = [], formula.score
    for c in np.geomspace(*formula.c_range, 40).tolist():
        low, high = formula.accuracy.interval(c)
        mean = float(formula.accuracy(c)[0])
        ends = {"mean": score.most - mean, "lower": score.most - high, "upper": score.most - low}
        points.append({"macs": c * formula.base_macs, **{name: score.clipped(one) for name, one in ends.items()}})
    return points
