"""The constants of compound scaling: alpha, beta and gamma, published or of a formula."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from planner.formulas.branch import Branch, Direction
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import FORMULA_KINDS
from planner.gaussian.curve import Curve

# Tan & Le 2019, section 3.3: depth, width and resolution at alpha^phi, beta^phi, gamma^phi.
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15


@dataclass(frozen=True)
class Coefficients:
    """A compound rule: factors for one step of phi.

    Attributes:
        alpha: Factor of depth.
        beta: Factor of width.
        gamma: Factor of resolution.
    """

    alpha: float
    beta: float
    gamma: float

    @property
    def cost(self) -> float:
        """What one step multiplies the ideal cost with: alpha beta^2 gamma^2."""
        return self.alpha * self.beta**2 * self.gamma**2

    def as_dict(self) -> dict[str, float]:
        """In JSON's types."""
        return asdict(self)


EFFICIENTNET = Coefficients(ALPHA, BETA, GAMMA)


def coefficients(r: float, d: float) -> Coefficients:
    """The compound rule of r = c^r and d = c^d, for twice the MACs: alpha beta^2 gamma^2 = 2.

    The width's exponent is what the ideal count r^2 d w^2 = c leaves: (1 - d - 2 r) / 2. The exact count, with which
    a formula solves its width, leaves a little more or less.

    Args:
        r: Exponent of resolution.
        d: Exponent of depth.
    """
    return Coefficients(alpha=2**d, beta=2 ** ((1 - d - 2 * r) / 2), gamma=2**r)


def own_coefficients(formula: FormulaCurves, branch: Branch) -> Coefficients | None:
    """alpha, beta and gamma of one direction of a formula whose curves are powers of c and nothing else; else None."""
    r, d = branch.r, branch.d
    if not FORMULA_KINDS[formula.kind].constants or not isinstance(r, Curve) or not isinstance(d, Curve):
        return None
    return coefficients(r.far_exponent, d.far_exponent)


def coefficients_of(formula: FormulaCurves, direction: Direction) -> Coefficients | None:
    """alpha, beta and gamma of one direction: of the rule itself, or of curves that are close to power laws, or None.

    Those of curves are what twice the MACs multiply depth, width and resolution with, the width as it is solved. A
    compound rule's are its own, and its width is what the ideal count leaves.
    """
    if (own := own_coefficients(formula, formula.branches[direction])) is not None:
        return own
    exponents = formula.exponents.get(direction, {})
    if len(exponents) < 3 or not all(exponent.power_law for exponent in exponents.values()):
        return None
    return Coefficients(exponents["d"].doubling, exponents["w"].doubling, exponents["r"].doubling)
