"""The numbers of architectures that a formula's surrogate may read."""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.formulas.record import FormulaRecord
from sampler.architecture import Architectures, FloatArray
from sampler.complexity import count
from sampler.knobs import knob_grids, with_own_knobs
from sampler.limits import EXACT
from sampler.moves import integer_names


def check_reads(formula: FormulaRecord) -> None:
    """Refuses a surrogate that reads what an architecture alone does not have.

    Raises:
        PlannerError: Naming it.
    """
    surrogate, cost = formula.surrogate, getattr(formula.surrogate, "cost", None)
    known = {*integer_names(formula.network), "r", "d", "w", "c", *EXACT}
    missing = [name for name in (*surrogate.inputs, *([cost] if cost else [])) if name not in known]
    if missing:
        raise PlannerError(
            f"the surrogate reads {' and '.join(missing)}, which an architecture alone does not have; fit one on "
            "resolution, width_1.. and depth_1.."
        )


def columns_of(formula: FormulaRecord, architectures: Architectures) -> dict[str, FloatArray]:
    """Every number of architectures that a surrogate may read, by name."""
    network = formula.network
    told = with_own_knobs(network, architectures, sorted(knob_grids(network)))
    names = integer_names(network)
    columns: dict[str, Any] = dict(zip(names, told.integers().T.astype(np.float64), strict=True))
    columns |= dict(zip("rdw", architectures.multipliers.T, strict=True))
    counted = count(architectures, formula.classes)
    columns |= {name: np.asarray(getattr(counted, name), dtype=np.float64) for name in EXACT}
    columns["c"] = columns["macs"] / formula.base_macs
    return columns
