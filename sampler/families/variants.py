"""What a family's table of stages does not say (activation, padding, norm, ..) as data, and as the text of a variant.

`BaseNetwork.variant` is either a name that the family knows, `"relu6"`, or what differs from its plain network as JSON,
`'{"activation":"Mish","padding":"same"}'`: plain text, so that it travels wherever a base network does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any, TypeVar

from sampler.checks import shown
from sampler.errors import InputError

V = TypeVar("V")

# Names in `torch.nn`. The first can overwrite their input, as the blocks of most families let them.
IN_PLACE = ("ReLU", "ReLU6", "LeakyReLU", "ELU", "SiLU", "Mish", "Hardswish")
ACTIVATIONS = (*IN_PLACE, "GELU")


def variant_of(named: Mapping[str, V], text: str) -> V:
    """A family's variant, from its name or its text.

    Args:
        named: The family's variants by name, all of one dataclass; `""` is the plain one.
        text: `BaseNetwork.variant`.

    Raises:
        InputError: If it is neither, or says something impossible.
    """
    if text in named:
        return named[text]
    kind: Any = type(named[""])
    variant: V = _read(tuple(named), kind, text)
    return variant


@lru_cache(maxsize=256)
def _read(names: tuple[str, ...], kind: Any, text: str) -> Any:
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        known = ", ".join(repr(name) for name in sorted(names))
        raise InputError(f"variant {shown(text)} is unknown; known: {known}")
    return variant_made(kind, told)


def variant_made(kind: type[V], told: Mapping[str, Any]) -> V:
    """A dataclass of what is told as JSON; every field has a default, whose type the value must have.

    Raises:
        InputError: Naming the first field that is unknown or of another type.
    """
    usual = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in told.items():
        if name not in usual:
            raise InputError(f"{name} is unknown; a variant has {', '.join(usual)}")
        values[name] = _like(name, value, usual[name])
    return kind(**values)


def _like(name: str, value: Any, usual: Any) -> Any:
    """A value of a default's type; whole numbers are numbers, lists are tuples of whole numbers."""
    assert usual is not MISSING, name
    if isinstance(usual, tuple) and isinstance(value, list) and all(type(one) is int for one in value):
        return tuple(value)
    if type(usual) is float and type(value) is int:
        return float(value)
    if type(value) is not type(usual):
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        wanted = words.get(type(usual), "a list of whole numbers")
        raise InputError(f"{name} is {shown(value)}; {wanted} is wanted")
    return value


def variant_text(named: Mapping[str, V], variant: V) -> str:
    """The name of a variant, or its text where it has none.

    Example:
        >>> from sampler.families.mbconv_variants import MBCONV_VARIANTS, MBConvVariant
        >>> variant_text(MBCONV_VARIANTS, MBConvVariant("ReLU6")), variant_text(MBCONV_VARIANTS, MBConvVariant("Mish"))
        ('relu6', '{"activation":"Mish"}')
    """
    for name, known in named.items():
        if known == variant:
            return name
    plain = named[""]
    differ = {
        field.name: getattr(variant, field.name)
        for field in fields(variant)  # type: ignore[arg-type]
        if getattr(variant, field.name) != getattr(plain, field.name)
    }
    return json.dumps(differ, sort_keys=True, separators=(",", ":"))
