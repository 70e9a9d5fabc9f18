"""What a user declares of a network, checked: its sizes at base, its knobs, how they follow, where it is from."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS
from sampler.checks import checked_whole, shown
from sampler.declared.description import Knob, Source
from sampler.declared.expressions import Evaluation, Expression
from sampler.errors import InputError
from sampler.moves import stage_columns

SIZES_GIVEN = ("resolution", "widths", "depths", "classes")  # every factory takes these
FOLLOWED = ("width", "depth", "resolution")
# Names of columns and of other things, which a knob's columns would be taken for.
_TAKEN = {*SIZES_GIVEN, *FOLLOWED, "stem", "head", "base", "index", "r", "d", "w", "macs", "params", "knobs", "rule"}
_DIVISORS = (8, 4, 2, 1)
_MOST_CHANNELS = 512  # of images: microscopes and satellites have some hundred


@dataclass(frozen=True)
class NetworkSpec:
    """A network as a user declared it, before anything of it is known. `network_spec` makes and checks one.

    Attributes:
        name: Name of the base network.
        factory: Function of `resolution`, `widths`, `depths`, `classes` and each knob, by name, that gives a module.
        resolution: Size of the input at base.
        widths: Channels of each stage at base.
        depths: Blocks of each stage at base.
        divisor: Divisor of all widths.
        step: Step of resolutions; None where it is to be learned, as the least resolution always is.
        channels: Channels of its images.
        input: Function of the resolution that gives its example input: a tensor, a tuple of them (positional
            arguments) or a dict (named ones); None where that is `(1, channels, r, r)`.
        knobs: Further whole numbers by name.
        source: Where it is from.
    """

    name: str
    factory: Callable[..., Any]
    resolution: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    divisor: int
    step: int | None = None
    channels: int = 3
    input: Callable[[int], Any] | None = None
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    source: Source = Source()


def network_spec(
    factory: Callable[..., Any],
    resolution: int,
    widths: Sequence[int],
    depths: Sequence[int],
    divisor: int | None = None,
    step: int | None = None,
    channels: int = 3,
    input: Callable[[int], Any] | None = None,
    knobs: Mapping[str, Any] | None = None,
    name: str | None = None,
    source: Source = Source(),  # noqa: B008 frozen
) -> NetworkSpec:
    """What a user declares, checked.

    Args:
        factory: Function of `resolution`, `widths`, `depths`, `classes` and each knob.
        resolution: Size of the input at base.
        widths: Channels of each stage at base.
        depths: Blocks of each stage at base, as many.
        divisor: Divisor of all widths; the largest of 8, 4, 2 and 1 that divides those at base by default.
        step: Step of resolutions, which the resolution at base is on; learned by default.
        channels: Channels of its images.
        input: Function of the resolution that gives its example input.
        knobs: Further whole numbers by name, each as `knob_of` takes it.
        name: Name of the base network; the function's by default.
        source: Where it is from.

    Raises:
        InputError: If one of them is impossible; one line says which.
    """
    called = name if name is not None else getattr(factory, "__name__", "")
    if not isinstance(called, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", called):
        raise InputError(
            f"network {shown(called)}: a name has letters, digits, '_', '-' and '.'; give planner.network(name=..)"
        )
    try:
        pixels = checked_whole("resolution", resolution, 1, MAX_PIXELS)
        channels_of, blocks = _stages("widths", widths, MAX_CHANNELS), _stages("depths", depths, MAX_BLOCKS)
        if len(channels_of) != len(blocks):
            raise InputError(f"{len(channels_of)} widths but {len(blocks)} depths; give one of each for every stage")
        usual = next(d for d in _DIVISORS if all(width % d == 0 for width in channels_of))
        by = usual if divisor is None else _divides("divisor", divisor, "widths", channels_of)
        on = None if step is None else _divides("step", step, "resolution", (pixels,))
        if input is not None and not callable(input):
            raise InputError(f"input is {shown(input)}; give a function of the resolution, as input=lambda r: ..")
        further = _knobs({} if knobs is None else knobs, pixels, channels_of, blocks)
        _check_signature(factory, (*SIZES_GIVEN, *further))
        images = checked_whole("channels", channels, 1, _MOST_CHANNELS)
    except InputError as error:
        raise InputError(f"network {called}: {error}") from error
    return NetworkSpec(called, factory, pixels, channels_of, blocks, by, on, images, input, further, source)


def _stages(name: str, values: Any, largest: int) -> tuple[int, ...]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence) or not values:
        raise InputError(f"{name} is {shown(values)}; give a tuple of whole numbers, one for each stage")
    return tuple(checked_whole(name, value, 1, largest) for value in values)


def _divides(name: str, value: Any, what: str, values: tuple[int, ...]) -> int:
    whole = checked_whole(name, value, 1, MAX_CHANNELS)
    wrong = [one for one in values if one % whole]
    if wrong:
        raise InputError(f"{name} {whole} does not divide {wrong[0]} of {what}; give one that divides them all")
    return whole


def _check_signature(factory: Any, names: Sequence[str]) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError) as error:
        raise InputError(f"{shown(factory)} is no function of {', '.join(names)}; decorate one") from error
    try:
        signature.bind(**dict.fromkeys(names, 0))
    except TypeError as error:
        raise InputError(
            f"the function is called with {', '.join(names)} by name, but {error}; mend its def"
        ) from error


def _knobs(knobs: Any, resolution: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> dict[str, Knob]:
    if not isinstance(knobs, Mapping):
        raise InputError(f"knobs is {shown(knobs)}; give a dict of names, such as {{'heads': (2, 4, 8)}}")
    found = {}
    for name, given in knobs.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name in _TAKEN:
            raise InputError(f"knob {shown(name)}: that is no free name for an argument; choose another")
        found[name] = knob_of(name, given, resolution, widths, depths)
    return found


def knob_of(name: str, given: Any, resolution: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> Knob:
    """A knob as a user gives it.

    Args:
        name: Name of the knob.
        given: A whole number: it is fixed. A list: its values, the one at base first. Or a dict of `base` (one number,
            or one for each stage), `values` and `follows` (a text as `followed` reads it); one of base and follows must
            be there.
        resolution: Size of the input at base.
        widths: Channels of each stage at base.
        depths: Blocks of each stage at base.

    Raises:
        InputError: If it is none of these, or they do not fit; one line.

    Example:
        >>> knob_of("heads", {"follows": "width / 64"}, 224, (192,), (12,))
        Knob(base=(3,), values=(), follows=['max', 1, ['//', 'width', 64]])
        >>> knob_of("kernel", (7, 3, 5), 224, (64, 128), (2, 2))
        Knob(base=(7,), values=(3, 5, 7), follows=None)
    """
    what = f"knob {name}"
    if isinstance(given, Knob):
        return given
    if not isinstance(given, Mapping):
        values = _whole_numbers(what, given)
        return Knob(values[:1], tuple(sorted(set(values))))
    if unknown := sorted(map(str, given.keys() - {"base", "values", "follows"})):
        raise InputError(f"{what} has {', '.join(unknown)}; it may have base, values and follows")
    follows = followed(given["follows"], what) if given.get("follows") is not None else None
    values = tuple(sorted(set(_whole_numbers(what, given["values"])))) if given.get("values") is not None else ()
    if given.get("base") is not None:
        base = _whole_numbers(what, given["base"])
    elif follows is not None:
        base = _following(follows, resolution, widths, depths)
    else:
        raise InputError(f"{what} says neither base nor follows; say what it is at base, as dict(base=4)")
    if len(base) not in (1, len(widths)):
        raise InputError(f"{what} has {len(base)} numbers at base; give one, or one for each of {len(widths)} stages")
    if follows is None:
        values = values or tuple(sorted(set(base)))
        if missing := sorted(set(base) - set(values)):
            raise InputError(f"{what} is {missing[0]} at base, which its values lack; add it to them")
    elif base != (wanted := _following(follows, resolution, widths, depths)[: len(base)]):
        raise InputError(f"{what} is {_plain(base)} at base but follows to {_plain(wanted)} there; leave base out")
    return Knob(base, values, follows)


def _plain(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(values) == 1 else str(values)


def _whole_numbers(what: str, given: Any) -> tuple[int, ...]:
    several = given if isinstance(given, list | tuple | range) else (given,)
    if not several:
        raise InputError(f"{what} has no values; give at least one whole number")
    return tuple(checked_whole(what, value, 1, MAX_CHANNELS) for value in several)


def followed(text: Any, what: str = "a knob") -> Expression:
    """What a knob is by a text: `width`, `depth` or `resolution`, times and over whole numbers; 1 at least.

    Args:
        text: Text such as `"width / 64"`, rounded down, or `"width * 4 / 3"`, from left to right.
        what: Name of the knob, for errors.

    Raises:
        InputError: If it says something else.

    Example:
        >>> followed("width*4")
        ['*', 'width', 4]
    """
    parts = re.findall(r"[A-Za-z_]\w*|\d+|\S", text) if isinstance(text, str) else []
    pairs = list(zip(parts[1::2], parts[2::2], strict=False))
    good = parts and parts[0] in FOLLOWED and len(parts) == 1 + 2 * len(pairs)
    if not good or any(sign not in "*/" or not number.isdigit() or int(number) < 1 for sign, number in pairs):
        raise InputError(
            f'{what} follows {shown(text)}; write such as "width / 64", "width * 4", "depth", "resolution"'
        )
    found: Expression = parts[0]
    for sign, number in pairs:
        found = ["*" if sign == "*" else "//", found, int(number)]
    return ["max", 1, found] if "/" in parts else found


def followers(knobs: Mapping[str, Knob], stages: int) -> dict[str, Expression]:
    """What each column of each knob is where an architecture does not say: `Counts.follows`.

    Args:
        knobs: The knobs.
        stages: How many stages the network has.

    Example:
        >>> followers({"heads": Knob((2, 4), (), ["//", "width", 32])}, stages=2)
        {'heads_1': ['//', 'width_1', 32], 'heads_2': ['//', 'width_2', 32]}
    """
    return {
        column: knob.base[at] if knob.follows is None else _of_stage(knob.follows, at + 1)
        for name, knob in knobs.items()
        for at, column in enumerate(stage_columns(name, len(knob.base)))
    }


def _of_stage(expression: Expression, stage: int) -> Expression:
    if isinstance(expression, list):
        return [expression[0], *(_of_stage(one, stage) for one in expression[1:])]
    return f"{expression}_{stage}" if expression in ("width", "depth") else expression


def _following(
    follows: Expression, resolution: int, widths: tuple[int, ...], depths: tuple[int, ...]
) -> tuple[int, ...]:
    """A knob's values at base: one for each stage, or one where it follows the resolution alone."""
    stages = zip(widths, depths, strict=True)
    values = [
        int(Evaluation([], {"resolution": resolution, "width": width, "depth": depth})(follows))
        for width, depth in stages
    ]
    return tuple(values[:1] if "resolution" in str(follows) else values)
