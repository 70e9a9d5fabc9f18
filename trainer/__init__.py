"""An architecture in, a measurement out (torch and timm).

What needs torch is imported when it is first used, so that engines and the command line can name it without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.inherit import inherited_weights
    from trainer.measuring import measured
    from trainer.network import build
    from trainer.proxy import train

# Where each name lives.
_PUBLIC = {
    "build": "trainer.network",
    "inherited_weights": "trainer.inherit",
    "measured": "trainer.measuring",
    "train": "trainer.proxy",
}

__all__ = ["build", "inherited_weights", "measured", "train"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_PUBLIC[name]), name)
