"""Learns how to scale a neural network: budget in, resolution, depth and width out.

The public API; everything heavy is imported when it is first used, so that `import planner` costs little more than
numpy.

    planner.base(name)           the base network's table of stages
    planner.complexity(base, ..) exact MACs, params, activations and memory; of an architecture or a list, too
    planner.build(architecture)  a torch module made of timm's blocks
    planner.fit(table, ..)       a formula; `.predict("200M")`, `.save(path)`
    planner.Formula.load(path)   a formula that was saved
    planner.fit_surrogate(table, ..)  what accuracy to expect of any network; `.predict(table, level=0.9)`
    planner.ExactCostSampler(cost)    an Optuna sampler for two objectives of which one can be computed
    planner.propose(observed, pool, n, ..)  the rows of a pool to measure next
    planner.answer(observed, pool, budgets, ..)  for each budget the best row of a pool, by all that was measured
    planner.allocate(formula, macs)   a budget spent on the stages apart, by the curves and by search
    planner.PlannerError         whatever of these a caller can mend; one line says how
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from planner.doctor import own_modules

if TYPE_CHECKING:
    from planner.allocation.allocate import allocate
    from planner.answers.formula import Formula
    from planner.errors import PlannerError
    from planner.fitting.fit import fit
    from planner.formulas.prediction import Prediction
    from planner.proposers.proposal import propose
    from planner.proposers.sampler import ExactCostSampler
    from planner.surrogates.answer import answer
    from planner.surrogates.fit import fit_surrogate
    from planner.surrogates.surrogate import Surrogate
    from sampler import Architecture, base
    from sampler.complexity import complexity
    from trainer.network import build

# Before anything of `trainer` or `sampler` is imported: a user's own file of that name may come first on the path.
own_modules.install()

# Where each public name lives.
_PUBLIC = {
    "Architecture": "sampler",
    "ExactCostSampler": "planner.proposers.sampler",
    "Formula": "planner.answers.formula",
    "PlannerError": "planner.errors",
    "Prediction": "planner.formulas.prediction",
    "Surrogate": "planner.surrogates.surrogate",
    "allocate": "planner.allocation.allocate",
    "answer": "planner.surrogates.answer",
    "base": "sampler",
    "build": "trainer.network",
    "complexity": "sampler.complexity",
    "fit": "planner.fitting.fit",
    "fit_surrogate": "planner.surrogates.fit",
    "propose": "planner.proposers.proposal",
}

__all__ = [
    "Architecture",
    "ExactCostSampler",
    "Formula",
    "PlannerError",
    "Prediction",
    "Surrogate",
    "allocate",
    "answer",
    "base",
    "build",
    "complexity",
    "fit",
    "fit_surrogate",
    "propose",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("scaling-planner")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'planner' has no attribute {name!r}; public names: {', '.join(__all__)}")
    if name == "PlannerError":  # which must be there to be caught, whatever else is not
        return own_modules.planner_error()
    own_modules.refuse_others()
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
