"""Functions of one number, found from points."""

import numpy as np
import pytest

from sampler.declared.expressions import evaluated
from trainer.declared.forms import X, forms

FUNCTIONS = {
    "a straight line": lambda x: 3 * x + 5,
    "halves rounded up": lambda x: -(-x // 2),
    "five strides of two": lambda x: -(-x // 32),
    "windows of seven": lambda x: -(-(x // 4) // 7) * 7,
    "tokens and a class token": lambda x: (x // 16) ** 2 + 1,
    "squeezed channels to multiples of eight": lambda x: np.maximum(8, (x // 4 + 4) // 8 * 8),
    "a threshold": lambda x: np.where(x >= 160, 3, 1),
    "a remainder": lambda x: (x % 32 != 0).astype(np.int64),
    "at least some": lambda x: np.maximum(x // 4, 32),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_first_form_holds_where_it_was_not_seen(function):
    seen = np.arange(32, 512, 12)
    between = np.arange(32, 500, 4)
    form = forms(seen, function(seen))[0]
    wrong = evaluated([], form, {X: between}) != function(between)
    assert wrong.mean() < 0.05  # offsets within a stride need points that tell


def test_dilations_are_powers_of_two():
    blocks = np.arange(2, 9)
    assert evaluated([], forms(blocks, 2 * 2**blocks + 1)[0], {X: np.array([12])}) == [2 * 2**12 + 1]


def test_noise_has_no_form():
    assert not forms(np.arange(20), np.random.default_rng(0).integers(0, 1000, 20))


def test_offsets_that_fit_as_well_are_all_given():
    seen = np.array([32, 64, 96])
    found = {tuple(evaluated([], form, {X: np.array([40])})) for form in forms(seen, seen // 16)}
    assert {(2,), (3,)} <= found
