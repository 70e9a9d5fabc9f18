"""Families of networks, one file each: blocks, the widths they can have, and base networks."""

from __future__ import annotations

from sampler.families.convnext import CONVNEXT
from sampler.families.ghost import GHOST
from sampler.families.mbconv import MBCONV
from sampler.families.protocol import Family, Sizes, Terms
from sampler.families.registry import (
    family_names,
    family_of,
    network_of,
    of_family,
    register_family,
    registered,
    takes_every_width,
    unregister_family,
    without_usual_knobs,
)
from sampler.families.regnet import REGNET
from sampler.families.residual import RESIDUAL
from sampler.families.vit import VIT

__all__ = [
    "Family",
    "Sizes",
    "Terms",
    "family_names",
    "family_of",
    "network_of",
    "of_family",
    "register_family",
    "registered",
    "takes_every_width",
    "unregister_family",
    "without_usual_knobs",
]

for _family in (MBCONV, REGNET, RESIDUAL, GHOST, CONVNEXT, VIT):
    register_family(_family)
