"""The formula file's JSON Schema: it says what the code writes, and its checker does what JSON Schema means."""

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import planner.formulas
from planner.fitting.fit import fit
from planner.formulas import schema as module
from planner.formulas.branch import Kind
from planner.formulas.codec import COUNTING, SCHEMA, dumps
from planner.formulas.schema import schema, violation
from planner.gaussian.curve import Curve
from planner.rules import compound
from planner.text.shipped import shipped_formula
from sampler import RULES
from sampler.architecture import BaseNetwork, Stage
from sampler.scaling import ScalingRule

KNOWN = {
    *("$ref", "$defs", "$schema", "$id", "title", "description", "type", "const", "enum", "pattern", "anyOf"),
    *("properties", "required", "additionalProperties", "dependentRequired", "minProperties"),
    *("items", "minItems", "maxItems", "minimum", "exclusiveMinimum", "maximum"),
}


def subschemas(rules):
    """A schema and all that stand inside it."""
    yield rules
    inner = [*rules.get("properties", {}).values(), *rules.get("$defs", {}).values(), *rules.get("anyOf", [])]
    inner += [rules[key] for key in ("items", "additionalProperties") if isinstance(rules.get(key), dict)]
    for one in inner:
        yield from subschemas(one)


def test_the_schema_ships_beside_the_code_and_says_its_draft():
    path = Path(planner.formulas.__file__).parent / "formula.schema.json"
    document = json.loads(path.read_text())
    assert document == schema()
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["title"] == SCHEMA == document["properties"]["schema"]["const"]
    assert document["properties"]["counting"]["const"] == COUNTING


def test_the_schema_uses_only_what_the_checker_knows():
    for one in subschemas(schema()):
        assert set(one) <= KNOWN
        assert set(one.get("required", ())) <= set(one.get("properties", ()))
        if "$ref" in one:
            assert one["$ref"].removeprefix("#/$defs/") in schema()["$defs"]


def test_the_schema_has_the_codes_fields():
    defined = schema()["$defs"]
    for name, record in (("network", BaseNetwork), ("stage", Stage), ("rule", ScalingRule)):
        assert set(defined[name]["required"]) == {one.name for one in fields(record)}
    names = {one.name for one in fields(Curve)}
    assert names <= set(defined["curve"]["properties"])
    assert set(defined["curve"]["required"]) <= names | {"kernel"}
    assert set(schema()["properties"]["kind"]["enum"]) == set(get_args(Kind))
    for key in ("depth", "stem", "head", "resolution"):
        assert {getattr(rule, key) for rule in RULES.values()} <= set(defined["rule"]["properties"][key]["enum"])


@pytest.fixture(scope="module")
def documents(published):
    fitted, published_rule = fit(published, "tinynet").at(96, 10), compound("resnet18")
    return [json.loads(text) for text in (shipped_formula("efficientnet_b0"), dumps(fitted), dumps(published_rule))]


def test_shipped_and_fitted_formulas_keep_to_the_schema(documents):
    for document in documents:
        assert violation(document) is None


def test_another_implementation_of_json_schema_says_the_same(documents):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())
    for document in documents:
        jsonschema.Draft202012Validator(schema()).validate(document)


@pytest.mark.parametrize(
    ("rules", "good", "bad", "words"),
    [
        ({"type": "integer"}, [0, -3, 10**18], [True, 1.5, "1", None, 10**400], "integer is wanted"),
        ({"type": "number"}, [0, 1.5, -2], [False, "1", None, [], 10**400], "number is wanted"),
        ({"type": "string"}, ["", "a"], [1, None, []], "string is wanted"),
        ({"type": "boolean"}, [True, False], [0, 1, None, "true"], "boolean is wanted"),
        ({"type": "array"}, [[], [1]], [{}, "ab", None], "array is wanted"),
        ({"type": "object"}, [{}, {"a": 1}], [[], "a", None], "object is wanted"),
        ({"type": ["integer", "string"]}, [1, "a"], [1.5, None, True], "integer or string is wanted"),
        ({"const": "a"}, ["a"], ["b", 1, None], "'a' is wanted"),
        ({"enum": ["a", "b"]}, ["a", "b"], ["c", [], 1], "one of a, b is wanted"),
        ({"pattern": "^a+$"}, ["a", "aa", 3], ["b", ""], "a text like ^a+$ is wanted"),
        ({"minimum": 2}, [2, 3.5, "a"], [1, -1.0], "at least 2 is wanted"),
        ({"exclusiveMinimum": 0}, [1e-9, "a"], [0, -1], "more than 0 is wanted"),
        ({"maximum": 2}, [2, -5], [2.1], "at most 2 is wanted"),
        ({"minItems": 2}, [[1, 2], {}], [[], [1]], "at least 2 is wanted"),
        ({"maxItems": 1}, [[], [1]], [[1, 2]], "at most 1 is wanted"),
        ({"minProperties": 1}, [{"a": 1}, []], [{}], "at least 1 is wanted"),
        ({"items": {"type": "integer"}}, [[], [1, 2]], [[1, "a"]], "[1] is 'a'; integer is wanted"),
        ({"properties": {"a": {"type": "null"}}}, [{}, {"a": None}, {"b": 1}], [{"a": 1}], "a is 1; null is wanted"),
        ({"required": ["a"]}, [{"a": 1}, []], [{}, {"b": 1}], "a is missing"),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}], [{"b": 1}], "b is unknown"),
        ({"additionalProperties": {"type": "number"}}, [{"a": 1}], [{"a": "b"}], "a is 'b'; number is wanted"),
        ({"dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 2}], [{"a": 1}], "b is missing beside a"),
        ({"anyOf": [{"type": "null"}, {"required": ["a"]}]}, [None, {"a": 1}], [{}], "a is missing"),
        ({"$ref": "#/$defs/d"}, [1], ["a"], "integer is wanted"),
    ],
)
def test_the_checker_means_what_json_schema_means(rules, good, bad, words, monkeypatch):
    monkeypatch.setattr(module, "schema", lambda: {"$defs": {"d": {"type": "integer"}}})
    for value in good:
        assert violation(value, rules) is None, value
    for value in bad:
        assert words in violation(value, rules), value


def test_a_place_is_named_from_the_outside_in_and_its_value_cut_short():
    rules = {"properties": {"a": {"items": {"properties": {"b": {"type": "integer"}}}}}}
    assert violation({"a": [{}, {"b": "x" * 500}]}, rules) == f"a[1].b is '{'x' * 56}...; integer is wanted"
