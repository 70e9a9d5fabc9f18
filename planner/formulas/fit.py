"""Fits formulas to a table of observations, with scikit-learn's Gaussian processes."""

from __future__ import annotations

import platform
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner import pareto
from planner.errors import PlannerError
from planner.formulas.curve import Curve
from planner.formulas.formula import Branch, Direction, Formula, Kind
from planner.formulas.stages import StageCurves, column_ranges, stage_curves
from planner.table import Table, as_table
from sampler import RULES
from sampler import base as base_named
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS: tuple[Direction, ...] = ("shrink", "enlarge")
# A direction is fitted where it has so many points; fewer would be followed one by one.
FEWEST_POINTS = 4
# Points this near c = 1 belong to both directions: TinyNet's window ends at 1.05.
OVERLAP = 1.05
# Of r and d about their curve, in logs: rounding alone scatters them by some percent.
NOISE_BOUNDS = (4e-4, 0.5)
# In log c: shorter scales would follow single trainings.
LENGTH_BOUNDS = (0.7, 20.0)
RESTARTS = 4
SMALLEST_ERROR = 1e-6  # of a training that makes no mistake: its log must be finite


def fit(
    table: Table | pd.DataFrame | str | Path,
    kind: Kind = "loglinear",
    share: float = pareto.SHARE,
    seed: int = 0,
    base: str | None = None,
) -> Formula:
    """Fits budget -> (r, d) to the front of a table.

    Args:
        table: Observations: a CSV file, or a frame with the columns described in `planner.table`.
        kind: `"loglinear"`: log r over log c, a power law plus a Gaussian process; `"tinynet"`: r over c, a
            zero-mean Gaussian process with an RBF kernel, as section 3.2 of the paper has it.
        share: Share of the rows that NSGA-III keeps.
        seed: Of ties in the selection and of restarts in the fit.
        base: The base network, where the table does not say.

    Raises:
        PlannerError: If the table cannot be used, or no direction has enough points.
    """
    table = as_table(table, base)
    frame = table.frame
    front = frame.iloc[pareto.select(frame["accuracy"], frame["macs"], share, seed=seed)]
    branches: dict[Direction, Branch] = {}
    errors: dict[str, float] = {}
    for direction in DIRECTIONS:
        points, seen = one_side(front, direction), one_side(frame, direction)["c"]
        if len(points) < FEWEST_POINTS:
            continue
        c = points["c"].to_numpy()
        r, errors[f"{direction}_r"] = _curve(c, points["r"].to_numpy(), kind, seed)
        d, errors[f"{direction}_d"] = _curve(c, points["d"].to_numpy(), kind, seed)
        rule = _rule(points, table.base)
        stages, of_stages = _stages(points, table, rule, seed)
        errors |= {f"{direction}_{name}": error for name, error in of_stages.items()}
        branches[direction] = Branch(rule, (float(seen.min()), float(seen.max())), r, d, stages)
    if not branches:
        raise PlannerError(f"{len(front)} points on the front are too few to fit; train at least {FEWEST_POINTS}")
    error = 1 - front["accuracy"].to_numpy()
    accuracy, errors["log_error"] = _error_curve(front["c"].to_numpy(), error, _log_noise(table, front), seed)
    if table.noise_variance is not None:
        errors["accuracy_between_seeds"] = float(np.sqrt(table.noise_variance))
    return Formula(
        base=table.base,
        resolution=table.resolution,
        classes=table.classes,
        base_macs=table.base_macs,
        kind=kind,
        branches=branches,
        accuracy=accuracy,
        front=tuple(_point(row) for _, row in front.iterrows()),
        errors=errors,
        provenance=_provenance(table, seed, share),
    )


def one_side(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """The rows of one direction; those near c = 1 belong to both."""
    return frame[frame["c"] <= OVERLAP] if direction == "shrink" else frame[frame["c"] >= 1 / OVERLAP]


def _curve(c: FloatArray, values: FloatArray, kind: Kind, seed: int) -> tuple[Curve, float]:
    """The curve of r or d, and its leave-one-out RMSE (in logs for `loglinear`)."""
    if kind == "loglinear":
        return _gaussian_process(np.log(c), np.log(values), "log", "log", 0.0, True, seed)
    if kind == "tinynet":
        return _gaussian_process(c, values, "identity", "identity", 0.0, False, seed)
    raise PlannerError(f"kind {kind!r} is unknown; known kinds: loglinear, tinynet")


def _stages(points: pd.DataFrame, table: Table, rule: str, seed: int) -> tuple[StageCurves | None, dict[str, float]]:
    """The curves of the stages where the front was not scaled uniformly, and their leave-one-out RMSE in logs."""

    def smooth(x: FloatArray, y: FloatArray, at_one: float, scale: str) -> tuple[Curve, float]:
        return _gaussian_process(x, y, "log", scale, at_one, True, seed)

    network = replace(base_named(table.base), resolution=table.resolution)
    return stage_curves(points, table.frame, network, rule, table.classes, smooth) or (None, {})


def _log_noise(table: Table, front: pd.DataFrame) -> float:
    """Variance of log error that the seeds alone make in a usual row of the front; 0 where nobody measured it."""
    if table.noise_variance is None:
        return 0.0
    error = np.clip(1 - front["accuracy"], SMALLEST_ERROR, None)  # to first order, d log e = d e / e
    return float(np.median(table.noise_variance / front["repeats"] / error**2))


def _error_curve(c: FloatArray, error: FloatArray, noise: float, seed: int) -> tuple[Curve, float]:
    """Top-1 error of the front over c: a power law plus a Gaussian process, in logs, of at least that noise."""
    x, y = np.log(c), np.log(np.clip(error, SMALLEST_ERROR, None))
    offset = float(np.polynomial.Polynomial.fit(x, y, 1).convert().coef[0]) if np.ptp(x) else float(y.mean())
    return _gaussian_process(x, y, "log", "log", offset, True, seed, noise)


def _gaussian_process(
    x: FloatArray,
    y: FloatArray,
    input_scale: Any,
    output_scale: Any,
    offset: float,
    linear: bool,
    seed: int,
    least_noise: float = 0.0,
) -> tuple[Curve, float]:
    """Hyper-parameters by maximum likelihood, then the posterior in closed form, and its leave-one-out RMSE.

    Leave-one-out residuals at fixed hyper-parameters are alpha_i / precision_ii (Rasmussen & Williams 2006,
    Eq. 5.12).
    """
    slope_variance, variance, length_scale, noise = _hyperparameters(x, y - offset, linear, seed, least_noise)
    covariance = slope_variance * np.outer(x, x)
    covariance += variance * np.exp(-0.5 * ((x[:, None] - x[None, :]) / length_scale) ** 2)
    precision = np.linalg.inv(covariance + noise * np.eye(len(x))).astype(np.float64)
    alpha = precision @ (y - offset)
    slope = slope_variance * float(x @ alpha)
    curve = Curve(
        input_scale, output_scale, offset, slope, slope_variance, variance, length_scale, noise, x, alpha, precision
    )
    return curve, float(np.sqrt(np.mean((alpha / np.diag(precision)) ** 2)))


def _hyperparameters(
    x: FloatArray, y: FloatArray, linear: bool, seed: int, least_noise: float
) -> tuple[float, float, float, float]:
    """Variance of the slope, variance and length scale of the RBF, and noise variance."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    lengths = LENGTH_BOUNDS if linear else (0.05, 20.0)  # over raw c the tiny networks lie within 0.06
    least = min(max(NOISE_BOUNDS[0], least_noise), 0.99 * NOISE_BOUNDS[1])
    smooth = ConstantKernel(0.05, (1e-4, 10.0)) * RBF(1.0, lengths) + WhiteKernel(
        max(0.01, least), (least, NOISE_BOUNDS[1])
    )
    trend = ConstantKernel(0.1, (1e-3, 10.0)) * DotProduct(sigma_0=0.0, sigma_0_bounds="fixed")
    kernel = trend + smooth if linear else smooth
    process = GaussianProcessRegressor(kernel, n_restarts_optimizer=RESTARTS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a value at its bound is an answer here
        process.fit(x[:, None], y)
    found = process.kernel_.get_params()
    prefix = "k2__" if linear else ""
    return (
        float(found["k1__k1__constant_value"]) if linear else 0.0,
        float(found[f"{prefix}k1__k1__constant_value"]),
        float(found[f"{prefix}k1__k2__length_scale"]),
        float(found[f"{prefix}k2__noise_level"]),
    )


def _rule(points: pd.DataFrame, base_name: str) -> str:
    """The rule that made most of the points; the base network's own where the table does not say."""
    if "rule" not in points or points["rule"].dropna().empty:
        return base_named(base_name).rule
    counts = points["rule"].value_counts()
    rule = min(counts[counts == counts.max()].index)
    if rule not in RULES:
        raise PlannerError(f"scaling rule {rule!r} in the table is unknown; known rules: {', '.join(RULES)}")
    return str(rule)


def _point(row: pd.Series) -> dict[str, Any]:
    """One point of the front, in JSON's types."""
    point: dict[str, Any] = {
        name: float(row[name]) for name in ("c", "r", "d", "w", "accuracy") if np.isfinite(row[name])
    }
    point["macs"] = int(row["macs"])
    trial = row.get("trial")
    if trial is not None and trial == trial:  # a missing one is None or NaN
        point["trial"] = trial if isinstance(trial, str) else int(trial)
    return point


def _provenance(table: Table, seed: int, share: float) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "rows": len(table.frame),
        "ranges": column_ranges(table.frame, len(base_named(table.base).stages)),
        "left_out": table.left_out,
        "table_sha256": table.sha256,
        "seed": seed,
        "share": share,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("scaling-planner", "numpy", "scikit-learn", "pymoo")},
        },
    }
