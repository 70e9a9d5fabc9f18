"""Architectures refuse impossible values, and survive the way into arrays and back."""

import json
from dataclasses import FrozenInstanceError, asdict, fields, replace

import numpy as np
import pytest

from sampler import (
    Architecture,
    InputError,
    SearchSpace,
    architecture_complexity,
    architecture_from,
    base,
    rule_named,
    scale,
)
from sampler.architecture import check_range, concatenate, stack
from sampler.complexity import complexity
from sampler.moves import column_names, from_rows, neighbours, stage_columns

GOOD = {"base": "two", "resolution": 64, "stem": 8, "widths": (16, 24), "depths": (1, 2), "head": 32}
B0 = base("efficientnet_b0")


def random_architectures(n, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Architecture(
            "efficientnet_b0",
            int(rng.integers(32, 400)),
            int(rng.integers(8, 64)),
            tuple(rng.integers(8, 400, 7).tolist()),
            tuple(rng.integers(1, 9, 7).tolist()),
            int(rng.integers(8, 2000)),
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize(
    ("field", "value", "refusal"),
    [
        ("resolution", 0, "resolution must be between 1 and 16384, got 0$"),
        ("resolution", -1, "resolution must be between 1 and 16384, got -1$"),
        ("resolution", 16_385, "resolution must be between 1 and 16384, got 16385$"),
        ("resolution", 10**30, f"resolution must be between 1 and 16384, got {10**30}$"),
        ("resolution", 64.0, "resolution must be whole numbers, got 64.0$"),
        ("resolution", np.nan, "resolution must be whole numbers, got nan$"),
        ("resolution", "64", "resolution must be whole numbers, got '64'$"),
        ("resolution", None, "resolution must be whole numbers, got None$"),
        ("resolution", True, "resolution must be whole numbers, got True$"),
        ("stem", -1, "stem must be between 0 and 131072, got -1$"),
        ("stem", 131_073, "stem must be between 0 and 131072, got 131073$"),
        ("head", -32, "head must be between 0 and 131072, got -32$"),
        ("head", 1.5, "head must be whole numbers, got 1.5$"),
        ("widths", (16, 0), "widths must be between 1 and 131072, got 0$"),
        ("widths", (16, 24.0), r"widths must be whole numbers, got \(16, 24.0\)$"),
        ("widths", (np.nan, 24), r"widths must be whole numbers, got \(nan, 24\)$"),
        ("depths", (0, 2), "depths must be between 1 and 4096, got 0$"),
        ("depths", (1, 4_097), "depths must be between 1 and 4096, got 4097$"),
        ("depths", (1, 1.5), r"depths must be whole numbers, got \(1, 1.5\)$"),
        ("widths", (16,), "1 widths and 2 depths: give one of each per stage"),
        ("depths", (1, 2, 3), "2 widths and 3 depths: give one of each per stage"),
    ],
)
def test_an_impossible_value_is_refused_by_name(field, value, refusal):
    with pytest.raises(InputError, match=refusal):
        Architecture(**{**GOOD, field: value})
    with pytest.raises(InputError, match=refusal):
        replace(Architecture(**GOOD), **{field: value})


def test_an_architecture_without_stages_is_refused():
    with pytest.raises(InputError, match=r"widths must be whole numbers, got \(\)"):
        Architecture(**{**GOOD, "widths": (), "depths": ()})


def test_the_largest_values_allowed_are_allowed():
    Architecture("two", 16_384, 131_072, (131_072, 1), (4_096, 1), 131_072)


def test_an_input_error_is_a_value_error():
    with pytest.raises(ValueError, match="stem must be between"):
        Architecture(**{**GOOD, "stem": -1})


def test_an_architecture_cannot_be_changed():
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'resolution'"):
        Architecture(**GOOD).resolution = 65


def test_equal_architectures_are_equal_and_hash_alike():
    one, same = Architecture(**GOOD), Architecture(**GOOD)
    assert one == same and one is not same
    assert hash(one) == hash(same)
    assert {one: 1}[same] == 1


@pytest.mark.parametrize(
    "change",
    [{"base": "x"}, {"resolution": 65}, {"stem": 9}, {"widths": (16, 25)}, {"depths": (2, 2)}, {"head": 33}],
)
def test_a_change_of_any_field_makes_another_architecture(change):
    assert {*change} <= {field.name for field in fields(Architecture)}
    assert Architecture(**{**GOOD, **change}) != Architecture(**GOOD)
    assert len({Architecture(**{**GOOD, **change}), Architecture(**GOOD)}) == 2


def test_architectures_come_back_from_arrays_as_they_went_in():
    given = random_architectures(50)
    assert list(stack(given)) == given
    assert len(stack(given)) == 50
    assert hash(stack(given)[3]) == hash(given[3])


def test_arrays_give_plain_integers():
    one = stack(random_architectures(2))[1]
    values = [one.resolution, one.stem, *one.widths, *one.depths, one.head]
    assert {type(value) for value in values} == {int}
    assert (type(one.widths), type(one.depths)) == (tuple, tuple)


def test_negative_rows_count_from_the_end():
    given = random_architectures(5)
    assert stack(given)[-1] == given[-1]


def test_batches_come_back_from_concatenation_in_order():
    given = random_architectures(30)
    whole = concatenate([stack(given[:1]), stack(given[1:20]), stack(given[20:])])
    assert list(whole) == given


@pytest.mark.parametrize("rows", [[0], [4, 2, 2, 0], [-1, 0], list(range(20))])
def test_rows_are_taken_by_index_in_that_order(rows):
    given = random_architectures(20)
    assert list(stack(given).take(rows)) == [given[row] for row in rows]


def test_rows_are_taken_by_mask():
    given = random_architectures(20)
    mask = np.arange(20) % 3 == 0
    assert list(stack(given).take(mask)) == given[::3]


def test_no_rows_can_be_taken():
    nothing = stack(random_architectures(3)).take(np.zeros(3, dtype=bool))
    assert (len(nothing), list(nothing)) == (0, [])
    assert nothing.integers().shape == (0, 17)


def test_multipliers_stay_with_their_rows():
    w = np.linspace(0.5, 2.0, 10)
    scaled = scale(B0, rule_named("inverse"), 224, depth=1.5, width=w)
    taken = scaled.take([7, 1])
    assert taken.multipliers.tolist() == [[1.0, 1.5, w[7]], [1.0, 1.5, w[1]]]
    joined = concatenate([taken, scaled])
    assert joined.multipliers[:, 2].tolist() == [w[7], w[1], *w]


def test_integers_are_equal_exactly_where_the_architectures_are():
    given = random_architectures(10) + random_architectures(5)
    given += [replace(given[0], head=given[0].head + 1), replace(given[0], depths=(9, *given[0].depths[1:]))]
    rows = stack(given).integers()
    for i, one in enumerate(given):
        for j, other in enumerate(given):
            assert (rows[i].tolist() == rows[j].tolist()) == (one == other)


def test_architectures_of_two_base_networks_do_not_stack():
    other = replace(random_architectures(1)[0], base="another")
    with pytest.raises(InputError, match=r"exactly one base network are wanted, got \['another', 'efficientnet_b0'\]"):
        stack([*random_architectures(2), other])


def test_no_architectures_do_not_stack():
    with pytest.raises(InputError, match="architectures of exactly one base network are wanted, got none"):
        stack([])


def test_a_range_names_the_first_value_outside():
    check_range("number", np.arange(1, 8), 7)
    with pytest.raises(InputError, match="number must be between 1 and 7, got 9$"):
        check_range("number", [3, 9, -2], 7)


def test_the_base_network_is_an_architecture_of_itself():
    one = B0.architecture()
    assert (one.resolution, one.stem, one.head) == (224, 32, 1280)
    assert (one.widths, one.depths) == ((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1))
    assert B0.stride == 32


GROUPED = base("regnety_004").architecture().with_knobs({"group_width": [8, 8, 16, 16]})


def test_only_architectures_with_knobs_speak_of_them():
    plain = GROUPED.with_knobs({})
    assert type(plain) is Architecture and plain.knobs == {} and plain.knob("group_width") is None
    assert "knobs" not in asdict(plain) and "knobs" not in plain.as_dict() and "knobs" not in repr(plain)
    assert GROUPED.knob("group_width") == (8, 8, 16, 16)
    assert GROUPED.as_dict() == {**plain.as_dict(), "knobs": {"group_width": [8, 8, 16, 16]}}
    assert isinstance(GROUPED, Architecture) and GROUPED != plain and len({GROUPED, plain}) == 2


def test_knobs_are_equal_and_hash_alike_whatever_they_were_given_as():
    plain = GROUPED.with_knobs({})
    for given in ((8, 8, 16, 16), np.array([8, 8, 16, 16])):
        same = plain.with_knobs({"group_width": given})
        assert same == GROUPED and hash(same) == hash(GROUPED)
    assert plain.with_knobs({"b": 1, "a": 2}) == plain.with_knobs({"a": (2,), "b": [1]})
    assert list(plain.with_knobs({"b": 1, "a": 2}).knobs) == ["a", "b"]


def test_json_gives_an_architecture_with_knobs_back():
    text = json.dumps(asdict(GROUPED))
    assert json.loads(text)["knobs"] == {"group_width": [8, 8, 16, 16]}
    assert architecture_from(json.loads(text)) == GROUPED
    without = {**json.loads(text), "knobs": {}}
    with pytest.raises(InputError, match="fields knobs are missing or unknown"):
        architecture_from(without)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"group_width": (8, 8)}, "knob group_width has 2 values; give one, or one per stage \\(4\\)"),
        ({"group_width": (8, 8, 0, 8)}, "knob group_width must be between 1 and 131072, got 0"),
        ({"group_width": 8.0}, "knob group_width must be whole numbers, got"),
        ({"group_width": "8"}, "knob group_width must be whole numbers, got"),
        ({3: 8}, "whole numbers by name are wanted"),
        ([8], "whole numbers by name are wanted"),
    ],
)
def test_impossible_knobs_are_refused(knobs, message):
    with pytest.raises(InputError, match=message):
        GROUPED.with_knobs(knobs)


def test_architectures_with_knobs_come_back_from_arrays_and_rows():
    given = [GROUPED, GROUPED.with_knobs({"group_width": (8, 8, 8, 8)})]
    rows = stack(given)
    assert list(rows) == given and list(concatenate([rows.take([1]), rows])) == [given[1], *given]
    assert rows.integers().shape == (2, 3 + 2 * 4 + 4)
    assert list(from_rows(base("regnety_004"), rows.integers(), {"group_width": 4})) == given
    assert column_names(4, {"group_width": 4})[-5:] == ("head", *stage_columns("group_width", 4))
    with pytest.raises(InputError, match="rows of regnety_004 have 11 columns, not 15; knobs must be named"):
        from_rows(base("regnety_004"), rows.integers())
    with pytest.raises(InputError, match="with the same knobs are wanted"):
        stack([GROUPED, GROUPED.with_knobs({})])


def test_group_widths_of_an_architecture_are_counted():
    plain, narrow = GROUPED.with_knobs({}), GROUPED.with_knobs({"group_width": (4, 4, 4, 4)})
    network, by_hand, side = base("regnety_004"), 0, 112
    for stage, width, depth in zip(network.stages, plain.widths, plain.depths, strict=True):
        side = -(-side // 2)
        by_hand += 9 * (stage.group_width - 4) * width * depth * side**2  # the 3x3 of every block
    many, few = complexity([plain, narrow]).macs.tolist()
    assert many - few == by_hand > 0
    with pytest.raises(InputError, match="width 48 of stage 1 of regnety_004 is not a multiple of its group width 32"):
        architecture_complexity(plain.with_knobs({"group_width": (32, 8, 8, 8)}))
    with pytest.raises(InputError, match="efficientnet_b0 has no knob 'group_width'; its knobs: none"):
        architecture_complexity(B0.architecture().with_knobs({"group_width": 8}))
    with pytest.raises(InputError, match="knob group_width of regnety_004 is 4 numbers, not 1"):
        architecture_complexity(plain.with_knobs({"group_width": 8}))


def test_networks_with_knobs_have_no_neighbours():
    with pytest.raises(InputError, match="group_width cannot be moved"):
        neighbours(stack([GROUPED]), SearchSpace("regnety_004", 224))
