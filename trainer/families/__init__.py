"""One file per family of networks, with all that torch needs to know of it; `protocol` says what that is.

Others' families come in by `register_torch_family`, or by an entry point of the group `scaling_planner.torch_families`.
"""

from trainer.families.protocol import TorchFamily
from trainer.families.registry import register_torch_family, registered_torch_family, torch_family

__all__ = ["TorchFamily", "register_torch_family", "registered_torch_family", "torch_family"]
