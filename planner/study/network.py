"""The declared network of a study: its folder keeps what it is and the user's file, and it never becomes another one.

Reading a study needs neither the user's file nor torch; building its networks takes the folder's copy of the file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from planner.errors import PlannerError
from planner.text.documents import parse, read_text, write_own
from sampler import InputError
from sampler.declared.description import NetworkDescription
from sampler.declared.family import DeclaredFamily
from sampler.families.protocol import Sizes
from sampler.totals import layer_totals
from trainer.declared.loading import ShippedNetwork, know_shipped, shipped_network

DESCRIPTION = "network.json"
_LARGEST = 100_000_000  # bytes
_FACTS = ("resolution", "widths", "depths", "knobs", "divisors", "step", "least", "channels", "images")
_LONGEST = 60  # of a line that is shown


class NetworkSettings(BaseModel):
    """Where a study's base network was declared; networks of ours have none of it.

    Attributes:
        given: What the user named, such as `nets/mine.py:net`; "" for a function of a program.
        file: Name of the folder's copy of the file; "" where there is none.
        function: Name of the function in it.
        sha256: Digest of the file's bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    given: str = ""
    file: str = ""
    function: str = ""
    sha256: str = ""

    @property
    def path(self) -> Path | None:
        """The user's own file, wherever it is now; None where it was not named as a file."""
        where, _, _ = self.given.rpartition(":")
        return Path(where).expanduser() if where.endswith(".py") else None


def network_settings(base: str, given: str | Callable[..., Any] | None) -> NetworkSettings | None:
    """What a study's settings say of its base network; None of a network of ours.

    Args:
        base: Name of the base network, which is known.
        given: What the user gave for it.
    """
    shipped = shipped_network(base)
    if shipped is None:
        return None
    named = given if isinstance(given, str) and ":" in given else ""
    return NetworkSettings(
        given=named, file=shipped.file, function=shipped.function, sha256=_sha256(shipped.content) if shipped.file else ""
    )


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
    if shipped.file:
        write_own(folder / shipped.file, shipped.content, remedy)


def know_network(folder: Path, table: Any) -> None:
    """Makes the declared network of a study known, from what its folder keeps.

    Args:
        folder: The study's folder.
        table: Table `[network]` of its study.toml, unchecked; what is no such table is left to whoever checks it.

    Raises:
        PlannerError: If the folder lacks something or was edited, or another network of its name is known already.
    """
    file = table.get("file", "") if isinstance(table, dict) else None
    if not isinstance(file, str) or Path(file).name != file:
        return
    made = _kept(folder, table)
    name = _name(made)
    now = shipped_network(name)
    if now is not None and (change := difference(made, now)):
        raise PlannerError(
            f"study {folder.name} was made with another network {name}: {change}; put that back, give the new network "
            "another name, or take another --study"
        )
    if now is None or now != made:
        know_shipped(made)


def _kept(folder: Path, table: dict[str, Any]) -> ShippedNetwork:
    """What a study's folder keeps of its network.

    Raises:
        PlannerError: If something is missing, damaged or edited.
    """
    remedy = "restore it from a copy of the study's folder"
    path, file = folder / DESCRIPTION, table.get("file", "")
    text = read_text(path, _LARGEST, "no description of the study's network", remedy)
    try:
        NetworkDescription.from_json(parse(text))
    except (ValueError, RecursionError) as error:
        raise PlannerError(f"{path}: {str(error)[:200]}; {remedy}") from error
    content = read_text(folder / file, _LARGEST, "not the file of the study's network", remedy) if file else ""
    if file and _sha256(content) != table.get("sha256"):
        raise PlannerError(f"{folder / file}: not as it was when the study was made (its digest differs); {remedy}")
    return ShippedNetwork(file, str(table.get("function", "")), content, text)


def check_file(folder: Path, settings: NetworkSettings | None) -> None:
    """Refuses to train where the user's file was changed since the study was made; else has its folder's modules found.

    Args:
        folder: The study's folder.
        settings: Where the network was declared; None for networks of ours.

    Raises:
        PlannerError: Naming the first line that differs.
    """
    path = settings.path if settings else None
    if settings is None or path is None or not path.is_file():
        return
    now = path.read_text(encoding="utf-8", errors="replace")
    if _sha256(now) != settings.sha256:
        before = (folder / settings.file).read_text(encoding="utf-8")
        raise PlannerError(
            f"{path} was changed since study {folder.name} was made with it: {_first_line(before, now)}; put that "
            "back, or take another --study"
        )
    if (beside := str(path.absolute().parent)) not in sys.path:
        sys.path.append(beside)  # what it imports from there; last, so that it hides nothing that is installed


def difference(made: ShippedNetwork, now: ShippedNetwork) -> str:
    """In what a network is another than it was, in words; "" where it is the same.

    Descriptions that count the same are the same: another version of torch may find other words for them.
    """
    before, after = _described(made), _described(now)
    for name in _FACTS:
        if (was := _shown(getattr(before, name))) != (new := _shown(getattr(after, name))):
            return f"its {name} were {was}, not {new}"
    if made.function != now.function:
        return f"it was function {made.function!r}, not {now.function!r}"
    if made.content != now.content:
        return _first_line(made.content, now.content)
    was, new = _costs(before), _costs(after)
    return "" if was == new else f"at base size it cost {was[0]:,} MACs and {was[1]:,} params, not {new[0]:,} and {new[1]:,}"


def _first_line(before: str, after: str) -> str:
    """The first line that differs, by its number."""
    old, new = before.splitlines(), after.splitlines()
    at = next((i for i, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new)))
    was, now = (repr(lines[at].strip()[:_LONGEST]) if at < len(lines) else "nothing" for lines in (old, new))
    return f"line {at + 1} was {was}, not {now}"


def _described(network: ShippedNetwork) -> NetworkDescription:
    return NetworkDescription.from_json(json.loads(network.description))


def _name(network: ShippedNetwork) -> str:
    return _described(network).name


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
    sizes = Sizes(*(np.array(one, dtype=np.int64) for one in (pixels, [0, 0, 0], wider, deeper, [0, 0, 0])))
    blocks = list(DeclaredFamily(network).blocks(network.base(), sizes, classes=10))
    sums = [layer_totals(block.layers) for block in blocks]
    return tuple(
        int(np.broadcast_to(sum(getattr(one, name) for one in sums), 3)[row])
        for row in range(3)
        for name in ("macs", "params")
    )


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
