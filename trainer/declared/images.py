"""Declared networks and the image trainer: which of them it can train, and what it feeds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampler import InputError, base
from sampler.declared.description import NetworkDescription
from sampler.declared.family import DeclaredFamily
from sampler.families.registry import family_of

if TYPE_CHECKING:
    import torch
    from torch import nn

_GREY, _COLOURS = 1, 3  # channels of images that the image trainer can give


def described(name: str) -> NetworkDescription | None:
    """What a declared network is; None of a network of ours.

    Raises:
        InputError: If there is no base network of that name.
    """
    family = family_of(base(name))
    return family.description if isinstance(family, DeclaredFamily) else None


def check_images(name: str) -> None:
    """Refuses a base network that the image trainer cannot train.

    Raises:
        InputError: Saying what the network takes or gives instead.
    """
    network = described(name)
    if network is None:
        return
    remedy = "train it by a function of yours, as --trainer FILE.py:NAME --classes N"
    if not network.images:
        shapes = [tuple(one) for one in network.derived.get("outputs", ())]
        gives = f"its output for 10 classes is {' and '.join(map(str, shapes)) or 'something else'}"
        other = "its input is its own" if shapes == [(1, 10)] else gives
        raise InputError(
            f"{name}: the image trainer wants (n, classes) scores of (n, 3, r, r) images, and {other}; {remedy}"
        )
    if network.channels not in (_GREY, _COLOURS):
        raise InputError(f"{name}: its images have {network.channels} channels, and those of data sets 3; {remedy}")


def fit_colours(model: nn.Module, name: str) -> None:
    """Has a network of images with one channel take the mean of the colours of those that it is given."""
    network = described(name)
    if network is not None and network.channels == _GREY:
        model.register_forward_pre_hook(_mean_of_colours)


def _mean_of_colours(_: nn.Module, images: tuple[torch.Tensor, ...]) -> Any:
    return (images[0].mean(1, keepdim=True),)
