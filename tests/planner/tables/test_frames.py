"""Files of tables: what spreadsheets and trackers write is read as it is meant, or refused with its line."""

import bz2
import gzip
import lzma
import os

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError, fit, fit_surrogate, propose
from planner.latency.table import as_latency_table
from planner.scores.audit import audit
from planner.tables.cells import is_missing, numbers, parsed, source_of
from planner.tables.column_types import column_type
from planner.tables.frames import read_frame
from planner.tables.status import ok_rows
from planner.tables.table import csv_text, front_rows, read_csv
from planner.text.quantities import COUNT_SUFFIXES


@pytest.fixture
def read(tmp_path):
    """A function: the frame of a file of these bytes."""

    def frame(content):
        (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_frame(tmp_path / "t.csv", "training", "trainings")

    return frame


def columns(frame):
    source = source_of(frame)
    return {
        str(name): numbers(frame[name], source, column_type(str(name)) or column_type("macs")).tolist()
        for name in frame
    }


PLAIN = {"accuracy": [0.777, 0.75], "macs": [336_867_712.0, 200_709_360.0]}


@pytest.mark.parametrize(
    "content",
    [
        "accuracy,macs\n0.777,336867712\n0.75,200709360\n",
        "\ufeffaccuracy,macs\n0.777,336867712\n0.75,200709360\n",  # an editor's byte order mark
        "accuracy;macs\n0,777;336867712\n0,75;200709360\n",  # Excel in Europe
        "accuracy;macs\n0,777;336.867.712\n0,75;200.709.360\n",
        "accuracy;macs\n0.777;336867712\n0.75;200709360\n",
        "sep=;\naccuracy;macs\n0,777;336867712\n0,75;200709360\n",
        "accuracy\tmacs\n0,777\t336 867 712\n0,75\t200 709 360\n",
        "accuracy|macs\n0.777|336,867,712\n0.75|200,709,360\n",
        'accuracy, macs\n0.777,"336,867,712"\n0.75,"200,709,360"\n',
        "accuracy,macs\r\n\r\n0.777,336_867_712\r\n0.75,200_709_360\r\n,\r\n",
        "accuracy,macs,\n0.777,336867712,\n0.75,200709360,\n",  # a separator at the end of every line
        "accuracy\tmacs\r\n0.777\t336867712\r\n0.75\t200709360\r\n".encode("utf-16"),  # Excel's "Unicode text"
        gzip.compress(b"accuracy,macs\n0.777,336867712\n0.75,200709360\n", mtime=0),
        bz2.compress(b"accuracy,macs\n0.777,336867712\n0.75,200709360\n"),
        lzma.compress(b"accuracy,macs\n0.777,336867712\n0.75,200709360\n"),
        "accuracy,macs\n77.7%,336867712\n75.0%,200709360\n",
    ],
)
def test_every_way_of_writing_a_table_gives_the_same_numbers(read, content):
    assert columns(read(content)) == PLAIN


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("336.9M", 336.9e6), ("1.2G", 1.2e9), ("1.2 GMACs", 1.2e9), ("1,014.45", 1014.45), ("5e6", 5e6), ("-3", -3),
        ("200_000_000", 2e8), ("1 234 567", 1_234_567), ("+.5", 0.5), ("12.", 12),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text, value):
    assert parsed(text, ".", COUNT_SUFFIXES) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["0,777", "1,0,1", "12 apples", "1.2.3", "1 2", "1,23,456", "M", "0x10", "12,34.5"])
def test_what_is_no_number_is_not_made_one(text):
    with pytest.raises(ValueError, match=r".*"):
        parsed(text, ".", COUNT_SUFFIXES)


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [("resolution", "152 px", 152), ("latency_ms", "1.5 s", 1500), ("memory", "33.97 MB", 33_970_000),
     ("memory", "512KiB", 524_288), ("seconds", "2 min", 120), ("data_share", "25%", 0.25), ("params", "5.2M", 5.2e6)],
)  # fmt: skip
def test_units_are_those_of_the_column(read, column, cell, value):
    assert columns(read(f"{column},macs\n{cell},1\n"))[column] == [pytest.approx(value)]


@pytest.mark.parametrize("content", ["a|macs\n1,014|1\n", "a\tmacs\n2,500\t1\n", "a;macs\n1,5;1.014\n"])
def test_a_cell_that_says_two_numbers_is_refused(read, content):
    with pytest.raises(PlannerError, match=r"of row 1 \(line 2\) is .* can be read in two ways"):
        columns(read(content))


def test_lines_are_those_of_the_file_whatever_stands_before(read, tmp_path):
    text = 'accuracy,macs,r,d,status,note\n0.5,1e8,1,1,failed,"two\nlines"\n\n0.5,1e8,1,1,ok,\n-0.5,9e8,1,1,ok,\n'
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(PlannerError, match=r"accuracy of row 3 \(line 6\) is -0.5"):
        read_csv(tmp_path / "t.csv", "efficientnet_b0")
    with pytest.raises(PlannerError, match=r"zen of row 2 \(line 3\) is 'x'"):
        (tmp_path / "a.csv").write_text("zen,accuracy\n1,2\nx,3\n")
        audit(tmp_path / "a.csv", "zen", "accuracy")
    with pytest.raises(PlannerError, match=r"macs of row 2 \(line 4\) is -1"):
        (tmp_path / "l.csv").write_text("latency_ms,macs\n1,2\n\n1,-1\n")
        as_latency_table(tmp_path / "l.csv")
    with pytest.raises(PlannerError, match=r"first: row 2 \(line 4\), 'wide'"):
        (tmp_path / "s.csv").write_text("width,accuracy\n1,2\n\nwide,1\n3,4\n")
        fit_surrogate(tmp_path / "s.csv", ["width"])


@pytest.mark.parametrize("word", ["", "-", "n.a.", "NA", "none", "?", "null", "NaN", "N/A", "\u2014"])
def test_words_for_a_missing_value_are_missing(word, tmp_path):
    assert is_missing(word)
    (tmp_path / "t.csv").write_text("accuracy,macs,r,d\n0.5,1e8,1,1\n" + f"{word},1e8,1,1\n")
    with pytest.raises(PlannerError, match=r"accuracy of row 2 \(line 3\) is .*; fill it in, or leave the row out"):
        read_csv(tmp_path / "t.csv", "efficientnet_b0")


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        (["0.7", "0.71", "62.0"], "row 3 (line 4) is 62.0; most others are shares of 1"),
        (["0.7", "1.02", "0.6"], "row 2 (line 3) is 1.02; most others are shares of 1"),
        (["70", "0.71", "62.0"], "row 2 (line 3) is 0.71; most others are percent"),
        (["70%", "71%", "0.62"], "row 3 (line 4) is '0.62'; write a % sign in every row, or in none"),
        (["70%", "171%", "62%"], "row 2 (line 3) is '171%'; a number from 0 to 1 (or all in percent)"),
        (["70", "71", "620"], "row 3 (line 4) is 620"),
    ],
)
def test_shares_among_percent_are_refused_by_row(tmp_path, accuracies, words):
    (tmp_path / "t.csv").write_text("accuracy,macs,r,d\n" + "".join(f"{one},4e8,1,1\n" for one in accuracies))
    with pytest.raises(PlannerError) as error:
        read_csv(tmp_path / "t.csv", "efficientnet_b0")
    assert words in str(error.value)


@pytest.mark.parametrize("word", ["finished", "COMPLETE", "COMPLETED", "OK", "done", "Success"])
def test_what_trackers_call_finished_is_read_as_ok_and_said(tmp_path, capsys, word):
    text = "".join(f"0.{5 + i},{4 + i}e8,1,1,{status}\n" for i, status in enumerate([word, word, "crashed"]))
    (tmp_path / "t.csv").write_text("accuracy,macs,r,d,status\n" + text)
    table = read_csv(tmp_path / "t.csv", "efficientnet_b0")
    assert len(table.frame) == 2 and table.left_out == {"crashed": 1}
    said = capsys.readouterr().err
    assert f"t.csv: status read as ok: 2 {word}\n" in said and "t.csv: not used: 1 rows (crashed)\n" in said


def test_a_status_may_be_missing_in_any_type_of_column():
    for missing in (None, np.nan, pd.NA, "-"):
        assert ok_rows(pd.DataFrame({"status": pd.Series(["ok", missing, "killed"], dtype=object)})).tolist() == [
            True,
            False,
            False,
        ]
    assert ok_rows(pd.DataFrame({"status": pd.Series(["ok", None], dtype="string")})).tolist() == [True, False]
    assert ok_rows(pd.DataFrame({"status": pd.Series(["ok", None], dtype="category")})).tolist() == [True, False]


def test_columns_that_mean_nothing_are_said_and_the_likely_name_is_asked_for(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(",top5,accuracy,macs,r,d\n0,.9,.7,4e8,1,1\n")
    read_csv(tmp_path / "t.csv", "efficientnet_b0")
    assert "t.csv: not used: columns unnamed_1, top5\n" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("top1,GFLOPs,r,d\n.7,.4,1,1\n")
    with pytest.raises(PlannerError, match="did you mean top1 or GFLOPs?"):
        read_csv(tmp_path / "t.csv", "efficientnet_b0")


def test_what_we_write_is_read_back_unchanged_and_no_formula_to_a_spreadsheet(tmp_path, read):
    words = ["=1+2", "@x", "-y", "'=1", "+3 apples", "plain", "'quoted", "\ttab", "-0.5"]
    frame = pd.DataFrame({"=cmd|x": words, "accuracy": np.linspace(0.1, 0.9, 9) / 3, "+n": range(9)})
    text = csv_text(frame)
    for line in text.splitlines():
        assert not line.startswith(("=", "@", "+")) and ",=" not in line and ",+" not in line
    again = read(text)
    assert again["=cmd|x"].tolist() == words and again["+n"].tolist() == list(range(9))
    assert again["accuracy"].tolist() == pytest.approx(frame["accuracy"].tolist(), rel=1e-15)
    assert csv_text(again) == text


def test_parquet_is_read_back(tmp_path, published, capsys):
    pytest.importorskip("pyarrow")
    frame = pd.read_csv(published)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    ours, theirs = read_csv(tmp_path / "t.parquet"), read_csv(published)
    pd.testing.assert_frame_equal(ours.frame, theirs.frame, check_dtype=False)
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-40])
    with pytest.raises(PlannerError, match=r"t.parquet: not a CSV table \(damaged Parquet"):
        read_csv(tmp_path / "t.parquet")


def test_what_unpacks_to_more_than_a_table_may_have_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr("planner.tables.frames.LARGEST_TABLE", 100_000)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"accuracy,macs\n" + b"0.5,1e8\n" * 1_000_000, mtime=0))
    with pytest.raises(PlannerError, match=r"t.csv.gz: larger than 100,000 bytes; give a smaller table of trainings"):
        read_csv(tmp_path / "t.csv.gz")
    (tmp_path / "wide.csv").write_text("a," * 20_000 + "b\n")
    with pytest.raises(PlannerError, match="wide.csv: 20,001 columns; at most 10,000"):
        read_csv(tmp_path / "wide.csv")
    monkeypatch.setattr("planner.tables.frames.MOST_TABLE_ROWS", 3)
    (tmp_path / "long.csv").write_text("a\n" + "1\n" * 4)
    with pytest.raises(PlannerError, match="more than 3 rows"):
        read_csv(tmp_path / "long.csv")


def test_a_piped_table_is_read_once_and_its_hash_is_of_those_bytes(published, tmp_path):
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(published.read_bytes()))
    writer.start()
    table = read_csv(tmp_path / "pipe")
    writer.join()
    assert table.sha256 == read_csv(published).sha256


def test_a_name_that_is_no_text_is_shown_with_marks(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_text("accuracy,macs\n")
    with pytest.raises(PlannerError, match="caf\ufffd.csv: no rows"):
        read_csv(path)


@pytest.mark.parametrize("thing", [[1, 2], {"accuracy": [1]}, np.ones((2, 2)), None, 3, b"t.csv"])
def test_what_is_no_table_at_all_is_refused_everywhere(thing):
    pool = pd.DataFrame({"width": [1.0], "macs": [1.0]})
    for act in (
        lambda: fit(thing),
        lambda: front_rows(thing),
        lambda: fit_surrogate(thing, ["width"]),
        lambda: propose(thing, pool, inputs=["width"]),
        lambda: propose(pool.assign(accuracy=1.0), thing, inputs=["width"]),
        lambda: audit(thing, "zen", "accuracy"),
    ):
        with pytest.raises(PlannerError, match=r"a table of \w+ is wanted, not \w+"):
            act()


def test_frames_with_impossible_columns_are_refused(published):
    frame = pd.read_csv(published)
    with pytest.raises(PlannerError, match="the table: 2 columns are called accuracy"):
        fit(pd.concat([frame, frame[["accuracy"]]], axis=1))
    with pytest.raises(PlannerError, match="the table: accuracy holds complex128"):
        fit(frame.assign(accuracy=frame["accuracy"] + 0j))
    with pytest.raises(PlannerError, match="the table: r holds datetime64"):
        fit(frame.assign(r=pd.Timestamp("2026-01-01")))
    with pytest.raises(PlannerError, match="the table: 2 columns are called macs"):
        audit(pd.concat([frame, frame[["macs"]]], axis=1), "r", "accuracy")
