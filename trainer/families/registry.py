"""The families that can be built, by name: ours, those registered, and those of installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

from sampler import BaseNetwork, InputError
from trainer.families import convnext, ghost, mbconv, regnet, residual, vit
from trainer.families.protocol import TorchFamily

# Installed packages give families by entry points of this group, named as the family.
_GROUP = "scaling_planner.torch_families"

_families: dict[str, TorchFamily] = {
    "mbconv": mbconv.MBConvFamily(),
    "regnet": regnet.RegNetFamily(),
    "residual": residual.ResidualFamily(),
    "ghost": ghost.GhostFamily(),
    "convnext": convnext.ConvNeXtFamily(),
    "vit": vit.ViTFamily(),
}


def torch_family(name: str) -> TorchFamily:
    """The family of that name; installed packages are asked where nobody registered one.

    Raises:
        InputError: If there is none, or a package's cannot be used.
    """
    if name not in _families:
        _load(name)
    if name not in _families:
        raise InputError(
            f"how to build it is not known for family {name!r}, only for {', '.join(_families)}; "
            "give it with trainer.families.register_torch_family"
        )
    return _families[name]


def torch_family_of(network: BaseNetwork) -> TorchFamily:
    """The family of a base network.

    Raises:
        InputError: If there is none, or a package's cannot be used.
    """
    try:
        return torch_family(network.family)
    except InputError as error:
        raise InputError(f"{network.name}: {error}") from error


def register_torch_family(name: str, family: TorchFamily) -> None:
    """Makes a family known in this process.

    Args:
        name: Name that its networks have as `BaseNetwork.family`.
        family: An object with `build`, and whatever else of `trainer.families.protocol` it can give.

    Raises:
        InputError: If the name is taken, or it is no such object.
    """
    if isinstance(family, type) or not isinstance(family, TorchFamily):
        raise InputError(f"torch family {name!r} is {_shown(family)}; an object with build() is wanted")
    if _families.get(name) is not family:  # a package may register what its entry point names
        _refuse_taken(name)
    _families[name] = family


def unregister_torch_family(name: str) -> None:
    """Makes a family unknown again; one that is not known is fine."""
    _families.pop(name, None)


@contextmanager
def registered_torch_family(name: str, family: TorchFamily) -> Iterator[None]:
    """A family that is known while a `with` block runs.

    Raises:
        InputError: If the name is taken, or it is no family.
    """
    _refuse_taken(name)
    register_torch_family(name, family)
    try:
        yield
    finally:
        unregister_torch_family(name)


def _refuse_taken(name: str) -> None:
    if name in _families:
        raise InputError(f"torch family {name!r} is known already; register yours under another name")


def _load(name: str) -> None:
    """Registers the family that an installed package gives under this name, if one does.

    Raises:
        InputError: If several do, or it cannot be imported or used.
    """
    found = {point.value: point for point in entry_points(group=_GROUP, name=name)}
    if len(found) > 1:
        raise InputError(f"torch family {name!r} is given by {' and '.join(sorted(found))}; uninstall all but one")
    for value, point in found.items():
        try:
            family = point.load()
        except Exception as error:  # another's code: whatever it raises
            raise InputError(f"torch family {name!r}: {value} cannot be imported ({error}); install it anew") from error
        register_torch_family(name, family)


def _shown(family: object) -> str:
    return f"the class {family.__name__}" if isinstance(family, type) else type(family).__name__
