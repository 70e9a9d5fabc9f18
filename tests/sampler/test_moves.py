"""Moves: every neighbour is distinct, buildable, inside the bounds and as far away as was asked."""

import numpy as np
import pytest

from sampler import InputError, SearchSpace, base, random_design, rule_named, stack
from sampler.complexity import count
from sampler.moves import (
    KINDS,
    Grid,
    column_names,
    from_rows,
    just_before_jumps,
    moved,
    moves_of,
    narrowest,
    neighbours,
    stage_columns,
    stage_of_column,
    unique_rows,
)

NETWORKS = [
    "efficientnet_b0",
    "efficientnetv2_b0",
    "mobilenetv3_small_100",
    "resnet50",
    "resnet20_cifar",
    "regnetx_002",
    "regnety_016",
    "ghostnet_100",
    "convnext_atto",
]


def space_of(name, rule=None):
    return SearchSpace(name, base(name).resolution, rule=rule or base(name).rule, kind="stage")


def as_set(rows):
    return {tuple(row) for row in rows.tolist()}


@pytest.mark.parametrize("rule", [None, "free"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("pairs", [False, True])
def test_all_neighbours_are_distinct_inside_the_bounds_and_can_be_counted(name, rule, pairs):
    space = space_of(name, rule)
    start = random_design(space, 3, seed=1)
    near = neighbours(start, space, pairs=pairs)
    rows, given = near.integers(), start.integers()
    assert len(as_set(rows)) == len(rows) > 20
    assert not as_set(rows) & as_set(given)
    assert (count(near).macs > 0).all()
    ends = space.decode(np.array([[0.0] * space.dimensions, [1.0] * space.dimensions])).integers()
    free = Grid.of(space).free  # stem and head follow wherever the stages go
    assert (rows >= ends[0])[:, free].all()
    assert (rows <= ends[1])[:, free].all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_single_move_changes_one_column_and_what_follows_it(name):
    grid = Grid.of(space_of(name))
    start = random_design(space_of(name), 1, seed=3).integers()
    stages = len(base(name).stages)
    changed = moved(grid, start, moves_of(grid))[0] != start
    free = changed[:, grid.free]
    assert (free.sum(axis=1) == 1).all()
    assert not changed[:, 1][~changed[:, 2]].any()  # the stem moves with the first stage alone
    assert not changed[:, -1][~changed[:, 1 + stages]].any()  # and the head with the last


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pair_of_moves_raises_one_column_and_lowers_another(name):
    space = space_of(name)
    grid = Grid.of(space)
    start = random_design(space, 1, seed=3)
    difference = (neighbours(start, space, pairs=True).integers() - start.integers())[:, grid.free]
    assert ((difference > 0).sum(axis=1) == 1).all()
    assert ((difference < 0).sum(axis=1) == 1).all()


def test_widths_move_by_the_divisor_and_depths_by_one_block():
    b0 = stack([base("efficientnet_b0").architecture()])
    near = neighbours(b0, space_of("efficientnet_b0"), kinds=["width", "depth"], steps=[1])
    off = (near.integers() - b0.integers())[:, 2:-1]
    assert set(np.abs(off[:, :7]).sum(axis=1)) == {0, 8}
    assert set(np.abs(off[:, 7:]).sum(axis=1)) == {0, 1}
    # Seven widths both ways, and seven depths of which the two that are 1 cannot fall.
    assert len(near) == 14 + 12


def test_by_hand_the_moves_of_resnet20_at_its_bounds():
    space = SearchSpace("resnet20_cifar", 32, 10, kind="stage", r=(1.0, 1.1), d=(1.0, 1.4), w=(0.5, 1.0))
    start = stack([base("resnet20_cifar").architecture()])
    near = as_set(neighbours(start, space, steps=[1], pixels=[1]).integers())
    same = (16, 16, 32, 64, 3, 3, 3, 0)
    assert near == {
        (33, *same),
        (34, *same),  # the next size just before a jump: strides of 4 pixels in all
        (32, 8, 8, 32, 64, 3, 3, 3, 0),  # the stem follows
        (32, 16, 16, 24, 64, 3, 3, 3, 0),
        (32, 16, 16, 32, 56, 3, 3, 3, 0),
        (32, 16, 16, 32, 64, 4, 3, 3, 0),
        (32, 16, 16, 32, 64, 3, 4, 3, 0),
        (32, 16, 16, 32, 64, 3, 3, 4, 0),
    }


def test_group_widths_are_respected():
    network = base("regnetx_032")
    near = neighbours(stack([network.architecture()]), space_of("regnetx_032"), kinds=["width"], steps=[1])
    groups = np.array([stage.group_width for stage in network.stages])
    assert groups.min() > 8
    assert (near.widths % groups == 0).all()
    assert set(np.abs(near.widths - network.widths).sum(axis=1)) == set(groups.tolist())


def test_a_width_between_two_steps_moves_to_the_next():
    network, rule = base("efficientnet_b0"), rule_named("inverse")
    row = [64, 32, 20, 24, 40, 80, 112, 192, 320, 1, 2, 2, 3, 3, 4, 1, 1280]
    grid = Grid.of(space_of("efficientnet_b0", "inverse"))
    near = moved(grid, np.array([row]), [one for one in moves_of(grid, ["width"], [1]) if one.column == 2])[0]
    assert sorted(near[:, 2].tolist()) == [16, 24]
    assert network.rule and rule.divisor == 8


def test_stem_and_head_are_free_where_they_do_not_follow():
    grid = Grid.of(space_of("efficientnet_b0", "inverse"), follow=False)
    start = stack([base("efficientnet_b0").architecture()])
    near = neighbours(start, grid, kinds=["ends"], steps=[1])
    off = near.integers() - start.integers()
    assert set(map(tuple, off[:, [1, -1]].tolist())) == {(8, 0), (-8, 0), (0, 8), (0, -8)}
    assert len(moves_of(Grid.of(space_of("efficientnet_b0")), ["ends"])) == 0


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50", "convnext_atto"])
def test_the_sizes_before_a_jump_are_those_whose_next_pixel_costs_most(name):
    network = base(name)
    sizes = just_before_jumps(network, 200, 300)
    row = stack([network.architecture()]).integers()
    many = np.tile(row, (102, 1))
    many[:, 0] = np.arange(200, 302)
    rises = np.diff(count(from_rows(network, many)).macs)
    others = np.setdiff1d(np.arange(200, 301), sizes)
    assert rises[sizes - 200].min() > 2 * rises[others - 200].max()


def test_rbis_candidates_of_efficientnet_b0_are_sizes_before_a_jump():
    # The thesis measured 240, 256, 272 and 288 px on a phone (METHODS section 1).
    assert set(just_before_jumps(base("efficientnet_b0"), 225, 300).tolist()) == {240, 256, 272, 288}


def test_a_grid_counts_and_lists_all_it_holds():
    space = SearchSpace("resnet20_cifar", 32, 10, kind="stage", r=(0.97, 1.03), d=(0.7, 1.4), w=(0.5, 1.0))
    grid = Grid.of(space)
    rows = grid.enumerated()
    # 31 to 33 px; widths 8, 16 / 16 to 32 / 32 to 64 by 8; depths 2 to 4 each.
    assert grid.size == len(rows) == len(as_set(rows)) == 3 * (2 * 3 * 5) * 3**3
    assert grid.inside(rows).all()
    assert (rows[:, 1] == rows[:, 2]).all()


def test_the_nearest_row_of_a_grid_is_on_it_and_itself_stays():
    grid = Grid.of(space_of("efficientnet_b0", "inverse"))
    rows = random_design(space_of("efficientnet_b0", "inverse"), 5, seed=0).integers()
    free = grid.free
    assert (grid.nearest(rows)[:, free] == rows[:, free]).all()
    off = grid.nearest(rows + 3.4)
    assert grid.inside(off).all()
    assert (np.abs(off - rows)[:, 2:9] <= 8).all()


def test_a_narrowed_grid_keeps_to_ranges_and_refuses_empty_ones():
    grid = Grid.of(space_of("efficientnet_b0", "inverse"))
    narrow = grid.narrowed({"width_2": (20, 50), "depth_1": (1, 1), "no_such": (0, 0)})
    assert narrow.levels[3].tolist() == [24, 32, 40, 48]
    assert narrow.levels[9].tolist() == [1]
    with pytest.raises(InputError, match="no width_2 of the grid lies between 25 and 31; widen its bounds"):
        grid.narrowed({"width_2": (25, 31)})


@pytest.mark.parametrize(("name", "fewest"), [("efficientnet_b0", 3), ("resnet50", 4), ("resnet18", 3)])
def test_the_fewest_channels_leave_every_layer_one(name, fewest):
    # EfficientNet's squeeze-excite has a quarter of a block's input, ResNet-50's bottleneck a quarter of its output.
    assert narrowest(base(name), rule_named("free")) == fewest


def test_columns_are_those_of_tables_and_rows_go_there_and_back():
    assert column_names(1) == ("resolution", "stem", "width_1", "depth_1", "head")
    drawn = random_design(space_of("efficientnet_b0"), 4, seed=0)
    again = from_rows(base("efficientnet_b0"), drawn.integers())
    assert (again.integers() == drawn.integers()).all()
    np.testing.assert_allclose(again.multipliers, drawn.multipliers)


def test_no_move_is_made_of_nothing():
    grid = Grid.of(space_of("efficientnet_b0"))
    rows = random_design(space_of("efficientnet_b0"), 2, seed=0).integers()
    assert len(moved(grid, rows, [])[0]) == 0
    assert unique_rows(rows[:0]).tolist() == []
    assert all(moves_of(grid, [kind]) for kind in KINDS)


def test_names_of_columns_are_put_together_and_taken_apart():
    assert column_names(3)[2:8] == (*stage_columns("width", 3), *stage_columns("depth", 3))
    for kind in ("width", "depth", "group_width"):
        assert [stage_of_column(name) for name in stage_columns(kind, 12)] == [(kind, i) for i in range(1, 13)]
    for name in ("resolution", "stem", "head", "width", "width_", "_1", "width_0", "width_01", "width_1a", "width_-1"):
        assert stage_of_column(name) is None
