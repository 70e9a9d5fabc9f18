"""Single moves: one stage wider or narrower, one block deeper or shallower, a few pixels more or fewer.

What searches over integers are made of (greedy ones, RBIS, the allocation of a budget to stages). Everything is
vectorised over architectures, as rows of their integers:

    column   0            1      2 .. s + 1   s + 2 .. 2 s + 1   2 s + 2   2 s + 3 ..
             resolution   stem   widths       depths             head      knobs that are moved too
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sampler.architecture import MAX_CHANNELS, Architectures, BaseNetwork, IntArray
from sampler.complexity import blocks_of, count
from sampler.errors import InputError
from sampler.families import family_of
from sampler.knobs import knob_grids
from sampler.scaling import ScalingRule, buildable, check_rule, effective_multipliers, own_steps, rule_named
from sampler.space import SearchSpace

Kind = Literal["width", "depth", "resolution", "knob", "ends"]
KINDS: tuple[Kind, ...] = ("width", "depth", "resolution")
_MOVED: tuple[Kind, ...] = (*KINDS, "knob")
_STEPS = (1, 2)  # of the grid: divisors of a width, blocks
_PIXELS = (1, 2, 4, 8)
# A rise of the MACs over the resolution is a jump if it has this share of the largest rise within a stride.
_JUMP = 1 / 3
_NO_KNOBS: Mapping[str, int] = MappingProxyType({})


def column_names(stages: int, knobs: Mapping[str, int] = _NO_KNOBS) -> tuple[str, ...]:
    """Names of the columns of rows of integers, as in tables of observations and in `Architectures.integers`.

    Args:
        stages: How many stages the networks have.
        knobs: How many numbers each of the architectures' knobs is, by its name: as many as stages, or one.

    Example:
        >>> column_names(2)
        ('resolution', 'stem', 'width_1', 'width_2', 'depth_1', 'depth_2', 'head')
        >>> column_names(1, {"heads": 1, "group_width": 1})
        ('resolution', 'stem', 'width_1', 'depth_1', 'head', 'group_width_1', 'heads_1')
    """
    further = [column for name in sorted(knobs) for column in stage_columns(name, knobs[name])]
    return ("resolution", "stem", *stage_columns("width", stages), *stage_columns("depth", stages), "head", *further)


def integer_names(network: BaseNetwork) -> tuple[str, ...]:
    """The columns of integers of a network, those of all its knobs that may vary among them."""
    own = family_of(network).knobs(network)
    return column_names(len(network.stages), {name: len(own[name]) for name in knob_grids(network)})


def effective(network: BaseNetwork, architectures: Architectures) -> Architectures:
    """The same architectures with the multipliers that they amount to, over the network's own resolution."""
    given = architectures
    multipliers = effective_multipliers(network, given.resolution, given.depths, given.widths)
    return replace(given, multipliers=multipliers)


def stage_columns(kind: str, stages: int) -> tuple[str, ...]:
    """Names of the columns of one kind of numbers, one for each stage.

    Args:
        kind: `width`, `depth`, or the name of a knob.
        stages: How many stages the networks have.

    Example:
        >>> stage_columns("depth", 3)
        ('depth_1', 'depth_2', 'depth_3')
    """
    return tuple(f"{kind}_{stage}" for stage in range(1, stages + 1))


def stage_of_column(name: str) -> tuple[str, int] | None:
    """The kind of numbers of a column and its stage, from 1; None for a column that is of no stage.

    Example:
        >>> stage_of_column("width_12"), stage_of_column("group_width_1"), stage_of_column("stem")
        (('width', 12), ('group_width', 1), None)
    """
    kind, _, stage = name.rpartition("_")
    return (kind, int(stage)) if kind and stage.isascii() and stage.isdigit() and not stage.startswith("0") else None


def from_rows(network: BaseNetwork, rows: IntArray, knobs: Mapping[str, int] = _NO_KNOBS) -> Architectures:
    """Architectures of `(n, 3 + 2 s + k)` rows of integers, the inverse of `Architectures.integers`.

    Their multipliers are the effective ones, over the network's own resolution.

    Args:
        network: The base network.
        rows: The integers, in the order of `column_names`.
        knobs: How many of the last k columns each knob has, by its name.

    Raises:
        InputError: If the rows have columns that nobody named.
    """
    stages = len(network.stages)
    wanted = 3 + 2 * stages + sum(knobs.values())
    if rows.shape[1] != wanted:
        raise InputError(f"rows of {network.name} have {wanted} columns, not {rows.shape[1]}; knobs must be named")
    widths, depths = rows[:, 2 : 2 + stages], rows[:, 2 + stages : 2 + 2 * stages]
    multipliers = effective_multipliers(network, rows[:, 0], depths, widths)
    further, start = {}, 3 + 2 * stages
    for name in sorted(knobs):
        further[name] = rows[:, start : start + knobs[name]]
        start += knobs[name]
    head = rows[:, 2 + 2 * stages]
    return Architectures(network.name, rows[:, 0], rows[:, 1], widths, depths, head, multipliers, further)


@dataclass(frozen=True, eq=False)
class Grid:
    """The integers that architectures may have: each column's values, sorted.

    Attributes:
        network: The base network, at the space's resolution.
        rule: The scaling rule, which makes the steps of widths, and says what becomes of stem and head.
        levels: The values of each column, ascending.
        follow: Whether the stem follows the first stage's width and the head the last's, as in `scale_stages`; else
            they are as free as a stage's width.
        knobs: How many columns each knob has that is moved, by its name.
    """

    network: BaseNetwork
    rule: ScalingRule
    levels: tuple[IntArray, ...]
    follow: bool = True
    knobs: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, space: SearchSpace, follow: bool = True) -> Grid:
        """The grid between the smallest and the largest architecture of a space."""
        corners = replace(space, kind="stage") if space.kind != "stage" else space
        ends = corners.decode(np.array([[0.0], [1.0]]).repeat(corners.dimensions, axis=1)).integers()
        return cls.between(space.network, rule_named(space.rule), ends[0], ends[1], follow, space.knobs)

    @classmethod
    def between(
        cls,
        network: BaseNetwork,
        rule: ScalingRule,
        lowest: ArrayLike,
        highest: ArrayLike,
        follow: bool = True,
        knobs: Sequence[str] = (),
    ) -> Grid:
        """The grid between two rows of integers, both included where they are buildable.

        Args:
            network: The base network, of `s` stages.
            rule: Makes the steps.
            lowest: `3 + 2 s` integers, and those of the knobs that are moved.
            highest: Integers of as many columns.
            follow: Whether stem and head follow the stages.
            knobs: Names of the knobs that are moved.

        Raises:
            InputError: If nothing buildable lies between them; names the column.
        """
        check_rule(network, rule)
        own = {name: len(family_of(network).knobs(network)[name]) for name in knobs}
        stages, names = len(network.stages), column_names(len(network.stages), own)
        head = 2 + 2 * stages
        levels = []
        for column, (low, high) in enumerate(zip(np.asarray(lowest), np.asarray(highest), strict=True)):
            values = np.arange(int(low), int(high) + 1)
            if column == 0:
                values = rule.sides(network, low, high)
            elif column > head:
                kind, _ = stage_of_column(names[column]) or ("", 0)
                values = np.array([one for one in knob_grids(network)[kind] if low <= one <= high], dtype=np.int64)
            elif not 2 + stages <= column < head and not (column == head and not network.head):
                if not rule.stepped:  # each stage of others has a divisor of its own
                    values = values[(values % rule.divisor == 0) & (values >= narrowest(network, rule))]
                values = _buildable_column(network, values, column - 2)
                values = values[(values >= low) & (values <= high)]
            # A stem or head that a rule fixes need not be a multiple of anything.
            if not len(values) and low == high and not (rule.stepped and column not in (1, head)):
                values = np.array([int(low)])
            if not len(values):
                raise InputError(f"no buildable {names[column]} lies between {low} and {high}; widen its bounds")
            levels.append(values.astype(np.int64))
        return cls(network, rule, tuple(levels), follow, own)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return column_names(len(self.network.stages), self.knobs)

    @property
    def head(self) -> int:
        """The head's column."""
        return 2 + 2 * len(self.network.stages)

    def networks(self, rows: IntArray) -> Architectures:
        """The `(n,)` architectures of rows; their multipliers are the effective ones."""
        return from_rows(self.network, rows, self.knobs)

    @property
    def free(self) -> list[int]:
        """The columns that do not follow others."""
        ends = {1, self.head} if self.follow else set()
        return [column for column in range(len(self.levels)) if column not in ends]

    @property
    def size(self) -> int:
        """How many architectures the grid holds, whatever they cost."""
        size = 1
        for column in self.free:
            size *= len(self.levels[column])
        return size

    def narrowed(self, ranges: Mapping[str, tuple[float, float]]) -> Grid:
        """The grid without values outside of ranges, by the column's name; names that are no column are ignored.

        Raises:
            InputError: If nothing of a column is left.
        """
        levels = list(self.levels)
        for column, name in enumerate(self.columns):
            low, high = ranges.get(name, (-np.inf, np.inf))
            kept = levels[column][(levels[column] >= low) & (levels[column] <= high)]
            if not len(kept):
                raise InputError(f"no {name} of the grid lies between {low:g} and {high:g}; widen its bounds")
            levels[column] = kept
        return replace(self, levels=tuple(levels))

    def inside(self, rows: IntArray) -> NDArray[np.bool_]:
        """`(n,)` bools: whether every free column has one of its values."""
        kept = np.ones(len(rows), dtype=bool)
        for column in self.free:
            kept &= np.isin(rows[:, column], self.levels[column])
        return kept

    def spanned(self, rows: IntArray) -> NDArray[np.bool_]:
        """`(n,)` bools: whether every column, a following one too, lies between the ends of its values."""
        low, high = (np.array([levels[end] for levels in self.levels]) for end in (0, -1))
        between: NDArray[np.bool_] = np.all((rows >= low) & (rows <= high), axis=1)
        return between

    def nearest(self, rows: ArrayLike) -> IntArray:
        """`(n, 3 + 2 s)` rows of numbers, each moved to the nearest value of its column; stem and head follow."""
        numbers = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        result = np.empty(numbers.shape, dtype=np.int64)
        for column, levels in enumerate(self.levels):
            above = np.clip(np.searchsorted(levels, numbers[:, column]), 0, len(levels) - 1)
            below = np.maximum(above - 1, 0)
            up = levels[above] - numbers[:, column] <= numbers[:, column] - levels[below]
            result[:, column] = levels[np.where(up, above, below)]
        return self.followed(result)

    def followed(self, rows: IntArray, moved: NDArray[np.bool_] | None = None) -> IntArray:
        """Rows whose stem and head follow the first and the last stage, where `moved` says that those moved.

        Args:
            rows: `(n, 3 + 2 s)` integers.
            moved: `(n, 2)` whether the first and the last stage's width moved; both in all rows by default.
        """
        if not self.follow:
            return rows
        network, last = self.network, 1 + len(self.network.stages)
        stem = self.rule.stem_channels(network, rows[:, 2] / network.stages[0].width)
        head = self.rule.head_channels(network, rows[:, last] / network.stages[-1].width)
        result = rows.copy()
        both = np.ones((len(rows), 2), dtype=bool) if moved is None else moved
        result[both[:, 0], 1], result[both[:, 1], self.head] = stem[both[:, 0]], head[both[:, 1]]
        return result

    def enumerated(self) -> IntArray:
        """All `(size, 3 + 2 s)` rows of the grid; stem and head follow."""
        free = self.free
        values = np.meshgrid(*(self.levels[column] for column in free), indexing="ij")
        rows = np.zeros((self.size, len(self.levels)), dtype=np.int64)
        for column, value in zip(free, values, strict=True):
            rows[:, column] = value.ravel()
        return self.followed(rows)


@dataclass(frozen=True, eq=False)
class Move:
    """One column of a row, some steps up or down among ascending values."""

    column: int
    levels: IntArray
    steps: int

    def of(self, values: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
        """`(n,)` values after the move, and whether there is such a value; a value between two steps to the next."""
        if self.steps > 0:
            index = np.searchsorted(self.levels, values, side="right") + self.steps - 1
        else:
            index = np.searchsorted(self.levels, values, side="left") + self.steps
        there = (index >= 0) & (index < len(self.levels))
        near = np.minimum(np.maximum(index, 0), len(self.levels) - 1)  # `np.clip` is slow for few values
        return np.where(there, self.levels[near], values), there


def moves_of(
    grid: Grid, kinds: Iterable[Kind] = _MOVED, steps: Sequence[int] = _STEPS, pixels: Sequence[int] = _PIXELS
) -> list[Move]:
    """The moves of a grid, up and down.

    Args:
        grid: Integers there are to move between.
        kinds: `width` and `depth` of one stage; `resolution`, by `pixels` and to the sizes just before a jump of the
            MACs; `knob`: one number of a knob that the grid moves; `ends`: the stem's and the head's channels, where
            they do not follow.
        steps: Steps of widths and depths, in values of the grid.
        pixels: Steps of the resolution, in values of the grid.
    """
    stages = len(grid.network.stages)
    wanted: set[str] = set(kinds)
    columns = list(range(2, 2 + stages)) if "width" in wanted else []
    columns += list(range(2 + stages, 2 + 2 * stages)) if "depth" in wanted else []
    columns += [1, grid.head] if "ends" in wanted and not grid.follow else []
    columns += list(range(grid.head + 1, len(grid.levels))) if "knob" in wanted else []
    moves = [Move(column, grid.levels[column], sign * step) for column in columns for step in steps for sign in (1, -1)]
    if "resolution" in wanted:
        moves += [Move(0, grid.levels[0], sign * step) for step in pixels for sign in (1, -1)]
        sides = np.intersect1d(just_before_jumps(grid.network, *grid.levels[0][[0, -1]]), grid.levels[0])
        moves += [Move(0, sides, sign) for sign in (1, -1) if len(sides)]
    return [move for move in moves if len(move.levels) > 1]


def moved(
    grid: Grid, rows: IntArray, moves: Sequence[Move], pairs: Sequence[Move] | None = None
) -> tuple[IntArray, IntArray]:
    """All moves of all rows, one at a time or two at once.

    Args:
        grid: Says what stem and head do.
        rows: `(n, 3 + 2 s)` integers.
        moves: The moves.
        pairs: The second moves, each made together with each of `moves` that moves another column.

    Returns:
        `(m, 3 + 2 s)` rows that are distinct and none of the given, and the `(m,)` numbers of their parents.
    """
    first = np.arange(len(moves))
    after, there = _values(rows, moves)
    columns = np.array([move.column for move in moves], dtype=np.int64)
    if pairs is None:
        return _distinct(grid, rows, [(columns, after, there)])
    more, also = _values(rows, pairs)
    others = np.array([move.column for move in pairs], dtype=np.int64)
    i, j = (part.ravel() for part in np.meshgrid(first, np.arange(len(pairs)), indexing="ij"))
    i, j = i[columns[i] != others[j]], j[columns[i] != others[j]]
    both = there[:, i] & also[:, j]
    return _distinct(grid, rows, [(columns[i], after[:, i], both), (others[j], more[:, j], both)])


def neighbours(
    architectures: Architectures,
    space: SearchSpace | Grid,
    kinds: Iterable[Kind] = _MOVED,
    steps: Sequence[int] = _STEPS,
    pixels: Sequence[int] = _PIXELS,
    pairs: bool = False,
) -> Architectures:
    """Architectures one move away: distinct, buildable, inside the space's bounds, and none of the given.

    The window of MACs and the limits of a space are the caller's to check (`SearchSpace.inside`).

    Args:
        architectures: Where to start from, `n` of one base network.
        space: The space, or a grid where stem and head are free, or bounds were narrowed.
        kinds: Kinds of moves, see `moves_of`.
        steps: Steps of widths and depths, in the rule's divisors and in blocks.
        pixels: Steps of the resolution.
        pairs: Whether two columns move at once, one up and one down, so that the cost may stay.

    Raises:
        InputError: If the architectures have knobs that the grid does not move.

    Example:
        >>> from sampler import SearchSpace, base, stack
        >>> b0 = stack([base("efficientnet_b0").architecture()])
        >>> [one.depths for one in neighbours(b0, SearchSpace("efficientnet_b0", 224), kinds=["depth"], steps=[1])][0]
        (2, 2, 2, 3, 3, 4, 1)
    """
    grid = space if isinstance(space, Grid) else Grid.of(space)
    moves = moves_of(grid, kinds, steps, pixels)
    up, down = [move for move in moves if move.steps > 0], [move for move in moves if move.steps < 0]
    if set(architectures.knobs) != set(grid.knobs):
        raise InputError(
            f"{', '.join(architectures.knobs) or 'no knob'} cannot be moved; give architectures without knobs"
            if not grid.knobs
            else f"architectures with {', '.join(grid.knobs)} of their own are wanted; `with_own_knobs` gives them"
        )
    rows = architectures.integers()
    near = moved(grid, rows, up, down)[0] if pairs else moved(grid, rows, moves)[0]
    return grid.networks(near)


def just_before_jumps(network: BaseNetwork, lowest: int, highest: int) -> IntArray:
    """Resolutions after which one pixel more costs much more: feature maps of the last strides grow there.

    Example:
        >>> from sampler import base
        >>> just_before_jumps(base("efficientnet_b0"), 224, 304).tolist()
        [224, 240, 256, 272, 288, 304]
    """
    if own_steps(network):  # what its stride is nobody knows
        return np.empty(0, dtype=np.int64)
    reach = network.stride
    sides = np.arange(max(network.stride, lowest - reach), highest + reach + 2)
    rows = network.architecture()
    row = np.array([rows.resolution, rows.stem, *rows.widths, *rows.depths, rows.head], dtype=np.int64)
    many = np.tile(row, (len(sides), 1))
    many[:, 0] = sides
    rises = np.diff(count(from_rows(network, many)).macs)
    padded = np.pad(rises, reach, mode="edge")
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    jumps: IntArray = sides[:-1][rises >= _JUMP * largest]
    return jumps[(jumps >= lowest) & (jumps <= highest)]


def narrowest(network: BaseNetwork, rule: ScalingRule) -> int:
    """The fewest channels of the rule with which every block of the network can be built."""
    first = -(-max(rule.smallest, 1) // rule.divisor) * rule.divisor
    own = network.architecture()
    for channels in range(first, MAX_CHANNELS, rule.divisor):
        widths = buildable(network, np.full((1, len(network.stages)), channels))
        head = channels if network.head else 0
        row = np.array([[own.resolution, channels, *widths[0], *own.depths, head]], dtype=np.int64)
        try:
            for _ in blocks_of(network, from_rows(network, row), 1):
                pass
        except InputError:  # squeeze-excite, or a bottleneck, would have no channel
            continue
        return channels
    raise AssertionError(f"no width of {network.name} can be built")


def _buildable_column(network: BaseNetwork, values: IntArray, stage: int) -> IntArray:
    """The values moved to where the family can build the stage's blocks; a stem's or head's stay."""
    if not 0 <= stage < len(network.stages) or not len(values):
        return values
    widths = np.tile(np.array(network.widths, dtype=np.int64), (len(values), 1))
    widths[:, stage] = values
    return np.unique(buildable(network, widths)[:, stage])


def _values(rows: IntArray, moves: Sequence[Move]) -> tuple[IntArray, NDArray[np.bool_]]:
    """`(n, m)` values of the moved columns after every move of every row, and whether there is one."""
    pairs = [move.of(rows[:, move.column]) for move in moves]
    if not pairs:
        return np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0), dtype=bool)
    return np.stack([after for after, _ in pairs], axis=1), np.stack([there for _, there in pairs], axis=1)


def _distinct(
    grid: Grid, rows: IntArray, changes: Sequence[tuple[IntArray, IntArray, NDArray[np.bool_]]]
) -> tuple[IntArray, IntArray]:
    """Rows with the changes made, stem and head following; without copies and the rows given."""
    parents, which = np.nonzero(np.logical_and.reduce([there for _, _, there in changes]))
    result = rows[parents]
    for columns, after, _ in changes:
        result[np.arange(len(result)), columns[which]] = after[parents, which]
    last = 1 + len(grid.network.stages)
    ends = result[:, [2, last]] != rows[parents][:, [2, last]]
    result = grid.followed(result, ends)
    kept = unique_rows(np.concatenate([rows, result]))
    kept = kept[kept >= len(rows)] - len(rows)
    return result[kept], parents[kept]


def unique_rows(rows: IntArray) -> IntArray:
    """Numbers of the first of all equal rows, ascending."""
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    packed = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.sort(np.unique(packed, return_index=True)[1]).astype(np.int64)
