"""A TOML table of known blocks, read as a base network; docs/tables.md says what it may hold."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from sampler import BaseNetwork, InputError, Stage, base
from sampler.checks import shown
from trainer.declared.table_forms import EXPANSIONS, TABLE_FORMS, TableForm, detail_keys, pools, variant_in
from trainer.declared.table_keys import NUMBERS, STAGE_TABLES, TEXT, WHOLE_NUMBER, Keys

_STAGE = {"block": TEXT, "kernel": WHOLE_NUMBER, "stride": WHOLE_NUMBER, "expansion": NUMBERS, "se_ratio": NUMBERS}
_STAGE |= {"width": WHOLE_NUMBER, "depth": WHOLE_NUMBER, "group_width": WHOLE_NUMBER}
# Columns: the same of all stages, in lists of one per stage.
_COLUMNS = {f"{key}s": key for key in _STAGE}
_HEAD = {"name": TEXT, "like": TEXT, "family": TEXT, "resolution": WHOLE_NUMBER, "rule": TEXT, "stages": STAGE_TABLES}
_HEAD |= {"stem.channels": WHOLE_NUMBER, "stem.stride": WHOLE_NUMBER, "head.channels": WHOLE_NUMBER}


def table_network(text: str, place: str, usual_name: str) -> BaseNetwork:
    """The base network that a table says.

    Args:
        text: TOML.
        place: Name of the file in errors.
        usual_name: Name of the network where the table says none.

    Raises:
        InputError: If it is not TOML, or a key is unknown, missing or impossible; in one line that names it.
    """
    try:
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long to be read
        raise InputError(f"{place}: not TOML ({error}); mend that line") from error
    like = _like(told.get("like"), place)
    family = told.get("family", like.family if like else None)
    if not isinstance(family, str) or family not in TABLE_FORMS:
        was = "is missing" if family is None else f"{shown(family)} is unknown"
        raise InputError(f"{place}: family {was}; known: {', '.join(TABLE_FORMS)} (or like = a known base network)")
    if like and like.family != family:
        raise InputError(f"{place}: {like.name} is of family {like.family!r}, not {family!r}; leave family out")
    form = TABLE_FORMS[family]
    columns = dict.fromkeys(_COLUMNS, "")
    keys = Keys(
        {key: value for key, value in told.items() if key not in columns},
        place,
        {**_HEAD, **detail_keys(form)},
    )
    rows = _rows({key: told[key] for key in columns if key in told}, keys, like)
    stages = tuple(_stage(row, form, like, number, place) for number, row in enumerate(rows, start=1))
    variant = variant_in(form, keys, like, len(stages))
    usual_stride = like.stem_stride // pools(form, like.variant) if like else form.stem_stride
    if not form.head and keys.take("head.channels", 0):
        raise InputError(f"{place}: head.channels: family {family!r} has no convolution before the classifier")
    return BaseNetwork(
        name=keys.take("name", usual_name),
        family=family,
        resolution=keys.take("resolution", like and like.resolution),
        stem=keys.take("stem.channels", like and like.stem),
        stages=stages,
        head=keys.take("head.channels", like and like.head) if form.head else 0,
        rule=keys.take("rule", like.rule if like else form.rule),
        stem_stride=keys.take("stem.stride", usual_stride) * pools(form, variant),
        variant=variant,
    )


def _like(name: Any, place: str) -> BaseNetwork | None:
    """The base network that a table begins with."""
    if name is None:
        return None
    try:
        network = base(name)
    except InputError as error:
        raise InputError(f"{place}: like: {error}") from error
    if network.family not in TABLE_FORMS:
        raise InputError(f"{place}: like: {name} is of family {network.family!r}; known: {', '.join(TABLE_FORMS)}")
    return network


def _rows(columns: Mapping[str, Any], keys: Keys, like: BaseNetwork | None) -> list[dict[str, Any]]:
    """What is said of each stage, in its own table or in columns."""
    given = keys.take("stages", [])
    rows: list[dict[str, Any]] = [dict(row) for row in given] if isinstance(given, list) else []
    if not rows:
        lengths = [len(value) for value in columns.values() if isinstance(value, list)]
        rows = [{} for _ in range(len(like.stages) if like else max(lengths, default=0))]
    for number, row in given.items() if isinstance(given, dict) else ():
        if number not in map(str, range(1, len(rows) + 1)):
            raise InputError(f"{keys.place}: stages.{number}: there are stages 1 to {len(rows)}")
        rows[int(number) - 1] = dict(row)
    if not rows:
        raise InputError(f'{keys.place}: stages are missing; give one [[stages]] table each, or like = "..."')
    for name, values in columns.items():
        if not isinstance(values, list) or len(values) != len(rows):
            raise InputError(
                f"{keys.place}: {name} is {shown(values)}; a list of one per stage ({len(rows)}) is wanted"
            )
        for number, (row, value) in enumerate(zip(rows, values, strict=True), start=1):
            if _COLUMNS[name] in row:
                raise InputError(f"{keys.place}: {_COLUMNS[name]} of stage {number} is given twice, in {name} too")
            row[_COLUMNS[name]] = value
    return rows


def _stage(row: Mapping[str, Any], form: TableForm, like: BaseNetwork | None, number: int, place: str) -> Stage:
    keys = Keys(row, f"{place}: stage {number}", _STAGE)
    usual: dict[str, Any] = {"se_ratio": 0, "group_width": 0, **form.stage}
    if like and number <= len(like.stages):
        stage = like.stages[number - 1]
        usual = {key: getattr(stage, key) for key in _STAGE}
        usual |= {"expansion": list(stage.expansions) or stage.expansion}
        usual |= {"se_ratio": list(stage.se_ratios) or stage.se_ratio}
    block = keys.take("block", usual.get("block"))
    usual.setdefault("expansion", EXPANSIONS.get(block))
    said = {key: keys.take(key, usual.get(key)) for key in _STAGE}
    listed = {"expansions": _list(said["expansion"]), "se_ratios": _list(said["se_ratio"])}
    if form.lists:
        given = {"expansions": "expansion" in keys, "se_ratios": "se_ratio" in keys}
        listed = {key: one if given[key] else _as_long(one, said["depth"]) for key, one in listed.items()}
    ratios = {"expansion": _first(said["expansion"]), "se_ratio": _first(said["se_ratio"])}
    return Stage(**{**said, **ratios, **listed})


def _list(value: Any) -> tuple[float, ...]:
    return tuple(float(one) for one in value) if isinstance(value, list) else ()


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, list) else value)


def _as_long(values: tuple[float, ...], depth: int) -> tuple[float, ...]:
    """Values of so many blocks: deeper ones repeat the last."""
    return values and (values + values[-1:] * max(depth - len(values), 0))[:depth]
