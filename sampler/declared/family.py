"""The family of a declared network: its counts behind the protocol of all families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sampler.architecture import BaseNetwork, IntArray
from sampler.declared.description import Counts, NetworkDescription
from sampler.declared.expressions import Evaluation, Expression
from sampler.declared.spec import followers
from sampler.errors import InputError
from sampler.families.parts import Block, Layer
from sampler.families.protocol import Family, Sizes
from sampler.families.registry import family_of, known_bases, register_family, unregister_family

# Counts every architecture by itself: sizes, knobs, classes -> (n, 5) macs, params, activations, alive, int64s.
Tracer = Callable[[Sizes, int], IntArray]


class DeclaredFamily(Family):
    """One declared network.

    Args:
        description: The network.
        tracer: Counts architectures where no counts were derived; None where nobody can.
    """

    def __init__(self, description: NetworkDescription, tracer: Tracer | None = None) -> None:
        self.description, self.tracer = description, tracer
        self.name = description.family
        self.bases = {description.name: description.base()}

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """One block for the stem, for each stage and for the head.

        Raises:
            InputError: If a resolution or width lies between the steps, or a knob has a value that it may not have.
        """
        self._check_legal(sizes)
        counts, n = self.description.counts, len(sizes.resolution)
        if counts is None:
            yield self._traced(sizes, classes)
            return
        of = Evaluation(counts["cells"], self.variables(sizes, classes))

        def filled(expression: Any) -> IntArray:
            return np.broadcast_to(np.asarray(of(expression), dtype=np.int64), (n,))

        alive, int64s = filled(counts["alive"]), filled(counts["int64s"])
        for part in counts["parts"]:
            macs, params, activations = (filled(part[name]) for name in ("macs", "params", "activations"))
            yield _block(part["part"], macs, params, activations, alive, int64s)

    def _check_legal(self, sizes: Sizes) -> None:
        one = self.description
        _check_multiple(f"{one.name}: resolution", sizes.resolution, one.step)
        for stage, (divisor, widths) in enumerate(zip(one.divisors, sizes.widths.T, strict=True), start=1):
            _check_multiple(f"{one.name}: width of stage {stage}", widths, divisor)
        if not sizes.knobs:
            return
        following = self.variables(replace(sizes, knobs={}), 1)
        for name, values in sizes.knobs.items():
            for column, given in zip(one.knob_columns()[name], values.T, strict=True):
                wrong = ~np.isin(given, one.knobs[name].values) & (given != following[column])
                if wrong.any():
                    may = ", ".join(map(str, one.knobs[name].values)) or "nothing but what it follows"
                    raise InputError(f"{one.name}: {name} is {given[wrong][0]}; it may be {may}")

    def _traced(self, sizes: Sizes, classes: int) -> Block:
        if self.tracer is None:
            raise InputError(
                f"{self.description.name} is counted by tracing each architecture, which needs its file; name it as "
                f"--base {self.description.source.file or 'FILE.py'}:{self.description.source.function or 'NAME'}"
            )
        return _block(1, *self.tracer(sizes, classes).T)

    def variables(self, sizes: Sizes, classes: int) -> dict[str, Any]:
        """What expressions may name: the architectures' columns, knobs that follow, and the classes."""
        named: dict[str, Any] = {"resolution": sizes.resolution, "classes": classes}
        for kind, columns in (("width", sizes.widths), ("depth", sizes.depths)):
            named |= {f"{kind}_{i + 1}": np.ascontiguousarray(columns[:, i]) for i in range(columns.shape[1])}
        for name, columns in sizes.knobs.items():
            named |= {f"{name}_{i + 1}": np.ascontiguousarray(columns[:, i]) for i in range(columns.shape[1])}
        return with_followers(followers(self.description.knobs, len(self.description.widths)), named)

    def widths(self, network: BaseNetwork, wanted: IntArray) -> IntArray:
        """Widths, moved to the nearest multiples of their stages' divisors (of two as near, the even multiple)."""
        divisors = np.array(self.description.divisors)
        moved: IntArray = np.rint(np.maximum(wanted, divisors) / divisors).astype(np.int64) * divisors
        return moved

    def width_steps(self, network: BaseNetwork) -> tuple[int, ...]:
        """The stages' divisors."""
        return self.description.divisors

    def counts(self, network: BaseNetwork, classes: int) -> Counts | None:
        """Those derived, where there are any."""
        return self.description.counts

    def knobs(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """Values at base."""
        return {name: knob.base for name, knob in self.description.knobs.items()}

    def knob_grids(self, network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
        """The values of the knobs that have several."""
        return {name: knob.values for name, knob in self.description.knobs.items() if len(knob.values) > 1}

    def followed(self, network: BaseNetwork, sizes: Sizes) -> Mapping[str, IntArray]:
        """Values by the knobs' own rules, at base where they have none."""
        found, named = dict(super().followed(network, sizes)), self.variables(replace(sizes, knobs={}), 1)
        for name, columns in self.description.knob_columns().items():
            for i, column in enumerate(columns):
                if column in named:
                    found[name][:, i] = named[column]
        return found

    def with_knobs(self, network: BaseNetwork, knobs: Mapping[str, tuple[int, ...]]) -> BaseNetwork:
        """The base network itself: knobs are the architecture's, and none of them is in the table."""
        super().with_knobs(network, {name: one for name, one in knobs.items() if name not in self.description.knobs})
        return network

    def macs_bound(self, network: BaseNetwork, sizes: Sizes) -> float:
        """The MACs themselves, in floating point, and four times the elements alive."""
        counts = self.description.counts
        if counts is None:
            return 0.0  # a tracer counts in whole numbers of any size
        named = {name: np.asarray(value, dtype=np.float64) for name, value in self.variables(sizes, 1000).items()}
        of = Evaluation(counts["cells"], named)
        largest = [float(np.max(of(part["macs"]), initial=0)) for part in counts["parts"]]
        return 1.01 * sum(largest) + 8 * float(np.max(of(counts["alive"]), initial=0))


def _check_multiple(what: str, values: IntArray, step: int) -> None:
    wrong = values % step != 0
    if wrong.any():
        value = int(values[wrong][0])
        near = " or ".join(str(one) for one in (value // step * step, (value // step + 1) * step) if one)
        raise InputError(f"{what} is {value}, no multiple of {step}; take {near}")


def with_followers(follows: Mapping[str, Expression], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables and the knobs that follow them, where they do not say."""
    of = Evaluation([], variables)
    return {**{name: of(how) for name, how in follows.items() if name not in variables}, **variables}


def know_declared(description: NetworkDescription, tracer: Tracer | None = None, anew: bool = False) -> BaseNetwork:
    """Makes a declared network known by its name, until the program ends; the same one again is fine.

    Args:
        description: The network.
        tracer: Counts architectures where no counts were derived.
        anew: Whether it takes the place of another declared network of its name.

    Raises:
        InputError: If the name is taken by another network.
    """
    known = known_bases().get(description.name)
    if known is not None and known.family == description.family:
        family = declared_family(description.name)
        if family.description == description and (tracer is None or family.tracer is not None):
            return known
        if not anew and replace(family.description, derived={}) != replace(description, derived={}):
            raise InputError(
                f"network {description.name!r} is known already, and another; give one of them another name "
                "(planner.network(name=..)), or take one at a time"
            )
        unregister_family(description.family)
    return register_family(DeclaredFamily(description, tracer)).bases[description.name]


def declared_family(name: str) -> DeclaredFamily:
    """The family of a declared network that is known.

    Raises:
        InputError: If there is no declared network of this name.
    """
    network = known_bases().get(name)
    family = family_of(network) if network is not None else None
    if not isinstance(family, DeclaredFamily):
        raise InputError(f"no declared network is called {name!r}")
    return family


def _block(
    part: str | int, macs: IntArray, params: IntArray, activations: IntArray, alive: IntArray, int64s: IntArray
) -> Block:
    layer = Layer("declared", params, activations, 1, macs=macs)
    return Block(part, [layer], alive, pooling=(alive, int64s))
