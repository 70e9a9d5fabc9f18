"""RegNets are built with the group widths of their base network, or with their own."""

import pytest
import torch

from sampler import InputError, architecture_complexity, base
from trainer.families.conformance import check_torch_family
from trainer.network import build

NETWORK = base("regnety_004")


def test_an_architectures_own_group_widths_are_built_and_counted():
    own = NETWORK.architecture().with_knobs({"group_width": (16, 8, 16, 8)})
    with torch.device("meta"):
        model = build(own)
    assert [getattr(model, f"s{stage}").b1.conv2.conv.in_channels for stage in (1, 2, 3, 4)] == [48, 104, 208, 440]
    assert [getattr(model, f"s{stage}").b1.conv2.conv.groups for stage in (1, 2, 3, 4)] == [3, 13, 13, 55]
    assert sum(one.numel() for one in model.parameters()) == architecture_complexity(own).params


def test_a_width_that_does_not_divide_into_groups_is_one_line():
    with pytest.raises(InputError, match="width 48 of stage 1 of regnety_004 is not a multiple of its group width 32"):
        build(NETWORK.architecture().with_knobs({"group_width": (32, 8, 16, 8)}))


@pytest.mark.slow
def test_group_widths_in_the_table_keep_to_the_protocols():
    check_torch_family("regnet", networks=[base("regnetx_320")])
