"""What a formula file holds, said once: the code's fields are in it, and the schema for other readers is made of it."""

import json
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

import planner.formulas
from planner.fitting.fit import fit
from planner.formulas import document as module
from planner.formulas.codec import dumps
from planner.formulas.document import COUNTING, FORMULA_SCHEMA, formula_model, json_schema, schema_text
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import OUR_KINDS
from planner.gaussian.curve import Curve
from planner.rules import compound
from planner.text.documents import read_as
from planner.text.shipped import reference_formula, shipped_formula
from sampler import RULES
from sampler.architecture import BaseNetwork, Stage
from sampler.declared.description import Counts, Knob, NetworkDescription, Source
from sampler.scaling import ScalingRule


@pytest.fixture(scope="module")
def schema():
    """The JSON Schema."""
    return json_schema()


@pytest.fixture(scope="module")
def documents(published, declared_formula):
    """Shipped, fitted and published formulas, and one of a declared network, as files hold them."""
    fitted, published_rule = fit(published, "tinynet").at(96, 10), compound("resnet18")
    texts = [f("efficientnet_b0") for f in (shipped_formula, reference_formula)]
    return [json.loads(text) for text in (*texts, *map(dumps, (fitted, published_rule, declared_formula)))]


def test_the_shipped_schema_is_the_one_that_is_made_of_the_model():
    path = Path(planner.formulas.__file__).parent / "formula.schema.json"
    assert path.read_text() == schema_text(), "write it again with planner.formulas.document.schema_text()"


def test_the_schema_says_its_draft_and_what_it_is_of(schema):
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == FORMULA_SCHEMA == schema["properties"]["schema"]["const"]
    assert schema["properties"]["counting"]["const"] == COUNTING
    assert schema["properties"]["base"]["$ref"] == "#/$defs/BaseDocument"
    assert schema["properties"]["accuracy"]["description"] == "Top-1 error (not accuracy) of the front over c."


def test_the_schema_has_the_codes_fields(schema):
    defined = schema["$defs"]
    records = {"Network": BaseNetwork, "Stage": Stage, "Rule": ScalingRule, "Declared": NetworkDescription}
    apart = {"Network": {"counts", "declared"}, "Declared": {"schema"}}
    for name, record in {**records, "Knob": Knob, "Source": Source}.items():
        has = {one.name for one in fields(record)} - ({"counts"} if name == "Declared" else set())
        assert set(defined[f"{name}Document"]["properties"]) - apart.get(name, set()) == has
    assert set(defined["CountsDocument"]["properties"]) == set(get_type_hints(Counts))
    assert "step" not in defined["RuleDocument"]["required"]  # files that are older than it
    names = {one.name for one in fields(Curve)}
    assert set(get_type_hints(module.CurveDocument)) == names | {"kernel"}
    assert set(schema["properties"]["kind"]["enum"]) == set(OUR_KINDS)
    for key in ("depth", "stem", "head", "resolution"):
        allowed = defined["RuleDocument"]["properties"][key]
        assert {getattr(rule, key) for rule in RULES.values()} <= set(allowed["enum"])


def test_every_object_but_those_for_others_is_closed(schema):
    opened = {name for name, one in schema["$defs"].items() if one["additionalProperties"] is not False}
    assert opened == {"PointDocument", "SurrogateDocument"} and schema["additionalProperties"] is False


def test_shipped_and_fitted_formulas_are_as_the_model_says(documents):
    for document in documents:
        assert read_as(formula_model(), document) == document


def test_another_implementation_of_json_schema_says_the_same(documents, schema):
    jsonschema = pytest.importorskip("jsonschema")
    checker = jsonschema.Draft202012Validator(schema)
    checker.check_schema(schema)
    for document in documents:
        checker.validate(document)
        curve = {**document["branches"][next(iter(document["branches"]))]["r"], "prior_weight": 1.0}
        for damaged in ({"branches": {}}, {"kind": "cubic"}, {"accuracy": curve}, {"front": [{"c": 1}]}, {"x": 1}):
            assert not checker.is_valid({**document, **damaged})


def test_a_shipped_file_is_read_without_pydantic_and_its_digest_is_still_checked(documents, monkeypatch):
    from planner import PlannerError
    from planner.formulas import codec

    text = shipped_formula("efficientnet_b0")
    monkeypatch.setattr(codec, "formula_model", lambda: pytest.fail("its shape was checked again"))
    assert dumps(codec.read_formula(text, FormulaCurves, shipped=True)) == text
    with pytest.raises(PlannerError, match="changed after it was written"):
        codec.read_formula(text.replace('"classes": 1000', '"classes": 1001'), FormulaCurves, shipped=True)
