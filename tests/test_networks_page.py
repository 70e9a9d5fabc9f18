"""The code on the page about any network runs, and what it says of itself is so."""

import re
from pathlib import Path

import numpy as np
import pytest

import planner
from trainer.declared import loading

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "networks.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Names of all blocks, run one after the other as in a notebook."""
    names = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_PLANNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        for block in BLOCKS:
            exec(block, names)
        yield names
    for name in loading.declared_names():
        loading.forget_network(name)


def test_the_spectrogram_net_costs_what_it_costs_by_hand(names):
    counted = planner.complexity(names["spectrogram_net"], classes=10)
    first, second, more = 32 * 32 * 9 * 16, 16 * 16 * 9 * 16 * 32, 16 * 16 * 9 * 32 * 32
    assert counted.macs == first + second + more + 32 * 10
    weights = 9 * 16 + 9 * 16 * 32 + 9 * 32 * 32
    assert counted.params == weights + 3 * (16 + 32 + 32) + 32 * 10 + 10


def test_the_small_gpt_costs_what_it_costs_by_hand(names):
    counted = planner.complexity(
        names["small_gpt"], resolution=[64, 128], widths=[[64], [96]], depths=[[2], [3]], classes=65
    )
    t, w, d = np.array([64, 128]), np.array([64, 96]), np.array([2, 3])
    assert counted.macs.tolist() == (d * (t * (4 * w * w + 8 * w * w) + 2 * t * t * w) + t * w * 65).tolist()
    block = 12 * w * w + (3 * w + w) + (4 * w + w) + 4 * w
    assert counted.params.tolist() == (65 * w + d * block + 65 * w).tolist()


def test_the_arguments_of_the_page_are_those_of_the_decorator():
    import inspect

    table = PAGE.partition("| argument |")[2].partition("\n\n")[0]
    told = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(inspect.signature(planner.network).parameters)
