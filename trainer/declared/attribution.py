"""Which part of a network an operation or a parameter belongs to: the stem, a stage, the head.

What comes with a stage's depth is the stage's. So is its first block, which every network has: the operations before
the second that are like the second's, or the module that has them; and what lies with the blocks in a numbered module
(`stages.1.downsample`). Of the rest, what stands before the first stage is the stem, what stands after the last is the
head, and what stands between two belongs to the later. Parameters follow the operations of their module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from trainer.declared.alignment import Token, common_prefix
from trainer.declared.structure import Entry, Place, Template

PartName = str | int  # "stem", the number of a stage, "head"
_STEM, _HEAD = "stem", "head"
_NUMBERED = re.compile(r"\d")


def parts_by_entry(ops: Template, params: Template, stages: int) -> dict[Entry, PartName]:
    """The part of every entry of a network's operations and parameters."""
    of_stages = {template: _stages_of(template) for template in (ops, params)}
    together = {entry: stage for found in of_stages.values() for entry, stage in found.items()}
    modules = _modules_of(ops, together, stages)
    found: dict[Entry, PartName] = {}
    by_module: dict[str, PartName] = {}
    for template in (ops, params):
        entries = template.entries()
        known = dict(of_stages[template])
        for entry in entries:
            if entry not in known and (stage := _stage_within(entry.path, modules)) is not None:
                known[entry] = stage
        by_position = _by_position(entries, known)
        for entry in entries:
            module = entry.path.rpartition(".")[0] if template is params else entry.path
            told = by_module.get(module) if template is params and entry not in known else None
            found[entry] = by_position[entry] if told is None else told
            if template is ops and module:
                by_module.setdefault(module, found[entry])
    return found


def _stages_of(template: Template) -> dict[Entry, int]:
    """The stage of each entry that comes with a depth, or that a stage's first block has."""
    found = {entry: entry.group.stage for entry in template.entries() if entry.group.stage}
    for position, place in enumerate(template.skeleton):
        if isinstance(place, Entry) or not (second := _second(place)):
            continue
        before = [*takewhile(lambda one: isinstance(one, Entry), template.skeleton[:position][::-1])]
        stage = second[0].group.stage
        found |= dict.fromkeys(_first_block([one for one in before if isinstance(one, Entry)], second), stage)
    return found


def _second(place: Place) -> list[Entry]:
    """The entries of the second block at a place; of the next one where it has none there."""
    return next((place[group] for group in sorted(place) if place[group]), [])


def _first_block(before: Sequence[Entry], second: Sequence[Entry]) -> Sequence[Entry]:
    """Those of the entries before a second block, the nearest first, that are the first block.

    They are matched from the end; what stands between two that are alike, as a shortcut's convolution, is the block's.
    """
    most, at, end = len(second) + 2, 0, 0
    for token in [_alike(entry.token) for entry in reversed(second)]:
        matched = next((i for i in range(at, min(len(before), at + most)) if _alike(before[i].token) == token), None)
        if matched is not None:
            at = end = matched + 1
    return before[:end]


def _alike(token: Token) -> Token:
    """A token as it is in another block: without the modules around its own."""
    return token._replace(path=token.path.rpartition(".")[2])


def _modules_of(ops: Template, known: dict[Entry, int], stages: int) -> dict[str, int]:
    """Modules that are a stage's as a whole: its blocks', and numbered ones around them that hold no other stage's."""
    found: dict[str, int] = {}
    paths = [(entry.path, known.get(entry)) for entry in ops.entries()]
    for place in ops.skeleton:
        if isinstance(place, Entry) or not (second := _second(place)):
            continue
        stage, block = second[0].group.stage, _common(entry.path for entry in second)
        if not block or any(_within(path, block) and theirs != stage for path, theirs in paths):
            continue
        found[block] = stage
        around, _, own = block.rpartition(".")
        beside = {path.split(".")[around.count(".") + 1] for path, _ in paths if around and _within(path, around)}
        first = [path for path, theirs in paths if theirs == stage and _within(path, around)] if around else []
        for name in beside - {own}:  # the first block's module, with its shortcut
            module = f"{around}.{name}"
            inside = [theirs for path, theirs in paths if _within(path, module)]
            if any(_within(path, module) for path in first) and set(inside) <= {stage, None}:
                found[module] = stage
        while stages > 1 and around and all(t in (stage, None) for path, t in paths if _within(path, around)):
            if _NUMBERED.search(around.rpartition(".")[2]):
                found[around] = stage
            around = around.rpartition(".")[0]
    return found


def _common(paths: Iterable[str]) -> str:
    """The module that holds all of some."""
    first, *others = paths
    return ".".join(first.split(".")[: min([common_prefix(first, path) for path in others], default=None)])


def _stage_within(path: str, modules: dict[str, int]) -> int | None:
    return next((stage for module, stage in modules.items() if _within(path, module)), None)


def _by_position(entries: Sequence[Entry], known: dict[Entry, int]) -> dict[Entry, PartName]:
    """The part of each entry: its own where it is known, else the next one's."""
    found: dict[Entry, PartName] = {}
    later: PartName = _HEAD
    for entry in reversed(entries):
        later = found[entry] = known.get(entry, later)
    for entry in entries:
        if entry in known:
            break
        found[entry] = _STEM
    return found


def _within(path: str, container: str) -> bool:
    return path == container or path.startswith(container + ".")
