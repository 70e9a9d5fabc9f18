"""Which sizes of a network can be built: the step and the least of resolutions, the divisors of widths.

Each question is one trace: it can be built and run, or it says why not. What cannot be made regular is refused with an
example, and what to declare.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from sampler.declared.expressions import Evaluation
from sampler.declared.spec import NetworkSpec, followers
from sampler.errors import InputError
from trainer.declared.tracing import IllegalError, Point, Trace

CLASSES = (10, 100, 1000, 7, 345, 64)  # classes that are tried
_STEPS = (1, 2, 4, 8, 16, 32, 64)
_TIMES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_WIDEST, _NARROWEST, _LARGEST = 3, 4, 3  # times the base's sizes, and over them
_DEEPEST = 8
_FAR = 4
_DRAWN = 8  # architectures that must all be legal

_Tracer = Callable[[Point], Trace]


@dataclass(frozen=True)
class Levels:
    """The values that each variable is tried at.

    Attributes:
        spec: The network.
        step: Step of resolutions.
        least: Least resolution.
        divisors: Divisor of each stage's widths.
    """

    spec: NetworkSpec
    step: int
    least: int
    divisors: tuple[int, ...]

    @cached_property
    def values(self) -> dict[str, list[int]]:
        """Values of each variable that is free, ascending."""
        spec = self.spec
        found = {"resolution": list(range(self.least, _LARGEST * spec.resolution + 1, self.step))}
        for i, (width, divisor) in enumerate(zip(spec.widths, self.divisors, strict=True), 1):
            least = max(divisor, width // _NARROWEST // divisor * divisor)
            found[f"width_{i}"] = list(range(least, max(_WIDEST * width, 8 * divisor) + 1, divisor))
        for i, _ in enumerate(spec.depths, 1):
            found[f"depth_{i}"] = list(range(1, _DEEPEST + 1))
        found["classes"] = sorted(CLASSES)
        for name, knob in spec.knobs.items():
            for i in range(1, len(knob.base) + 1):
                if knob.values:
                    found[f"{name}_{i}"] = list(knob.values)
        return found

    def at(self, **moved: int) -> dict[str, int]:
        """The base, with some variables moved; knobs follow where they do."""
        return point_of(self.spec, moved)

    def drawn(self, random: random.Random, deepest: int = 5) -> dict[str, int]:
        """A random architecture: one in five with equal widths, one in two with knobs that follow."""
        values = self.values
        moved = {name: random.choice(some) for name, some in values.items()}
        stages = range(1, len(self.spec.widths) + 1)
        for i in stages:
            moved[f"depth_{i}"] = random.randint(1, deepest)
        tied = random.random()
        for i in stages[1:]:
            wanted = moved[f"width_{1 if tied < 0.07 else i - 1}"]
            if wanted in values[f"width_{i}"] and (tied < 0.07 or (tied < 0.2 and random.random() < 0.6)):
                moved[f"width_{i}"] = wanted
        for name, knob in self.spec.knobs.items():
            if knob.follows is not None and random.random() < 0.5:
                for i in range(1, len(knob.base) + 1):
                    moved.pop(f"{name}_{i}", None)
        return self.at(**moved)

    def corner(self, random: random.Random) -> dict[str, int]:
        """An architecture with each size at one end or the other of those tried."""
        return self.at(**{name: random.choice((some[0], some[-1])) for name, some in self.values.items()})

    def deep(self, random: random.Random, times: int = 2) -> dict[str, int]:
        """A random architecture of up to so many times the base's blocks."""
        most = [max(_DEEPEST, times * depth) for depth in self.spec.depths]
        return {**self.drawn(random), **{f"depth_{i}": _log_uniform(random, n) for i, n in enumerate(most, 1)}}

    def far(self, random: random.Random) -> dict[str, int]:
        """A random architecture of sizes, other than knobs', up to four times as large as any that is traced."""
        found = self.deep(random, _FAR)
        for name, least in [("resolution", self.least), *((f"width_{i}", 0) for i in range(1, len(self.divisors) + 1))]:
            found[name] = least + (found[name] - least) * random.choice((1, 1, 2, _FAR))
        free = {name: value for name, value in found.items() if name.rsplit("_", 1)[0] not in self.spec.knobs}
        return found if random.random() < 0.5 else self.at(**free)


def _log_uniform(random: random.Random, most: int) -> int:
    """A whole number from 1 to the most, small ones more often."""
    return min(most, int((most + 1) ** random.random()))


def point_of(spec: NetworkSpec, moved: Point) -> dict[str, int]:
    """The base's variables, some of them moved; knobs that are not given follow."""
    found = {"resolution": spec.resolution, "classes": CLASSES[0], **moved}
    for i, (width, depth) in enumerate(zip(spec.widths, spec.depths, strict=True), 1):
        found.setdefault(f"width_{i}", width)
        found.setdefault(f"depth_{i}", depth)
    of = Evaluation([], found)
    return {**{name: int(of(how)) for name, how in followers(spec.knobs, len(spec.widths)).items()}, **found}


def learned(spec: NetworkSpec, tracer: _Tracer, random: random.Random) -> Levels:
    """The sizes that can be built.

    Raises:
        InputError: If the base cannot be, or no regular grid of sizes is found; one line says why.
    """
    shallow = {f"depth_{i}": min(2, depth) for i, depth in enumerate(spec.depths, 1)}
    try:
        tracer(point_of(spec, {}))
    except IllegalError as error:
        raise base_refused(spec, error) from error

    def legal(**moved: int) -> bool:
        try:
            tracer(point_of(spec, {**shallow, **moved}))
        except IllegalError:
            return False
        return True

    step = spec.step or _step(spec, lambda r: legal(resolution=r))
    least = _least(spec, step, lambda r: legal(resolution=r))

    def with_width(stage: int) -> Callable[[int], bool]:
        return lambda width: legal(**{f"width_{stage}": width})

    divisors = tuple(_divisor(spec, i, with_width(i)) for i in range(1, len(spec.widths) + 1))
    return _joint(Levels(spec, step, least, divisors), tracer, random)


def base_refused(spec: NetworkSpec, error: IllegalError) -> InputError:
    """The refusal of a network that cannot be built or run at its base size."""
    return InputError(f"network {spec.name} cannot be built or run at its base size: {_hint(spec, error)}")


def _hint(spec: NetworkSpec, error: IllegalError) -> str:
    """Why the base cannot be built or run, and what to do."""
    text = str(error)
    if "meta" in text or "item()" in text or "data-dependent" in text.lower() or "nonzero" in text:
        return f"{text}; costs that follow the data cannot be derived, let its shapes follow its sizes alone"
    if "overflow" in text:
        return f"{text}; it is too large to be counted, look at its sizes"
    if not error.runs:
        return f"{text}; mend the function"
    if spec.input is None:
        shape = f"(1, {spec.channels}, r, r)"
        return f"{text}; its input is {shape}: where it wants another, declare channels= or input=lambda r: .."
    return text


def _step(spec: NetworkSpec, legal: Callable[[int], bool]) -> int:
    others = [n for n in range(3, spec.resolution + 1) if spec.resolution % n == 0 and n not in _STEPS]
    for step in (*_STEPS, *others):
        if spec.resolution % step == 0 and legal(spec.resolution + step) and legal(spec.resolution + 3 * step):
            return step
    raise InputError(
        f"network {spec.name} runs at resolution {spec.resolution} but not at {spec.resolution + 64} "
        "or nearer ones; say which it has: step="
    )


def _least(spec: NetworkSpec, step: int, legal: Callable[[int], bool]) -> int:
    if legal(step):
        return step
    low, high = step, spec.resolution
    while high - low > step:
        middle = (low + high) // 2 // step * step
        low, high = (low, middle) if legal(middle) else (middle, high)
    return high


def _divisor(spec: NetworkSpec, stage: int, legal: Callable[[int], bool]) -> int:
    width = spec.widths[stage - 1]
    for times in _TIMES:
        divisor = spec.divisor * times
        others = [w for w in (width + n * divisor for n in (1, -1, 2, 3, 5)) if w > 0]
        if width % divisor == 0 and all(map(legal, others)):
            return divisor
    raise InputError(
        f"network {spec.name} cannot be built with a width of stage {stage} near {width} other than that, as "
        f"{width + spec.divisor}; declare a divisor= of widths that all can be, or a knob that follows the width"
    )


def _joint(levels: Levels, tracer: _Tracer, random: random.Random) -> Levels:
    """Levels at which random architectures can be built, with larger divisors where that helps.

    Where it is the free values of knobs that follow something which cannot be built, those values are left out.
    """
    spec, why = levels.spec, ""
    tamed = [replace(spec, knobs={name: replace(k, values=()) if k.follows else k for name, k in spec.knobs.items()})]
    for times in _TIMES:
        divisors = tuple(divisor * times for divisor in levels.divisors)
        if any(width % divisor for width, divisor in zip(spec.widths, divisors, strict=True)):
            continue
        for some in [spec, *(tamed if tamed != [spec] else [])]:
            tried = Levels(some, levels.step, levels.least, divisors)
            try:
                for _ in range(_DRAWN):
                    point = tried.drawn(random, deepest=3)
                    tracer(point)
            except IllegalError as error:
                why = why or f"{sizes_text(spec, point)}: {error}"
                continue
            return tried if some is spec else replace(tried, spec=_with_free(spec, tried, tracer))
    raise InputError(
        f"network {spec.name} cannot be built with {why}; declare divisor=, step= or the knobs' values so that all can"
    )


def _with_free(spec: NetworkSpec, levels: Levels, tracer: _Tracer) -> NetworkSpec:
    """The network with those values of knobs that follow something which can be built whatever the widths are."""

    def legal(name: str, value: int) -> bool:
        stages = range(1, len(spec.widths) + 1)
        for times in (1, 5, 7):
            widths = {f"width_{i}": times * levels.divisors[i - 1] for i in stages}
            knob = {f"{name}_{i}": value for i in range(1, len(spec.knobs[name].base) + 1)}
            try:
                tracer(point_of(spec, {f"depth_{i}": 1 for i in stages} | widths | knob))
            except IllegalError:
                return False
        return True

    return replace(
        spec,
        knobs={
            name: replace(knob, values=tuple(v for v in knob.values if legal(name, v))) if knob.follows else knob
            for name, knob in spec.knobs.items()
        },
    )


def sizes_text(spec: NetworkSpec, point: Point) -> str:
    """Sizes in words."""
    stages = range(1, len(spec.widths) + 1)
    knobs = [f"{name} {[point[f'{name}_{i + 1}'] for i in range(len(k.base))]}" for name, k in spec.knobs.items()]
    return ", ".join(
        [
            f"resolution {point['resolution']}",
            f"widths {[point[f'width_{i}'] for i in stages]}",
            f"depths {[point[f'depth_{i}'] for i in stages]}",
            *knobs,
        ]
    )
