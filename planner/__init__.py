"""Learns how to scale a neural network: budget in, resolution, depth and width out.

The public API; everything heavy is imported when it is first used, so that `import planner` costs little more than
numpy.

A study, from nothing to a network:

    planner.create_study(name, ..)   a new study; `.run(24)`, `.fit()`, `.predict("3M")`, `.front()`, `.report()`
    planner.load_study(name)         one that is there; the last one used by default
    planner.list_studies()           those that there are
    planner.plot.front(study)        its pictures, as matplotlib's Axes

What it rests on, for tables and trainings of your own:

    planner.bases(), planner.base(name)  the base networks
    planner.network(resolution=, ..) a decorator: your own function declares a base network (docs/networks.md)
    planner.complexity(base, ..)     exact MACs, params, activations and memory; of an architecture or a list, too
    planner.build(architecture)      a torch module made of timm's blocks
    planner.fit(table, ..)           a formula; `.predict("200M")`, `.save(path)`
    planner.load_formula(path)       a formula that was saved
    planner.at_budget(method, base, macs, ..)  what a published rule gives for a budget
    planner.allocate(formula, macs, ..)  a budget's best division among the stages
    planner.fit_surrogate(table, ..)  what accuracy to expect of any network; `.predict(table, level=0.9)`
    planner.ExactCostSampler(cost)   an Optuna sampler for two objectives of which one can be computed
    planner.propose(observed, pool, n, ..)  the rows of a pool to measure next
    planner.fit_table(table, dims, score, cost)  a formula of any table's own dimensions, without a base network; a
                                     planner.TableFormula: `.predict(40)`, `.save(path)`, `.load(path)`
    planner.answer(observed, pool, budgets, ..)  for each budget the best row of a pool, by all that was measured
    planner.register_family, register_torch_family, register_trainer, register_source, register_engine,
    register_formula_kind, register_proposer, register_listener  parts of your own (see CONTRIBUTING.md)
    planner.Score(name, lower=, ..)  what an own trainer's trainings are judged by
    planner.Stopped                  what ends a trainer's job early
    planner.PlannerError             whatever of these a caller can mend; one line says how
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
    from planner.formulas.kinds import register_formula_kind
    from planner.formulas.prediction import Prediction
    from planner.proposers.proposal import propose
    from planner.proposers.registry import register_proposer
    from planner.proposers.sampler import ExactCostSampler
    from planner.rules import at_budget
    from planner.study.asking import Trial
    from planner.surrogates.answer import answer
    from planner.surrogates.fit import fit_surrogate
    from planner.surrogates.surrogate import Surrogate
    from planner.table_formulas.fit import fit_table
    from planner.table_formulas.formula import TableFormula
    from planner.training.progress import register_listener
    from planner.training.resources import register_engine
    from planner.workbench import plot
    from planner.workbench.names import bases, load_formula
    from planner.workbench.studies import create_study, list_studies, load_study
    from planner.workbench.study import Study
    from sampler import Architecture, base, register_family
    from sampler.complexity import complexity
    from trainer.declared.declaring import network
    from trainer.families.registry import register_torch_family
    from trainer.image_sources import register_source
    from trainer.network import build
    from trainer.protocol import Stopped
    from trainer.score import Score
    from trainer.trainers import register_trainer

# Before anything of `trainer` or `sampler` is imported: a user's own file of that name may come first on the path.
own_modules.install()

# Where each public name lives; `plot` is a module.
PUBLIC = {
    "Architecture": "sampler",
    "ExactCostSampler": "planner.proposers.sampler",
    "Formula": "planner.answers.formula",
    "PlannerError": "planner.errors",
    "Prediction": "planner.formulas.prediction",
    "Score": "trainer.score",
    "Stopped": "trainer.protocol",
    "Study": "planner.workbench.study",
    "Surrogate": "planner.surrogates.surrogate",
    "TableFormula": "planner.table_formulas.formula",
    "Trial": "planner.study.asking",
    "allocate": "planner.allocation.allocate",
    "answer": "planner.surrogates.answer",
    "at_budget": "planner.rules",
    "base": "sampler",
    "bases": "planner.workbench.names",
    "build": "trainer.network",
    "complexity": "sampler.complexity",
    "create_study": "planner.workbench.studies",
    "fit": "planner.fitting.fit",
    "fit_surrogate": "planner.surrogates.fit",
    "fit_table": "planner.table_formulas.fit",
    "list_studies": "planner.workbench.studies",
    "load_formula": "planner.workbench.names",
    "load_study": "planner.workbench.studies",
    "network": "trainer.declared.declaring",
    "plot": "planner.workbench.plot",
    "propose": "planner.proposers.proposal",
    "register_engine": "planner.training.resources",
    "register_family": "sampler",
    "register_formula_kind": "planner.formulas.kinds",
    "register_listener": "planner.training.progress",
    "register_proposer": "planner.proposers.registry",
    "register_source": "trainer.image_sources",
    "register_torch_family": "trainer.families.registry",
    "register_trainer": "trainer.trainers",
}

# The argument of some that names a base network: a function that `network` decorates, or its file, will do as well.
NAMING = {
    "at_budget": "base",
    "base": "name",
    "complexity": "base",
    "fit": "base",
    "load_formula": "source",
}

__all__ = [
    "Architecture",
    "ExactCostSampler",
    "Formula",
    "PlannerError",
    "Prediction",
    "Score",
    "Stopped",
    "Study",
    "Surrogate",
    "TableFormula",
    "Trial",
    "allocate",
    "answer",
    "at_budget",
    "base",
    "bases",
    "build",
    "complexity",
    "create_study",
    "fit",
    "fit_surrogate",
    "fit_table",
    "list_studies",
    "load_formula",
    "load_study",
    "network",
    "plot",
    "propose",
    "register_engine",
    "register_family",
    "register_formula_kind",
    "register_listener",
    "register_proposer",
    "register_source",
    "register_torch_family",
    "register_trainer",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("scaling-planner")
    if name not in PUBLIC:
        raise AttributeError(f"module 'planner' has no attribute {name!r}; public names: {', '.join(__all__)}")
    if name == "PlannerError":  # which must be there to be caught, whatever else is not
        return own_modules.planner_error()
    own_modules.refuse_others()
    module = import_module(PUBLIC[name])
    if name in NAMING:
        named: Any = import_module("planner.workbench.networks").naming(getattr(module, name), NAMING[name])
        return named
    return module if name == "plot" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
