"""How a declared network is built: its function is called, and what it gives is what was counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sampler import Architecture, BaseNetwork, InputError, architecture_complexity
from sampler.architecture import stack
from sampler.declared.family import declared_family
from sampler.declared.spec import NetworkSpec
from sampler.deferred import DeferredModule
from sampler.families.protocol import sizes_of

if TYPE_CHECKING:
    from torch import nn
else:
    nn = DeferredModule("torch.nn")


class DeclaredTorchFamily:
    """A declared network in torch.

    Args:
        spec: Gives the network as it was declared, importing its file where nobody has yet.
    """

    def __init__(self, spec: Callable[[], NetworkSpec]) -> None:
        self.spec = spec

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Calls the function.

        Args:
            network: The base network.
            architecture: The architecture to build.
            classes: Outputs of the classifier.
            drop_rate: Dropout, for a function that takes a `drop_rate`; the others have none.

        Raises:
            InputError: If the function fails, or makes other than what was counted.
        """
        spec, given = self.spec(), arguments_of(architecture, classes)
        if "drop_rate" in inspect.signature(spec.factory).parameters and "drop_rate" not in spec.knobs:
            given["drop_rate"] = drop_rate
        model = called(spec, given)
        found, wanted = params_of(model, network.name), architecture_complexity(architecture, classes).params
        if found != wanted:
            raise InputError(
                f"{network.name}: the function makes a network of {found:,} parameters where {wanted:,} were counted; "
                "its file changed meanwhile, or it gives another network each time: start again, or let it depend on "
                "its arguments alone"
            )
        return model


def arguments_of(architecture: Architecture, classes: int) -> dict[str, Any]:
    """What the function of a declared network is called with: whole numbers, and tuples of one for each stage."""
    family = declared_family(architecture.base)
    variables = family.variables(sizes_of(stack([architecture])), classes)
    given: dict[str, Any] = {
        "resolution": int(architecture.resolution),
        "widths": tuple(map(int, architecture.widths)),
        "depths": tuple(map(int, architecture.depths)),
        "classes": int(classes),
    }
    for name, columns in family.description.knob_columns().items():
        values = tuple(_only(variables[column]) for column in columns)
        given[name] = values if len(values) > 1 else values[0]
    return given


def called(spec: NetworkSpec, given: dict[str, Any]) -> nn.Module:
    """What the function makes of its arguments.

    Raises:
        InputError: If it fails, or gives no module.
    """
    try:
        model = spec.factory(**given)
    except Exception as error:  # whatever the user's function does
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"{spec.name}: its function fails for {_listed(given)}: {type(error).__name__}: {what}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{spec.name}: its function gives {type(model).__name__}; a torch.nn.Module is wanted")
    return model


def params_of(model: nn.Module, name: str) -> int:
    """Learnable scalars of a module, those that are shared once.

    Raises:
        InputError: If it has parameters without a shape.
    """
    try:
        return sum(parameter.numel() for parameter in model.parameters())
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{name}: a lazy layer has no parameters before it is called; give it its sizes") from error


def _only(value: Any) -> int:
    return int(value) if isinstance(value, int) else int(value.reshape(-1)[0])


def _listed(given: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in given.items())
