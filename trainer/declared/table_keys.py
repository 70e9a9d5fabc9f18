"""Keys of a user's table, each taken once and checked: what is left over is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from sampler import InputError
from sampler.checks import shown

_WANTED: dict[str, Callable[[Any], bool]] = {
    "a whole number": lambda value: type(value) is int,
    "a number": lambda value: type(value) in (int, float),
    "a number, or a list of one per block": lambda value: _numbers(value) or type(value) in (int, float),
    "text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a list of whole numbers": lambda value: isinstance(value, list) and all(type(one) is int for one in value),
    "[[stages]] or [stages.2] tables": lambda value: all(isinstance(one, dict) for one in _members(value)),
}
ONE_NUMBER, NUMBERS = "a number", "a number, or a list of one per block"
WHOLE_NUMBER, WHOLES = "a whole number", "a list of whole numbers"
TEXT, SWITCH, STAGE_TABLES = "text", "true or false", "[[stages]] or [stages.2] tables"


def _members(value: Any) -> list[Any]:
    """The values of a table or a list; of anything else, itself."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) in (int, float) for one in value)


class Keys:
    """The keys of one table.

    Args:
        told: Values by key; those of tables within are taken as `"stem.channels"`.
        place: Beginning of errors: the file, and in it the stage.
        known: The keys that there are.

    Raises:
        InputError: If a key is unknown.
    """

    def __init__(self, told: Mapping[str, Any], place: str, known: Mapping[str, str]) -> None:
        self.told, self.place, self.known = dict(_flat(told, known)), place, known
        for key, value in self.told.items():
            if key not in known:
                near = get_close_matches(key, known, 1)
                meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise InputError(f"{place}: {key} is unknown; {meant}")
            if not _WANTED[known[key]](value):
                raise InputError(f"{place}: {key} is {shown(value)}; {known[key]} is wanted")

    def __contains__(self, key: str) -> bool:
        return key in self.told

    def take(self, key: str, usual: Any = None) -> Any:
        """A value, or the usual one.

        Raises:
            InputError: If it is not there, and nothing is usual.
        """
        if key not in self.told and usual is None:
            raise InputError(f"{self.place}: {key} is missing; give {self.known[key]}")
        return self.told.get(key, usual)

    def choice(self, key: str, words: Mapping[str, Any]) -> Any:
        """What one of several words stands for, in capitals or not.

        Raises:
            InputError: If it is another word.
        """
        word = self.told[key]
        by_lower = {known.lower(): value for known, value in words.items()}
        if word.lower() not in by_lower:
            raise InputError(f"{self.place}: {key} {shown(word)} is unknown; known: {', '.join(map(repr, words))}")
        return by_lower[word.lower()]


def _flat(told: Mapping[str, Any], known: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Keys and values, those of the tables within with their table's name before them."""
    flat: list[tuple[str, Any]] = []
    for key, value in told.items():
        if isinstance(value, dict) and any(name.startswith(f"{key}.") for name in known):
            flat += [(f"{key}.{inner}", one) for inner, one in value.items()]
        else:
            flat.append((str(key), value))
    return flat
