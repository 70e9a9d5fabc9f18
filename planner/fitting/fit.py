"""Fits formulas to a table of observations: selection, curves of r and d in each direction, accuracy of the front."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from planner.answers.formula import Formula
from planner.errors import PlannerError
from planner.fitting import grid
from planner.fitting.curves import FEWEST_POINTS
from planner.fitting.directions import (
    DIRECTIONS,
    Directions,
    compound_directions,
    distilled_directions,
    distilling_loss,
    fitted_directions,
    one_side,
    rule_of_most,
)
from planner.fitting.ladder import with_ladder
from planner.fitting.points import listed_front, training_point, training_points
from planner.fitting.scaled_score import ScaledScore
from planner.fitting.transfer import prior_named
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import FORMULA_KINDS, FormulaKind
from planner.formulas.networks import stages_varied, with_integers
from planner.formulas.selection import (
    FitSelection,
    belief,
    learned_rows,
    noise_variances,
    observed_accuracy,
    select,
    with_stopped,
)
from planner.formulas.stages import column_ranges
from planner.front import pareto
from planner.gaussian.curve import Curve
from planner.gaussian.curve_fit import LOGLINEAR, fit_process
from planner.surrogates.answer_model import AnswerModel, answer_model
from planner.tables.chance import guessing, warning_of
from planner.tables.table import Table, as_table
from planner.text.deferred import pd
from sampler import base as base_named
from sampler.architecture import FloatArray
from sampler.checks import checked_number, shown
from sampler.moves import integer_names
from sampler.seeds import checked_seed

SMALLEST_ERROR = 1e-6  # of a training that makes no mistake: its log must be finite


def fit(
    table: Table | pd.DataFrame | str | Path,
    kind: str = "loglinear",
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
        seed: Random seed of ties in the selection and of restarts in the fit.
        base: The base network, where the table does not say.
        raw: Whether curves go through the front of the accuracies as observed, as the papers' do; a surrogate (which
            tables of fewer than 20 trainings do not get) is not asked.
        prior: An earlier formula, its file or the name of a study that has one: of another data set, or another base
            network. Its curves are the prior mean, with the weight that leave-one-out on this table gives them.

    Raises:
        PlannerError: If the table cannot be used, no direction has enough points, or the prior does not fit the kind.
    """
    if not isinstance(kind, str) or kind not in FORMULA_KINDS:
        raise PlannerError(f"kind {shown(kind)} is unknown; known kinds: {', '.join(FORMULA_KINDS.names())}")
    checked_number("share", share, 0, 1)
    if prior is not None and not isinstance(prior, FormulaCurves | str | Path):
        raise PlannerError(f"prior is {shown(prior)}; a formula, its file or the name of a study is wanted")
    if prior is not None and FORMULA_KINDS[kind].scale is None:
        raise PlannerError(f"kind {kind} has no curves that could depart from a --prior; use --kind loglinear")
    import scipy.linalg  # noqa: F401  # what is loaded later is not limited

    # Sums of several threads end otherwise in the last digit, and the same table would not give the same file; for so
    # small matrices threads gain nothing, and on a busy machine they wait for each other.
    with threadpool_limits(1):
        return _fit(with_integers(as_table(table, base)), FORMULA_KINDS[kind], share, checked_seed(seed), raw, prior)


def _fit(
    table: Table, kind: FormulaKind, share: float, seed: int, raw: bool, prior: FormulaCurves | str | Path | None
) -> Formula:
    earlier = _earlier(table, prior)
    _check(table)
    selection = select(table, share, seed, raw)
    front = selection.front_of(table)
    answers = _answers(table, selection, seed)
    provenance = _provenance(table, selection, seed, share)
    if kind.fit is None and kind.scale is None:
        directions, facts = _by_grid(table, selection, front, seed, raw)
    else:
        directions, facts = _by_curves(table, kind, front, answers, seed, provenance["ranges"], earlier)
    if not directions:
        raise PlannerError(_too_few(front))
    provenance |= facts
    provenance["curves"] = {
        f"{side}_{name}": fact for side, one in directions.items() for name, fact in one.facts.items()
    }
    accuracy, errors = _accuracy(table, selection, front, seed)
    warning = warning_of(table.frame["accuracy"], table.classes, table.score)
    formula = Formula(
        base=table.base,
        resolution=table.resolution,
        classes=table.classes,
        base_macs=table.base_macs,
        kind=kind.name,
        branches={side: fitted.branch for side, fitted in directions.items()},
        accuracy=accuracy,
        front=training_points(front),
        errors={**errors, **_errors(selection, directions)},
        provenance=provenance,
        surrogate=selection.surrogate,
        answers=answers,
        non_dominated=training_points(listed_front(table)),
        warnings=() if warning is None else (warning,),
        score=table.score.bounded(table.frame["accuracy"]),
    )
    return with_ladder(formula)


def _by_grid(
    table: Table, selection: FitSelection, front: pd.DataFrame, seed: int, raw: bool
) -> tuple[Directions, dict[str, Any]]:
    """The one compound rule that a grid search finds best, in every direction, and what was found."""
    surrogate = selection.surrogate or belief(table, seed).surrogate
    score = ScaledScore.of(surrogate, table, rule_of_most(table.frame, table.base))
    best = grid.search(score, _trainings(table, score.buildable), raw, selection.accuracy)
    facts = best.as_dict()
    if best.anchor.row is not None:
        facts["anchor"] = training_point(table.frame.iloc[best.anchor.row])
    return compound_directions(table, front, best), {"compound": facts}


def _by_curves(
    table: Table,
    kind: FormulaKind,
    front: pd.DataFrame,
    answers: AnswerModel | None,
    seed: int,
    ranges: dict[str, Any],
    earlier: tuple[FormulaCurves, str] | None,
) -> tuple[Directions, dict[str, Any]]:
    """Curves through the front, or distilled from the answers where these are known, and what was found."""
    if earlier is not None:
        prior, name = earlier
        return fitted_directions(table, front, kind, seed, prior), {"prior": {"name": name, **_identity(prior)}}
    directions = fitted_directions(table, front, kind, seed)
    if not kind.distilled or answers is None or answers.doubt:
        return directions, {}
    directions = distilled_directions(directions, table, answers, ranges)
    tried = {side: fitted.distilled.as_dict() for side, fitted in directions.items() if fitted.distilled}
    return directions, {"distilled": tried}


def _errors(selection: FitSelection, directions: Directions) -> dict[str, float]:
    """Errors of the surrogate and of the curves, by name."""
    errors = {}
    if selection.surrogate is not None:
        measured = selection.surrogate.errors.items()
        errors = {f"surrogate_{name}": error for name, error in measured if error is not None}
    for side, fitted in directions.items():
        errors |= {f"{side}_{name}": error for name, error in fitted.errors.items()}
    return errors | distilling_loss(directions)


def _answers(table: Table, selection: FitSelection, seed: int) -> AnswerModel | None:
    """What chooses the answer to a budget: where the surrogate reads integers, so that it can tell networks apart."""
    surrogate = selection.surrogate
    if surrogate is None or not set(surrogate.inputs) <= set(integer_names(base_named(table.base))):
        return None
    taught = with_stopped(table)
    rows, noise = learned_rows(len(taught.frame), seed), noise_variances(taught)
    noise = None if noise is None else noise[rows]
    return answer_model(taught.frame.iloc[rows], surrogate.inputs, noise_variance=noise, seed=seed, surrogate=surrogate)


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
    if guessing(accuracy, table.classes, table.score):
        return  # which is said first, and by the formula's file; a loop goes on
    least = SMALLEST_ERROR if table.score.is_accuracy else SMALLEST_ERROR * float(accuracy.abs().max())
    if accuracy.max() - accuracy.min() <= least:
        name = table.score.name
        all_of_them = "accuracies" if table.score.is_accuracy else f"values of {name}"
        raise PlannerError(
            f"all {rows} {all_of_them} are equal ({table.score.text(accuracy.iloc[0])}), so nothing tells one network "
            f"from another; check the column {name}, or train other networks"
        )
    if pareto.distinct_budgets(listed_front(table)["macs"]) < 2:
        raise PlannerError(
            f"the cheapest of {rows} trainings is the best of all, so 1 of them is on the front and no budget above it "
            f"pays; train longer, or check the columns macs and {table.score.name}"
        )


def _too_few(front: pd.DataFrame) -> str:
    """Why no direction could be fitted."""
    counts = ", ".join(f"{pareto.distinct_budgets(one_side(front, name)['macs'])} to {name}" for name in DIRECTIONS)
    return (
        f"too few distinct budgets among the {len(front)} trainings selected for the fit: {counts}, of at least "
        f"{FEWEST_POINTS} in one direction; train more"
    )


def _trainings(table: Table, buildable: grid.Buildable) -> grid.Trainings:
    c, r, d = (table.frame[name].to_numpy(dtype=np.float64) for name in ("c", "r", "d"))
    accuracy = observed_accuracy(table)
    scale = 1.0 if table.score.is_accuracy else float(np.ptp(accuracy))
    return grid.Trainings(c, r, d, accuracy, buildable, scale)


def _accuracy(table: Table, selection: FitSelection, front: pd.DataFrame, seed: int) -> tuple[Curve, dict[str, float]]:
    """Error of the front over c, a power law plus a Gaussian process in logs, and its leave-one-out error.

    Where a surrogate is believed, the trainings' scatter about what it expects is the least noise of a new one.
    """
    kinds = observed_accuracy(table), selection.expected, selection.accuracy
    measured, expected, believed = (_log_error(values, table) for values in kinds)
    noise = max(_log_noise(table, front), float(np.mean((measured - expected) ** 2)))
    x, y = np.log(front["c"].to_numpy()), believed[selection.rows]
    offset = float(np.polynomial.Polynomial.fit(x, y, 1).convert().coef[0]) if np.ptp(x) else float(y.mean())
    fitted = fit_process(x, y, LOGLINEAR, seed, offset, noise)
    errors = {"log_error": fitted.rmse}
    if table.noise_variance is not None:
        errors["accuracy_between_seeds"] = float(np.sqrt(table.noise_variance))
    return fitted.curve, errors


def _log_error(accuracy: FloatArray, table: Table) -> FloatArray:
    logs: FloatArray = np.log(_error(accuracy, table))
    return logs


def _error(accuracy: FloatArray, table: Table) -> FloatArray:
    """`(n,)` how much merits fall short of the best possible; never nothing, whose logarithm is infinite."""
    merits = observed_accuracy(table)
    most = table.score.bounded(merits).most
    least = SMALLEST_ERROR if table.score.is_accuracy else SMALLEST_ERROR * float((most - merits).max())
    errors: FloatArray = np.clip(most - accuracy, least, None)
    return errors


def _log_noise(table: Table, front: pd.DataFrame) -> float:
    """Variance of log error that the seeds alone make in a usual row of the front; 0 where nobody measured it."""
    if table.noise_variance is None:
        return 0.0
    error = _error(front["accuracy"].to_numpy(dtype=np.float64), table)  # to first order, d log e = d e / e
    return float(np.median(table.noise_variance / front["repeats"] / error**2))


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


def _provenance(table: Table, selection: FitSelection, seed: int, share: float) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "rows": len(table.frame),
        "stage_varied": [stages_varied(table), len(table.frame)],  # so many rows scaled stages apart, of so many
        "ranges": column_ranges(table.frame, base_named(table.base)),
        "left_out": table.left_out,
        **({} if table.stopped is None else {"expected_of_stopped": len(table.stopped)}),  # rows of the surrogate, too
        "table_sha256": table.sha256,
        "seed": seed,
        "share": share,
        "selection": {"by": selection.by, "why": selection.why},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("scaling-planner", "numpy", "scikit-learn", "pymoo")},
        },
    }
