"""Quantities as people write and paste them, in the library and in the report's page."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import planner
from planner import PlannerError
from planner.text.quantities import (
    format_accuracy,
    format_count,
    parse_budgets,
    parse_bytes,
    parse_count,
    parse_macs,
    parse_ms,
    parse_params,
)

# What people paste, and how many it is; None for what can be read in two ways, or in none.
PASTED = {
    "200,000,000": 2e8,
    "200_000_000": 2e8,
    "200 000 000": 2e8,
    "200\u00a0000\u202f000": 2e8,
    "200'000'000": 2e8,
    "200\u2019000\u2019000": 2e8,
    "200.000.000": 2e8,
    "1,234.5M": 1.2345e9,
    "1,000,000M": 1e12,
    "1_0M": 1e7,
    "2e8": 2e8,
    "2E8 FLOPs": 2e8,
    "0.2GFLOPs": 2e8,
    "0.2 gflop": 2e8,
    "200 MMACs": 2e8,
    "1.2 GMac": 1.2e9,
    "200MMAdds": 2e8,
    "200\u00a0M": 2e8,
    "\uff12\uff10\uff10M": 2e8,
    "200 million": 2e8,
    "0.2 billion MACs": 2e8,
    "1,5M": 1.5e6,
    "0,125G": 1.25e8,
    "1,500": 1500,
    "1,500M": None,
    "200.000": None,
    "12,34": None,
    "1,00,000": None,
    "1,,000": None,
    "1 5M": None,
    "0,000,001": None,
    "1.2.3M": None,
    "1,000,00.0": None,
    "1,": None,
    "200 M M": None,
    "200MB": None,
    "200 MACs/s": None,
    "0x10": None,
    "--5M": None,
    "\u0662\u0660\u0660M": None,
    "9e999": None,
}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("200M", 200_000_000),
        ("1.2G", 1_200_000_000),
        ("0.39B", 390_000_000),
        ("4m", 4_000_000),
        ("1e6", 1_000_000),
        ("2.5e-1M", 250_000),
        (".5k", 500),
        ("7.", 7),
        (" 3T ", 3_000_000_000_000),
        ("1", 1),
        ("385814752", 385_814_752),
        ("1e18", 10**18),
    ],
)
def test_a_count_is_read_as_people_write_it(text, count):
    assert parse_count(text) == pytest.approx(count, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "-5M", "+5M", "nan", "inf", "5X", "5 M M", "M", ".", "200MB", "200 apples", "1e3,000"]
)
def test_what_is_no_count_is_refused_with_the_text_itself(text):
    with pytest.raises(PlannerError, match=r"is not a count; write a number with an optional k, M, G, B or T") as error:
        parse_count(text)
    assert str(error.value).startswith(repr(text))


@pytest.mark.parametrize("text", ["0", "0M", "0.5", "1e30", "1.1e18", "9e9999", "10000000T"])
def test_a_count_no_network_has_is_refused_with_the_text_itself(text):
    with pytest.raises(PlannerError, match=r"is not between 1 and 1e18") as error:
        parse_count(text)
    assert str(error.value).startswith(repr(text))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (385_814_752, "385.8M"),
        (37_745_884_192, "37.75G"),
        (2_000, "2k"),
        (999, "999"),
        (1.5, "1.5"),
        (3e12, "3T"),
        (200e6, "200M"),
    ],
)
def test_a_count_is_shown_with_four_digits_and_a_suffix(count, text):
    assert format_count(count) == text


@pytest.mark.parametrize("text", ["200M", "1.2G", "4k", "3.25T", "17"])
def test_what_is_shown_can_be_read_again(text):
    assert format_count(parse_count(text)) == text


@pytest.mark.parametrize(("text", "count"), PASTED.items())
def test_a_count_is_read_as_people_paste_it_or_refused_in_one_line(text, count):
    if count is not None:
        assert parse_count(text) == count == parse_macs(text)
        return
    with pytest.raises(PlannerError) as error:
        parse_count(text)
    told = str(error.value)
    assert told.startswith(repr(text)) and "; write " in told and "\n" not in told


def test_the_reports_page_reads_what_the_command_line_reads():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    script = (Path(planner.__file__).parent / "report" / "quantity.js").read_text()
    texts = [*PASTED, "", "abc", "4M params", "7.", ".5k", "6,000,000", "6,", "6,000", "1e19", "0.5"]
    script += f"console.log(JSON.stringify({json.dumps(texts)}.map(parseCount)))"
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=60, check=True)
    for text, found in zip(texts, json.loads(done.stdout), strict=True):
        try:
            wanted = parse_macs(text)
        except PlannerError:
            wanted = None
        assert found == (wanted and pytest.approx(wanted, rel=1e-15)), text


@pytest.mark.parametrize(("parse", "text"), [(parse_macs, "4M params"), (parse_params, "4 MFLOPs")])
def test_a_count_of_something_else_is_refused(parse, text):
    with pytest.raises(PlannerError, match="is not a count of (MACs|parameters); write one such as 4M, or use the"):
        parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_ms, "12\u00a0ms", 12),
        (parse_ms, "1,5 s", 1500),
        (parse_ms, "1.5 sec", 1500),
        (parse_ms, "15 \u00b5s", 0.015),
        (parse_ms, "1,234,567 us", 1234.567),
        (parse_bytes, "25 MB", 25e6),
        (parse_bytes, "256\u202fKiB", 262144),
        (parse_bytes, "1,000,000", 1e6),
        (parse_bytes, "262,144 bytes", 262144),
        (parse_params, "4M params", 4e6),
        (parse_params, "4,000,000 parameters", 4e6),
    ],
)
def test_times_and_sizes_are_read_as_people_paste_them_too(parse, text, value):
    assert parse(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "budgets"),
    [
        ("60M,120M", [60e6, 120e6]),
        ("60M, 120M", [60e6, 120e6]),
        ("200,000,000", [2e8]),
        ("200,000,000, 400,000,000", [2e8, 4e8]),
        ("200,000,000;0.4 GFLOPs", [2e8, 4e8]),
        ("6e7", [6e7]),
    ],
)
def test_a_comma_between_three_digits_ends_no_budget_of_a_list(text, budgets):
    assert parse_budgets(text) == pytest.approx(budgets)


def test_an_expected_accuracy_says_when_it_is_the_fronts_or_outside_what_was_trained():
    accuracy = {"mean": 0.75, "lower": 0.7, "upper": 0.8, "level": 0.9, "in_range": False, "of": "front"}
    assert format_accuracy(accuracy) == "75.0% (70.0% to 80.0%, 90%), of the front, outside what was trained"
    assert format_accuracy(None) is None
