"""The formula file's JSON Schema, which ships beside this file, and the part of JSON Schema that it uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from planner.text.documents import shown

FILE = "formula.schema.json"
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_LARGEST = 1.7e308  # a whole number beyond has no float
_WHOLE = "the document"


@cache
def schema() -> dict[str, Any]:
    """The schema of `planner-formula/1`: JSON Schema, draft 2020-12."""
    document: dict[str, Any] = json.loads((files("planner.formulas") / FILE).read_text(encoding="utf-8"))
    return document


def violation(document: Any, rules: dict[str, Any] | None = None) -> str | None:
    """The first place where a document departs from the schema and what is wanted there, in one line, or None.

    Raises:
        RecursionError: If the document is nested too deeply.
    """
    return next(_violations(document, rules or schema(), ""), None)


def _violations(value: Any, rules: dict[str, Any], place: str) -> Iterator[str]:
    if "$ref" in rules:
        yield from _violations(value, schema()["$defs"][rules["$ref"].removeprefix("#/$defs/")], place)
    if "anyOf" in rules:
        found = [next(_violations(value, option, place), "") for option in rules["anyOf"]]
        if all(found):  # of several, the one that is about something inside
            yield next((one for one in found if not one.startswith(f"{place or _WHOLE} is ")), found[-1])
    if wanted := _wanted(value, rules):
        yield f"{place or _WHOLE} is {shown(value)}; {wanted} is wanted"
    elif isinstance(value, dict):
        yield from _members(value, rules, place)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _violations(one, rules.get("items", {}), f"{place}[{index}]")


def _members(value: dict[str, Any], rules: dict[str, Any], place: str) -> Iterator[str]:
    known, others = rules.get("properties", {}), rules.get("additionalProperties", {})
    for key in rules.get("required", ()):
        if key not in value:
            yield f"{_inside(place, key)} is missing"
    for key, needed in rules.get("dependentRequired", {}).items():
        for other in needed if key in value else ():
            if other not in value:
                yield f"{_inside(place, other)} is missing beside {key}"
    for key, one in value.items():
        if key not in known and others is False:
            yield f"{_inside(place, shown(key)[1:-1])} is unknown"
        else:
            yield from _violations(one, known.get(key, others), _inside(place, shown(key)[1:-1]))


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _wanted(value: Any, rules: dict[str, Any]) -> str | None:
    """What the rules want instead of a value, looking at the value alone and not inside it."""
    types = rules.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, one) for one in types):
        return " or ".join(types)
    if "const" in rules and value != rules["const"]:
        return repr(rules["const"])
    if "enum" in rules and value not in rules["enum"]:
        return f"one of {', '.join(map(str, rules['enum']))}"
    if isinstance(value, str) and not re.search(rules.get("pattern", ""), value):
        return f"a text like {rules['pattern']}"
    if isinstance(value, dict):
        return None if len(value) >= rules.get("minProperties", 0) else f"at least {rules['minProperties']}"
    if isinstance(value, list):
        return _wanted_length(len(value), rules)
    return _wanted_number(value, rules) if _is(value, "number") else None


def _wanted_length(length: int, rules: dict[str, Any]) -> str | None:
    if length < rules.get("minItems", 0):
        return f"at least {rules['minItems']}"
    if length > rules.get("maxItems", length):
        return f"at most {rules['maxItems']}"
    return None


def _wanted_number(value: float, rules: dict[str, Any]) -> str | None:
    if value < rules.get("minimum", value):
        return f"at least {rules['minimum']}"
    if "exclusiveMinimum" in rules and value <= rules["exclusiveMinimum"]:
        return f"more than {rules['exclusiveMinimum']}"
    if value > rules.get("maximum", value):
        return f"at most {rules['maximum']}"
    return None


def _is(value: Any, name: str) -> bool:
    """Whether a value is of a type; stricter than JSON Schema in that 1.0 is no integer."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return name not in ("integer", "number") and isinstance(value, TYPES[name])
    return isinstance(value, TYPES[name]) and abs(value) <= _LARGEST
