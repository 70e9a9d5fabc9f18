"""Example inputs of networks, with values in them: images, or what a declared network's `input` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sampler import BaseNetwork, InputError
from sampler.checks import shown
from trainer.declared.torch_family import DeclaredTorchFamily
from trainer.families.registry import torch_family_of

if TYPE_CHECKING:
    import torch

_COLOURS = 3


@dataclass(frozen=True)
class Example:
    """What a network is called with.

    Attributes:
        positional: Tensors by position.
        named: Tensors by name.
        images: Whether it is one batch of images, of any number.
    """

    positional: tuple[torch.Tensor, ...] = ()
    named: Mapping[str, torch.Tensor] = field(default_factory=dict)
    images: bool = True

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All of them, in the order in which a graph has them."""
        return [*self.positional, *self.named.values()]

    def first(self) -> Example:
        """The first image alone; the same of what is no batch of images."""
        return Example((self.positional[0][:1],)) if self.images else self

    def given_to(self, module: Callable[..., Any]) -> Any:
        """What a module makes of it."""
        return module(*self.positional, **self.named)


def example_of(network: BaseNetwork, resolution: int, batch: int = 1, seed: int = 0) -> Example:
    """An example input of a network, always the same, on the CPU.

    Args:
        network: The base network.
        resolution: Size of the input.
        batch: Images; a declared network with an `input` of its own has what that gives.
        seed: Random seed of the values.

    Raises:
        InputError: If its `input` fails, or gives no tensors.
    """
    import torch

    family = torch_family_of(network)
    spec = family.spec() if isinstance(family, DeclaredTorchFamily) else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec is None or spec.input is None:
            channels = _COLOURS if spec is None else spec.channels
            return Example((torch.randn(batch, channels, resolution, resolution),))
        return _given(spec.input, resolution, network.name)


def _given(make: Callable[[int], Any], resolution: int, name: str) -> Example:
    import torch

    try:
        made = make(resolution)
    except Exception as error:  # whatever the user's function does
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"{name}: its input fails for {resolution} ({type(error).__name__}: {what}); mend it"
        ) from error
    named = dict(made) if isinstance(made, Mapping) else {}
    positional = () if named else tuple(made) if isinstance(made, tuple | list) else (made,)
    example = Example(positional, named, images=False)
    if not example.tensors or not all(isinstance(one, torch.Tensor) for one in example.tensors):
        raise InputError(f"{name}: its input gives {shown(made)}; a tensor, a tuple or a dict of tensors is wanted")
    return example
