"""Fits formulas to a table of observations: selection, curves of r and d in each direction, accuracy of the front."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from planner.answers.formula import Formula
from planner.errors import PlannerError
from planner.fitting import grid
from planner.fitting.curves import FEWEST_POINTS, FittedCurve, fit_curves
from planner.fitting.exam import Result, Task, distil
from planner.fitting.ladder import with_ladder
from planner.fitting.monotone import Shape, falls_between
from planner.fitting.scaled_score import ScaledScore
from planner.fitting.transfer import prior_curve, prior_named
from planner.formulas.branch import OVERLAP, Branch, Direction, Kind, answered
from planner.formulas.formula import FormulaCurves
from planner.formulas.networks import stages_varied, with_integers
from planner.formulas.selection import Selection, belief, learned_rows, noise_variances, observed, select
from planner.formulas.stages import StageCurves, column_ranges, stage_curves
from planner.front import pareto
from planner.gaussian.curve import Curve, power_law
from planner.gaussian.curve_fit import LOGLINEAR, fit_process
from planner.surrogates.answer_model import AnswerModel, answer_model
from planner.tables.chance import guessing, warning_of
from planner.tables.table import Table, as_table
from planner.text.deferred import pd
from sampler import RULES
from sampler import base as base_named
from sampler.architecture import FloatArray
from sampler.checks import checked_number, shown
from sampler.moves import column_names
from sampler.seeds import checked_seed

_DIRECTIONS: tuple[Direction, ...] = ("shrink", "enlarge")
_MOST_LISTED = 500  # points of the front that a formula's file holds
_POINT = ("c", "r", "d", "w", "accuracy", "expected")  # of a training, besides its integers
SMALLEST_ERROR = 1e-6  # of a training that makes no mistake: its log must be finite


@dataclass(frozen=True, eq=False)
class _Direction:
    """The branch of one direction, its errors by dimension, and what else is to be said of it."""

    branch: Branch
    errors: dict[str, float]
    facts: dict[str, dict[str, Any]]
    distilled: Result | None = None


def fit(
    table: Table | pd.DataFrame | str | Path,
    kind: Kind = "loglinear",
    share: float = pareto.FRONT_SHARE,
    seed: int = 0,
    base: str | None = None,
    raw: bool = False,
    prior: FormulaCurves | str | Path | None = None,
) -> Formula:
    """Fits budget -> (r, d) to the front of a table.

    Args:
        table: Observations: a CSV file, or a frame with the columns described in `planner.tables.table`.
        kind: `"loglinear"`: log r over log c, a power law plus a Gaussian process: distilled from the answers over the
            whole range (`planner.fitting.distil`) where a surrogate reads integers and there is no prior, else
            through the front; `"tinynet"`: r over c, a zero-mean Gaussian process with an RBF kernel, as section 3.2
            of the paper has it; `"compound"`: the best single alpha, beta, gamma with alpha beta^2 gamma^2 = 2, by a
            grid search over the table's surrogate; through the base network, or the best training of the middle
            budget where that is the better anchor.
        share: Share of the rows that NSGA-III keeps.
        seed: Of ties in the selection and of restarts in the fit.
        base: The base network, where the table does not say.
        raw: Whether curves go through the front of the accuracies as observed, as the papers' do; a surrogate (which
            tables of fewer than 20 trainings do not get) is not asked.
        prior: An earlier formula, its file or the name of a study that has one: of another data set, or another base
            network. Its curves are the prior mean, with the weight that leave-one-out on this table gives them.

    Raises:
        PlannerError: If the table cannot be used, no direction has enough points, or the prior does not fit the kind.
    """
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise PlannerError(f"kind {shown(kind)} is unknown; known kinds: {', '.join(get_args(Kind))}")
    checked_number("share", share, 0, 1)
    if prior is not None and not isinstance(prior, FormulaCurves | str | Path):
        raise PlannerError(f"prior is {shown(prior)}; a formula, its file or the name of a study is wanted")
    if prior is not None and kind == "compound":
        raise PlannerError("kind compound has no curves that could depart from a --prior; use --kind loglinear")
    import scipy.linalg  # noqa: F401  # what is loaded later is not limited

    # Sums of several threads end otherwise in the last digit, and the same table would not give the same file; for so
    # small matrices threads gain nothing, and on a busy machine they wait for each other.
    with threadpool_limits(1):
        return _fit(with_integers(as_table(table, base)), kind, share, checked_seed(seed), raw, prior)


def _fit(
    table: Table, kind: Kind, share: float, seed: int, raw: bool, prior: FormulaCurves | str | Path | None
) -> Formula:
    earlier = _earlier(table, prior)
    _check(table)
    selection = select(table, share, seed, raw)
    front = selection.front_of(table)
    provenance = _provenance(table, selection, seed, share)
    answers = _answers(table, selection, seed)
    if kind == "compound":
        surrogate = selection.surrogate or belief(table, seed).surrogate
        score = ScaledScore.of(surrogate, table, _rule(table.frame, table.base))
        best = grid.search(score, _trainings(table, score.buildable), raw, selection.accuracy)
        sides = _compound_sides(table, front, best)
        provenance["compound"] = best.as_dict()
        if best.anchor.row is not None:
            provenance["compound"]["anchor"] = _point(table.frame.iloc[best.anchor.row])
    else:
        sides = _sides(table, front, kind, seed, earlier[0] if earlier else None)
        if kind == "loglinear" and not earlier and answers is not None and not answers.doubt:
            sides = _distilled(sides, table, answers, provenance["ranges"])
            provenance["distilled"] = {name: side.distilled.as_dict() for name, side in sides.items() if side.distilled}
    if earlier:
        provenance["prior"] = {"name": earlier[1], **_identity(earlier[0])}
    if not sides:
        raise PlannerError(_too_few(front))
    provenance["curves"] = {f"{name}_{one}": fact for name, side in sides.items() for one, fact in side.facts.items()}
    accuracy, errors = _accuracy(table, selection, front, seed)
    if selection.surrogate is not None:
        measured = selection.surrogate.errors.items()
        errors.update({f"surrogate_{name}": error for name, error in measured if error is not None})
    for name, side in sides.items():
        errors.update({f"{name}_{one}": error for one, error in side.errors.items()})
    errors.update(_loss(sides))
    formula = Formula(
        base=table.base,
        resolution=table.resolution,
        classes=table.classes,
        base_macs=table.base_macs,
        kind=kind,
        branches={name: side.branch for name, side in sides.items()},
        accuracy=accuracy,
        front=_points(front),
        errors=errors,
        provenance=provenance,
        surrogate=selection.surrogate,
        answers=answers,
        non_dominated=_points(_front(table)),
        warnings=() if (why := warning_of(table.frame["accuracy"], table.classes)) is None else (why,),
    )
    return with_ladder(formula)


def _answers(table: Table, selection: Selection, seed: int) -> AnswerModel | None:
    """What chooses the answer to a budget: where the surrogate reads integers, so that it can tell networks apart."""
    surrogate = selection.surrogate
    if surrogate is None or not set(surrogate.inputs) <= set(column_names(len(base_named(table.base).stages))):
        return None
    rows, noise = learned_rows(len(table.frame), seed), noise_variances(table)
    noise = None if noise is None else noise[rows]
    return answer_model(table.frame.iloc[rows], surrogate.inputs, noise_variance=noise, seed=seed, surrogate=surrogate)


def _check(table: Table) -> None:
    """Refuses a table from which nothing can be learned, however many rows it has.

    Trainings at the level of chance, whose accuracies may all be equal, are warned of instead.

    Raises:
        PlannerError: If it has too few distinct budgets, all accuracies are equal, or the cheapest training is best.
    """
    accuracy, rows = table.frame["accuracy"], len(table.frame)
    budgets = pareto.distinct_budgets(table.frame["macs"])
    if budgets < FEWEST_POINTS:
        raise PlannerError(
            f"{rows} trainings of {budgets} distinct budget{'s' * (budgets != 1)} are too few to fit: networks of at "
            f"least {FEWEST_POINTS} different MACs are wanted; train more"
        )
    if guessing(accuracy, table.classes):
        return  # which is said first, and by the formula's file; a loop goes on
    if accuracy.max() - accuracy.min() < SMALLEST_ERROR:
        raise PlannerError(
            f"all {rows} accuracies are equal ({accuracy.iloc[0]:.1%}), so nothing tells one network from another; "
            "check the column accuracy, or train other networks"
        )
    if pareto.distinct_budgets(_front(table)["macs"]) < 2:
        raise PlannerError(
            f"the cheapest of {rows} trainings is the best of all, so 1 of them is on the front and no budget above it "
            "pays; train longer, or check the columns macs and accuracy"
        )


def _front(table: Table) -> pd.DataFrame:
    """The rows that no other dominates by what was observed, by rising MACs; evenly thinned where there are many."""
    frame = table.frame
    rows = frame[pareto.front_mask(frame["accuracy"], frame["macs"])].sort_values("macs", kind="stable")
    if len(rows) <= _MOST_LISTED:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, _MOST_LISTED).round().astype(int)]


def _too_few(front: pd.DataFrame) -> str:
    """Why no direction could be fitted."""
    counts = ", ".join(f"{pareto.distinct_budgets(one_side(front, name)['macs'])} to {name}" for name in _DIRECTIONS)
    return (
        f"too few distinct budgets among the {len(front)} trainings selected for the fit: {counts}, of at least "
        f"{FEWEST_POINTS} in one direction; train more"
    )


def one_side(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """The rows of one direction; those near c = 1 belong to both."""
    return frame[frame["c"] <= OVERLAP] if direction == "shrink" else frame[frame["c"] >= 1 / OVERLAP]


def _sides(
    table: Table, front: pd.DataFrame, kind: Any, seed: int, prior: FormulaCurves | None
) -> dict[Direction, _Direction]:
    """The curves of every direction that has points enough."""
    sides: dict[Direction, _Direction] = {}
    for direction in _DIRECTIONS:
        points, seen = one_side(front, direction), one_side(table.frame, direction)["c"]
        if pareto.distinct_budgets(points["macs"]) < FEWEST_POINTS:
            continue
        c_range = (float(seen.min()), float(seen.max()))
        scale = "log" if kind == "loglinear" else "identity"
        priors = (None, None) if prior is None else tuple(prior_curve(prior, direction, one, scale) for one in "rd")
        fitted = fit_curves(points["c"], points["r"], points["d"], kind, seed, c_range, (priors[0], priors[1]))
        rule = _rule(points, table.base)
        stages, errors = _stages(points, table, rule, seed)
        branch = Branch(rule, c_range, fitted.r.curve, fitted.d.curve, stages)
        facts = {name: _facts(getattr(fitted, name)) for name in "rd"}
        sides[direction] = _Direction(branch, {"r": fitted.r.rmse, "d": fitted.d.rmse, **errors}, facts)
    return sides


def _distilled(
    sides: dict[Direction, _Direction], table: Table, model: AnswerModel, ranges: dict[str, Any]
) -> dict[Direction, _Direction]:
    """Each direction with the curves distilled from the answers, where these lose less than those through the front.

    Where the front's stages were scaled apart, its curves stay: uniform networks do not say what r goes with them.
    """
    network, found = replace(base_named(table.base), resolution=table.resolution), dict(sides)
    for name, side in sides.items():
        branch = side.branch
        c_range = answered(branch.c_range, name, len(sides))
        if not c_range[1] > c_range[0] or branch.stages is not None:  # r goes with those stages, not with uniform ones
            continue
        task = Task(network, branch.rule, table.classes, table.base_macs, model, ranges, c_range)
        result = distil(task, (branch.r, branch.d))
        if result is None or not result.better:
            found[name] = replace(side, distilled=result)
            continue
        r, d = result.curves.r, result.curves.d
        falls = {"r": falls_between(r, c_range), "d": falls_between(d, c_range)}
        facts = {one: Shape(falls[one] is None, falls=falls[one]).as_dict() for one in "rd"}
        errors = {**side.errors, **result.curves.scatter}
        found[name] = _Direction(replace(branch, r=r, d=d), errors, facts, result)
    return found


def _loss(sides: dict[Direction, _Direction]) -> dict[str, float]:
    """What the formula's networks are expected to lose against the answers, on average over budgets."""
    results = [one.distilled for one in sides.values() if one.distilled is not None]
    losses = [loss for one in results for loss in (one.losses if one.better else one.losses_before)]
    return {"formula_loss": float(np.nanmean(losses))} if np.isfinite(losses).any() else {}


def _stages(points: pd.DataFrame, table: Table, rule: str, seed: int) -> tuple[StageCurves | None, dict[str, float]]:
    """The curves of the stages where the front was not scaled uniformly, and their leave-one-out RMSE in logs."""

    def smooth(x: FloatArray, y: FloatArray, at_one: float, scale: str) -> tuple[Curve, float]:
        form = LOGLINEAR if scale == "log" else replace(LOGLINEAR, output_scale="identity")
        fitted = fit_process(x, y, form, seed, at_one)
        return fitted.curve, fitted.rmse

    network = replace(base_named(table.base), resolution=table.resolution)
    return stage_curves(points, table.frame, network, rule, table.classes, smooth) or (None, {})


def _facts(fitted: FittedCurve) -> dict[str, Any]:
    """What a curve's fit found, in JSON's types."""
    facts = fitted.shape.as_dict()
    return facts if fitted.transfer is None else {**facts, "prior": fitted.transfer.as_dict()}


def _compound_sides(table: Table, front: pd.DataFrame, best: grid.Best) -> dict[Direction, _Direction]:
    """One rule for every direction that has trainings; its errors are how far the front's r and d lie from it."""
    sides: dict[Direction, _Direction] = {}
    for direction in _DIRECTIONS:
        rows, points = one_side(table.frame, direction), one_side(front, direction)
        c, extent = rows["c"], float(np.abs(np.log(rows["c"])).max()) if len(rows) else 0.0
        if extent <= np.log(OVERLAP):
            continue
        curves = dict(zip("rd", map(power_law, (best.g, best.a), best.at_one), strict=True))
        departures = {name: np.log(points[name]) - curve.mean(points["c"]) for name, curve in curves.items()}
        errors = {name: float(np.sqrt(np.mean(one**2))) for name, one in departures.items() if len(one)}
        branch = Branch(_rule(rows, table.base), (float(c.min()), float(c.max())), curves["r"], curves["d"])
        sides[direction] = _Direction(branch, errors, {})
    return sides


def _trainings(table: Table, buildable: grid.Buildable) -> grid.Trainings:
    c, r, d = (table.frame[name].to_numpy(dtype=np.float64) for name in ("c", "r", "d"))
    return grid.Trainings(c, r, d, observed(table), buildable)


def _accuracy(table: Table, selection: Selection, front: pd.DataFrame, seed: int) -> tuple[Curve, dict[str, float]]:
    """Top-1 error of the front over c, a power law plus a Gaussian process in logs, and its leave-one-out error.

    Where a surrogate is believed, the trainings' scatter about what it expects is the least noise of a new one.
    """
    kinds = observed(table), selection.expected, selection.accuracy
    measured, expected, believed = (_log_error(values) for values in kinds)
    noise = max(_log_noise(table, front), float(np.mean((measured - expected) ** 2)))
    x, y = np.log(front["c"].to_numpy()), believed[selection.rows]
    offset = float(np.polynomial.Polynomial.fit(x, y, 1).convert().coef[0]) if np.ptp(x) else float(y.mean())
    fitted = fit_process(x, y, LOGLINEAR, seed, offset, noise)
    errors = {"log_error": fitted.rmse}
    if table.noise_variance is not None:
        errors["accuracy_between_seeds"] = float(np.sqrt(table.noise_variance))
    return fitted.curve, errors


def _log_error(accuracy: FloatArray) -> FloatArray:
    logs: FloatArray = np.log(np.clip(1 - accuracy, SMALLEST_ERROR, None))
    return logs


def _log_noise(table: Table, front: pd.DataFrame) -> float:
    """Variance of log error that the seeds alone make in a usual row of the front; 0 where nobody measured it."""
    if table.noise_variance is None:
        return 0.0
    error = np.clip(1 - front["accuracy"], SMALLEST_ERROR, None)  # to first order, d log e = d e / e
    return float(np.median(table.noise_variance / front["repeats"] / error**2))


def _rule(points: pd.DataFrame, base_name: str) -> str:
    """The rule that made most of the points; the base network's own where the table does not say."""
    if "rule" not in points or points["rule"].dropna().empty:
        return base_named(base_name).rule
    counts = points["rule"].value_counts()
    rule = min(counts[counts == counts.max()].index)
    if rule not in RULES:
        raise PlannerError(f"scaling rule {rule!r} in the table is unknown; known rules: {', '.join(RULES)}")
    return str(rule)


def _points(rows: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    return tuple(_point(row) for _, row in rows.iterrows())


def _point(row: pd.Series) -> dict[str, Any]:
    """One training, in JSON's types, with the integers of its network where they are known."""
    point: dict[str, Any] = {name: float(row[name]) for name in _POINT if _known(row, [name])}
    point |= {name: int(row[name]) for name in ("macs", "resolution", "stem", "head") if _known(row, [name])}
    for kind in ("width", "depth"):
        names = [str(name) for name in row.index if re.fullmatch(rf"{kind}_\d+", str(name))]
        if names and _known(row, names):
            point[f"{kind}s"] = [int(row[name]) for name in names]
    trial = row.get("trial")
    if trial is not None and trial == trial:  # a missing one is None or NaN
        point["trial"] = trial if isinstance(trial, str) else int(trial)
    return point


def _known(row: pd.Series, names: Sequence[str]) -> bool:
    """Whether a row holds finite numbers in some columns."""
    return all(name in row and pd.notna(row[name]) and np.isfinite(row[name]) for name in names)


def _earlier(table: Table, prior: FormulaCurves | str | Path | None) -> tuple[FormulaCurves, str] | None:
    """The prior and what to call it; refused where it knows the answers already."""
    if prior is None:
        return None
    found, name = (prior, prior.base) if isinstance(prior, FormulaCurves) else prior_named(str(prior))
    if found.provenance.get("table_sha256") == table.sha256:
        raise PlannerError(
            f"the prior {name} was fitted on this very table, so it would be believed; give another study's"
        )
    return found, name


def _identity(formula: FormulaCurves) -> dict[str, Any]:
    """What tells a prior from others."""
    return {"base": formula.base, "kind": formula.kind, "table_sha256": formula.provenance.get("table_sha256")}


def _provenance(table: Table, selection: Selection, seed: int, share: float) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "rows": len(table.frame),
        "stage_varied": [stages_varied(table), len(table.frame)],  # so many rows scaled stages apart, of so many
        "ranges": column_ranges(table.frame, len(base_named(table.base).stages)),
        "left_out": table.left_out,
        "table_sha256": table.sha256,
        "seed": seed,
        "share": share,
        "selection": {"by": selection.by, "why": selection.why},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("scaling-planner", "numpy", "scikit-learn", "pymoo")},
        },
    }
