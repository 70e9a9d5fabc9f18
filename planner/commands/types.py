"""Numbers of options: what click takes of them, less what no option means."""

from __future__ import annotations

import math
from typing import Any

import click


class Whole(click.IntRange):
    """A whole number of a range, called so in help and errors."""

    name = "whole number"


class Number(click.FloatRange):
    """A finite number of a range: click itself lets NaN pass every range, and infinity an open one."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            click.BadParameter: If it is none of the range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number; give one", param, ctx)
        return number
