"""Architecture -> torch module, as its family builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampler import Architecture, InputError, LayeredArchitecture, base
from sampler.architecture import MAX_CHANNELS
from sampler.checks import checked_number, checked_whole, shown
from sampler.deferred import DeferredModule
from sampler.families.residual import check_layered
from trainer.families.registry import torch_family_of

if TYPE_CHECKING:
    from torch import nn
else:
    nn = DeferredModule("torch.nn")


def build(architecture: Architecture, classes: int = 1000, drop_rate: float = 0.0) -> nn.Module:
    """Builds an architecture, ours from timm's blocks; at base size timm's state dict loads strictly.

    Args:
        architecture: The architecture to build.
        classes: Outputs of the classifier.
        drop_rate: Dropout before the classifier.

    Returns:
        A freshly initialised module (from torch's global generator); its parameter count is exactly
        `sampler.architecture_complexity(architecture, classes).params`.

    Raises:
        InputError: If it is no architecture, or nobody gave its family.
    """
    if not isinstance(architecture, Architecture):
        raise InputError(
            f"build takes an architecture, got {shown(architecture)}; a base network's own is base(name).architecture()"
        )
    checked_whole("classes", classes, 1, MAX_CHANNELS)
    checked_number("drop_rate", drop_rate, 0, 1)
    network = base(architecture.base)
    if isinstance(architecture, LayeredArchitecture):
        check_layered(network, architecture, classes)
    return torch_family_of(network).build(network, architecture, classes, drop_rate)
