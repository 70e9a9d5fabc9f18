"""A network's costs as plain expressions in its formula's file, and with a declared one all that it is, both ways.

A file of a declared network is read where nobody has the user's own file, nor torch: what it says makes it known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from planner.errors import PlannerError
from planner.text.documents import shown
from sampler import BaseNetwork, base_names
from sampler.declared.description import NetworkDescription
from sampler.declared.expressions import INDEX
from sampler.declared.family import DeclaredFamily, know_declared
from sampler.families import family_of, unregister_family
from sampler.families.registry import forget_base, known_bases
from sampler.moves import stage_columns
from trainer.declared.table_forms import TABLE_FORMS
from trainer.declared.tables import know_table_of_formula

# How many values each kind of expression is of: at least, at most.
_MANY = 1_000
_SIZES = {
    **dict.fromkeys(("+", "*", "max", "min"), (1, _MANY)),
    **dict.fromkeys(("-", "//", "%", "==", "!=", "<", ">=", "cycle"), (2, 2)),
    **dict.fromkeys(("round", "table", "sum"), (3, 3)),
    **{"divisible": (5, 5), "cell": (1, 1)},
}
_TABLE = [field.name for field in fields(BaseNetwork)]
_DEEPEST = 100  # expressions inside each other; each is some calls deep
_COLUMN = re.compile(r"[^\W\d]\w{0,99}_[1-9]\d{0,3}")


def costs_out(network: BaseNetwork, classes: int) -> dict[str, Any]:
    """What a file says of a base network beside its table: its `counts`, where it has any, and what was `declared`."""
    family, said = family_of(network), dict[str, Any]()
    if (counts := family.counts(network, classes)) is not None:
        said["counts"] = dict(counts)
    if isinstance(family, DeclaredFamily):
        record = family.description.to_json()
        del record["counts"]
        said["declared"] = record
    return said


@contextmanager
def known_network(document: Mapping[str, Any]) -> Iterator[None]:
    """Makes the declared network of a file known; only while a `with` block runs where that fails.

    Args:
        document: `base` of the file, as its schema has it.

    Raises:
        PlannerError: If its expressions are none, or another network of its name is known.
    """
    name, network = document["name"], document["network"]
    counts = network.get("counts")
    if counts is not None:
        check_counts(counts, len(network["stages"]))
    if "declared" not in network:
        with _known_table(name, network):
            yield
        return
    if network["declared"]["name"] != name:
        raise PlannerError(f"base.network.declared.name is {shown(network['declared']['name'])}, not {shown(name)}")
    description = NetworkDescription.from_json({**network["declared"], "counts": counts})
    before = known_bases().get(name)
    know_declared(description)
    try:
        yield
    except BaseException:
        if before is None:
            unregister_family(description.family)
        raise


@contextmanager
def _known_table(name: str, network: Mapping[str, Any]) -> Iterator[None]:
    """Makes a table of known blocks known where its name is not; only while a block runs where that fails."""
    if network["name"] != name or network["family"] not in TABLE_FORMS or name in base_names():
        yield
        return
    know_table_of_formula({key: network[key] for key in _TABLE if key in network})
    try:
        yield
    except BaseException:
        forget_base(name)
        raise


def check_counts(counts: Mapping[str, Any], stages: int) -> None:
    """Refuses counts whose expressions nobody could evaluate.

    Args:
        counts: A `sampler.declared.description.Counts`, in the shape that the schema says.
        stages: How many stages the network has.

    Raises:
        PlannerError: Naming the expression, and what is wrong with it.
    """
    named = {"resolution", "classes", *stage_columns("width", stages), *stage_columns("depth", stages)}
    for name, how in counts["follows"].items():
        if not _COLUMN.fullmatch(name):
            raise PlannerError(f"base.network.counts.follows has {shown(name)}; a column's name is wanted, as heads_1")
        _check(how, f"follows.{name}", named, 0)
    named |= counts["follows"].keys()
    for at, cell in enumerate(counts["cells"]):
        _check(cell, f"cells[{at}]", named, at)
    for at, part in enumerate(counts["parts"]):
        if not (part["part"] in ("stem", "head") or isinstance(part["part"], int) and 1 <= part["part"] <= stages):
            raise PlannerError(f"base.network.counts.parts[{at}].part is {shown(part['part'])}; stem, a stage or head")
        for name in ("macs", "params", "activations"):
            _check(part[name], f"parts[{at}].{name}", named, len(counts["cells"]))
    for name in ("alive", "int64s"):
        _check(counts[name], name, named, len(counts["cells"]))


def _check(given: Any, place: str, named: set[str], cells: int, depth: int = 0) -> None:
    """Refuses what is no expression of some names and so many cells."""
    if type(given) is int or (isinstance(given, str) and given in named):
        return
    kind, *rest = given if isinstance(given, list) and given else [None]
    least, most = _SIZES.get(kind, (1, 0)) if isinstance(kind, str) else (1, 0)
    good = least <= len(rest) <= most and depth < _DEEPEST
    if good and kind == "cell":
        good = type(rest[0]) is int and 0 <= rest[0] < cells
        rest = []
    elif good and kind in ("table", "cycle"):
        good = _lists(kind, rest[1:])
        rest = rest[:1]
    elif good and kind in ("//", "%"):
        good = rest[1] != 0
    elif good and kind == "sum":
        good = INDEX not in named  # a sum inside a sum would have its number twice
        _check(rest[2] if good else 0, place, named | {INDEX}, cells, depth + 1)
        rest = rest[:2]
    if not good:
        raise PlannerError(f"base.network.counts.{place} holds {shown(given)}; an expression is wanted")
    for one in rest:
        _check(one, place, named, cells, depth + 1)


def _lists(kind: str, lists: Sequence[Any]) -> bool:
    """Whether a table's keys and values, or a cycle's values, are whole numbers, as many as they must be."""
    if not all(isinstance(one, list) and one and {type(number) for number in one} == {int} for one in lists):
        return False
    return kind == "cycle" or (len(lists[0]) == len(lists[1]) and lists[0] == sorted(set(lists[0])))
