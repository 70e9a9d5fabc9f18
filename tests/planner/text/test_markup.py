"""Cards: what notebooks show of an object, as small tables in which everything is escaped."""

import pytest

from planner.text.markup import MOST_POINTS, Card, CardTable, drawn, points_table

HOSTILE = '<script>alert("x")</script><b>&amp;'


def test_a_card_shows_its_facts_and_tables_in_order():
    card = Card("Network", {"pixels": 224, "note": "none"}, [CardTable("Parts", ("part", "blocks"), [("stem", None)])])
    text = drawn(card)
    captions = [piece.partition("</caption>")[0] for piece in text.split("<caption>")[1:]]
    assert captions == ["Network", "Parts"]
    assert "<td>pixels</td><td>224</td>" in text and '<td>stem</td><td class="number">-</td>' in text


def test_facts_that_are_none_and_tables_without_rows_are_left_out():
    text = drawn(Card("x", {"a": None, "b": 0}, [CardTable("Empty", ("c",), [])]))
    assert "<td>a</td>" not in text and "<td>b</td><td>0</td>" in text and "Empty" not in text


def test_whatever_stands_on_a_card_is_escaped():
    hostile = CardTable(HOSTILE, (HOSTILE, HOSTILE), [(HOSTILE, HOSTILE)])
    text = drawn(Card(HOSTILE, {HOSTILE: HOSTILE}, [hostile]))
    assert "<script" not in text and "<b>" not in text and text.count("&lt;script&gt;") == 10


def test_colours_are_the_pages_own():
    style = drawn(Card("x", {})).partition("<style>")[2].partition("</style>")[0]
    assert "#" not in style and style.count("color:inherit") == 3


def test_missing_values_of_points_are_dashes():
    points = [{"trial": 1, "macs": 2e6, "w": float("nan")}, {"trial": 2, "w": 0.5}]
    shown = points_table("Front", points)
    assert shown.header == ["trial", "w", "MACs"] and shown.rows == [["1", None, "2M"], ["2", "0.500", None]]


@pytest.mark.parametrize("n", [1, MOST_POINTS, MOST_POINTS + 1, 100])
def test_a_long_front_keeps_its_ends(n):
    shown = points_table("Front", [{"trial": i} for i in range(n)])
    numbers = [int(row[0]) for row in shown.rows]
    assert numbers[0] == 0 and numbers[-1] == n - 1 and len(set(numbers)) == min(n, MOST_POINTS)
    assert shown.caption == ("Front" if n <= MOST_POINTS else f"Front ({MOST_POINTS} of {n})")


def test_a_front_without_points_is_not_shown():
    assert points_table("Front", []).rows == []
