"""Counts as people write them."""

import pytest

from planner import PlannerError
from planner.quantities import format_count, parse_count


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
    "text", ["", " ", "abc", "-5M", "+5M", "nan", "inf", "5X", "5 M M", "1_000", "1,000", "M", "."]
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
