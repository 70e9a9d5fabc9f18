"""From what a user declared to exact closed terms: trace, explain, check, trace where it was wrong, until it is right.

Nothing is believed that did not equal at least fifty traces of random architectures which nobody had looked at before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sampler.declared.description import Counts, NetworkDescription, PartCounts
from sampler.declared.expressions import Evaluation
from sampler.declared.spec import NetworkSpec, followers
from sampler.errors import InputError
from trainer.declared.attribution import PartName, parts_by_entry
from trainer.declared.explained import SEQUENCES, Meaning, Meanings, UnexplainedError
from trainer.declared.legal import base_refused, learned, point_of, sizes_text
from trainer.declared.moments import most_alive
from trainer.declared.structure import DeeperError, Entry, StructureError, Template
from trainer.declared.synthesis import Rows, names_in
from trainer.declared.terms import SumOfProducts, added, with_cells
from trainer.declared.traced import traced
from trainer.declared.tracing import EIGHT, IllegalError, Point, Trace, trace

__all__ = ["derive", "traced"]
CHECKED = 50  # random architectures whose costs must be equal
_FIRST, _ROUNDS, _DOUBTS = 12, 12, 14
_SAMPLE = 3000
_CORNERS = 7000
_LARGER = (2, 4, 8)
_AGAIN = 6  # traces that are made again where no closed form was found: cost by chance has none
_SECONDS = 150  # of the processor, after which architectures are traced one by one
_Tell = Callable[[str, int, int], None]


class NoClosedFormError(Exception):
    """No closed terms were found; says why in one line."""


def _silent(what: str, done: int, of: int) -> None:
    """Tells nobody."""


def derive(spec: NetworkSpec, tell: _Tell = _silent) -> NetworkDescription:
    """What a network costs, as exact closed terms where there are any.

    Args:
        spec: The network declared.
        tell: Called with what is being done, how much of it is done, and of how much.

    Raises:
        InputError: If the network cannot be built, ignores what it is given, or costs something else each time.
    """
    return Derivation(spec, tell).description()


class Derivation:
    """One network's derivation."""

    def __init__(self, spec: NetworkSpec, tell: _Tell = _silent) -> None:
        self.spec, self.tell, self.random = spec, tell, random.Random(0)
        self.stages = len(spec.widths)
        self.known: dict[tuple[int, ...], Trace] = {}
        self.names: list[str] = []  # of the variables, in the order of the keys of those known
        self.points: list[dict[str, int]] = []
        self.traces: list[Trace] = []
        self.made = 0
        self.started, self.deadline = time.perf_counter(), time.process_time() + _SECONDS
        self.templates: dict[str, Template] = {}
        self.wide: Rows | None = None
        self.most = [3] * self.stages

    def trace(self, point: Point) -> Trace:
        """The trace of a point, made once."""
        self.names = sorted(point)
        key = tuple(point[name] for name in self.names)
        if key not in self.known:
            self.known[key] = trace(self.spec, point)
            self.made += 1
        return self.known[key]

    def description(self) -> NetworkDescription:
        """The network, derived."""
        self.tell("sizes that can be built", 0, CHECKED)
        self._check_same()
        self.levels = learned(self.spec, self.trace, self.random)
        self.spec = self.levels.spec
        why = ""
        counts: Counts | None = None
        try:
            counts = self._closed()
        except (NoClosedFormError, StructureError) as error:
            why = str(error)
            for point, before in list(zip(self.points, self.traces, strict=True))[-_AGAIN:]:
                self._same(point, before)
        return self._described(counts, why)

    def _described(self, counts: Counts | None, why: str) -> NetworkDescription:
        spec, levels = self.spec, self.levels
        derived: dict[str, Any] = {
            "traces": self.made,
            "seconds": round(time.perf_counter() - self.started, 1),
            "checked": CHECKED if counts else 0,
            "torch": torch.__version__,
            "how": "closed" if counts else "traced",
            "outputs": [list(shape) for shape in self.trace(point_of(spec, {"classes": 10})).result],  # of ten classes
        }
        if why:
            derived["why"] = why
        return NetworkDescription(
            spec.name, spec.resolution, levels.least, levels.step, spec.widths, levels.divisors, spec.depths,
            dict(spec.knobs), self._gives_scores(), spec.channels, spec.source, counts, derived,
        )  # fmt: skip

    def _gives_scores(self) -> bool:
        """Whether it takes images and gives one score per class."""
        if self.spec.input is not None:
            return False
        shapes = [trace_.result for trace_ in (self.trace(point_of(self.spec, {"classes": n})) for n in (10, 7))]
        return shapes == [((1, 10),), ((1, 7),)]

    def _check_same(self) -> None:
        """Refuses a network whose cost is not the same twice.

        Raises:
            InputError: If it is not.
        """
        point = point_of(self.spec, {})
        try:
            self._same(point, self.trace(point))
        except IllegalError as error:
            raise base_refused(self.spec, error) from error

    def _same(self, point: Point, before: Trace) -> None:
        again = trace(self.spec, point)
        self.made += 1
        if again.counts() != before.counts():
            raise InputError(
                f"network {self.spec.name} does not cost the same twice: "
                f"{before.counts()[0]:,} MACs and {before.counts()[1]:,} params once, "
                f"{again.counts()[0]:,} and {again.counts()[1]:,} the next time, at {sizes_text(self.spec, point)}; "
                "let what it builds follow its sizes alone (no random choices)"
            )

    # ---- traces
    def _add(self, point: dict[str, int]) -> bool:
        """Looks at a point; whether it can be built."""
        try:
            found = self.trace(point)
        except IllegalError:
            return False
        self.points.append(point)
        self.traces.append(found)
        self._observe(len(self.traces) - 1)
        return True

    def _observe(self, number: int) -> None:
        depths = self._depths(self.points[number])
        try:
            for name, template in self.templates.items():
                template.observe(number, getattr(self.traces[number], name), depths)
        except DeeperError as error:
            self._deepen(error.stage)
            self._learn_structure()

    def _depths(self, point: Point) -> list[int]:
        return [point[f"depth_{i}"] for i in range(1, self.stages + 1)]

    def _deepen(self, stage: int) -> None:
        self.most[stage - 1] += 2
        if self.most[stage - 1] > 9:
            raise NoClosedFormError(f"the blocks of stage {stage} follow no order")

    def _learn_structure(self) -> None:
        """Templates from traces of few blocks; then all traces so far are taken in."""
        while True:
            try:
                self._templates()
                for number in range(len(self.traces)):
                    depths = self._depths(self.points[number])
                    for name, template in self.templates.items():
                        template.observe(number, getattr(self.traces[number], name), depths)
                return
            except DeeperError as error:
                self._deepen(error.stage)

    def _templates(self) -> None:
        base = {f"depth_{i}": most for i, most in enumerate(self.most, 1)}
        odd = {
            f"width_{i}": width + self.levels.divisors[i - 1] * (2 * i - 1)
            for i, width in enumerate(self.spec.widths, 1)
        }
        # Deep blocks may need a larger input than the base's, or do more there (Swin shifts windows of large sides
        # alone); and widths that are unlike may be none.
        larger = [{"resolution": times * self.spec.resolution} for times in _LARGER]
        moved = self._richest([{**base, **more, **some} for more in ({}, *larger) for some in (odd, {})])
        full = self.trace(self.levels.at(**moved))
        shorter = [
            [self.trace(self.levels.at(**{**moved, f"depth_{i}": d})) for d in range(most - 1, 0, -1)]
            for i, most in enumerate(self.most, 1)
        ]
        self.templates = {
            name: Template(
                getattr(full, name), [[getattr(one, name) for one in traces] for traces in shorter], self.most
            )
            for name in SEQUENCES
        }

    def _richest(self, some: Sequence[dict[str, int]]) -> dict[str, int]:
        """Of some moves from the base, the one that does more of the first two resolutions.

        Raises:
            NoClosedFormError: If none can be built.
        """
        found: dict[int | None, tuple[int, dict[str, int]]] = {}
        for moved in some:
            if len(found) == 2 or moved.get("resolution") in found:
                continue
            try:
                here = self.trace(self.levels.at(**moved))
                found[moved.get("resolution")] = len(here.ops) + len(here.storages), moved
            except IllegalError as error:
                why = error
        if not found:
            raise NoClosedFormError(f"no network of depths {self.most} can be built ({why})")
        return max(found.values(), key=lambda one: one[0])[1]

    def _first_points(self) -> list[dict[str, int]]:
        """Each variable moved alone from one architecture; and random ones."""
        values = self.levels.values
        centre = self.levels.drawn(self.random)
        centre |= {f"depth_{i}": most for i, most in enumerate(self.most, 1)}
        found = [centre]
        followers_ = {n for n in centre if n.rsplit("_", 1)[0] in self.spec.knobs}
        free = {n: value for n, value in centre.items() if n not in followers_ or n in values}
        if free == centre:
            free = {n: value for n, value in self.levels.drawn(self.random).items() if n in values}
        for name, some in values.items():
            moves = self.random.sample(some, min(3, len(some)))
            if name.startswith("depth"):
                moves = [1, 2, self.most[int(name[6:]) - 1] + 1]
            found += [{**centre, name: value} for value in moves if value != centre[name]]
            found += [self.levels.at(**{**free, name: value}) for value in moves[:2]]
        return [*found, *(self.levels.drawn(self.random) for _ in range(_FIRST))]

    # ---- terms
    def _closed(self) -> Counts:
        """Closed terms that passed the check.

        Raises:
            NoClosedFormError: If there are none.
            StructureError: If its structure is none that templates have.
        """
        self._learn_structure()
        for key in list(self.known):  # those that said which sizes can be built
            self._add(dict(zip(self.names, key, strict=True)))
        for point in self._first_points():
            self._add(point)
            self.tell("tracing", len(self.traces), len(self.traces) + CHECKED)
        self.meanings = Meanings(sorted(self.points[0]))
        self._check_all_matter()
        sample = [self.levels.drawn(self.random, 8) for _ in range(_SAMPLE)]
        failed: Exception | None = None
        for _ in range(_ROUNDS):
            try:
                counts = self._explained(sample)
                failed = None
            except UnexplainedError as error:
                if failed is not None and str(failed) == str(error):
                    break
                failed = error
                for _ in range(_FIRST):
                    self._add(self.levels.drawn(self.random, 6))
                continue
            if self._passes(counts):
                self._check_none_ignored(counts)
                return counts
        raise NoClosedFormError(str(failed) if failed else "every expression found was wrong somewhere")

    def _explained(self, sample: Sequence[Point]) -> Counts:
        counts = self._terms()
        for _ in range(_DOUBTS):
            doubtful = [p for p in self.meanings.doubtful(sample) if tuple(p[n] for n in sorted(p)) not in self.known]
            if not doubtful or not any(self._add(dict(point)) for point in doubtful[:3][:1]):
                break
            counts = self._terms()
        return counts

    def _wide_sample(self) -> Rows:
        """Many architectures: usual ones, far larger ones, and those at the ends of all sizes; made once."""
        if self.wide is None:
            levels, draw = self.levels, self.random
            usual = [levels.drawn(draw, 8) for _ in range(_CORNERS)]
            ends = [one for _ in range(_CORNERS) for one in (levels.far(draw), levels.corner(draw))]
            self.wide = Rows([*usual, *ends], None)
        return self.wide

    def _terms(self) -> Counts:
        templates = self.templates
        groups = sorted({entry.group for template in templates.values() for entry in template.entries()})
        self.meanings.set_traces(self.points, groups, self.stages)
        means = self._means([e for name in SEQUENCES for e in templates[name].entries() if e.seen])
        sums: dict[tuple[PartName, str], SumOfProducts] = {}
        ops = set(templates["ops"].entries())
        for entry, part in parts_by_entry(templates["ops"], templates["params"], self.stages).items():
            if entry in means:
                self._count(sums, part, entry in ops, entry, means[entry])
        buffers = sums.pop(("buffers", "buffer"), SumOfProducts()).expression()
        int64s = sums.pop(("buffers", EIGHT), SumOfProducts()).expression()
        own, eights = most_alive(templates["storages"], self.meanings, means, self.traces, self._wide_sample)
        parts: list[PartCounts] = [
            {
                "part": part,
                "macs": sums.get((part, "macs"), SumOfProducts()).expression(),
                "params": sums.get((part, "params"), SumOfProducts()).expression(),
                "activations": sums.get((part, "activations"), SumOfProducts()).expression(),
            }
            for part in ("stem", *range(1, self.stages + 1), "head")
        ]
        cells, parts, further = with_cells(parts, added([own, buffers]), added([eights, int64s]))
        return {
            "follows": followers(self.spec.knobs, self.stages),
            "cells": cells,
            "parts": parts,
            "alive": further[0],
            "int64s": further[1],
        }

    def _means(self, entries: Sequence[Entry]) -> dict[Entry, Meaning]:
        """What entries' numbers are: later ones may explain earlier ones, so that those are asked again.

        Raises:
            UnexplainedError: If one is explained by nothing.
        """
        found: dict[Entry, Meaning] = {}
        left, self.meanings.thorough = list(entries), False
        while left:
            again: list[Entry] = []
            for entry in left:
                if time.process_time() > self.deadline:
                    raise NoClosedFormError(f"no closed form in {_SECONDS} seconds")
                try:
                    found[entry] = self.meanings.of(entry)
                    self.meanings.thorough = False  # it may make others easy
                except UnexplainedError as error:
                    again.append(entry)
                    why = error
            if len(again) == len(left):
                if self.meanings.thorough:
                    raise why
                self.meanings.thorough = True
            left = again
        self.meanings.thorough = True
        return found

    @staticmethod
    def _count(
        sums: dict[tuple[PartName, str], SumOfProducts], part: PartName, op: bool, entry: Entry, meaning: Meaning
    ) -> None:
        def add(where: PartName, measure: str, factors: Sequence[Any]) -> None:
            sums.setdefault((where, measure), SumOfProducts()).add(entry.group, [meaning.present, *factors])

        if op:
            add(part, "macs", meaning.dims)
            add(part, "activations", meaning.result)
        elif entry.token.kind == "param":
            add(part, "params", meaning.dims)
        else:
            add("buffers", entry.token.kind, meaning.dims)

    def _check_all_matter(self) -> None:
        """Refuses a network that ignores one of its sizes.

        Raises:
            InputError: Naming it.
        """
        counted = [one.counts() for one in self.traces]
        names = [name for name in self.levels.values if name != "classes"]
        for name in names:
            seen: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
            moved: dict[tuple[int, ...], set[int]] = {}
            for point, counts in zip(self.points, counted, strict=True):
                key = tuple(value for other, value in sorted(point.items()) if other != name)
                seen.setdefault(key, set()).add(counts)
                moved.setdefault(key, set()).add(point[name])
            if max(map(len, moved.values())) > 1 and all(len(one) == 1 for one in seen.values()):
                raise self._ignored(name)

    def _check_none_ignored(self, counts: Counts) -> None:
        """Refuses a network of which a size is in no term.

        Raises:
            InputError: Naming it.
        """
        whole = ["+", *counts["cells"], counts["alive"], counts["int64s"]]
        named = names_in([*whole, *(part[m] for part in counts["parts"] for m in ("macs", "params", "activations"))])
        for name in self.levels.values:
            if name != "classes" and name not in named:
                raise self._ignored(name)

    def _ignored(self, name: str) -> InputError:
        what, _, stage = name.rpartition("_") if name != "resolution" else (name, "", "")
        several = f" of stage {stage}" if what in ("width", "depth") or len(self._base_of(what)) > 1 else ""
        return InputError(
            f"network {self.spec.name} ignores {what}{several}: its costs are the same whatever it is; let the "
            "function use it, or leave it out"
        )

    def _base_of(self, name: str) -> tuple[int, ...]:
        return self.spec.knobs[name].base if name in self.spec.knobs else ()

    def _passes(self, counts: Counts) -> bool:
        """Whether terms equal fifty traces that were not looked at; where not, these are looked at."""
        right = wrong = tried = 0
        while right < CHECKED and wrong < 3 and tried < 4 * CHECKED:
            tried += 1
            deep = tried % 10 == 0
            point = self.levels.deep(self.random) if deep else self.levels.drawn(self.random, 8 if tried % 3 else 5)
            try:
                found = self.trace(point)
            except IllegalError:
                continue
            self.tell("checking", right, CHECKED)
            if values_at(counts, point) == found.counts():
                right += 1
                continue
            self._same(point, found)
            wrong += 1
            self._add(point)
        return not wrong


def values_at(counts: Counts, point: Point) -> tuple[int, ...]:
    """MACs, params, activations, elements alive and eight-byte elements of one architecture."""
    of = Evaluation(counts["cells"], {name: np.array([value]) for name, value in point.items()})
    totals = [
        sum(int(np.asarray(of(part[name])).ravel()[0]) for part in counts["parts"])
        for name in ("macs", "params", "activations")
    ]
    return (*totals, *(int(np.asarray(of(counts[name])).ravel()[0]) for name in ("alive", "int64s")))
