"""Architecture -> torch module, made of timm's own blocks and classes."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from sampler import Architecture, BaseNetwork, InputError, LayeredArchitecture, base
from sampler.architecture import MAX_CHANNELS
from sampler.checks import checked_number, checked_whole, shown
from sampler.families import of_family
from trainer.builders import convnext, ghost, mbconv, regnet, residual

Builder = Callable[[BaseNetwork, Architecture, int, float], nn.Module]
BUILDERS: dict[str, Builder] = {
    "mbconv": mbconv.build,
    "regnet": regnet.build,
    "residual": residual.build,
    "ghost": ghost.build,
    "convnext": convnext.build,
}


def build(architecture: Architecture, classes: int = 1000, drop_rate: float = 0.0) -> nn.Module:
    """Builds an architecture from timm's blocks; at base size timm's state dict loads strictly.

    Args:
        architecture: What to build.
        classes: Outputs of the classifier.
        drop_rate: Dropout before the classifier.

    Returns:
        A freshly initialised module (from torch's global generator); its parameter count is exactly
        `sampler.architecture_complexity(architecture, classes).params`.

    Raises:
        InputError: If it is no architecture.
    """
    if not isinstance(architecture, Architecture):
        raise InputError(
            f"build takes an architecture, got {shown(architecture)}; a base network's own is base(name).architecture()"
        )
    checked_whole("classes", classes, 1, MAX_CHANNELS)
    checked_number("drop_rate", drop_rate, 0, 1)
    network = base(architecture.base)
    if isinstance(architecture, LayeredArchitecture):
        return residual.build_layered(network, architecture, classes, drop_rate)
    return of_family(BUILDERS, network, "how to build it")(network, architecture, classes, drop_rate)
