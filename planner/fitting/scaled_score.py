"""What a surrogate expects of networks scaled by r and d at a cost: of the integers they make, where it reads those."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.formulas.vectors import NARROWEST
from planner.surrogates.surrogate import Surrogate
from planner.tables.table import Table
from sampler import BaseNetwork, ScalingRule, rule_named, scale
from sampler import base as base_named
from sampler.architecture import MAX_PIXELS, FloatArray, IntArray
from sampler.complexity import count
from sampler.knobs import knob_grids, with_own_knobs
from sampler.moves import integer_names
from sampler.solve import width_brackets


@dataclass(frozen=True, eq=False)
class ScaledScore:
    """A surrogate's expectation as a function of c, r and d, each `(n,)`; the width is what the exact MACs leave.

    Attributes:
        surrogate: Over r, d and MACs, or over an architecture's integers.
        network: The base network, at the resolution that r multiplies.
        rule: Rule by which multipliers become integers.
        classes: Outputs of the classifier.
        base_macs: MACs of c = 1.
    """

    surrogate: Surrogate
    network: BaseNetwork
    rule: ScalingRule
    classes: int
    base_macs: int

    @classmethod
    def of(cls, surrogate: Surrogate, table: Table, rule: str) -> ScaledScore:
        """The score of a table's networks."""
        network = replace(base_named(table.base), resolution=table.resolution)
        return cls(surrogate, network, rule_named(rule), table.classes, table.base_macs)

    def __call__(self, c: FloatArray, r: FloatArray, d: FloatArray) -> FloatArray:
        """Expected accuracies `(n,)`."""
        import pandas as pd

        columns: dict[str, Any] = {"r": r, "d": d, "macs": c * self.base_macs}
        if not set(self.surrogate.inputs) <= set(columns):
            columns |= self._built(c, r, d)
        mean, _ = self.surrogate.posterior(pd.DataFrame(columns))
        return np.asarray(mean, dtype=np.float64)

    def buildable(self, c: FloatArray, r: FloatArray, d: FloatArray) -> NDArray[np.bool_]:
        """Whether the narrowest network of this resolution and depth costs no more: else no width is left."""
        narrow = scale(self.network, self.rule, self._pixels(r), d, np.full(len(c), NARROWEST))
        inside: NDArray[np.bool_] = count(narrow, self.classes).macs <= c * self.base_macs
        return inside

    def _built(self, c: FloatArray, r: FloatArray, d: FloatArray) -> dict[str, Any]:
        """The integers and exact MACs of the widest networks that cost no more; of the narrowest where all do."""
        pixels = self._pixels(r)
        # The bisection compares row by row, and so takes a budget for each.
        w, _ = width_brackets(self.network, self.rule, pixels, d, c * self.base_macs, self.classes)  # type: ignore[arg-type]
        networks = scale(self.network, self.rule, pixels, d, np.where(np.isnan(w), NARROWEST, w))
        told = with_own_knobs(self.network, networks, sorted(knob_grids(self.network)))
        integers = dict(zip(integer_names(self.network), told.integers().T, strict=True))
        return {**integers, "w": networks.multipliers[:, 2], "macs": count(networks, self.classes).macs}

    def _pixels(self, r: FloatArray) -> IntArray:
        pixels: IntArray = np.clip(self.rule.pixels(self.network.resolution, r), self.network.stride, MAX_PIXELS)
        return pixels
