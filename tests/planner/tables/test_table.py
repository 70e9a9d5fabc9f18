"""Tables of trainings: what is filled in, what is left out, what is refused."""

import gzip
import math

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError, fit
from planner.tables.column_types import column_type
from planner.tables.table import as_table, read_csv, usable
from sampler import InputError, base, rule_named
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS
from sampler.complexity import complexity
from sampler.scaling import scale

B0_MACS = 385_814_752
HEADER = "accuracy,macs,r,d\n"
B0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
B0_WIDTHS = (16, 24, 40, 80, 112, 192, 320)


@pytest.fixture
def read(tmp_path):
    """A function: the table of a CSV text."""

    def table(text, base="efficientnet_b0"):
        path = tmp_path / "mine.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_csv(path, base)

    return table


def refused(read, text, base="efficientnet_b0"):
    """The one line with which a CSV text is refused."""
    with pytest.raises(PlannerError) as error:
        read(text, base)
    assert "\n" not in str(error.value) and "mine.csv: " in str(error.value)
    return str(error.value)


def test_percent_gives_the_same_table_as_fractions_and_says_so(read, published, capsys):
    fractions = pd.read_csv(published)
    percent = fractions.assign(accuracy=100 * fractions["accuracy"])
    one = read(fractions.to_csv(index=False))
    assert "looks like percent" not in capsys.readouterr().err
    other = read(percent.to_csv(index=False))
    assert "mine.csv: accuracy looks like percent; divided by 100\n" in capsys.readouterr().err
    np.testing.assert_allclose(other.frame["accuracy"], one.frame["accuracy"], rtol=1e-12)
    pd.testing.assert_frame_equal(other.frame.drop(columns="accuracy"), one.frame.drop(columns="accuracy"))


def test_a_table_is_measured_against_its_base_network(read):
    table = read(HEADER + f"0.7,{2 * B0_MACS},1.1,1.2\n")
    assert (table.base, table.resolution, table.classes, table.base_macs) == ("efficientnet_b0", 224, 1000, B0_MACS)
    assert table.frame["c"].tolist() == [2.0]
    assert table.left_out == {}


def test_a_table_may_name_another_resolution_and_number_of_classes(read):
    table = read("accuracy,macs,r,d,base_resolution,classes\n0.7,9000000,0.9,0.8,64,10\n")
    assert (table.resolution, table.classes) == (64, 10)
    assert table.frame["c"][0] == 9e6 / complexity("efficientnet_b0", resolution=64, classes=10).macs


def test_multipliers_are_filled_from_the_integers(read):
    names = ["resolution", *(f"width_{i}" for i in range(1, 8)), *(f"depth_{i}" for i in range(1, 8))]
    rows = [(224, *B0_WIDTHS, *B0_DEPTHS), (112, *(2 * w for w in B0_WIDTHS), *(3 * d for d in B0_DEPTHS))]
    text = ",".join(["accuracy", "macs", "stem", "head", *names]) + "\n"
    macs = [complexity("efficientnet_b0", row[0], 1.0, 1.0, row[1:8], row[8:]).macs for row in rows]
    text += "".join(",".join(map(str, (0.5, m, 32, 1280, *row))) + "\n" for m, row in zip(macs, rows, strict=True))
    frame = read(text).frame
    assert frame["r"].tolist() == [1.0, 0.5]
    assert frame["d"].tolist() == pytest.approx([1.0, math.sqrt(2.75 * 3)])  # the middle of what rounds to three times
    assert frame["w"].tolist() == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize(
    ("rule", "depths", "low", "high"),
    [
        ("efficientnet", (2, 3, 3, 4, 4, 5, 2), 1.0, 1.25),  # B1, of d 1.1
        ("efficientnet", (2, 3, 3, 5, 5, 6, 2), 4 / 3, 1.5),  # B3, of d 1.4
        ("inverse", (1, 1, 1, 1, 1, 1, 1), 0.3, 0.375),
        ("inverse", (1, 2, 2, 3, 3, 4, 1), 1.0, 1.0),  # the base network
        ("inverse", (1, 1, 1, 1, 1, 1, 2), 0.5, 0.5),  # no single d gives these
        ("somebody's", (2, 3, 3, 4, 4, 5, 2), 23 / 16, 23 / 16),  # nor does a rule that nobody knows
    ],
)
def test_depths_give_a_d_from_which_the_rule_makes_them(read, rule, depths, low, high):
    names = ["resolution", "rule", *(f"depth_{i}" for i in range(1, 8))]
    text = ",".join(["accuracy,macs", *names]) + f"\n0.5,300000000,224,{rule}," + ",".join(map(str, depths)) + "\n"
    d = read(text).frame["d"][0]
    assert d == low if low == high else low < d < high
    if low < high:
        assert scale(base("efficientnet_b0"), rule_named(rule), 224, d)[0].depths == depths


def test_a_table_of_integers_alone_gives_the_formula_that_its_multipliers_give(published, tmp_path):
    pd.read_csv(published).drop(columns=["r", "d", "w"]).to_csv(tmp_path / "integers.csv", index=False)
    ours, theirs = fit(tmp_path / "integers.csv"), fit(published)
    for macs in (50e6, 100e6, 200e6, 390e6, 700e6, 1.8e9, 4e9):
        assert ours.predict(macs).architecture.depths == theirs.predict(macs).architecture.depths


def test_multipliers_of_the_table_stand_before_its_integers(read):
    frame = read("accuracy,macs,resolution,r,d\n0.5,100000000,112,0.51,0.9\n").frame
    assert frame["r"].tolist() == [0.51]
    assert math.isnan(frame["w"][0])


def test_the_published_table_gives_its_own_multipliers(published):
    frame, given = read_csv(published).frame, pd.read_csv(published)
    for name in ("r", "d", "w"):
        assert frame[name].tolist() == given[name].tolist()


def test_only_finished_trainings_are_used_and_the_others_counted(read):
    text = "status,accuracy,macs,r,d\nok,0.5,1e8,1,1\ndiverged,,1e8,1,1\nkilled,,,1,1\ndiverged,,1e8,1,1\n"
    table = read(text)
    assert len(table.frame) == 1
    assert table.left_out == {"diverged": 2, "killed": 1}


def test_no_finished_training_is_refused_with_what_to_do(read):
    message = refused(read, "status,accuracy,macs,r,d\ndiverged,,1e8,1,1\n")
    assert (
        "no finished training (status ok) in it, only 1 diverged; finished is what says complete, completed" in message
    )
    assert "no rows under its header" in refused(read, HEADER)


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("macs,r,d", "no column accuracy; its columns are macs, r, d"),
        ("accuracy,r,d", "no column macs; its columns are accuracy, r, d"),
        ("r,d", "no column accuracy or macs; its columns are r, d"),
        ("accuracy,macs,d", "no column r, nor the integers that give it; add the column"),
        ("accuracy,macs,r", "no column d, nor the integers that give it; add the column"),
        ("accuracy,macs,r,depth_1,depth_2", "no column d, nor the integers"),
        ("accuracy,macs", "no column r or d, nor the integers"),
    ],
)
def test_a_missing_column_is_named(read, header, missing):
    row = ",".join("0.5" if name == "accuracy" else "3" for name in header.split(","))
    assert missing in refused(read, f"{header}\n{row}\n")


@pytest.mark.parametrize("column", ["accuracy", "macs", "r", "d"])
@pytest.mark.parametrize("bad", ["", "nan", "inf", "-inf", "n/a", "fast"])
@pytest.mark.parametrize("row", [1, 3])
def test_what_is_no_number_is_refused_with_its_column_and_row(read, column, bad, row):
    rows = [{"accuracy": "0.5", "macs": "1000", "r": "1.5", "d": "1"} for _ in range(3)]
    rows[row - 1][column] = bad
    message = refused(read, HEADER + "".join(",".join(one.values()) + "\n" for one in rows))
    assert f"{column} of row {row} (line {row + 1}) is " in message and " is wanted" in message


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "is missing"),
        ("wide", "is 'wide'; a whole number from 1"),
        ("0", "is 0;"),
        ("-8", "is -8;"),
        ("8.5", "8.5"),
    ],
)
@pytest.mark.parametrize("column", ["depth_3", "width_7", "resolution"])
def test_an_integer_that_is_missing_or_impossible_is_refused(read, column, bad, words):
    names = ["resolution", *(f"width_{i}" for i in range(1, 8)), *(f"depth_{i}" for i in range(1, 8))]
    row = dict(zip(names, map(str, (224, *B0_WIDTHS, *B0_DEPTHS)), strict=True))
    text = ",".join(["accuracy", "macs", *names]) + "\n0.5,100000000," + ",".join(row.values()) + "\n"
    row[column] = bad
    text += "0.5,100000000," + ",".join(row.values()) + "\n"
    message = refused(read, text)
    assert f"{column} of row 2 (line 3) is" in message and words in message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("-0.1,1000,1,1", "accuracy of row 2 (line 3) is -0.1; a number from 0 to 1"),
        ("0.5,0,1,1", "macs of row 2 (line 3) is 0; a number from 1"),
        ("0.5,-7,1,1", "macs of row 2 (line 3) is -7"),
        ("0.5,0.3,1,1", "macs of row 2 (line 3) is 0.3; a number from 1 to 1e18, such as 300000000 or 300M"),
        ("101,1000,1,1", "accuracy of row 2 (line 3) is 101.0"),
        ("0.5,1000,0,1", "r of row 2 (line 3) is 0;"),
        ("0.5,1000,1,-2", "d of row 2 (line 3) is -2;"),
        ("0.5,1000,1000000,1", "r of row 2 (line 3) is 1000000;"),
        ("0.5,1000,90,1", "r of row 2 (line 3) is 90.0; it gives 2.02e+04 pixels, and 1 to 16,384 are possible"),
        ("0.5,1000,1,1001", "d of row 2 (line 3) is 1001"),
    ],
)
def test_an_impossible_row_is_refused(read, row, words):
    assert words in refused(read, HEADER + "0.5,1000,1,1\n" + row + "\n")


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("base", ("efficientnet_b0", "resnet50"), "base differs between rows (efficientnet_b0 and resnet50)"),
        ("base_resolution", (224, 192), "base_resolution differs between rows (224 and 192); fit one table per"),
        ("classes", (10, 1000), "classes differs between rows (10 and 1000)"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(read, column, values, words):
    text = f"accuracy,macs,r,d,{column}\n" + "".join(f"0.5,1000,1,1,{value}\n" for value in values)
    assert words in refused(read, text)


@pytest.mark.parametrize("column", ["base_resolution", "classes"])
@pytest.mark.parametrize("bad", ["large", "224.5", "inf"])
def test_what_must_be_whole_is_refused_otherwise(read, column, bad):
    message = refused(read, f"accuracy,macs,r,d,{column}\n0.5,1000,1,1,{bad}\n")
    assert f"{column} of row 1 (line 2) is " in message and "a whole number from 1 to " in message


def test_an_unknown_base_network_is_refused_by_name(read):
    with pytest.raises(InputError, match="base network 'resnet51' is unknown"):
        read(HEADER + "0.5,1000,1,1\n", "resnet51")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a CSV table (No columns to parse from file)"),
        (b"\n\n", "not a CSV table"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "not a CSV table"),
        (b"accuracy,macs\n1,\0\n", "NUL characters"),
        (b"accuracy,macs\n1,2\n1,2,3,4,5\n", "not a CSV table (line 3 has 5 cells, the header 2)"),
        (b"accuracy,macs,r\n1,2,3\n\n1,2\n", "not a CSV table (line 4 has 2 cells, the header 3)"),
        (b"accuracy,macs\n0.5,\xe9\n", "no utf-8 text at byte 18 in line 2: save it as UTF-8"),
        (b"PK\x03\x04", "an Excel workbook: save the sheet as CSV"),
        (b"accuracy,macs,accuracy\n1,2,3\n", "2 columns are called accuracy; rename or remove all but one"),
        (b'{"schema": "planner-formula/1"}', "no column accuracy or macs"),
    ],
)
def test_what_is_no_table_is_refused(read, content, words):
    assert words in refused(read, content)


def test_a_missing_file_and_a_folder_are_refused_with_what_to_do(tmp_path):
    for path, reason in ((tmp_path / "none.csv", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(PlannerError, match=f"{reason}; give a CSV file of trainings") as error:
            read_csv(path)
        assert str(error.value).startswith(f"{path}: ")


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(2_000_000_000)  # sparse: nothing is written
    with pytest.raises(PlannerError, match="huge.csv: larger than 250,000,000 bytes"):
        read_csv(tmp_path / "huge.csv")


def test_a_compressed_table_is_read(published, tmp_path):
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(gzip.compress(published.read_bytes()))
    pd.testing.assert_frame_equal(read_csv(path).frame, read_csv(published).frame)


def test_what_a_file_holds_says_whether_it_is_compressed(tmp_path):
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(b"accuracy,macs\n")
    with pytest.raises(PlannerError, match="mine.csv.gz: no rows under its header"):
        read_csv(path)
    path.write_bytes(gzip.compress(b"accuracy,macs\n")[:-6])
    with pytest.raises(PlannerError, match="mine.csv.gz: not a CSV table .*give"):
        read_csv(path)


def test_a_frame_is_as_good_as_a_file_and_stays_untouched(published):
    frame = pd.read_csv(published)
    before = frame.copy()
    pd.testing.assert_frame_equal(as_table(frame).frame, read_csv(published).frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("column", "largest"), [("width_12", MAX_CHANNELS), ("depth_3", MAX_BLOCKS), ("resolution", MAX_PIXELS)]
)
def test_columns_of_integers_have_types_by_their_names(column, largest):
    known = column_type(column)
    assert known.whole and known.of_network and known.high == largest
    assert column_type(f"x{column}") is column_type("loss_1") is column_type("width_01") is None


def test_other_numbered_columns_tell_no_trainings_apart():
    frame = repeated([[0.5, 0.7]]).assign(loss_1=[0.1, 0.2], note_2=["a", "b"])
    assert len(usable(frame, "", "t").frame) == 1


def test_a_frame_without_names_is_refused():
    with pytest.raises(PlannerError, match="the table: no column accuracy or macs; its columns are 0, 1"):
        as_table(pd.DataFrame([[1, 2]]))


def test_the_row_numbers_of_a_frame_do_not_matter(published):
    frame = pd.read_csv(published)
    shifted = frame.set_index(frame.index[::-1] * 3)
    pd.testing.assert_frame_equal(as_table(shifted).frame, as_table(frame).frame)


def repeated(accuracies, **more):
    """Trainings of B0 at rising resolutions: one list of accuracies, by seed, for each."""
    rows = [
        {"accuracy": accuracy, "macs": 1e8 + side, "resolution": side, "seed": seed, "trial": f"{side}/{seed}", **more}
        for side, ofside in enumerate(accuracies, start=200)
        for seed, accuracy in enumerate(ofside)
    ]
    frame = pd.DataFrame(rows)
    for number, (width, depth) in enumerate(zip(B0_WIDTHS, B0_DEPTHS, strict=True), 1):
        frame[f"width_{number}"], frame[f"depth_{number}"] = width, depth
    return frame.assign(base="efficientnet_b0")


def test_trainings_that_differ_in_their_seed_become_one_row_with_their_mean():
    table = usable(repeated([[0.5, 0.7], [0.6], [0.4, 0.5, 0.6]]).sample(frac=1, random_state=0), "", "t")
    rows = table.frame.sort_values("resolution")
    assert rows["accuracy"].tolist() == pytest.approx([0.6, 0.6, 0.5]) and rows["repeats"].tolist() == [2, 1, 3]
    # By hand: (0.1^2 + 0.1^2 + 0.1^2 + 0 + 0.1^2) / (6 rows - 3 architectures).
    assert table.noise_variance == pytest.approx(0.04 / 3)


def test_what_differs_in_more_than_its_seed_is_no_repeat():
    frame = repeated([[0.5, 0.7]])
    for column, values in (("epochs", [3, 6]), ("data_share", [0.5, 1]), ("width_3", [40, 48]), ("stem", [32, 24])):
        table = usable(frame.assign(**{column: values}), "", "t")
        assert (len(table.frame), table.noise_variance) == (2, None)
    # Without seeds two equal rows are two rows: nobody said that they are one architecture's repeats.
    assert len(usable(frame.drop(columns="seed"), "", "t").frame) == 2
