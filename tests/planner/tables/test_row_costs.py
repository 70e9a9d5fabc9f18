"""Whether a table's MACs are those its networks cost: the public MobileNetV2 checkpoints and the published table."""

import re

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError
from planner.tables.table import as_table, front_rows
from sampler.complexity import complexity

# Width, resolution, million MACs and top-1 of public checkpoints.
MOBILENETS = """
1.4 224 582 75.0  1.3 224 509 74.4  1.0 224 300 71.8  1.0 192 221 70.7  1.0 160 154 68.8  1.0 128 99 65.3
1.0 96 56 60.3  0.75 224 209 69.8  0.75 160 107 66.4  0.75 96 39 58.8  0.5 224 97 65.4  0.5 160 50 61.0
0.5 96 18 51.2  0.35 224 59 60.3  0.35 160 30 55.7  0.35 96 11 45.5
"""
HEADER = ["w", "resolution", "macs", "accuracy"]


def mobilenets(factor=1.0):
    numbers = np.array(MOBILENETS.split(), dtype=float).reshape(-1, 4)
    frame = pd.DataFrame(numbers, columns=HEADER)
    frame["macs"] *= 1e6 * factor
    return frame.assign(base="mobilenetv2_100", r=frame["resolution"] / 224, d=1.0, accuracy=frame["accuracy"] / 100)


@pytest.fixture
def tables(published):
    """A function: tables whose MACs are multiplied: with integers, with w and pixels, with r, d, w alone, and r, d."""

    def of(factor):
        table = pd.read_csv(published)
        table["macs"] *= factor
        bare = table[["base", "r", "d", "w", "macs", "accuracy"]]
        return {"integers": table, "pixels": mobilenets(factor), "multipliers": bare, "r, d": bare.drop(columns="w")}

    return of


def refusal(frame, base=None):
    with pytest.raises(PlannerError) as error:
        as_table(frame, base)
    return str(error.value)


def test_tables_of_other_hands_are_taken_in_silence_where_they_agree(tables, capsys):
    for frame in tables(1.0).values():
        as_table(frame.drop(columns="source", errors="ignore"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("factor", [1.04, 1.1, 0.95])
def test_another_counter_is_told_and_taken(tables, capsys, factor):
    for name, frame in tables(factor).items():
        as_table(frame.drop(columns="source", errors="ignore"))
        said = capsys.readouterr().err
        assert ("counted otherwise, or another base" in said) == (name != "r, d"), (
            name
        )  # w unknown: no count to compare
        assert said.count("\n") <= 1


@pytest.mark.parametrize(
    ("factor", "why"), [(2.0, "FLOPs given as 2 x MACs?"), (0.5, "MACs halved twice?"), (1e3, "a thousand times")]
)
def test_a_common_factor_is_named(tables, factor, why):
    for name, frame in tables(factor).items():
        if name != "r, d":
            message = refusal(frame)
            assert why in message and "row " in message and "it would cost" in message, name


@pytest.mark.parametrize("factor", [1e-3, 1e-6, 2e-6])
def test_thousands_and_millions_are_refused_even_where_no_width_is_known(tables, factor):
    for frame in tables(factor).values():
        assert re.search("(MACs|FLOPs) in (thousands|millions)", refusal(frame))


def test_billions_are_no_count(tables):
    for frame in tables(1e-12).values():
        assert "such as 300000000 or 300M, is wanted" in refusal(frame)


def test_one_row_in_another_unit_is_named(published):
    frame = pd.read_csv(published)
    frame.loc[3, "macs"] *= 2
    message = refusal(frame)
    assert "in 1 of 14 rows; row 4 says 103.2M, it would cost 51.58M: FLOPs given as 2 x MACs? halve them" in message


@pytest.mark.parametrize("base", ["efficientnet_b0", "resnet50", "mobilenetv3_large_100", "regnety_002"])
def test_another_base_network_is_refused(base):
    assert f"another base than {base}" in refusal(mobilenets().drop(columns="base"), base) or base == "regnety_002"


def test_another_resolution_and_number_of_classes_are_noticed(capsys):
    widths = np.array([0.25, 0.5, 0.75, 1.0])
    exact = complexity("mobilenetv2_100", resolution=64, width=widths, classes=10).macs
    frame = pd.DataFrame({"w": widths, "d": 1.0, "r": 1.0, "macs": exact, "accuracy": 0.5 + 0.1 * widths})
    assert as_table(frame.assign(base_resolution=64, classes=10), "mobilenetv2_100").base_macs == exact[-1]
    assert "another base_resolution than 224" in refusal(frame, "mobilenetv2_100")
    assert "r multiplies 224 px (4 of 4 rows)" in refusal(frame.assign(resolution=64), "mobilenetv2_100")
    capsys.readouterr()
    as_table(frame.assign(base_resolution=64), "mobilenetv2_100")  # 1000 classes cost some per cent more
    assert "another base, resolution or classes?" in capsys.readouterr().err


def test_a_base_that_contradicts_the_table_is_refused():
    assert "its column base says mobilenetv2_100, not resnet50; leave --base out" in refusal(mobilenets(), "resnet50")


def test_without_a_base_network_there_is_a_front_and_no_fit(capsys):
    frame = mobilenets().drop(columns="base")
    assert "no base network, which r, d and w multiply: name it by --base" in refusal(frame)
    rows = front_rows(frame[["accuracy", "macs"]])
    assert rows.base == "" and rows.frame["macs"].tolist() == frame["macs"].tolist()
    assert capsys.readouterr().err == ""


def test_what_cannot_be_built_is_not_counted(published, capsys):
    frame = pd.read_csv(published).drop(columns="source")
    frame.loc[0, ["width_1", "resolution", "r"]] = [1, 30, 0.134]  # no channel left for squeeze-excite
    assert len(as_table(frame).frame) == 14
    assert capsys.readouterr().err == ""


def test_rows_that_differ_in_their_seed_are_averaged_without_integers():
    frame = mobilenets().drop(columns=["w", "resolution"])
    pair = pd.concat(
        [frame.assign(seed=seed, accuracy=frame["accuracy"] + sign * 0.01) for seed, sign in ((0, 1), (1, -1))]
    )
    table = as_table(pair)
    assert len(table.frame) == len(frame) and len(table.every) == 2 * len(frame)
    assert table.frame["accuracy"].tolist() == pytest.approx(frame["accuracy"].tolist())
    assert table.noise_variance == pytest.approx(0.0002)  # by hand: 2 x 0.01^2 / (2 - 1)
    apart = pair.assign(epochs=[10] * len(frame) + [20] * len(frame))
    assert as_table(apart).noise_variance is None and len(as_table(apart).frame) == len(pair)
