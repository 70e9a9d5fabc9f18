"""Trained networks in a file: safetensors, with the architecture in its header."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sampler import Architecture, InputError, architecture_from
from trainer.files import write_atomically
from trainer.network import build

if TYPE_CHECKING:
    from torch import nn


# In the folder that `planner finish` writes: what was planned, and what came of it.
FINISH_FILE = "finish.json"


def save_network(path: Path, model: nn.Module, architecture: Architecture, classes: int) -> None:
    """Writes a network, whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    write_atomically(path, packed_network(model, architecture, classes))


def packed_network(model: nn.Module, architecture: Architecture, classes: int) -> bytes:
    """A network as safetensors, its architecture in the header."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    about = {"architecture": json.dumps(asdict(architecture)), "classes": str(classes)}
    return save(tensors, metadata=about)


def network_file(path: Path) -> Path:
    """The file of a trained network: itself, or the best weights of a folder that `planner finish` wrote.

    Raises:
        InputError: If a folder is given that it did not finish.
    """
    if not path.is_dir():
        return path
    try:
        name = json.loads((path / FINISH_FILE).read_text(encoding="utf-8"))["plan"]["name"]
        return path / f"{Path(name).name}.safetensors"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no folder of `planner finish`; name one, or a network saved by a training"
        ) from error


def load_trained(path: Path) -> tuple[nn.Module, Architecture, int]:
    """The network that `save_network` wrote, its architecture and its number of classes.

    A folder that `planner finish` wrote will do as well.

    Raises:
        InputError: If the file is missing, damaged or holds something else.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = network_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        architecture, classes = architecture_from(json.loads(about["architecture"])), int(about["classes"])
        with torch.random.fork_rng():  # building draws weights, which are then replaced
            model = build(architecture, classes)
        model.load_state_dict(tensors)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name a network saved by a training") from error
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: not a saved network ({reason}); name one saved by a training") from error
    return model, architecture, classes
