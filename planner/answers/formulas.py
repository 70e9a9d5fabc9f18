"""Which formula answers: of those that are known, the one asked for, or the first that covers the budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from planner.answers.formula import Formula
from planner.errors import PlannerError
from planner.formulas.choice import Choice, chosen
from planner.formulas.codec import read_formula, read_formula_file
from planner.formulas.formula import FormulaCurves
from planner.rules import compound
from planner.study.folder import LAST, existing, folder_of
from planner.text.shipped import reference_formula, shipped_formula
from sampler import Limit
from sampler import base as base_named

_F = TypeVar("_F", bound=FormulaCurves)
_NO_FORMULA = (
    "none learned for {base} yet, so this is compound scaling with EfficientNet's constants; "
    "learn its own with `planner run --base {base}`"
)


def formula_for(
    macs: float | None,
    limits: Sequence[Limit] = (),
    formula: str | None = None,
    study: str | None = None,
    base: str | None = None,
    resolution: int | None = None,
    classes: int | None = None,
    extrapolate: bool = False,
) -> Choice:
    """The formula that answers: the one asked for, or of the last study's and the shipped ones the one that reaches.

    Args:
        macs: Budget of multiply-accumulates of one image, or None.
        limits: Further costs that must not be passed.
        formula: File of the formula asked for.
        study: Name of the study whose formula is asked for.
        base: Name of the base network.
        resolution: Resolution of the base network that the formula is applied to, in pixels; its own by default.
        classes: Outputs of the classifier that the formula is applied to.
        extrapolate: Whether the nearest formula may answer outside its range.

    Raises:
        PlannerError: If the one asked for is not there, or none reaches the budgets.
    """
    if formula and study:
        raise PlannerError("give --formula or --study, not both")
    known = _asked_for(formula, study, base) if formula or study else _known(base)
    applied = ((source, candidate.at(resolution, classes)) for source, candidate in known)
    return chosen(applied, macs, limits, extrapolate)


def fitted_formula(study: str | None) -> Formula:
    """The formula that was fitted last to a study; of the last study by default.

    Raises:
        PlannerError: If there is no such study, it has none yet, or its file is damaged.
    """
    return Formula.load(_path_in(study))


def _path_in(study: str | None) -> Path:
    path = folder_of(study) / "formula.json"
    if not path.is_file():
        existing(study)  # refuses one that is not there
        raise PlannerError(f"{path.parent}: no formula yet; run `planner fit --study {path.parent.name}`")
    return path


def _asked_for(formula: str | None, study: str | None, base: str | None) -> Iterator[tuple[str, FormulaCurves]]:
    """The formula of a file or of a study."""
    path = Path(formula) if formula else _path_in(study)
    asked = read_formula_file(path, FormulaCurves)
    if base is not None and base != asked.base:
        raise PlannerError(f"{path} is a formula for {asked.base}, not for {base}; leave --base out")
    yield str(path), asked


def _known(base: str | None) -> Iterator[tuple[str, FormulaCurves]]:
    """The last study's formula, and those that ship for the base network, or else compound scaling."""
    own = folder_of(None) / "formula.json"
    if LAST.is_file() and own.is_file():
        loaded = read_formula_file(own, FormulaCurves)
        if base in (None, loaded.base):
            yield str(own), loaded
    name = base_named(base or "efficientnet_b0").name
    yield from shipped_formulas(name, FormulaCurves)
    if shipped_formula(name) is None:
        yield _NO_FORMULA.format(base=name), compound(name)


def shipped_formulas(name: str, kind: type[_F]) -> Iterator[tuple[str, _F]]:
    """The formulas that ship for a base network, the reference study's first, and where each is from in words."""
    if (text := reference_formula(name)) is not None:
        studied = read_formula(text, kind, "the reference study's formula", shipped=True)
        yield "shipped with the planner, learned in its reference study (results/reference)", studied
    if (text := shipped_formula(name)) is not None:
        published = read_formula(text, kind, "the shipped formula", shipped=True)
        yield f"shipped with the planner, from published {name} networks", published
