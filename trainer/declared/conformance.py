"""What a declared network must keep to, for anybody's: `check_network` says what one does not.

As a test of one's own:

    from trainer.declared.conformance import check_network

    def test_my_network():
        check_network(my_network)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, InputError, architecture_complexity, network_of, stack
from sampler.complexity import count
from sampler.declared.description import NetworkDescription
from sampler.declared.family import declared_family
from trainer.declared.examples import example_of
from trainer.declared.loading import load_network
from trainer.network import build

_CLASSES = 7
_MOST = 2  # times its size at base


def check_network(network: Any, rounds: int = 8, seed: int = 0) -> None:
    """Derives what a network costs, and compares with networks that are built and run, without the tracer's help.

    Args:
        network: Function that `planner.network` decorates, or what else `planner.base` takes for one.
        rounds: How many random configurations, up to twice its size at base.
        seed: Random seed of them.

    Raises:
        AssertionError: With one sentence that says what is wrong.
    """
    try:
        name = load_network(network).name
        description = declared_family(name).description
    except InputError as error:
        raise AssertionError(f"it cannot be counted: {error}") from error
    rng = np.random.default_rng(seed)
    drawn = [_drawn(description, rng) for _ in range(rounds)]
    for architecture in drawn:
        try:
            _compare(description, architecture)
        except InputError as error:
            raise AssertionError(f"what should be buildable is refused: {error}") from error
        except Exception as error:
            if isinstance(error, AssertionError):
                raise
            raise AssertionError(f"{architecture} fails: {type(error).__name__}: {error}") from error
    alone = [architecture_complexity(one, _CLASSES).macs for one in drawn]
    assert count(stack(drawn), _CLASSES).macs.tolist() == alone, f"{name} counts otherwise in an array than alone"


def _drawn(description: NetworkDescription, rng: np.random.Generator) -> Architecture:
    """A random legal configuration: knobs follow where they can, else have one of their values."""
    one = description
    first = -(-one.least // one.step)
    pixels = one.step * int(rng.integers(first, max(_MOST * one.resolution // one.step, first) + 1))
    widths = tuple(
        divisor * int(rng.integers(1, _MOST * width // divisor + 1))
        for divisor, width in zip(one.divisors, one.widths, strict=True)
    )
    depths = tuple(int(rng.integers(1, _MOST * depth + 1)) for depth in one.depths)
    knobs = {
        name: tuple(int(rng.choice(knob.values)) for _ in knob.base)
        for name, knob in one.knobs.items()
        if knob.follows is None and len(knob.values) > 1
    }
    return Architecture(one.name, pixels, 0, widths, depths, 0).with_knobs(knobs)


def _compare(description: NetworkDescription, architecture: Architecture) -> None:
    model = build(architecture, _CLASSES).eval()  # its parameters are compared there
    example = example_of(network_of(architecture), architecture.resolution)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _unfused(), FlopCounterMode(display=False) as counter:
        found = example.given_to(model)
    macs, wanted = architecture_complexity(architecture, _CLASSES).macs, counter.get_total_flops() // 2
    assert macs == wanted, f"{macs:,} MACs are counted of {architecture}, which does {wanted:,}"
    if description.images:
        shape = tuple(found.shape)
        assert shape == (1, _CLASSES), f"{architecture} takes images and gives {shape}, not (1, {_CLASSES}) scores"
    _check_again(model, build(architecture, _CLASSES), architecture)


@contextmanager
def _unfused() -> Iterator[None]:
    """Has torch's transformer layers run operation by operation: what is fused cannot be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _check_again(model: nn.Module, again: nn.Module, architecture: Architecture) -> None:
    shapes = [{name: tuple(one.shape) for name, one in built.state_dict().items()} for built in (model, again)]
    assert shapes[0] == shapes[1], f"built twice, {architecture} has other weights the second time"
