"""The families that are known: ours, those a program registers, and those that installed packages offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from sampler.architecture import Architecture, BaseNetwork, stack
from sampler.checks import shown
from sampler.errors import InputError
from sampler.families.protocol import Family, Sizes, overrides, sizes_of

_GROUP = "scaling_planner.families"  # of the entry points by which installed packages offer families
_F = TypeVar("_F", bound="Family | type[Family]")
_T = TypeVar("_T")

_families: dict[str, Family] = {}
_bases: dict[str, BaseNetwork] = {}
_joined: dict[str, BaseNetwork] = {}  # of those the tables that joined a family after it was registered
_loaded: list[str] = []  # the groups of entry points that were read


def register_family(family: _F) -> _F:
    """Makes a family and its base networks known by their names, until the program ends.

    Args:
        family: The family, or a class whose only instance is made without arguments: a decorator, too.

    Returns:
        What was given.

    Raises:
        InputError: If it is no family, or one of its names is taken.

    Example:
        >>> from sampler.families.residual import RESIDUAL
        >>> register_family(RESIDUAL)
        Traceback (most recent call last):
            ...
        sampler.errors.PlannerError: family 'residual' is already known; give yours another name
    """
    made = family() if isinstance(family, type) else family
    _check(made)
    _families[made.name] = made
    _bases.update(made.bases)
    return family


def unregister_family(name: str) -> None:
    """Makes a family and its base networks unknown again.

    Raises:
        InputError: If there is no such family.
    """
    if name not in _families:
        raise InputError(f"family {shown(name)} is unknown; known families: {', '.join(_families)}")
    joined = [base for base, network in _joined.items() if network.family == name]
    for base in [*_families.pop(name).bases, *joined]:
        del _bases[base]
        _joined.pop(base, None)


def know_base(network: BaseNetwork) -> BaseNetwork:
    """Makes a table of stages known as a base network of its family, until the program ends.

    Args:
        network: The table; the same one again is fine.

    Returns:
        The base network of that name.

    Raises:
        InputError: If the table cannot be built at base size, or its name is taken by another one.

    Example:
        >>> from dataclasses import replace
        >>> from sampler import base
        >>> know_base(replace(base("resnet18"), name="efficientnet_b0"))
        Traceback (most recent call last):
            ...
        sampler.errors.PlannerError: efficientnet_b0 is known already, with another table; give yours another name
    """
    known = _bases.get(network.name)
    if known is None:
        check_base(network)
        _bases[network.name] = _joined[network.name] = network
    elif known != network:
        raise InputError(f"{network.name} is known already, with another table; give yours another name")
    return _bases[network.name]


def forget_base(name: str) -> None:
    """Makes a table that `know_base` made known unknown again.

    Raises:
        InputError: If it did not.
    """
    if name not in _joined:
        raise InputError(f"{shown(name)} is no table that joined a family; there are {', '.join(_joined) or 'none'}")
    del _joined[name], _bases[name]


def joined_bases() -> Mapping[str, BaseNetwork]:
    """The base networks that `know_base` made known."""
    return _joined


def check_base(network: BaseNetwork) -> None:
    """Refuses a table of stages that its family cannot build at base size.

    Raises:
        InputError: With what is wrong.
    """
    family = family_of(network)
    family.check(network)
    if network.resolution < network.stride:
        raise InputError(f"{network.name}: {network.resolution} px is below its stride of {network.stride}")
    one = network.architecture()
    resolution, stem, head = (np.array([number]) for number in (one.resolution, one.stem, one.head))
    sizes = Sizes(resolution, stem, np.array([one.widths]), np.array([one.depths]), head)
    for _ in family.blocks(network, sizes, 1000):  # which refuses widths that do not divide, or leave no channel
        pass


@contextmanager
def registered(family: Family) -> Iterator[Family]:
    """A family that is known while a `with` block runs.

    Raises:
        InputError: As `register_family`.
    """
    register_family(family)
    try:
        yield family
    finally:
        unregister_family(family.name)


def family_names() -> list[str]:
    """Names of the known families: ours first, then as they were registered."""
    return list(_families)


def known_bases() -> Mapping[str, BaseNetwork]:
    """The base networks of all known families, in the order of the families."""
    return _bases


def family_of(network: BaseNetwork) -> Family:
    """The family of a base network.

    Raises:
        InputError: If it is unknown, or an installed package that offers families cannot be used.
    """
    if network.family not in _families:
        load_installed()
    return of_family(_families, network, "the cost of a block")


def of_family(table: Mapping[str, _T], network: BaseNetwork, what: str) -> _T:
    """What a table keeps for a network's family.

    Args:
        table: Values by the names of families.
        network: A network of some family, which need not be one of ours.
        what: The table's subject, as an error names it.

    Raises:
        InputError: If it has nothing for this family.
    """
    if network.family not in table:
        known = ", ".join(table)
        raise InputError(f"{network.name}: {what} is not known for family {network.family!r}, only for {known}")
    return table[network.family]


def takes_every_width(network: BaseNetwork) -> bool:
    """Whether the blocks of a base network can have every width: whether its family leaves widths as they are."""
    return not overrides(family_of(network), "widths")


def network_of(architecture: Architecture) -> BaseNetwork:
    """The base network of an architecture, with the architecture's knobs in its table.

    Raises:
        InputError: If the base network is unknown, or has no such knob.
    """
    if architecture.base not in _bases:
        load_installed()
    if architecture.base not in _bases:
        raise InputError(f"base network {architecture.base!r} is unknown (`planner bases` lists all)")
    network = _bases[architecture.base]
    return family_of(network).with_knobs(network, architecture.knobs) if architecture.knobs else network


def check_table(network: BaseNetwork) -> None:
    """Refuses a table that its family cannot build, whatever its sizes.

    Raises:
        InputError: Naming what is wrong.
    """
    if network is not _bases.get(network.name):
        family_of(network).check(network)


def own_knobs(network: BaseNetwork) -> dict[str, tuple[int, ...]]:
    """The knobs of a network's table that are not those of the base network of its name."""
    family = family_of(network)
    knobs = family.knobs(network)
    if not knobs:
        return {}
    usual = family.knobs(_bases[network.name]) if network.name in _bases else knobs
    return {name: values for name, values in knobs.items() if values != usual[name]}


def without_usual_knobs(architecture: Architecture) -> Architecture:
    """The same architecture without the knobs that are as in its base network, or as they follow from its sizes."""
    if not architecture.knobs:
        return architecture
    plain = architecture.with_knobs({})
    network = network_of(plain)
    usual = family_of(network).followed(network, sizes_of(stack([plain])))
    return architecture.with_knobs(
        {
            name: values
            for name, values in architecture.knobs.items()
            if name not in usual or values != tuple(usual[name][0].tolist())
        }
    )


def load_installed() -> None:
    """Registers the families of installed packages, once: called where a name is unknown, for it takes a moment.

    Raises:
        InputError: If one cannot be loaded, or its names are taken.
    """
    if _GROUP in _loaded:
        return
    from importlib.metadata import entry_points  # slow to import

    for entry in entry_points(group=_GROUP):
        try:
            register_family(entry.load())
        except Exception as error:
            whose = entry.dist.name if entry.dist else entry.value
            raise InputError(f"family {entry.name!r} of {whose} cannot be used: {error}; mend or remove it") from error
    _loaded.append(_GROUP)


def _check(family: Family) -> None:
    """Refuses what is no family, or whose names are taken.

    Raises:
        InputError: With what is wrong.
    """
    missing = [name for name in ("name", "bases", *_METHODS) if not hasattr(family, name)]
    if missing:
        raise InputError(f"{shown(family)} is no family: it has no {', '.join(missing)}; derive from sampler.Family")
    if not isinstance(family.bases, Mapping) or not family.bases:
        raise InputError(f"family {shown(family.name)} has no base networks; give at least one, by its name")
    if family.name in _families:
        raise InputError(f"family {family.name!r} is already known; give yours another name")
    for name, network in family.bases.items():
        if not isinstance(network, BaseNetwork) or (network.name, network.family) != (name, family.name):
            raise InputError(f"base network {name!r} of family {family.name!r} has another name or family; give these")
        if name in _bases:
            raise InputError(f"base network {name!r} is already known in family {_bases[name].family!r}; rename yours")


_METHODS = (
    "blocks",
    "check",
    "widths",
    "width_steps",
    "knobs",
    "knob_grids",
    "followed",
    "with_knobs",
    "macs_bound",
    "terms",
    "counts",
    "layer_blocks",
)
