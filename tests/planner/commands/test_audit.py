"""`planner audit`: what it prints, for people and as JSON, its picture, and every refusal in one line."""

import json

import numpy as np
import pandas as pd
import pytest

from planner.scores.audit import audit

SHORT = ("--target", "accuracy", "--resamples", "100")


def made_up(rows=60):
    """Accuracy grows with MACs and with quality; zen sees a bit of both, noise sees nothing."""
    macs, quality, error, params, noise = np.random.default_rng(0).normal(size=(5, rows))
    accuracy, zen = 70 + macs + quality, macs + quality + 0.5 * error
    return pd.DataFrame({"accuracy": accuracy, "macs": np.exp(macs), "params": params, "zen": zen, "noise": noise})


@pytest.fixture
def table(tmp_path):
    """A table of 60 rows, as a file."""
    made_up().to_csv(tmp_path / "t.csv", index=False)
    return "t.csv"


def test_the_command_says_what_the_function_says(run, table):
    code, out, err = run("audit", table, "--proxy", "zen", *SHORT, "--json")
    assert (code, err) == (0, "") and out.count("\n") == 1
    found = json.loads(out)
    expected = audit(made_up(), ["zen"], "accuracy", resamples=100)
    assert (found["target"], found["rows"], found["tops"]) == ("accuracy", 60, expected.tops)
    assert [score["name"] for score in found["scores"]] == ["zen", "macs", "params"]
    spearman = expected.scores[0].measures["spearman"]
    assert found["scores"][0]["measures"]["spearman"] == {
        "value": spearman.value,
        "lower": spearman.lower,
        "upper": spearman.upper,
        "why": "",
    }
    assert found["noise"] is None


def test_the_table_for_people_fits_80_columns(run, tmp_path):
    long = "a_score_with_a_name_that_is_longer_than_any_table_of_80_columns_can_hold_beside_numbers"
    made_up(600).rename(columns={"zen": long}).assign(flat=1).to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run("audit", "t.csv", "--proxy", long, "--proxy", "noise", "--proxy", "flat", *SHORT)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for words in ("Spearman", "Regret of taking", "its top 20 %: 1", "noise: not worth using alone", "macs *"):
        assert words in out
    assert "flat: not worth using: it is constant and ranks nothing" in out


def test_a_perfect_score_is_a_row_where_the_noise_is_known(run, tmp_path):
    rng = np.random.default_rng(0)
    truth, error1, error2, loss = rng.normal(size=(4, 100))
    frame = pd.DataFrame({"run1": truth + 0.3 * error1, "run2": truth + 0.3 * error2, "loss": loss})
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    options = ("--repeats", "run1,run2", "--smaller", "loss", "--resamples", "100")
    code, out, err = run("audit", "t.csv.gz", "--proxy", "loss", *options)
    assert (code, err) == (0, "")
    assert "target: mean of run1, run2, 100 rows" in out and "smaller is better: loss" in out
    assert "(perfect score)" in out and "2 of them are" in out.replace("\n  ", " ")
    assert "loss: no verdict" in out


def test_a_plot_is_drawn(run, table, tmp_path):
    code, _, err = run("audit", table, "--proxy", "zen", *SHORT, "--plot", "new/a.png")
    assert (code, err) == (0, "")
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = run("audit", table, "--proxy", "zen", *SHORT, "--plot", "a.docx")
    assert (code, out) == (2, "") and "--plot a.docx: end its name in .png" in err


@pytest.mark.parametrize("bad", ["inf", "-inf", "fast"])
def test_a_cell_that_is_no_number_is_one_line(run, tmp_path, bad):
    frame = made_up(20).astype(str)
    frame.loc[3, "zen"] = bad
    frame.to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run("audit", "t.csv", "--proxy", "zen", *SHORT)
    assert (code, out) == (2, "")
    assert err == f"planner: t.csv: zen of row 4 (line 5) is '{bad}'; a finite number or nothing is wanted\n"


@pytest.mark.parametrize("bad", ["", "nan", "n/a", "-"])
def test_a_missing_cell_is_left_out_and_said(run, tmp_path, bad):
    frame = made_up(20).astype(str)
    frame.loc[3, "zen"] = bad
    frame.to_csv(tmp_path / "t.csv", index=False)
    code, out, _ = run("audit", "t.csv", "--proxy", "zen", *SHORT)
    assert code == 0 and "19 rows; 1 left out (no zen)" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "t.csv: not a CSV table (No columns to parse from file)"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "t.csv: not a CSV table"),
        (b"zen,accuracy\n1,2\n1,2,3,4\n", "t.csv: not a CSV table (line 3 has 4 cells, the header 2)"),
        (b"zen,accuracy\n", "t.csv: 0 rows to compare; at least 10 are wanted"),
        (None, "t.csv: No such file or directory; give a CSV file of scores"),
    ],
)
def test_what_is_no_table_is_one_line(run, tmp_path, content, words):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    code, out, err = run("audit", "t.csv", "--proxy", "zen", *SHORT)
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err


def test_help_has_an_example(run):
    code, out, _ = run("audit", "--help")
    assert code == 0 and "Example: planner audit" in out


def test_a_score_that_ranks_in_reverse_is_told_how_to_turn_it_round(run, tmp_path):
    frame = made_up(60)
    frame.assign(loss=-frame["accuracy"], gain=frame["accuracy"]).to_csv(tmp_path / "t.csv", index=False)
    code, out, _ = run("audit", "t.csv", "--proxy", "loss", *SHORT)
    assert code == 0 and "give --smaller loss" in " ".join(out.split())
    code, out, _ = run("audit", "t.csv", "--proxy", "loss", "--smaller", "loss", *SHORT)
    assert code == 0 and "in reverse" not in " ".join(out.split())
    code, out, _ = run("audit", "t.csv", "--proxy", "gain", "--smaller", "gain", *SHORT)
    assert code == 0 and "leave --smaller gain out" in " ".join(out.split())
