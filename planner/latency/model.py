"""A learned latency: a sum of times, corrected by a Gaussian process, in closed form.

Notation, for one architecture:

    t0, t_i         milliseconds, and milliseconds per unit of count i; none is negative
    count_i         MACs, activations, params, blocks: those that the table has
    x (p,)          log MACs, log activations per MAC, log params per MAC, log pixels, log blocks: likewise
    inputs (m, p)   the x of the fitted rows
    alpha (m,)      (K + noise)^-1 log(measured / sum of times)        Eq. 2.25 of Rasmussen & Williams 2006

    latency(x) = (t0 + sum_i t_i count_i) * exp(sum_j alpha_j k(x, inputs_j))
    k          = variance * (1 + s) exp(-s),  s = sqrt(3) |x - inputs_j| / length_scale      (Matern 3/2)

What is guaranteed: a prediction is positive, and the sum rises with every count. The correction is what the counts
do not explain; it may locally break the rise, and vanishes far from the fitted rows, where the sum is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import PlannerError
from planner.latency.codec import fields_of_file, fields_of_text, latency_text
from planner.latency.departure import Departure
from planner.latency.features import LatencyUnit, coordinates, features_of, summed
from planner.text.documents import write_out
from sampler.architecture import Architectures, FloatArray


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Latency learned from measurements of one device.

    Attributes:
        measured_on: Facts of the measurement as the table has them: device, runtime, threads, batch, dtype.
        per: Whether a predicted time is that of a forward pass of the whole batch, or of one image of it.
        features: Names of `LATENCY_FEATURES` that a prediction needs.
        coefficients: Milliseconds by `"fixed"`, and milliseconds per unit of each count; none is negative.
        departure: Factor that the sum of times leaves, as a logarithm.
        ranges: Smallest and largest value of each feature among the fitted rows.
        log_residuals: `(k,)` cross-validated |log(measured / predicted)|, rising.
        errors: Cross-validated, whole networks left out: `median_relative_error`, `macs_only_median_relative_error`
            (of the straight line of log latency over log MACs), `rows` and `architectures`.
        provenance: The tables with rows and sha256, seed, versions.
    """

    measured_on: dict[str, Any]
    per: LatencyUnit
    features: tuple[str, ...]
    coefficients: dict[str, float]
    departure: Departure
    ranges: dict[str, tuple[float, float]]
    log_residuals: FloatArray
    errors: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def predict(self, features: Mapping[str, ArrayLike]) -> FloatArray:
        """Milliseconds of `n` architectures.

        Args:
            features: `(n,)` values, or scalars, of each of the model's `features`; others are ignored. MACs,
                activations and params are counts of one image (not millions), resolution is in pixels, blocks is the
                sum of all depths.

        Returns:
            `(n,)` milliseconds per forward pass or per image, as `per` says.

        Raises:
            PlannerError: If a feature is missing, not a positive finite number, or their lengths differ.
        """
        values = self._checked(features)
        result: FloatArray = summed(self.coefficients, values) * np.exp(self.departure(coordinates(values)))
        return result

    def interval(self, features: Mapping[str, ArrayLike], level: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Bounds `(n,)`, `(n,)` in ms, between which a share `level` of new measurements fall.

        The prediction divided and multiplied by one factor, a quantile of the cross-validated residuals (as split
        conformal prediction takes it): the share holds for new networks such as the table's, on its device; a table
        of fewer than ten networks promises less.

        Raises:
            PlannerError: For the reasons of `predict`, or if the level is not between 0 and 1.
        """
        factor = self.factor(level)
        prediction = self.predict(features)
        return prediction / factor, prediction * factor

    def factor(self, level: float = 0.9) -> float:
        """By how much a measurement may exceed or miss its prediction at a level; the largest seen where rows are few.

        Raises:
            PlannerError: If the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise PlannerError(f"level must lie between 0 and 1, got {level:g}")
        n = len(self.log_residuals)
        # Rank ceil((n + 1) level) of the residuals: Eq. 2.5 of Lei et al. 2018, arXiv:1604.04173.
        rank = min(math.ceil((n + 1) * level), n)
        return float(np.exp(self.log_residuals[rank - 1]))

    def in_range(self, features: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Whether each of `n` architectures has every feature inside the ranges that the fit saw.

        Raises:
            PlannerError: For the reasons of `predict`.
        """
        values = self._checked(features)
        inside = [(low <= values[name]) & (values[name] <= high) for name, (low, high) in self.ranges.items()]
        result: NDArray[np.bool_] = np.all(inside, axis=0)
        return result

    def of(self, architectures: Architectures, classes: int = 1000) -> FloatArray:
        """Milliseconds `(n,)` of buildable architectures, from their exact counts.

        Raises:
            InputError: If an architecture or the number of classes is out of range.
        """
        return self.predict(features_of(architectures, classes))

    def save(self, path: str | Path) -> None:
        """Writes the model, schema `planner-latency/1`.

        Raises:
            PlannerError: If the file cannot be written.
        """
        write_out(Path(path), self.dumps())

    @classmethod
    def load(cls, path: str | Path) -> LatencyModel:
        """Reads a latency model.

        Raises:
            PlannerError: If the file is missing, not of the schema, or holds impossible values.
        """
        return cls(**fields_of_file(Path(path)))

    def dumps(self) -> str:
        """The text of its file: sorted keys, so that a diff is readable.

        Raises:
            ValueError: If a number is not finite.
        """
        return latency_text(vars(self))

    @classmethod
    def loads(cls, text: str, name: str = "latency model") -> LatencyModel:
        """The latency model of a text; `name` is what errors call it.

        Raises:
            PlannerError: If the text is not of the schema, or holds impossible values.
        """
        return cls(**fields_of_text(text, name))

    def _checked(self, features: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
        missing = [name for name in self.features if name not in features]
        if missing:
            raise PlannerError(f"this latency model needs {', '.join(self.features)}; {', '.join(missing)} is missing")
        arrays = [np.atleast_1d(np.asarray(features[name], dtype=np.float64)) for name in self.features]
        for name, array in zip(self.features, arrays, strict=True):
            wrong = ~(np.isfinite(array) & (array > 0))
            if wrong.any():
                raise PlannerError(f"{name} must be positive and finite, got {array[wrong][0]:g}")
        lengths = {array.shape for array in arrays} - {(1,)}
        if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
            raise PlannerError(f"features must be scalars or of one length, got shapes {sorted(lengths)}")
        return dict(zip(self.features, np.broadcast_arrays(*arrays), strict=True))
