"""What a search found, carried over: counts beside those of the uniform network at the same width."""

import json
from dataclasses import asdict, replace

import pytest

from planner.errors import PlannerError
from planner.searches.transfer import at_macs, carried_over
from sampler import LayeredArchitecture, architecture_complexity, base, scaled

CIFAR = base("resnet20_cifar")
UNIFORM = LayeredArchitecture.of(CIFAR, [16] * 6 + [32] * 6 + [64] * 6)
FOUND = LayeredArchitecture.of(CIFAR, [14, 20] * 3 + [30, 32] * 3 + [66, 70] * 3)


def macs(one, classes=100):
    return int(architecture_complexity(one, classes).macs)


def test_the_uniform_network_becomes_the_uniform_one_of_that_width():
    doubled = carried_over(UNIFORM, CIFAR, 2, classes=100)
    assert macs(doubled) == macs(scaled("resnet20_cifar", width=2, rule="free")) == 161_329_664
    assert carried_over(UNIFORM, CIFAR) == UNIFORM


def test_twice_the_channels_keep_every_ratio():
    doubled = carried_over(FOUND, CIFAR, 2)
    assert doubled.layers == tuple(2 * width for width in FOUND.layers) and doubled.stem == 32
    # Every convolution but the first, which reads three channels, and the last layer costs four times as much.
    stem, last = 32 * 32 * 9 * 3 * 16, 70 * 100
    assert macs(doubled) == 4 * (macs(FOUND) - stem - last) + 2 * (stem + last)


def test_a_deeper_network_takes_the_ratios_of_the_same_place():
    steep = LayeredArchitecture.of(CIFAR, [16] * 6 + [32] * 6 + [64, 64, 64, 64, 96, 128])
    deeper = carried_over(steep, base("resnet56_cifar"))
    assert deeper.depths == (9, 9, 9) and deeper.layers[:36] == (16,) * 18 + (32,) * 18
    assert deeper.layers[-2:] == (96, 128) and deeper.layers[36:38] == (64, 64)
    seconds = deeper.layers[37::2]
    assert seconds == tuple(sorted(seconds)) and len(set(seconds)) == 5


def test_a_budget_is_met_within_a_percent():
    one, width = at_macs(FOUND, CIFAR, 100e6, classes=100)
    assert abs(macs(one) / 100e6 - 1) <= 0.01 and 1.4 < width < 1.6


def test_other_images_cost_what_they_count():
    assert carried_over(FOUND, CIFAR, resolution=64).resolution == 64
    assert macs(carried_over(FOUND, CIFAR, resolution=64)) > 3.9 * macs(FOUND)


def test_stages_keep_their_ratios_too_and_what_can_be_built():
    small = scaled("efficientnet_b0", 64, width=0.5, rule="inverse")
    found = replace(small, widths=(*small.widths[:-1], 2 * small.widths[-1]))
    one = carried_over(found, base("efficientnet_b0"), 2)
    assert one.depths == found.depths and one.resolution == 64 and (one.stem, one.head) == (32, 1280)
    assert one.widths == tuple(2 * width for width in found.widths)


@pytest.mark.parametrize(
    ("found", "name", "width", "told"),
    [
        (FOUND, "efficientnet_b0", 1, "has 3 stages and efficientnet_b0 7; name a base network with as many"),
        (FOUND, "resnet20_cifar", 0, "width 0 is impossible"),
        (FOUND, "resnet20_cifar", 1e6, "between 1 and 131072"),
    ],
)
def test_what_cannot_be_carried_over_is_refused(found, name, width, told):
    with pytest.raises(PlannerError, match=told):
        carried_over(found, base(name), width)


def test_the_command_reads_a_searchs_record_and_its_answer_can_be_exported(run, tmp_path):
    record = {"schema": "planner-search/1", "method": "adjust", "classes": 100, "architecture": asdict(FOUND)}
    (tmp_path / "adjust.json").write_text(json.dumps(record))
    arguments = ("scale", "resnet20_cifar", "--method", "transfer", "--found", str(tmp_path / "adjust.json"))
    code, printed, _ = run(*arguments, "--width", "2", "--json")
    answer = json.loads(printed)
    assert code == 0 and answer["macs"] == macs(carried_over(FOUND, CIFAR, 2)) and answer["found_macs"] == macs(FOUND)
    (tmp_path / "answer.json").write_text(printed)
    code, printed, _ = run("export", "--architecture", "answer.json", "--to", "onnx", "--out", "out.onnx", "--json")
    assert code == 0 and json.loads(printed)["macs"] == answer["macs"]
    code, printed, _ = run(*arguments, "--flops", "100M")
    assert code == 0 and "% of the budget)" in printed and "carried over to resnet20_cifar x 1.5" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "transfer needs --found"),
        (("--found", "x.json", "--width", "2", "--flops", "1M"), "give --width, such as 2, or --flops, not both"),
        (("--found", "x.json", "--seeds", "2"), "--seeds has no effect on transfer"),
        (("--found", "x.json"), "x.json"),
    ],
)
def test_what_a_transfer_lacks_is_said_in_a_line(run, arguments, told):
    code, _, err = run("scale", "resnet20_cifar", "--method", "transfer", *arguments)
    assert code == 2 and told in err
