"""The published networks of EfficientNet's family come out integer for integer."""

import csv
from pathlib import Path

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from sampler import architecture_complexity, base, rule_named, scale
from sampler.complexity import complexity

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "published_efficientnet.csv"
ROWS = 14

# Resolution, width and depth multiplier as published: the EfficientNet repository for B1 to B8, the TinyNet paper's
# Table 3 and repository for the others.
PUBLISHED = {
    "efficientnet_b1": (240, 1.0, 1.1),
    "efficientnet_b2": (260, 1.1, 1.2),
    "efficientnet_b3": (300, 1.2, 1.4),
    "efficientnet_b4": (380, 1.4, 1.8),
    "efficientnet_b5": (456, 1.6, 2.2),
    "efficientnet_b6": (528, 1.8, 2.6),
    "efficientnet_b7": (600, 2.0, 3.1),
    "efficientnet_b8": (672, 2.2, 3.6),
    "tinynet_a": (192, 1.0, 1.2),
    "tinynet_b": (188, 0.75, 1.1),
    "tinynet_c": (184, 0.54, 0.85),
    "tinynet_d": (152, 0.54, 0.695),
    "tinynet_e": (106, 0.51, 0.6),
}


def reference_rows():
    """The rows of the reference table; one skipped row where the table is not beside the checkout."""
    if not REFERENCE.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{REFERENCE} is absent"))]
    with REFERENCE.open() as file:
        return [pytest.param(row, id=row["name"]) for row in csv.DictReader(file)]


def integers(text):
    return tuple(int(word) for word in text.split())


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"{REFERENCE} is absent")
def test_the_reference_table_has_all_its_rows():
    assert len(reference_rows()) == ROWS


@pytest.mark.parametrize("row", reference_rows())
def test_every_row_of_the_reference_table_is_counted_exactly(row):
    counted = complexity(
        "efficientnet_b0",
        resolution=int(row["resolution"]),
        width=float(row["w"]),
        depth=float(row["d"]),
        rule=row["rule"],
    )
    assert counted.macs == int(row["macs"])
    assert counted.params == int(row["params"])


@pytest.mark.parametrize("row", reference_rows())
def test_every_row_of_the_reference_table_is_scaled_to_its_integers(row):
    network, rule = base("efficientnet_b0"), rule_named(row["rule"])
    scaled = scale(network, rule, int(row["resolution"]), depth=float(row["d"]), width=float(row["w"]))
    assert len(scaled) == 1
    assert scaled[0].stem == int(row["stem"])
    assert scaled[0].widths == integers(row["widths"])
    assert scaled[0].depths == integers(row["depths"])
    assert scaled[0].head == int(row["head"])
    counted = architecture_complexity(scaled[0])
    assert (counted.macs, counted.params) == (int(row["macs"]), int(row["params"]))


@pytest.mark.parametrize("row", reference_rows())
def test_every_row_of_the_reference_table_is_counted_alike_from_its_lists(row):
    # Where w leaves stem and head as published, the lists alone must give the same count.
    counted = complexity(
        "efficientnet_b0",
        resolution=int(row["resolution"]),
        width=float(row["w"]),
        widths=integers(row["widths"]),
        depths=integers(row["depths"]),
        rule=row["rule"],
    )
    assert (counted.macs, counted.params) == (int(row["macs"]), int(row["params"]))


@pytest.mark.parametrize("row", reference_rows())
def test_every_row_of_the_reference_table_gets_its_resolution_from_the_printed_multiplier(row):
    # 0.86 of 224 is 192.64: TinyNet's rule floors it, but B-1's would go to 193, where the table has 192.
    rule = "tinynet" if row["name"] == "efficientnet_b-1" else row["rule"]
    assert rule_named(rule).pixels(224, float(row["r"])).tolist() == [int(row["resolution"])]


def test_efficientnet_b0_has_its_published_counts():
    counted = complexity("efficientnet_b0")
    assert (counted.macs, counted.params, counted.activations) == (385_814_752, 5_288_548, 6_748_036)


# In millions, to one decimal: the reference README.
@pytest.mark.parametrize(
    ("resolution", "millions"),
    [
        (192, 284.0),
        (193, 339.0),
        (224, 385.8),
        (225, 449.5),
        (240, 462.5),
        (256, 503.3),
        (257, 575.6),
        (272, 590.5),
        (288, 636.5),
    ],
)
def test_macs_of_b0_climb_the_published_staircase_over_resolution(resolution, millions):
    assert round(complexity("efficientnet_b0", resolution=resolution).macs / 1e6, 1) == millions


@pytest.mark.parametrize("name", ["efficientnet_b0", *PUBLISHED])
def test_macs_and_params_equal_those_of_timms_network(name):
    resolution, width, depth = PUBLISHED.get(name, (224, 1.0, 1.0))
    with torch.device("meta"):
        module = timm.create_model(name).eval()
        image = torch.zeros(1, 3, resolution, resolution)
    with FlopCounterMode(display=False) as counter:
        module(image)
    rule = "tinynet" if name.startswith("tinynet") else "efficientnet"
    counted = complexity("efficientnet_b0", resolution=resolution, width=width, depth=depth, rule=rule)
    assert counted.macs == counter.get_total_flops() // 2
    assert counted.params == sum(parameter.numel() for parameter in module.parameters())
