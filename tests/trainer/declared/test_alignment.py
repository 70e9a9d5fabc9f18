"""Operations of two traces, put side by side."""

from trainer.declared.alignment import aligned
from trainer.declared.tracing import Item


def ops(*names):
    return [Item(f"net.{at}", name[0], (int(name[1:]),)) for at, name in enumerate(names)]


def test_a_block_more_is_found_where_numbers_of_modules_shift():
    short, full = ops("a1", "b2", "c3"), ops("a1", "b2", "b2", "c3")
    assert aligned(short, full) == [(0, 0), (1, 1), (2, 3)]


def test_blocks_at_two_places_are_found():
    short, full = ops("a1", "e2", "m3", "d4", "z5"), ops("a1", "e2", "e2", "m3", "d4", "d4", "z5")
    assert [j for _, j in aligned(short, full)] == [0, 1, 3, 4, 6]


def test_different_operations_have_no_pairs():
    assert aligned(ops("a1"), ops("b1")) == []
