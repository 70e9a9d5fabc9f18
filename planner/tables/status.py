"""What became of a training, by its facts; of whole tables `planner.tables.cells.ok_rows` says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OK = "ok"  # the status of a training that has a score and went through all its epochs


def is_ok(facts: Mapping[Any, Any]) -> bool:
    """Whether a training ended well, by its facts or its row of a table."""
    return bool(facts.get("status") == OK)
