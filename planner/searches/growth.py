"""Networks that grow one dimension at a time until they reach a cost: what greedy searches choose from.

Rows of integers as in `sampler.moves`; all rows of a call take their steps together and are counted together.
Notation:

    n            rows
    s            stages
    columns      (n,) the column that each row moves: 0 resolution, 2 + j width and 2 + s + j depth of stage j (from 0);
                 where stages are grouped, a group's first stage stands for all of it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, Architecture, BaseNetwork, FloatArray, IntArray
from sampler.complexity import count
from sampler.families import takes_every_width
from sampler.moves import from_rows
from sampler.scaling import buildable

MOST_AHEAD = 256  # steps of a row that are counted at once


class Grown(NamedTuple):
    """Rows after their growth.

    Attributes:
        rows: `(n, 3 + 2 s)` the first that cost as much as wanted; a row that may not grow so far stays below.
        macs: `(n,)` their MACs.
        below: `(n, 3 + 2 s)` the last that cost less; the row itself where it did not grow.
        below_macs: `(n,)` their MACs.
    """

    rows: IntArray
    macs: IntArray
    below: IntArray
    below_macs: IntArray


@dataclass(frozen=True)
class Growth:
    """How networks of one family grow, and what they cost.

    Attributes:
        network: The base network.
        classes: Outputs of the classifier.
        resolution_step: Pixels.
        width_step: Channels; where a family's blocks cannot have the width, up to the next that they can.
        depth_step: Blocks.
        grouped: Whether stages of one spatial size move together, a step each.
    """

    network: BaseNetwork
    classes: int
    resolution_step: int
    width_step: int
    depth_step: int
    grouped: bool = False

    @property
    def stages(self) -> int:
        """Stages of the base network."""
        return len(self.network.stages)

    @property
    def firsts(self) -> IntArray:
        """Numbers from 0 of the stages that groups begin with: of all stages where none are grouped."""
        strides = [stage.stride for stage in self.network.stages]
        found = [stage for stage in range(self.stages) if not self.grouped or stage == 0 or strides[stage] > 1]
        return np.array(found, dtype=np.int64)

    def macs(self, rows: IntArray) -> IntArray:
        """`(n,)` exact MACs of `(n, 3 + 2 s)` rows."""
        counted: IntArray = count(from_rows(self.network, rows), self.classes).macs
        return counted

    def grown(self, rows: IntArray, columns: IntArray, wanted: ArrayLike) -> Grown:
        """Each row, its column a step larger until the network costs at least what is wanted.

        Args:
            rows: `(n, 3 + 2 s)` integers.
            columns: `(n,)` the columns that move.
            wanted: `(n,)` MACs, or one for all.
        """
        grown = Grown(rows.copy(), self.macs(rows), rows.copy(), self.macs(rows))
        least = np.broadcast_to(wanted, len(rows))
        active, ahead = np.flatnonzero(grown.macs < least), 1
        while len(active):
            active = self._advance(grown, active, columns[active], least[active], ahead)
            ahead = min(2 * ahead, MOST_AHEAD)
        return grown

    def _advance(self, grown: Grown, active: IntArray, columns: IntArray, least: FloatArray, ahead: int) -> IntArray:
        """Moves the active rows by some steps, or to the first that costs enough.

        Args:
            grown: Is changed.
            active: `(m,)` numbers of rows below their goal.
            columns: `(m,)` the columns that they move.
            least: `(m,)` their goals, in MACs.
            ahead: Steps that are counted at once, because a count of many rows costs little more than of one.

        Returns:
            Numbers of the rows that are still below.
        """
        rows, each = self._path(grown.rows[active], columns, ahead), np.arange(len(active))
        allowed = np.all(rows <= np.maximum(self._most, grown.rows[active]), axis=2)
        macs = np.full(rows.shape[:2], grown.macs[active])
        inside = np.array(allowed)
        inside[0] = False
        macs[inside] = self.macs(rows[inside])
        stop = allowed & (macs >= least)
        end = np.where(stop.any(axis=0), stop.argmax(axis=0), allowed.sum(axis=0) - 1)
        moved = each[end > 0]
        grown.below[active[moved]] = rows[end[moved] - 1, moved]
        grown.below_macs[active[moved]] = macs[end[moved] - 1, moved]
        grown.rows[active], grown.macs[active] = rows[end, each], macs[end, each]
        below: IntArray = active[~stop.any(axis=0) & (end == ahead)]
        return below

    def words(self, before: Architecture, after: Architecture) -> str:
        """What changed, such as `stage 3 +1 block +6 channels` or `resolution +16 px`."""
        pixels = after.resolution - before.resolution
        words = [f"resolution +{pixels} px"] if pixels else []
        for stage in range(self.stages):
            blocks = after.depths[stage] - before.depths[stage]
            channels = after.widths[stage] - before.widths[stage]
            deeper = f" +{blocks} block{'s' * (blocks > 1)}" if blocks else ""
            wider = f" +{channels} channels" if channels else ""
            words += [f"stage {stage + 1}{deeper}{wider}"] * bool(deeper or wider)
        return ", ".join(words)

    def _path(self, rows: IntArray, columns: IntArray, steps: int) -> IntArray:
        """`(1 + steps, m, 3 + 2 s)` rows before and after every step of their columns."""
        if takes_every_width(self.network):
            path: IntArray = rows + np.arange(1 + steps)[:, None, None] * self._moves[columns]
            return path
        one_by_one = [rows]
        for _ in range(steps):
            one_by_one.append(self._stepped(one_by_one[-1], columns))
        return np.stack(one_by_one)

    def _stepped(self, rows: IntArray, columns: IntArray) -> IntArray:
        """Rows after one step of their columns; where a width is moved, to one that can be built."""
        moves, widths = self._moves[columns], slice(2, 2 + self.stages)
        result = rows + moves
        moved = moves[:, widths] > 0
        wider = np.flatnonzero(moved.any(axis=1))
        while len(wider):
            off = (buildable(self.network, result[wider, widths]) != result[wider, widths]) & moved[wider]
            result[wider, widths] += off
            wider = wider[off.any(axis=1)]
        return result

    @property
    def _steps(self) -> IntArray:
        """The step of each column; stem and head have none."""
        steps = [self.resolution_step, 0, *[self.width_step] * self.stages, *[self.depth_step] * self.stages, 0]
        return np.array(steps, dtype=np.int64)

    @property
    def _moves(self) -> IntArray:
        """`(3 + 2 s, 3 + 2 s)`: by the column that is moved, what a step adds to each."""
        moves = np.diag(self._steps)
        ends = [*self.firsts[1:].tolist(), self.stages]
        for first, end in zip(self.firsts.tolist(), ends, strict=True):
            for offset in (2, 2 + self.stages):
                own = slice(offset + first, offset + end)
                moves[offset + first, own] = self._steps[own]
        return moves

    @property
    def _most(self) -> IntArray:
        """The largest value of each column."""
        most = [MAX_PIXELS, 0, *[MAX_CHANNELS] * self.stages, *[MAX_BLOCKS] * self.stages, 0]
        return np.array(most, dtype=np.int64)


def by_resolution(growth: Growth, rows: IntArray, target: float) -> tuple[Grown, IntArray]:
    """Every network, larger images until the target.

    Returns:
        The `n` grown, and the `(n,)` rows they come from.
    """
    return growth.grown(rows, np.zeros(len(rows), dtype=np.int64), target), np.arange(len(rows))


def by_stage(
    growth: Growth, rows: IntArray, target: float, tolerance: float, ratios: ArrayLike, literal: bool
) -> tuple[Grown, IntArray]:
    """Every network, every stage, every ratio: first deeper for a share of the MACs, then wider until the target.

    Blocks are added while the network costs less than T_d. With M the MACs of a row, T the target and p the ratio

        T_d = M + p (T - M)     and the last block is taken back where depth alone passes T by more than the tolerance
        T_d = p T               literally as printed in the paper's Algorithm 2

    Args:
        growth: The steps.
        rows: `(m, 3 + 2 s)` networks to start from; those that cost the target or more are left out.
        target: MACs.
        tolerance: MACs.
        ratios: `(k,)` the ratios p.
        literal: Which of the two.

    Returns:
        The `n` grown, equal ones of one stage once, and the `(n,)` rows they come from.
    """
    start, shares = growth.macs(rows), np.asarray(ratios, dtype=np.float64)
    grid = np.meshgrid(np.flatnonzero(start < target), growth.firsts, np.arange(len(shares)), indexing="ij")
    parents, stages, which = (part.ravel() for part in grid)
    done = np.zeros(len(rows)) if literal else start
    wanted = done[parents] + shares[which] * (target - done[parents])
    deeper = growth.grown(rows[parents], 2 + growth.stages + stages, wanted)
    too_deep = (deeper.macs > target + tolerance) & (not literal)
    deep = np.where(too_deep[:, None], deeper.below, deeper.rows)
    distinct = np.unique(np.column_stack([parents, stages, deep]), axis=0, return_index=True)[1]
    distinct = np.sort(distinct)
    return growth.grown(deep[distinct], 2 + stages[distinct], target), parents[distinct]
