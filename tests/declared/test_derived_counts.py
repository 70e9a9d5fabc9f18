"""Networks that the code knows nothing of, as strangers declare them: our counts are torch's, to the last digit."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from sampler import architecture_complexity, base
from trainer.declared.derive import derive
from trainer.network import build

# Quick to derive and to trace; the others are slow tests.
QUICK = ("gpt", "superres")
# Where resolutions begin and which there are: what one who knows the network would say.
GRIDS = {
    "gpt": (1, 1),
    "timm_vit": (16, 16),
    "unet": (8, 8),
    "yolo": (32, 32),
    "mixer": (16, 1),
    "shortcuts": (1, 1),
    "flat": (8, 1),
}
FILES = sorted({file.stem for file in (Path(__file__).parents[1] / "networks").glob("*.py")} - {"conftest"})


@pytest.fixture(scope="module")
def derived(trial):
    """What is derived of a file, once."""
    known = {}

    def of(name):
        if name not in known:
            spec = trial.spec_of(trial.FOLDER / f"{name}.py")
            known[name] = spec, derive(spec)
        return known[name]

    return of


@pytest.mark.parametrize("name", FILES)
def test_a_network_is_declared_in_fifteen_lines_at_most(trial, name):
    body = ast.parse((trial.FOLDER / f"{name}.py").read_text()).body
    (function,) = (node for node in body if isinstance(node, ast.FunctionDef) and node.decorator_list)
    assert function.end_lineno - function.decorator_list[0].lineno + 1 <= 15


@pytest.mark.parametrize("name", QUICK)
def test_counts_are_torchs_on_a_few_random_sizes(trial, oracle, derived, name):
    spec, description = derived(name)
    assert description.counts is not None
    assert not trial.wrong(spec, description, oracle.truth, list(oracle.drawn(description, 4, seed=1)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # torch's, of an odd number of heads in seq2seq
@pytest.mark.parametrize("name", FILES)
def test_counts_are_torchs_on_two_hundred_random_sizes(trial, oracle, derived, name):
    spec, description = derived(name)
    assert not trial.wrong(spec, description, oracle.truth, list(oracle.drawn(description, 200, seed=2, ties=0.2)))


@pytest.mark.parametrize("name", [*(name for name in GRIDS if name in QUICK)])
def test_the_least_resolution_and_its_step_are_found(derived, name):
    _, description = derived(name)
    assert (description.least, description.step) == GRIDS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(name for name in GRIDS if name not in QUICK)])
def test_the_least_resolution_and_step_of_larger_networks_are_found(derived, name):
    _, description = derived(name)
    assert (description.least, description.step) == GRIDS[name]


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18", "convnext_atto"])
def test_the_oracle_agrees_with_networks_that_we_count_by_hand(oracle, name):
    architecture = base(name).architecture()
    spec = SimpleNamespace(channels=3, input=None, factory=lambda resolution: build(architecture, 10))
    counted = architecture_complexity(architecture, 10)
    expected = counted.macs, counted.params, counted.activations, counted.memory
    assert oracle.truth(spec, dict(resolution=architecture.resolution)) == expected
