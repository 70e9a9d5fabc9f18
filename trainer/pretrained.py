"""Weights that somebody trained, timm's above all, from a local file into one of our networks."""

from __future__ import annotations

from pathlib import Path

import torch
from timm.models import load_state_dict
from torch import nn

from sampler import Architecture, InputError
from trainer.network import build
from trainer.weights import network_file

_OTHERS = "name a file of timm's weights for this very network, or one that a training kept"


def pretrained_network(path: Path, architecture: Architecture, classes: int, seed: int) -> nn.Module:
    """A network with the weights of a file: all of them, but for a classifier of other classes.

    Args:
        path: Weights by their names in timm's model: `.safetensors`, or what `torch.save` wrote of tensors alone; a
            network that a training kept, or a folder of `planner finish`, will do.
        architecture: Network to build.
        classes: Outputs of its classifier, which keeps its first weights where the file's has others.
        seed: Random seed of these.

    Raises:
        InputError: If the file cannot be read, or its weights are another network's; names the first that differs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build(architecture, classes)
    given, own = _weights_in(network_file(path)), model.state_dict()
    other = _classifier(given, own, classes)
    wrong = next(
        (name for name in (*own, *given) if name not in other and _shape(given, name) != _shape(own, name)), None
    )
    if wrong is not None:
        raise InputError(
            f"{path}: not weights of this {architecture.base}: {wrong} is {_words(given, wrong)}, not "
            f"{_words(own, wrong)}; {_OTHERS}"
        )
    model.load_state_dict({**given, **{name: own[name] for name in other}})
    return model


def _weights_in(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by their names."""
    try:
        found = load_state_dict(str(path), weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'no such file'}; {_OTHERS}") from error
    except Exception as error:  # unpickling and safetensors raise what they like
        reason = (str(error) or type(error).__name__).split("\n")[0][:200]
        raise InputError(f"{path}: no weights in it ({reason}); {_OTHERS}") from error
    if not found or not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise InputError(f"{path}: no weights in it; {_OTHERS}")
    return found


def _classifier(given: dict[str, torch.Tensor], own: dict[str, torch.Tensor], classes: int) -> set[str]:
    """Names of the classifier's weights, where the file's is for other classes; else none."""
    differs = {name for name in given.keys() & own.keys() if given[name].shape != own[name].shape}
    last = {name.rpartition(".")[0] for name in differs}
    fits = all(own[name].shape[:1] == (classes,) and given[name].shape[1:] == own[name].shape[1:] for name in differs)
    return differs if fits and len(last) == 1 else set()


def _shape(weights: dict[str, torch.Tensor], name: str) -> torch.Size | None:
    return weights[name].shape if name in weights else None


def _words(weights: dict[str, torch.Tensor], name: str) -> str:
    shape = _shape(weights, name)
    return "missing" if shape is None else " x ".join(map(str, shape)) or "a number"
