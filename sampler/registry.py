"""Tables of what can be plugged in: ours, what a program registers, and what installed packages offer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sampler.errors import PlannerError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_T = TypeVar("_T")


class Registry(Generic[_T]):
    """Things by their names.

    What installed packages offer as entry points is looked for when a name is asked for that nobody registered, or all
    names are, and imported when it is used. A name that is registered here is never an entry point's.

    Args:
        what: The thing in one word, as errors name it: "engine".
        group: Entry point group of installed packages, as "scaling_planner.engines"; "" for none.
        option: Option of the command line that takes such a name, as "--engine"; errors begin with it.

    >>> fruit = Registry[int]("fruit")
    >>> fruit.register("apple", 3)
    3
    >>> fruit["apple"], "pear" in fruit, fruit.names()
    (3, False, ('apple',))
    >>> fruit["pear"]
    Traceback (most recent call last):
    sampler.errors.PlannerError: pear: there is no such fruit; one of: apple
    """

    def __init__(self, what: str, group: str = "", option: str = "") -> None:
        self.what, self.group, self.option = what, group, option
        self._things: dict[str, _T] = {}
        self._offered: dict[str, EntryPoint] | None = None

    def register(self, name: str, thing: _T) -> _T:
        """Adds a thing.

        Args:
            name: Name of it, of letters, digits, `_`, `-` and `.`.
            thing: Thing of that name; a function or class that is defined once more replaces the one before, as a cell
                of a notebook that runs twice.

        Returns:
            The thing.

        Raises:
            PlannerError: If the name is taken, or is no name.
        """
        if not all(character.isalnum() or character in "_-." for character in name) or not name:
            raise PlannerError(f"{self.what} {name!r}: a name has letters, digits, '_', '-' and '.'; choose another")
        before = self._things.get(name, thing)
        if before is not thing and (_defined_as(before) is None or _defined_as(before) != _defined_as(thing)):
            raise PlannerError(f"{self.what} {name!r} is there already; register this one under another name")
        self._things[name] = thing
        return thing

    @contextmanager
    def temporarily(self, name: str, thing: _T) -> Iterator[_T]:
        """Has a thing of a name, which may be taken, only within a `with`; for tests."""
        before = dict(self._things)
        self._things[name] = thing
        try:
            yield thing
        finally:
            self._things = before

    def __getitem__(self, name: str) -> _T:
        """The thing of a name.

        Raises:
            PlannerError: If there is none, naming those that there are; or an installed package's cannot be imported.
        """
        if name in self._things:
            return self._things[name]
        point = self._entry_points().get(name)
        if point is None:
            asked = f"{self.option} {name}" if self.option else name
            raise PlannerError(f"{asked}: there is no such {self.what}; one of: {', '.join(self.names())}")
        return self._things.setdefault(name, self._loaded(point))

    def __contains__(self, name: object) -> bool:
        return name in self._things or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def names(self) -> tuple[str, ...]:
        """Names of all, in the order in which they were registered; then those that installed packages offer."""
        return tuple(dict.fromkeys((*self._things, *self._entry_points())))

    def items(self) -> Iterator[tuple[str, _T]]:
        """Names and things, those of installed packages imported."""
        return ((name, self[name]) for name in self.names())

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._offered is None:
            self._offered = {}
            if self.group:
                from importlib.metadata import entry_points  # takes as long to import as all of the command line

                self._offered = {point.name: point for point in entry_points(group=self.group)}
        return self._offered

    def _loaded(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except Exception as error:  # whatever somebody else's package does when it is imported
            package = point.dist.name if point.dist else point.module
            raise PlannerError(
                f"{self.what} {point.name} of package {package} cannot be imported ({type(error).__name__}: {error}); "
                "update or uninstall that package"
            ) from error


def _defined_as(thing: object) -> tuple[str, str] | None:
    """The module and name that a function or class is defined by; None for other things, and those without a name."""
    name = str(getattr(thing, "__qualname__", "<"))
    return None if "<" in name else (str(getattr(thing, "__module__", "")), name)
