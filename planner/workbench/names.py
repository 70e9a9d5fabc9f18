"""What ships and what was saved, by its name: base networks and formulas."""

from __future__ import annotations

from pathlib import Path

from planner.answers.formula import Formula
from planner.answers.formulas import shipped_formulas
from sampler import BaseNetwork, base, base_names


def bases() -> dict[str, BaseNetwork]:
    """The base networks by their names."""
    return {name: base(name) for name in base_names(installed=True)}


def load_formula(source: str | Path) -> Formula:
    """A formula that was saved, or one that ships.

    Args:
        source: File of the formula, as `Formula.save` and `planner fit` write it; or the name of a base network for
            which one ships: that of the reference study, or else of published networks.

    Raises:
        PlannerError: If there is no such file, or it is damaged.
    """
    if isinstance(source, str) and source in base_names():
        for _, formula in shipped_formulas(source, Formula):
            return formula
    return Formula.load(source)
