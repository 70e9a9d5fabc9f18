"""The check of declared networks: good ones pass, and what is wrong with others is said in one sentence."""

import pytest
import torch
from torch import nn

import planner
from trainer.declared.conformance import check_network


def perceptron(resolution, widths, depths, classes, last=nn.Identity):
    width, layers = widths[0], depths[0]
    first = nn.Sequential(nn.Flatten(), nn.Linear(resolution**2, width))
    more = (nn.Linear(width, width) for _ in range(layers - 1))
    return nn.Sequential(first, *more, last(), nn.Linear(width, classes))


def declared(function):
    return planner.network(resolution=8, widths=(16,), depths=(2,), channels=1, name="plain")(function)


class Product(nn.Module):
    """Multiplies without parameters."""

    def forward(self, x):
        return x + x @ torch.ones(x.shape[1], x.shape[1])


class Twice(nn.Module):
    """Gives two rows for one."""

    def forward(self, x):
        return torch.cat([x, x])


def with_a_product(resolution, widths, depths, classes):
    return perceptron(resolution, widths, depths, classes, Product)


def with_two_answers(resolution, widths, depths, classes):
    return nn.Sequential(perceptron(resolution, widths, depths, classes), Twice())


def with_other_parameters(resolution, widths, depths, classes):
    return perceptron(resolution, widths, (depths[0] + 1,), classes)


def with_more_images(resolution, widths, depths, classes):
    raise ZeroDivisionError("never")


def with_other_names(resolution, widths, depths, classes, times=[0]):  # noqa: B006
    times[0] += 1
    model = perceptron(resolution, widths, depths, classes)
    return model if times[0] % 2 else nn.Sequential(model)


def test_a_network_that_costs_what_was_found_passes(plain):
    check_network(f"{plain}:plain")


def test_one_whose_sizes_are_all_legal_passes_many_times(derived):
    check_network(declared(perceptron), rounds=40, seed=3)


@pytest.mark.parametrize(
    "function, sentence",
    [
        (with_a_product, r"[\d,]+ MACs are counted of Architecture.*, which does [\d,]+$"),
        (with_two_answers, r"takes images and gives .2, 7., not .1, 7. scores$"),
        (with_other_parameters, "what should be buildable is refused: plain: the function makes a network of"),
        (with_more_images, "what should be buildable is refused: plain: its function fails for .*ZeroDivisionError"),
        (with_other_names, "built twice, Architecture.* has other weights the second time"),
        (len, "it cannot be counted: <built-in function len> is no network of the planner's"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(derived, function, sentence):
    with pytest.raises(AssertionError, match=sentence) as caught:
        check_network(function if function is len else declared(function))
    assert "\n" not in str(caught.value)
