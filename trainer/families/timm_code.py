"""A network as code of timm and torch alone: the functions that build it here are what an export writes."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

# Longest line of a list's item, in characters.
_LONGEST = 100


@dataclass(frozen=True)
class TimmCode:
    """How a network is built with timm and torch alone.

    Attributes:
        functions: Functions that are written out, so that they may use nothing but builtins, each other and what they
            import themselves, inside; annotations may name `Any` and `nn`. The last one builds the network, from
            `arguments` and timm's own `num_classes`, `in_chans` and `drop_rate`.
        arguments: Numbers, texts, and tuples and lists of them, by the names of that function's parameters.
        first: Name of the first convolution in the module.
        classifier: Name of the classifier in it.
        notes: Comments that stand before arguments, by the arguments' names.
        features: Text of what timm's `features_only` has to know, as a Python expression; "" for nothing.
    """

    functions: tuple[Callable[..., Any], ...]
    arguments: Mapping[str, Any]
    first: str
    classifier: str
    notes: Mapping[str, str] = field(default_factory=dict)
    features: str = ""

    def build(self, classes: int, drop_rate: float) -> nn.Module:
        """The network, freshly initialised."""
        model: nn.Module = self.functions[-1](**self.arguments, num_classes=classes, drop_rate=drop_rate)
        return model

    def constants(self) -> str:
        """The arguments as lines of Python, a constant each, by their names in capitals."""
        parts = []
        for name, value in self.arguments.items():
            note = f"# {self.notes[name]}\n" if name in self.notes else ""
            parts.append(f"{note}{name.upper()} = {_expression(value)}\n")
        return "".join(parts)

    def body(self) -> str:
        """The functions as Python, and `network`, which gives the last one the constants, a function of timm's own."""
        sources = [textwrap.dedent(inspect.getsource(function)).rstrip() for function in self.functions]
        given = "".join(f"        {name}={name.upper()},\n" for name in self.arguments)
        call = f"    return {self.functions[-1].__name__}(\n{given}        **kwargs,\n    )"
        functions = [*sources, f"def network(**kwargs: Any) -> nn.Module:\n{call}"]
        return "".join(f"\n\n{function}\n" for function in functions)


def _expression(value: Any) -> str:
    """A value as Python; the text of a list is `listed`."""
    if isinstance(value, list):
        return listed(value)
    return json.dumps(value) if isinstance(value, str) else repr(value)


def listed(items: Sequence[Any], indent: int = 4) -> str:
    """A Python list of lists of numbers and texts, an item a line, long items in lines of their own."""
    lines = []
    for item in items:
        text = json.dumps(item)
        if len(text) > _LONGEST and isinstance(item, list):
            text = listed(item, indent + 4)
        lines.append(f"{' ' * indent}{text},\n")
    return "[\n" + "".join(lines) + " " * (indent - 4) + "]"
