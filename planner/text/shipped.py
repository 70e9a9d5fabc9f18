"""What ships with the planner: tables and formulas, in a wheel or a checkout."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def shipped(*parts: str) -> Traversable:
    """A shipped file or folder, such as `shipped("results", "published", "efficientnet_b0.csv")`."""
    packaged = files("planner") / "_shipped"
    root: Traversable = packaged if packaged.is_dir() else Path(__file__).resolve().parents[2]
    return root.joinpath(*parts)


def reference_formula(base: str) -> str | None:
    """The text of the reference study's formula, learned with this planner, if it is for this base network."""
    path = shipped("results", "reference", "formula.json")
    return _if_for(base, path) if path.is_file() else None


def shipped_formula(base: str) -> str | None:
    """The text of the formula shipped for a base network, of published networks, or None."""
    for path in sorted(shipped("results", "published").iterdir(), key=lambda one: one.name):
        if path.name.endswith("formula.json") and (text := _if_for(base, path)) is not None:
            return text
    return None


def _if_for(base: str, path: Traversable) -> str | None:
    """The text of a formula's file if it is for this base network."""
    import json

    text = path.read_text(encoding="utf-8")
    return text if json.loads(text)["base"]["name"] == base else None
