"""The network that a JSON document describes: what `planner predict --json` and its like print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError, PlannerError
from planner.text.documents import parse, read_text
from sampler import Architecture, architecture_complexity, architecture_from

_LARGEST = 10_000_000
_PRINTERS = "give what `planner predict --json` prints"
_PARTS = ("base", "resolution", "stem", "widths", "depths", "head")
_LAYERED = ("layers", "padding")
_SINCE = ("projected",)  # which documents of networks with one width per layer may lack
_KNOBS = "knobs"  # which only networks with other group widths than their base network's have
_USUAL_CLASSES = 1000


@dataclass(frozen=True)
class NetworkFile:
    """A network somebody described.

    Attributes:
        architecture: Integers of the network.
        classes: Outputs of its classifier.
        macs: Multiply-accumulates of one image.
        formula: The file of the formula that gave it; "" where the document names none.
    """

    architecture: Architecture
    classes: int
    macs: int
    formula: str = ""


def read_given(path: Path, classes: int | None = None) -> NetworkFile:
    """Reads a document.

    Args:
        path: Path of a JSON file, or of a pipe such as `/dev/stdin`.
        classes: Outputs of the classifier, instead of the document's.

    Raises:
        PlannerError: If it cannot be read, or does not describe a network that can be built.
    """
    text = read_text(path, _LARGEST, f"no network's description; {_PRINTERS}", _PRINTERS)
    try:
        document = parse(text)
    except (ValueError, RecursionError) as error:
        raise PlannerError(f"{path}: not JSON ({str(error)[:100]}); {_PRINTERS}") from error
    try:
        return given(document, classes)
    except InputError as error:
        raise PlannerError(f"{path}: {error}") from error


def given(document: Any, classes: int | None = None) -> NetworkFile:
    """The network of a document.

    Args:
        document: A document that `predict`, `predict --space stage` (whose preferred answer it is), `scale` or `cost`
            print, or the `.json` of an export or of a search.
        classes: Outputs of the classifier, instead of the document's.

    Raises:
        InputError: If something is missing, or the network cannot be built.
    """
    whole = _mapping(document)
    if "allocations" in whole:
        options = _mapping(whole["allocations"])
        whole = {**_mapping(options.get(str(whole.get("preferred")))), "formula": whole.get("formula")}
    facts = _mapping(whole.get("architecture", whole))
    parts: tuple[str, ...] = (*_PARTS, *_LAYERED) if _LAYERED[0] in facts else _PARTS
    parts += tuple(name for name in _SINCE if name in facts and parts != _PARTS)
    parts += (_KNOBS,) if _KNOBS in facts and parts == _PARTS else ()
    missing = [name for name in parts if name not in facts]
    if missing:
        raise PlannerError(f"no {' or '.join(missing)} in it; {_PRINTERS}")
    outputs = whole.get("classes", _USUAL_CLASSES) if classes is None else classes
    for name, value in {**{part: facts[part] for part in parts}, "classes": outputs}.items():
        _check(name, value)
    architecture = architecture_from({name: facts[name] for name in parts})
    formula = whole.get("formula")
    macs = int(architecture_complexity(architecture, outputs).macs)
    return NetworkFile(architecture, outputs, macs, formula if isinstance(formula, str) else "")


def _check(name: str, value: Any) -> None:
    """Refuses what is not of the part's type; whether the numbers are possible is the sampler's to say."""
    if name in ("base", "padding"):
        fine, wanted = isinstance(value, str), "a name"
    elif name in ("widths", "depths", "layers"):
        fine, wanted = isinstance(value, list) and all(type(one) is int for one in value), "a list of whole numbers"
    elif name == _KNOBS:
        fine, wanted = isinstance(value, dict), "an object of whole numbers by name"
    elif name in _SINCE:
        fine, wanted = isinstance(value, bool), "true or false"
    else:
        fine, wanted = type(value) is int, "a whole number"
    if not fine:
        raise PlannerError(f"{name} is {repr(value)[:60]}; {wanted} is wanted")


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PlannerError(f"an object with {', '.join(_PARTS)} is wanted; {_PRINTERS}")
    return value
