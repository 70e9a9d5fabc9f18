"""Code of timm alone is the text of the functions that build the network here."""

import pytest
import torch

from trainer.families.timm_code import TimmCode, listed


def line(first, second, num_classes, in_chans=3, drop_rate=0.0):
    """Two layers."""
    from torch import nn

    return nn.Sequential(nn.Linear(in_chans, first), nn.Dropout(drop_rate), nn.Linear(second, num_classes))


CODE = TimmCode((line,), {"first": 4, "second": 4}, "0", "2", {"second": "Equal to the first."})


def test_the_text_has_the_arguments_as_constants_and_builds_what_is_built_here():
    assert CODE.constants() == "FIRST = 4\n# Equal to the first.\nSECOND = 4\n"
    body = CODE.body()
    assert body.startswith("\n\ndef line(first, second, num_classes, in_chans=3, drop_rate=0.0):\n")
    assert '    """Two layers."""\n    from torch import nn\n' in body
    assert body.endswith("    return line(\n        first=FIRST,\n        second=SECOND,\n        **kwargs,\n    )\n")
    space = {}
    exec(f"from __future__ import annotations\n{CODE.constants()}{body}", space)
    torch.manual_seed(0)
    ours = CODE.build(classes=3, drop_rate=0.5)
    torch.manual_seed(0)
    theirs = space["network"](num_classes=3, drop_rate=0.5)
    assert str(ours) == str(theirs)
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("value", [3, 0.25, True, "a'b\"c", (1, 2), [[1, "two"], [3.5]], [{"key": 1.0}]])
def test_every_argument_is_read_back_as_it_was(value):
    text = TimmCode((line,), {"value": value}, "", "").constants()
    space = {}
    exec(text, space)
    assert space["VALUE"] == value and type(space["VALUE"]) is type(value)


def test_long_lists_are_written_over_several_lines():
    items = [[1, 2], ["a" * 60, "b" * 60], {"key": 1.0}]
    text = listed(items)
    assert eval(text) == items
    assert text.splitlines()[1:3] == ["    [1, 2],", "    ["]
