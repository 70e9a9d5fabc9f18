"""Base networks that are tables of known blocks in a TOML file: loaded, and sent to other processes as plain data.

Nothing here needs torch; docs/tables.md describes the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sampler import BaseNetwork, InputError, Stage, rule_named, scale
from sampler.checks import shown
from sampler.families.registry import check_base, forget_base, joined_bases, know_base, known_bases
from trainer.declared.table_file import table_network

TABLE_SUFFIX = ".toml"
_LARGEST = 1_000_000  # bytes of a file
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

# Of known tables by name: file, text, and where that was.
_texts: dict[str, tuple[str, str, str]] = {}
# Names of those known from a formula alone, whose resolution may be the formula's own.
_of_formulas: set[str] = set()


def load_table(path: str | Path) -> BaseNetwork:
    """The base network of a TOML file, known by its name from now on; the same one again is fine.

    Args:
        path: The file; its stem is the network's name where the table says none. It may have changed since it was
            last loaded: its network takes the place of what it was.

    Raises:
        InputError: If it cannot be read, a value is unknown or impossible, or its name is another network's; one line.
    """
    path = Path(path)
    return know_table_text(read_toml(path), path.name, str(path))


def know_table_text(text: str, file: str, place: str = "") -> BaseNetwork:
    """The base network of a TOML file's text, known by its name from now on.

    Args:
        text: TOML.
        file: Name of the file, without folders.
        place: The file in errors; its name by default.

    Raises:
        InputError: As `load_table`.
    """
    place = place or file
    network = table_network(text, place, Path(file).stem)
    try:
        known = _known(network, anew=_texts.get(network.name, ("", "", ""))[2] == place)
    except InputError as error:
        raise InputError(f"{place}: {str(error).removeprefix(f'{network.name}: ')}") from error
    _texts[known.name] = file, text, place
    return known


def stage_table(name: str) -> dict[str, Any] | None:
    """A base network that came as a table, as plain JSON; None for all others, and for what only a formula tells.

    Args:
        name: Name of the base network.
    """
    network = joined_bases().get(name)
    if network is None or name in _of_formulas:
        return None
    facts: dict[str, Any] = json.loads(json.dumps(asdict(network)))
    return facts


def table_text(name: str) -> tuple[str, str] | None:
    """Name and text of the file that a base network came from; None for all others."""
    return _texts[name][:2] if name in joined_bases() and name in _texts else None


def know_stage_table(facts: Mapping[str, Any], file: tuple[str, str] | None = None, anew: bool = False) -> BaseNetwork:
    """Makes a table known that is plain JSON, as `stage_table` and formula files have it.

    Args:
        facts: The fields of a base network.
        file: Name and text of the file that it came from.
        anew: Whether it takes the place of another table of its name.

    Raises:
        InputError: If it is none, cannot be built, or its name is another network's.
    """
    try:
        network = BaseNetwork(**{**facts, "stages": tuple(_stage(stage) for stage in facts["stages"])})
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{shown(facts)} is no table of a base network ({error})") from error
    known = _known(network, anew)
    if file is not None:
        _texts[known.name] = *file, ""
    return known


def know_table_of_formula(facts: Mapping[str, Any]) -> BaseNetwork:
    """As `know_stage_table`; the table itself may take its place, where that differs in nothing but its resolution."""
    known = know_stage_table(facts)
    _of_formulas.add(known.name)
    return known


def _stage(facts: Mapping[str, Any]) -> Stage:
    values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in facts.items()}
    return Stage(**values)


def _known(network: BaseNetwork, anew: bool) -> BaseNetwork:
    if not _NAME.fullmatch(network.name):
        raise InputError(f"name {shown(network.name)} cannot be one; give letters, digits, '_', '-' and '.'")
    known = joined_bases().get(network.name)
    if known is not None and network.name in _of_formulas:
        anew = anew or replace(known, resolution=network.resolution) == network
    if network.name not in known_bases() or anew:
        check_base(network)
        _check_rule(network)
        if anew and known is not None:
            forget_base(network.name)
    made = know_base(network)
    _of_formulas.discard(network.name)
    return made


def _check_rule(network: BaseNetwork) -> None:
    """Refuses a table that its rule would round to another one.

    Raises:
        InputError: Naming the first value that would change.
    """
    rule = rule_named(network.rule)
    one, made = network.architecture(), scale(network, rule, np.array([network.resolution]), 1.0, 1.0)[0]
    for what in ("stem", "head"):
        if getattr(one, what) != getattr(made, what):
            raise _not_by_rule(network, what, getattr(one, what), getattr(made, what))
    for number, (width, other) in enumerate(zip(one.widths, made.widths, strict=True), start=1):
        if width != other:
            raise _not_by_rule(network, f"width of stage {number}", width, other)


def _not_by_rule(network: BaseNetwork, what: str, value: int, other: int) -> InputError:
    return InputError(
        f"{network.name}: {what} is {value}, of which its scaling rule {network.rule!r} makes {other}; "
        'take that, or rule = "free", which keeps every width'
    )


def read_toml(path: Path) -> str:
    """The text of a file that should be a table.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise InputError(f"{path}: larger than {_LARGEST:,} bytes, so no table of a base network")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text; give a TOML table of a base network") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give a TOML table of a base network") from error
