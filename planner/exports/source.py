"""A network as a Python file that needs timm and PyTorch only, and registers it as one of timm's models."""

from __future__ import annotations

import json

from planner.exports.families import Code, code_of
from planner.exports.network import Network

# Where the standard library's modules of the files' imports are told from the others.
STANDARD = ("from collections ", "from functools ", "from pathlib ")
HEADER = '''"""{title}

Needs timm and PyTorch, nothing else:

    import timm
    import {name}

    model = timm.create_model("{name}"{pretrained})

Images are RGB, {side} x {side} pixels, of 0 to 1, then less MEAN and over STD (`timm.data.resolve_data_config` knows).
{weights}
"""
'''
UNTRAINED = "There are no trained weights: train it first."
TRAINED = "pretrained=True loads {name}.safetensors from beside this file{how}."
FRESH = "pretrained=True loads {name}.safetensors from beside this file: an initialisation, NOT trained weights."
FOOTER = """

default_cfgs = generate_default_cfgs(
    {{
        "{name}": dict(
            {file}input_size=(3, {side}, {side}),
            num_classes={classes},
            mean=MEAN,
            std=STD,
            interpolation="bicubic",
            crop_pct=1.0,
            first_conv="{first}",
            classifier="{classifier}",
        )
    }}
)


@register_model
def {name}(pretrained=False, **kwargs):
    return build_model_with_cfg(network, "{name}", pretrained{features}, **kwargs)
"""


def timm_source(network: Network, weights: bool) -> str:
    """The text of the file; `weights` says whether a `.safetensors` file stands beside it."""
    code = code_of(network.base, network.architecture)
    name, side = network.name, network.architecture.resolution
    file = 'file=str(Path(__file__).with_suffix(".safetensors")),\n            ' if weights else ""
    footer = FOOTER.format(
        name=name,
        file=file,
        side=side,
        classes=network.classes,
        first=code.first,
        classifier=code.classifier,
        features=f", feature_cfg={code.features}" if code.features else "",
    )
    head = HEADER.format(
        title=network.title,
        name=name,
        side=side,
        pretrained=", pretrained=True" if weights else "",
        weights=_about_weights(network, weights),
    )
    return head + _imports(code, weights) + _constants(network, code) + "\n" + code.body + footer


def _about_weights(network: Network, weights: bool) -> str:
    if not weights:
        return UNTRAINED
    if network.training is None:
        return FRESH.format(name=network.name)
    return TRAINED.format(name=network.name, how=f" ({network.training.words})")


def _imports(code: Code, weights: bool) -> str:
    lines = {*code.imports, "from timm.models import build_model_with_cfg, generate_default_cfgs, register_model"}
    lines |= {"from pathlib import Path"} if weights else set()
    standard = sorted(line for line in lines if line.startswith(STANDARD))
    others = sorted(line for line in lines if not line.startswith(STANDARD))
    return "\n" + "".join(f"{line}\n" for line in [*standard, *[""][: len(standard)], *others])


def _constants(network: Network, code: Code) -> str:
    parts = [f"\nMEAN, STD = {_tuple(network.mean)}, {_tuple(network.std)}\n"]
    for name, value in code.constants.items():
        note = f"# {code.notes[name]}\n" if name in code.notes else ""
        parts.append(f"{note}{name} = {value}\n")
    return "".join(parts)


def _tuple(values: tuple[float, ...]) -> str:
    return f"({json.dumps(values)[1:-1]})"
