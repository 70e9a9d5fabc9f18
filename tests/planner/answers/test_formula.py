"""The formula that users hold keeps its class, whatever is done with it, and knows what lower parts do not."""

import pickle
from dataclasses import fields, replace

import pytest

import planner
from planner import Formula, PlannerError
from planner.answers.formulas import fitted_formula, formula_for
from planner.formulas.formula import FormulaCurves
from planner.formulas.record import FormulaRecord
from planner.rules import compound


def test_the_public_class_is_what_users_get(shipped, published, tmp_path):
    assert type(shipped) is type(planner.fit(published, "tinynet")) is planner.Formula is Formula
    shipped.save(tmp_path / "f.json")
    assert type(Formula.load(tmp_path / "f.json")) is Formula


def test_copies_keep_the_class(shipped):
    for copy in (
        replace(shipped, errors={}),
        shipped.at(160),
        shipped.at(classes=10),
        pickle.loads(pickle.dumps(shipped)),
    ):
        assert type(copy) is Formula and copy.predict(macs="100M").architecture.base == "efficientnet_b0"
    with pytest.raises(AttributeError):
        shipped.base = "resnet50"  # frozen, as the record is


def test_curves_of_a_rule_become_a_formula_with_all_that_users_do(tmp_path):
    curves = compound("efficientnet_b0")
    assert type(curves) is FormulaCurves and not hasattr(curves, "save")
    formula = Formula.of(curves)
    assert all(getattr(formula, field.name) is getattr(curves, field.name) for field in fields(FormulaRecord))
    assert repr(formula) == repr(curves) and formula.answer("500M").by == "published rule"
    formula.save(tmp_path / "f.json")
    assert Formula.load(tmp_path / "f.json").predict("500M").architecture == curves.predict("500M").architecture


def test_predict_has_the_curves_answer_in_both_classes(shipped):
    curves = FormulaCurves(**{field.name: getattr(shipped, field.name) for field in fields(FormulaRecord)})
    budgets = ["100M", 2e8]
    for mine, theirs in zip(shipped.predict(budgets), curves.predict(budgets), strict=True):
        assert mine.as_dict() == theirs.as_dict()
    with pytest.raises(PlannerError, match="space is 'both'; uniform or stage is wanted"):
        shipped.predict("100M", space="both")


def test_the_formula_of_a_study_is_the_one_fitted_last(mine, run):
    with pytest.raises(PlannerError, match="no formula yet; run `planner fit --study mine`"):
        fitted_formula("mine")
    assert run("fit", "--study", "mine")[0] == 0
    formula = fitted_formula("mine")
    chosen = formula_for(formula.macs_range[1], study="mine")
    assert chosen.formula.macs_range == formula.macs_range and chosen.source.endswith("formula.json")
    with pytest.raises(PlannerError, match="no study"):
        fitted_formula("yours")
