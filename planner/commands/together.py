"""Options that go together: one that would be ignored in its company is refused, in every command by the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from planner.errors import PlannerError

_F = TypeVar("_F", bound=Callable[..., Any])


def needs(option: str, *others: str) -> Callable[[_F], _F]:
    """A decorator: refuses an option that does nothing unless one of the others is given.

    Args:
        option: The option as it is typed, such as `--dtype`.
        others: Options (`--memory`), options with a value (`--space stage`) or arguments (`TABLE`).
    """

    def decorate(command: _F) -> _F:
        @wraps(command)
        def checked(**values: Any) -> Any:
            if is_given(option) and not any(map(is_given, others)):
                wanted = " or ".join(others)
                raise PlannerError(f"{option} has no effect without {wanted}; add {wanted}, or leave {option} out")
            return command(**values)

        return cast(_F, checked)

    return decorate


def replaces(option: str, *others: str) -> Callable[[_F], _F]:
    """A decorator: refuses the others beside an option in whose company they do nothing."""

    def decorate(command: _F) -> _F:
        @wraps(command)
        def checked(**values: Any) -> Any:
            if is_given(option):
                refuse(others, f"beside {option}")
            return command(**values)

        return cast(_F, checked)

    return decorate


def refuse(options: Iterable[str], where: str) -> None:
    """Refuses options of the running command that do nothing there.

    Raises:
        PlannerError: Naming the first that was given.
    """
    for option in options:
        if is_given(option):
            raise PlannerError(f"{option} has no effect {where}; leave it out")


def is_given(option: str) -> bool:
    """Whether an option or argument was typed; with a value (`--space stage`), whether that is what it is."""
    context = click.get_current_context()
    name, _, value = option.partition(" ")
    for one in context.command.params:
        if name in one.opts or name == one.human_readable_name:
            key = one.name or ""
            source = context.get_parameter_source(key)
            return context.params.get(key) == value if value else source is click.core.ParameterSource.COMMANDLINE
    return False
