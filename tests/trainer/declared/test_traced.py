"""Architectures counted one by one."""

import numpy as np
import pytest
from torch import nn

from sampler.declared.spec import network_spec
from sampler.errors import InputError
from sampler.families.protocol import Sizes
from trainer.declared.traced import traced


def sizes(resolution, width):
    return Sizes(
        np.array(resolution), np.zeros(2, int), np.array(width)[:, None], np.ones((2, 1), int), np.zeros(2, int)
    )


def conv(resolution, widths, depths, classes):
    return nn.Conv2d(3, widths[0], 3, groups=1 if widths[0] < 99 else 99)


def test_each_architecture_has_a_row_of_its_own():
    spec = network_spec(conv, 8, (4,), (1,))
    found = traced(spec, sizes([8, 10], [4, 6]), 10)
    assert found[:, :2].tolist() == [[6 * 6 * 27 * 4, 4 * 28], [8 * 8 * 27 * 6, 6 * 28]]
    assert found[:, 3].tolist() == [3 * 64 + 4 * 36, 300 + 6 * 64]


def test_one_that_cannot_be_built_is_named():
    with pytest.raises(InputError, match=r"widths \[100\]"):
        traced(network_spec(conv, 8, (4,), (1,)), sizes([8, 8], [4, 100]), 10)
