"""Published rules as rays: depth, width and resolution as powers of one scale s = d w^2 r^2, the ideal cost."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from planner.errors import PlannerError
from planner.formulas.coefficients import Coefficients
from sampler.architecture import FloatArray

# Dollar et al. 2021, https://arxiv.org/abs/2103.06877; the paper and RBIS call it dWr.
FAST_SCALING = "d1_w8_g8_r1"
FAST_NAMES = ("fast", "dWr")
WEIGHT = r"([dwgr])(\d+(?:\.\d*)?|\.\d+)"
# Of the MACs, in ResNet-RS' six networks from 256 px on (Bello et al. 2021, https://arxiv.org/abs/2103.07579, 31 to 128
# GFLOPs, 256 to 320 px). EfficientNet's constants have 0.21. The paper has words, no formula.
SLOW_RESOLUTION = 0.18
# Epochs from which overfitting is to be feared: the paper widens at 10 and deepens at 350.
LONG_SCHEDULE = 100
LARGEST_WEIGHT = 1e6


@dataclass(frozen=True)
class Ray:
    """Exponents of s; `depth + 2 width + 2 resolution` is 1.

    Attributes:
        depth: Exponent of the depth multiplier.
        width: Exponent of the width multiplier.
        resolution: Exponent of the resolution multiplier.
        group: Exponent of the group widths, which cost nothing in s.
        start: r and d at a scale of 1, whose ideal cost the width makes up for; those of the base network by default.
    """

    depth: float
    width: float
    resolution: float
    group: float = 0.0
    start: tuple[float, float] = field(default=(1.0, 1.0), repr=False)

    def at(self, s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """r, d and w, each `(n,)`, at `(n,)` scales."""
        r, d = self.start
        return r * s**self.resolution, d * s**self.depth, s**self.width / (r * math.sqrt(d))


WIDTH, DEPTH, RESOLUTION = Ray(0.0, 0.5, 0.0), Ray(1.0, 0.0, 0.0), Ray(0.0, 0.0, 0.5)


def compound_ray(factors: Coefficients, start: tuple[float, float] = (1.0, 1.0)) -> Ray:
    """Compound scaling: with s = (alpha beta^2 gamma^2)^phi, d = alpha^phi and so on.

    Args:
        factors: alpha, beta and gamma.
        start: r and d at s = 1, where the rule does not pass through the base network.

    Raises:
        PlannerError: If they scale nothing.
    """
    if not 1 + 1e-9 < factors.cost < math.inf:
        raise PlannerError("alpha, beta and gamma are all 1, which scales nothing; make one of them larger")
    depth, width, resolution = (math.log(value) / math.log(factors.cost) for value in factors.as_dict().values())
    return Ray(depth, width, resolution, start=start)


def resnet_rs_ray(epochs: int) -> Ray:
    """ResNet-RS' two rules: deeper where overfitting can occur, else wider; resolution slowly.

    There is no formula in the paper. Ours: r = s^0.18 (see `SLOW_RESOLUTION`); what that leaves of s is depth,
    d = s^0.64, from 100 epochs on, and width, w = s^0.32, below.
    """
    left = 1 - 2 * SLOW_RESOLUTION
    return Ray(left, 0.0, SLOW_RESOLUTION) if epochs >= LONG_SCHEDULE else Ray(0.0, left / 2, SLOW_RESOLUTION)


def pycls_ray(text: str) -> Ray | None:
    """The ray of one of pycls' scaling types; None if the text is not one.

    Weights e_d, e_w, e_r are shares of their sum: d = s^e_d, w = s^(e_w / 2), r = s^(e_r / 2), and group widths, of
    networks that have some, with s^(e_g / 2) (https://github.com/facebookresearch/pycls/blob/main/pycls/models/scaler.py).

    Args:
        text: Letters of equal weight (`dwr`), or weights with or without underscores (`d1_w8_g8_r1`, `d1w8r1`).

    Raises:
        PlannerError: If a letter comes twice, or nothing but groups has a weight.

    Example:
        >>> pycls_ray("d1_w8_g8_r1")
        Ray(depth=0.1, width=0.4, resolution=0.05, group=0.4)
    """
    if text and set(text) <= set("dwgr"):
        pairs = [(letter, 1.0) for letter in text]
    elif re.fullmatch(rf"{WEIGHT}(_?{WEIGHT})*", text):
        pairs = [(letter, float(number)) for letter, number in re.findall(WEIGHT, text)]
    else:
        return None
    weights = dict.fromkeys("dwgr", 0.0) | dict(pairs)
    if len({letter for letter, _ in pairs}) < len(pairs):
        raise PlannerError(f"method {text!r} names a dimension twice; give each of d, w, g and r once")
    total = weights["d"] + weights["w"] + weights["r"]
    if not 0 < total <= LARGEST_WEIGHT:
        raise PlannerError(f"method {text!r} scales nothing; give d, w or r a weight above 0, such as {FAST_SCALING}")
    d, w, r, g = (weights[letter] / total for letter in "dwrg")
    return Ray(d, w / 2, r / 2, g / 2)
