"""A conformance suite for families: what anybody's must do, tried on small random networks on the CPU.

As a test of one's own:

    from trainer.families.conformance import check_torch_family

    def test_my_family():
        check_torch_family("mine", MyFamily())

A family is tried for what it gives: the optional methods of `trainer.families.protocol` where it has them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, BaseNetwork, InputError, architecture_complexity, base, base_names, rule_named
from sampler.scaling import scale_stages
from trainer.channel_units import Unit, stage_units
from trainer.families.protocol import (
    ExportableFamily,
    InheritableFamily,
    MeasurableFamily,
    ScorableFamily,
    TorchFamily,
)
from trainer.families.registry import registered_torch_family, torch_family
from trainer.inherit import inherit, refusal
from trainer.inheritance.layers import SHORTCUTS
from trainer.inheritance.stages import after_sum, network_parts, silence_residual_blocks, skip_of
from trainer.network import build
from trainer.utilization import discarding
from trainer.zero_cost import zen_score

_CLASSES = 5
_IMAGES = 3
# Largest difference of outputs that should be equal but for rounding, over their largest.
_ROUNDING = 1e-4
_MOST_DRAWS = 20


def check_torch_family(
    name: str,
    family: TorchFamily | None = None,
    networks: Sequence[BaseNetwork] | None = None,
    architectures: int = 2,
    seed: int = 0,
) -> None:
    """Tries a family with random architectures.

    Args:
        name: Name that its networks have as `BaseNetwork.family`; the sampler must know how to count them.
        family: The family, registered while this lasts; by default the one that is registered under the name.
        networks: Base networks to try; by default all of the family that the sampler knows.
        architectures: How many random architectures of each.
        seed: Seed of what is random.

    Raises:
        AssertionError: Naming the architecture and the promise that is not kept.
        InputError: If there is no such family, or it refuses what it says it can.
    """
    with nullcontext() if family is None else registered_torch_family(name, family):
        tried = torch_family(name)
        chosen = [one for one in map(base, base_names()) if one.family == name] if networks is None else networks
        assert chosen, f"the sampler knows no base network of family {name!r}"
        for number, network in enumerate(chosen):
            for architecture in _random_architectures(network, architectures, seed + number):
                _check(tried, network, architecture)


def _check(family: TorchFamily, network: BaseNetwork, architecture: Architecture) -> None:
    """Tries what a family gives with one architecture."""
    with torch.random.fork_rng(devices=[]):
        _check_counts(architecture)
        _check_seeds(architecture)
        _check_forward(architecture)
        if isinstance(family, InheritableFamily):
            _check_parts(architecture)
            _check_silence(architecture)
            _check_inheritance(architecture)
        if isinstance(family, MeasurableFamily):
            _check_channels(architecture)
        if isinstance(family, ScorableFamily):
            score = zen_score(architecture, _CLASSES, repeats=2, batch=2)
            assert np.isfinite(score.zen), f"{architecture}: without residual links its zen-score is {score.zen}"
        if isinstance(family, ExportableFamily):
            _check_code(family, network, architecture)


def _random_architectures(network: BaseNetwork, n: int, seed: int) -> Iterator[Architecture]:
    """Small architectures whose stages are scaled apart, that the sampler can count."""
    rng, rule, found = np.random.default_rng(seed), rule_named(network.rule), 0
    for _ in range(_MOST_DRAWS * n):
        pixels = rng.integers(network.stride, max(2 * network.stride, 16), 1)
        d, w = rng.uniform(0.3, 1.2, (1, len(network.stages))), rng.uniform(0.2, 0.6, (1, len(network.stages)))
        try:
            architecture = scale_stages(network, rule, pixels - pixels % rule.step, d, w)[0]
            architecture_complexity(architecture, _CLASSES)
        except InputError:  # too narrow for the family
            continue
        yield architecture
        found += 1
        if found == n:
            return
    raise AssertionError(f"{network.name}: of {_MOST_DRAWS * n} small architectures {found} can be counted")


def _built(architecture: Architecture, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(architecture, _CLASSES)


def _pictures(architecture: Architecture, channels: int = 3) -> torch.Tensor:
    side = architecture.resolution
    return torch.randn(_IMAGES, channels, side, side, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def _outputs(model: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    outputs: torch.Tensor = model.eval()(pictures)
    return outputs


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= _ROUNDING * other.abs().max().clamp(min=1))


def _check_counts(architecture: Architecture) -> None:
    """Parameters and MACs are exactly what the sampler counts."""
    model, cost = _built(architecture).eval(), architecture_complexity(architecture, _CLASSES)
    params = sum(parameter.numel() for parameter in model.parameters())
    assert params == cost.params, f"{architecture}: built with {params} parameters, counted {cost.params}"
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(_pictures(architecture)[:1])
    macs = counter.get_total_flops() / 2
    assert macs == cost.macs, f"{architecture}: built with {macs} MACs, counted {cost.macs}"


def _check_seeds(architecture: Architecture) -> None:
    """Weights come from torch's global generator and from nothing else."""
    first, again, other = (_built(architecture, seed).state_dict() for seed in (0, 0, 1))
    wrong = [key for key, value in first.items() if not torch.equal(value, again[key])]
    assert not wrong, f"{architecture}: two networks of one seed differ in {wrong[0]}"
    same = all(torch.equal(value, other[key]) for key, value in first.items())
    assert not same, f"{architecture}: networks of two seeds are equal"


def _check_forward(architecture: Architecture) -> None:
    """It trains, and evaluates every image for itself."""
    model, pictures = _built(architecture), _pictures(architecture)
    assert model.training, f"{architecture}: built in evaluation mode"
    logits = model(pictures)
    assert logits.shape == (_IMAGES, _CLASSES), f"{architecture}: logits of shape {tuple(logits.shape)}"
    nn.functional.cross_entropy(logits, torch.arange(_IMAGES) % _CLASSES).backward()
    for key, parameter in model.named_parameters():
        gradient = parameter.grad
        assert gradient is not None and gradient.isfinite().all(), f"{architecture}: {key} has no finite gradient"
    whole = _outputs(model, pictures)
    assert whole.isfinite().all(), f"{architecture}: outputs that are not finite"
    alone = _outputs(model, pictures[:1])
    assert _equal(alone, whole[:1]), f"{architecture}: in evaluation an image's outputs depend on the others"
    dropping = build(architecture, _CLASSES, 0.5).state_dict()
    assert dropping.keys() == model.state_dict().keys(), f"{architecture}: dropout changes its state dict"


def _check_parts(architecture: Architecture) -> None:
    """The parts hold every parameter once, and every stage its blocks."""
    model = _built(architecture)
    parts = network_parts(model, architecture)
    depths = tuple(len(stage.blocks) for stage in parts.stages)
    assert depths == architecture.depths, f"{architecture}: parts() gives stages of {depths} blocks"
    inside = [module for stage in parts.stages for module in (*stage.entry, *stage.blocks)]
    held = [id(parameter) for part in (*parts.stem, *inside, *parts.tail) for parameter in part.parameters()]
    assert len(held) == len(set(held)), f"{architecture}: parts() gives a parameter twice"
    missing = [key for key, parameter in model.named_parameters() if id(parameter) not in held]
    assert not missing, f"{architecture}: parts() leaves out {missing[0]}"


def _check_silence(architecture: Architecture) -> None:
    """Silenced residual blocks give what their shortcuts pass on, rectified where they rectify their sum."""
    model = _built(architecture)
    blocks = [block for stage in network_parts(model, architecture).stages for block in stage.blocks]
    silenced = [
        block for block in blocks if skip_of(block) == "a plain skip connection" and not hasattr(block, "gamma")
    ]
    count = silence_residual_blocks(model, architecture)
    assert count == len(silenced), f"{architecture}: {count} blocks are silenced, not {len(silenced)}"
    changed: list[str] = []

    def compare(block: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        beside = (getattr(block, name, None) for name in SHORTCUTS)
        passed = next((part for part in beside if isinstance(part, nn.Module)), nn.Identity())(inputs[0])
        if not (_equal(output, passed) or _equal(output, after_sum(block)(passed.clone()))):
            changed.append(type(block).__name__)

    for block in silenced:
        block.register_forward_hook(compare)
    _outputs(model, _pictures(architecture))
    assert not changed, f"{architecture}: a silenced {changed[0]} changes its input; does it have a skip connection?"


def _check_inheritance(architecture: Architecture) -> None:
    """A child of the same sizes, and deeper ones where that is not refused, compute what their parent does."""
    model, pictures = _as_trained(_built(architecture)), _pictures(architecture)
    wanted = _outputs(model, pictures)
    depths = architecture.depths
    deeper = [
        replace(architecture, depths=(*depths[:stage], depths[stage] + 1, *depths[stage + 1 :]))
        for stage in range(len(depths))
    ]
    for child in (architecture, *(one for one in deeper if refusal(architecture, one, seed=0) is None)):
        grown = inherit(model, architecture, child, _CLASSES, seed=0)
        assert _equal(_outputs(grown, pictures), wanted), f"{architecture}: its child {child} computes something else"


@torch.no_grad()
def _as_trained(model: nn.Module) -> nn.Module:
    """The model with norms and biases that are neither zero nor one, as after a training."""
    generator = torch.Generator().manual_seed(2)
    for value in model.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value += 0.2 + 0.2 * torch.rand(value.shape, generator=generator)
    return model


def _check_channels(architecture: Architecture) -> None:
    """Every stage's channels cost something, and can be discarded where its sites say."""
    model, pictures = _built(architecture), _pictures(architecture)
    units = stage_units(model, architecture, _CLASSES)
    for unit in units:
        assert unit.macs > 0, f"{architecture}: channels of {unit.name} cost {unit.macs} MACs"
        _check_sites(model, unit, architecture)
        with discarding(model, unit, 0.5, torch.Generator().manual_seed(0)):
            dropped = _outputs(model, pictures)
        assert dropped.shape == (_IMAGES, _CLASSES), f"{architecture}: without channels of {unit.name} {dropped.shape}"


def _check_sites(model: nn.Module, unit: Unit, architecture: Architecture) -> None:
    """The sites of a stage's feature map have its channels."""
    widths: dict[str, int] = {}
    hooks = []
    for site in unit.sites:

        def note(_: nn.Module, inputs: Any, output: torch.Tensor, site: Any = site) -> None:
            widths[site.module] = output.shape[site.axis]

        hooks.append(model.get_submodule(site.module).register_forward_hook(note))
    _outputs(model, _pictures(architecture))
    for hook in hooks:
        hook.remove()
    for site in unit.sites:
        assert site.module in widths, f"{architecture}: {site.module} is never called"
        fits = not site.shared or widths[site.module] == unit.channels
        assert fits, f"{architecture}: {site.module} has {widths[site.module]} channels, {unit.name} {unit.channels}"


def _check_code(family: ExportableFamily, network: BaseNetwork, architecture: Architecture) -> None:
    """The code needs timm and torch only, builds the same network, and others of timm's arguments."""
    code = family.timm_code(network, architecture)
    text = f"from typing import Any\n\nfrom torch import nn\n\n{code.constants()}{code.body()}"
    foreign = _imported(text) - {"timm", "torch", *sys.stdlib_module_names}
    assert not foreign, f"{architecture}: its code imports {', '.join(sorted(foreign))}"
    module = _module(text)
    ours, theirs = _built(architecture), module.network(num_classes=_CLASSES)
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1], f"{architecture}: its code builds another network"
    theirs.load_state_dict(ours.state_dict())
    pictures = _pictures(architecture)
    same = _equal(_outputs(theirs, pictures), _outputs(ours, pictures))
    assert same, f"{architecture}: its code builds a network that computes something else"
    for name, kind in ((code.first, nn.Conv2d), (code.classifier, nn.Linear)):
        assert isinstance(theirs.get_submodule(name), kind), f"{architecture}: {name} is no {kind.__name__}"
    grey = module.network(num_classes=2, in_chans=1, drop_rate=0.1)
    shape = tuple(_outputs(grey, _pictures(architecture, channels=1)).shape)
    assert shape == (_IMAGES, 2), f"{architecture}: for grey pictures of 2 classes its code gives {shape}"


def _module(text: str) -> Any:
    """A module of some code, imported from a file as an exported one is."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "exported.py"
        file.write_text(f"from __future__ import annotations\n{text}", encoding="utf-8")
        spec = spec_from_file_location("exported_network", file)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def _imported(text: str) -> set[str]:
    """Top-level packages that a text imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names
