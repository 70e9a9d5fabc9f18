"""The kinds of formulas: how the curves of each are fitted, described, and read from a file. One table for everybody.

A kind of your own is an object of `FormulaKind` with `fit` and `read`, registered before it is used:

    register_formula_kind(FormulaKind("straight", "straight lines", "a straight line; leave-one-out RMSE", logs=False,
                                      fit=fit_lines, read=lambda document: Line(**document)))
    formula = planner.fit(table, kind="straight")

Installed packages offer theirs as entry points `scaling_planner.formula_kinds`. A file of such a kind is read wherever
the kind is registered; pages and readers that do not know it say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sampler.registry import Registry

if TYPE_CHECKING:  # which needs numpy, and `planner --help` does without
    from planner.formulas.protocol import CurveFitter, CurveReader


@dataclass(frozen=True, eq=False)
class FormulaKind:
    """One kind of formula.

    Attributes:
        name: Name of the kind, as files and `planner fit --kind` have it.
        help: Words for its curves in `planner fit --help`.
        words: Words for its curves, and for the error that is told of them, in the line about each direction.
        logs: Whether errors are of logarithms of r and d.
        fit: Function that fits the curves of one direction; None for ours, which `planner.fitting` fits.
        read: Function that reads a curve of a formula file; None for ours, which every reader of the file knows.
        scale: Scale of c and of the multiplier in a Gaussian process through the points, for ours that are one.
        monotone: Whether curves that fall with the budget are made smoother.
        distilled: Whether curves are distilled from the answers over the whole range, where these are known.
        constants: Whether its curves are powers of c alone: alpha, beta and gamma say all of them.
    """

    name: str
    help: str
    words: str
    logs: bool = True
    fit: CurveFitter | None = None
    read: CurveReader | None = None
    scale: Literal["identity", "log"] | None = None
    monotone: bool = False
    distilled: bool = False
    constants: bool = False


FORMULA_KINDS = Registry[FormulaKind]("kind of formula", "scaling_planner.formula_kinds", "--kind")


def register_formula_kind(kind: FormulaKind) -> FormulaKind:
    """Adds a kind of formula to the table.

    Raises:
        PlannerError: If there is another of that name.
    """
    return FORMULA_KINDS.register(kind.name, kind)


_OURS = (
    FormulaKind(
        "loglinear",
        "a power law plus a Gaussian process on log c",
        "a power law and a learned departure; leave-one-out RMSE",
        scale="log",
        monotone=True,
        distilled=True,
    ),
    FormulaKind(
        "tinynet",
        "the paper's zero-mean RBF on c",
        "zero-mean Gaussian process on c; leave-one-out RMSE",
        logs=False,
        scale="identity",  # and stays the paper's, whatever shape its curves take
    ),
    FormulaKind(
        "compound",
        "the best single alpha, beta, gamma, by grid search",
        "a power law and nothing else; what was selected lies about it with RMSE",
        constants=True,
    ),
)
OUR_KINDS = tuple(kind.name for kind in _OURS)  # every reader of a formula file knows their curves
for _kind in _OURS:
    register_formula_kind(_kind)
