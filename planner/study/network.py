"""The declared network of a study: its folder keeps what it is and the user's files, and it never becomes another one.

Reading a study needs neither the user's files nor torch; building its networks takes the folder's copies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

import numpy as np
from pydantic import BaseModel, ConfigDict

from planner.errors import PlannerError
from planner.text.documents import read_text, write_own
from sampler import InputError
from sampler.declared.description import NetworkDescription
from sampler.declared.family import DeclaredFamily
from sampler.families.protocol import Sizes
from sampler.families.registry import forget_base, joined_bases, known_bases
from sampler.totals import layer_totals
from trainer.declared.loading import ShippedNetwork, files_named, forget_network, know_shipped, shipped_network
from trainer.declared.own_files import digest_of_files
from trainer.declared.tables import TABLE_SUFFIX

DESCRIPTION = "network.json"
OWN_FILES = "network"  # the folder of the files' copies
_LARGEST = 100_000_000  # bytes
_FACTS = ("resolution", "widths", "depths", "knobs", "divisors", "step", "least", "channels", "images")
_LONGEST = 60  # of a line that is shown


class NetworkSettings(BaseModel):
    """Where a study's base network was declared; networks of ours have none of it.

    Attributes:
        given: Name that the user gave, such as `nets/mine.py:net`; "" for a function of a program.
        file: Name of the file, from the folder of its package; "" where there is none.
        function: Name of the function in it.
        sha256: Digest of the file, and of those beside it that it imports.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    given: str = ""
    file: str = ""
    function: str = ""
    sha256: str = ""


def network_settings(base: str, given: str | Callable[..., Any] | None) -> NetworkSettings | None:
    """What a study's settings say of its base network; None of a network of ours.

    Args:
        base: Name of the base network, which is known.
        given: Name or function that the user gave for it.
    """
    shipped = shipped_network(base)
    if shipped is None:
        return None
    files, named = dict(shipped.beside), given if _names_files(given) else ""
    digest = digest_of_files(files) if files else ""
    return NetworkSettings(given=named, file=next(iter(files), ""), function=shipped.function, sha256=digest)


def keep_network(folder: Path, base: str) -> None:
    """Writes what a new study's folder keeps of a declared network; nothing of others.

    Raises:
        PlannerError: If it cannot be written.
    """
    shipped = shipped_network(base)
    if shipped is None:
        return
    remedy = "free space or choose another folder"
    write_own(folder / DESCRIPTION, shipped.description, remedy)
    for name, text in shipped.beside:
        file = folder / OWN_FILES / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_own(file, text, remedy)


def know_network(folder: Path, table: Any) -> None:
    """Makes the declared network of a study known, from what its folder keeps.

    Args:
        folder: The study's folder.
        table: Table `[network]` of its study.toml, unchecked; what is no such table is left to whoever checks it.

    Raises:
        PlannerError: If the folder lacks something or was edited, or another network of its name is known already.
    """
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        return
    made = _kept(folder, table)
    name = json.loads(made.description)["name"]
    now = shipped_network(name)
    if now is None:
        know_shipped(made)
    elif change := difference(made, now):
        raise _changed(folder, f"network {name}", change)


def check_given(folder: Path, settings: NetworkSettings | None, given: Any = None) -> None:
    """Refuses to go on where the user's files were changed since the study was made; files that are gone are not.

    Args:
        folder: The study's folder.
        settings: Where the network was declared; None for networks of ours.
        given: Name that is given now; the one given then by default.

    Raises:
        PlannerError: Naming the first line that differs.
    """
    named = settings.given if settings and given is None else given
    if settings is None or not _names_files(named):
        return
    try:
        files = files_named(named)
    except InputError:
        if given is not None:
            raise
        return
    if files and digest_of_files(files) != settings.sha256:
        made = dict(_kept(folder, settings.model_dump()).beside)
        raise _changed(folder, named.rpartition(":")[0], _first_difference(made, files) or "its files")


def _changed(folder: Path, what: str, change: str) -> PlannerError:
    return PlannerError(
        f"{what} is not as it was when study {folder.name} was made with it: {change}; put that back, or take another "
        "--study"
    )


def _kept(folder: Path, table: Mapping[str, str]) -> ShippedNetwork:
    """What a study's folder keeps of its network.

    Raises:
        PlannerError: If something is missing, damaged or edited.
    """
    remedy = "restore it from a copy of the study's folder"
    path, first, sources = folder / DESCRIPTION, table.get("file", ""), folder / OWN_FILES
    text = read_text(path, _LARGEST, "no description of the study's network", remedy)
    try:
        described = json.loads(text)
        function = "" if first.endswith(TABLE_SUFFIX) else NetworkDescription.from_json(described).source.function
        assert isinstance(described["name"], str)
    except (AssertionError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise PlannerError(f"{path}: {str(error)[:200]}; {remedy}") from error
    files = {}
    if first:
        others = sorted(one.relative_to(sources).as_posix() for one in sources.rglob("*.py"))
        for name in dict.fromkeys([first, *others]):
            files[name] = read_text(sources / name, _LARGEST, "no file of a network", remedy)
        if digest_of_files(files) != table.get("sha256"):
            raise PlannerError(f"{sources}: not the files that the study was made with; {remedy}")
    name = PurePosixPath(first).name
    return ShippedNetwork(name, function, files.get(first, ""), text, tuple(files.items()))


@contextmanager
def passing() -> Iterator[None]:
    """Networks that become known meanwhile are unknown again afterwards: those of studies that are only looked at."""
    before = set(known_bases())
    try:
        yield
    finally:
        for name in set(known_bases()) - before:
            if name in joined_bases():
                forget_base(name)
            forget_network(name)


def difference(made: ShippedNetwork, now: ShippedNetwork) -> str:
    """In what a network is another than it was, in words; "" where it is the same.

    Descriptions that count the same are the same: another version of torch may find other words for them.
    """
    if made.is_table or now.is_table:
        same = made.description == now.description
        return "" if same else _first_difference(dict(made.beside), dict(now.beside)) or "its table"
    before, after = _described(made), _described(now)
    for name in _FACTS:
        if (was := _shown(getattr(before, name))) != (new := _shown(getattr(after, name))):
            return f"{name} {was} became {new}"
    if made.function != now.function:
        return f"function {made.function} became {now.function}"
    if made.beside and now.beside and (change := _first_difference(dict(made.beside), dict(now.beside))):
        return change
    (macs, params, *others), (new_macs, new_params, *new_others) = _costs(before), _costs(after)
    if (macs, params, others) == (new_macs, new_params, new_others):
        return ""
    return f"{macs:,} MACs and {params:,} params at base size became {new_macs:,} and {new_params:,}"


def _first_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The first line that differs, by its file and number; "" where none does."""
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        if old == new:
            continue
        pairs = enumerate(zip(old, new, strict=False))
        at = next((i for i, (one, other) in pairs if one != other), min(len(old), len(new)))
        was, now = (lines[at].strip() if at < len(lines) else "" for lines in (old, new))
        same = len(os.path.commonprefix([was, now]))
        was, now = (_from(text, same) for text in (was, now))
        return f"line {at + 1} of {name}, {was}, became {now}"
    return "" if dict(before) == dict(after) else "the ends of its lines"


def _from(line: str, same: int) -> str:
    """A line as it is shown: where it is long, from a little before what differs."""
    if not line:
        return "nothing"
    start = max(0, same - _LONGEST // 3) if len(line) > _LONGEST else 0
    shown = line[start : start + _LONGEST]
    return f"'{'..' * (start > 0)}{shown}{'..' * (start + len(shown) < len(line))}'"


def _names_files(given: Any) -> TypeGuard[str]:
    """Whether what was given names a file: `FILE.toml`, or `FILE.py:NAME` and the like."""
    return isinstance(given, str) and (":" in given or given.endswith(TABLE_SUFFIX))


def _described(network: ShippedNetwork) -> NetworkDescription:
    return NetworkDescription.from_json(json.loads(network.description))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return json.dumps({name: asdict(knob) for name, knob in sorted(value.items())})
    return str(value)


def _costs(network: NetworkDescription) -> tuple[int, ...]:
    """MACs and params at base size, then at other sizes; nothing where they are traced."""
    if network.counts is None:
        return (0, 0)
    wider = [[width * times for width in network.widths] for times in (1, 1, 2)]
    deeper = [[depth + more for depth in network.depths] for more in (0, 1, 0)]
    pixels = [network.resolution, network.resolution + network.step, network.resolution]
    none = np.zeros(len(pixels), dtype=np.int64)
    sizes = Sizes(np.array(pixels), none, np.array(wider), np.array(deeper), none)
    blocks = list(DeclaredFamily(network).blocks(network.base(), sizes, classes=10))
    sums = [layer_totals(block.layers) for block in blocks]
    return tuple(
        int(np.broadcast_to(sum(getattr(one, name) for one in sums), 3)[row])
        for row in range(3)
        for name in ("macs", "params")
    )
