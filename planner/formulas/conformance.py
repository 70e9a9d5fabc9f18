"""A suite for anybody's curves and kinds of formulas: whether they keep to `planner.formulas.protocol`.

    from planner.formulas.conformance import check_kind

    def test_our_kind_keeps_to_the_contract():
        check_kind(OUR_KIND)

Each check raises an AssertionError that says in one sentence what is wrong.
"""

from __future__ import annotations

import json
import math

import numpy as np

from planner.formulas.kinds import FormulaKind
from planner.formulas.protocol import DirectionPoints, FormulaCurve

_C = np.geomspace(0.05, 0.9, 6)
_POINTS = DirectionPoints(_C, _C**0.3, _C**0.25, (0.05, 0.9), seed=0)


def check_curve(curve: FormulaCurve, c_range: tuple[float, float] = (0.05, 0.9)) -> None:
    """Checks one curve over a range of c.

    Raises:
        AssertionError: Saying what it does otherwise than the protocol has it.
    """
    c = np.geomspace(*c_range, 7)
    assert curve.output_scale in ("identity", "log"), "output_scale is neither identity nor log"
    values, mean = _vector("the curve", curve(c), 7), _vector("mean", curve.mean(c), 7)
    assert (values > 0).all(), "the curve is not positive everywhere; a multiplier must be"
    exact = np.exp(mean) if curve.output_scale == "log" else mean
    assert np.allclose(values, exact, rtol=1e-9), "the curve is not its mean, or its exponential where the scale is log"
    alone = np.array([float(curve(float(one))[0]) for one in c])
    assert np.allclose(alone, values, rtol=1e-9), "one value of c gives another result than several at once"
    covariance = np.asarray(curve.posterior_covariance(c))
    assert covariance.shape == (7, 7), f"posterior_covariance has shape {covariance.shape}; (7, 7) is wanted for 7 c"
    assert np.allclose(covariance, covariance.T), "posterior_covariance is not symmetric"
    assert (np.diag(covariance) >= -1e-9).all(), "posterior_covariance has a negative variance"
    for level in (0.5, 0.9):
        for one, value in zip(c, values, strict=True):
            low, high = curve.interval(float(one), level)
            assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9), "an interval does not hold the curve itself"
    _check_json(curve)


def check_kind(kind: FormulaKind) -> None:
    """Checks a kind of somebody's own: its words, its curves of some points, and what it reads of what they write.

    Raises:
        AssertionError: Saying what it does otherwise than the protocol has it.
    """
    assert kind.name and kind.help and kind.words, "a kind needs a name, a line of help and words for its curves"
    assert "\n" not in kind.help + kind.words, "help and words are one line each"
    assert kind.fit is not None, "the kind has no fit"
    assert kind.read is not None, "the kind has no read"
    learned = kind.fit(_POINTS)
    assert len(learned) == 2, f"fit gives {len(learned)} curves; one of r and one of d are wanted"
    for name, part in zip(("r", "d"), learned, strict=True):
        assert math.isfinite(part.rmse) and part.rmse >= 0, f"the error of {name} is {part.rmse}; it cannot be"
        assert (part.curve.output_scale == "log") == kind.logs, f"logs says otherwise than the scale of {name}"
        check_curve(part.curve, _POINTS.c_range)
        again = kind.read(json.loads(json.dumps(part.curve.as_dict())))
        same = np.allclose(again(_C), part.curve(_C), rtol=1e-12)
        assert same, f"the curve of {name} that was read gives other values than the one written"


def _vector(name: str, values: object, n: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    assert array.shape == (n,), f"{name} gives shape {array.shape}; ({n},) is wanted for {n} values of c"
    assert np.isfinite(array).all(), f"{name} is not finite everywhere"
    return array


def _check_json(curve: FormulaCurve) -> None:
    document = curve.as_dict()
    assert isinstance(document, dict), "as_dict gives no dictionary"
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"as_dict gives what JSON cannot hold: {error}") from None
    assert json.loads(text) == document, "as_dict changes on its way through JSON; lists and plain numbers do not"
