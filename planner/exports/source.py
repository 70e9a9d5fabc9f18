"""A network as a Python file that needs timm and PyTorch only, and registers it as one of timm's models."""

from __future__ import annotations

import json

from planner.exports.network import ExportedNetwork
from trainer.families.protocol import ExportableFamily, lacking
from trainer.families.registry import torch_family_of
from trainer.families.timm_code import TimmCode

_HEADER = '''"""{title}

Needs timm and PyTorch, nothing else:

    import timm
    import {name}

    model = timm.create_model("{name}"{pretrained})

Images are RGB, {side} x {side} pixels, of 0 to 1, then less MEAN and over STD (`timm.data.resolve_data_config` knows).
{weights}
"""
'''
# `Any` and `nn` are what functions of a family's code may name in their annotations.
_IMPORTS = """
from __future__ import annotations

{path}from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

"""
_UNTRAINED = "There are no trained weights: train it first."
_TRAINED = "pretrained=True loads {name}.safetensors from beside this file{how}."
_FRESH = "pretrained=True loads {name}.safetensors from beside this file: an initialisation, NOT trained weights."
_FOOTER = """

default_cfgs = generate_default_cfgs(
    {{
        "{name}": dict(
            {file}input_size=(3, {side}, {side}),
            num_classes={classes},
            mean=MEAN,
            std=STD,
            interpolation="bicubic",
            crop_pct={crop_pct!r},
            first_conv="{first}",
            classifier="{classifier}",
        )
    }}
)


@register_model
def {name}(pretrained=False, **kwargs):
    return build_model_with_cfg(network, "{name}", pretrained{features}, **kwargs)
"""


def timm_source(network: ExportedNetwork, weights: bool) -> str:
    """The text of the file; `weights` says whether a `.safetensors` file stands beside it.

    Raises:
        InputError: If the network's family does not tell its code.
    """
    code = code_of(network)
    name, side = network.name, network.architecture.resolution
    file = 'file=str(Path(__file__).with_suffix(".safetensors")),\n            ' if weights else ""
    footer = _FOOTER.format(
        name=name,
        file=file,
        side=side,
        classes=network.classes,
        crop_pct=network.crop_pct,
        first=code.first,
        classifier=code.classifier,
        features=f", feature_cfg={code.features}" if code.features else "",
    )
    head = _HEADER.format(
        title=network.title,
        name=name,
        side=side,
        pretrained=", pretrained=True" if weights else "",
        weights=_about_weights(network, weights),
    )
    imports = _IMPORTS.format(path="from pathlib import Path\n" if weights else "")
    statistics = f"MEAN, STD = {_tuple(network.mean)}, {_tuple(network.std)}\n"
    return head + imports + statistics + code.constants() + code.body() + footer


def code_of(network: ExportedNetwork) -> TimmCode:
    """How a network is built with timm and PyTorch only.

    Raises:
        InputError: If its family does not tell.
    """
    family = torch_family_of(network.base)
    if not isinstance(family, ExportableFamily):
        if network.shipped is not None:
            raise lacking(network.base, "timm_code", "--to timm writes", "export it with --to torch or --to onnx")
        raise lacking(network.base, "timm_code", "--to timm and --to torch write", "export it with --to onnx")
    return family.timm_code(network.base, network.architecture)


def _about_weights(network: ExportedNetwork, weights: bool) -> str:
    if not weights:
        return _UNTRAINED
    if network.training is None:
        return _FRESH.format(name=network.name)
    return _TRAINED.format(name=network.name, how=f" ({network.training.words})")


def _tuple(values: tuple[float, ...]) -> str:
    return f"({json.dumps(values)[1:-1]})"
