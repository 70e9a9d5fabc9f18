"""Cheap scores of a study's architectures, beside their accuracies: Zen-score, and inherited weights fine-tuned.

The table that comes of it has a row per architecture of the study and a column per score; `planner audit` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.scores.heirs import Heirs, HeirScore, read_parents, with_shares
from planner.study.reader import Records
from planner.tables.scored import outward_frame
from planner.tables.table import csv_text
from planner.text.documents import write_own
from planner.training.measuring import Jobs, with_images, zen_asked, zen_bytes
from planner.training.resources import Resources
from sampler import Architecture
from sampler.moves import stage_columns
from trainer.devices import one_device
from trainer.observation import Observation

if TYPE_CHECKING:
    import pandas as pd

_Tell = Callable[[str], None]
# Columns of an earlier call's file that are words.
_WORDS = ("inherited_parent",)
# Not told with each architecture: a share changes until the last of a parent's children is scored.
UNTOLD = (*_WORDS, "inherited_parent_seconds")


def score(ledger: Records, cache: Path, zen: bool, inherit: int, resources: Resources, tell: _Tell) -> pd.DataFrame:
    """Scores every architecture that a study has trained, several at a time; goes on where it was stopped.

    Args:
        ledger: The study's ledger.
        cache: Folder of decoded images.
        zen: Whether to compute Zen-scores.
        inherit: Epochs of the fine-tune of inherited weights; 0 for none.
        resources: Where, as trainings are placed.
        tell: Told what is done.

    Returns:
        The study's rows with the columns `zen`, `zen_std`, `zen_per_block`, and `inherited` (accuracy after the
        fine-tune) with `inherited_seconds` (of the fine-tune), `inherited_parent` (whose weights: a file's name in the
        study's folder `parents`) and `inherited_parent_seconds` (of the parent's training, divided by the rows that
        share it: both columns of seconds add up to what the scores cost), those asked for; also written to
        `scores.csv`.

    Raises:
        PlannerError: If nothing was trained, or the images or the device are not there.
    """
    one_device(resources.device)  # refuses one that is not there, whatever is left to do
    table = _Scores(ledger, tell)
    if zen and (waiting := table.without("zen")):
        settings = ledger.settings
        with Jobs(ledger.folder, resources, tell, zen_bytes) as jobs:
            asked = [zen_asked(one, settings.data.classes, settings.seed) for one in waiting]
            for found in jobs(asked, table.add_zen):
                table.add_zen(found)
    if inherit and (waiting := table.without("inherited")):
        with with_images(ledger, cache, resources, tell) as jobs:
            heirs = Heirs(ledger, cache, waiting, inherit, jobs, tell)
            heirs.scores(table.add)
            for why in filter(None, map(heirs.why_not, waiting)):
                tell(why)
    return table.written()


class _Scores:
    """The scores of a study's trials, and their table.

    Args:
        ledger: The study's ledger.
        tell: Told of each score.

    Raises:
        PlannerError: If nothing was trained, or the table is none.
    """

    def __init__(self, ledger: Records, tell: _Tell) -> None:
        self.ledger, self.tell = ledger, tell
        self.frame = outward_frame(ledger.table().frame, ledger.settings.score)
        self.path = ledger.folder / "scores.csv"
        self.known = read_scores(self.path)
        base, stages = ledger.space.base, len(ledger.space.network.stages)
        self.trials: dict[Architecture, list[int]] = {}
        for trial, row in zip(self.frame["trial"], rows(self.frame), strict=True):
            self.trials.setdefault(_architecture_of(row, base, stages), []).append(int(trial))

    def without(self, name: str) -> list[Architecture]:
        """The architectures that lack a score."""
        return [
            one for one, trials in self.trials.items() if any(name not in self.known.get(trial, {}) for trial in trials)
        ]

    def add_zen(self, found: Observation) -> None:
        """Adds Zen-scores; nothing of a job that failed."""
        if found.history:
            self.add(found.architecture, dict(found.history[-1].facts))

    def add(self, architecture: Architecture, scores: HeirScore) -> None:
        """Adds scores to an architecture's trials, writes the table, and tells of it; once."""
        for trial in self.trials[architecture]:
            mine = self.known.setdefault(trial, {})
            if scores.keys() <= mine.keys():
                continue
            mine.update(scores)
            self.written()
            numbers = ((name, value) for name, value in scores.items() if name not in UNTOLD)
            done = sum(next(iter(scores)) in one for one in self.known.values())
            text = ", ".join(f"{name} {value:.4g}" for name, value in numbers)
            self.tell(f"[{done}/{len(self.frame)}] trial {trial}: {text}")

    def written(self) -> pd.DataFrame:
        """Writes the table, and gives it."""
        self.known = with_shares(self.known, read_parents(self.ledger.folder / "parents"))
        found = _joined(self.frame, self.known)
        write_own(self.path, csv_text(found))
        return found


def cost_of_inheritance(scores: pd.DataFrame, parents: Mapping[str, Any]) -> str:
    """What inherited scores cost beside the trainings that they stand for, parents included, in one line."""
    done = scores[scores["inherited"].notna()]
    tuned, raised = done["inherited_seconds"].sum(), sum(parent.seconds for parent in parents.values())
    trained = done["seconds"].sum()
    return (
        f"{len(done)} of {len(scores)} inherited; {len(parents)} parents trained in {raised:.0f} s, fine-tunes "
        f"{tuned:.0f} s: together {(raised + tuned) / trained:.0%} of these architectures' trainings ({trained:.0f} s)"
    )


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows, in order."""
    return [dict(row) for _, row in frame.iterrows()]


def _architecture_of(row: dict[str, Any], base: str, stages: int) -> Architecture:
    """The architecture of a row of a study's table."""
    widths, depths = (tuple(int(row[name]) for name in stage_columns(kind, stages)) for kind in ("width", "depth"))
    return Architecture(base, int(row["resolution"]), int(row["stem"]), widths, depths, int(row["head"]))


def read_scores(path: Path) -> dict[int, HeirScore]:
    """Scores by trial, of a file that an earlier call wrote.

    Raises:
        PlannerError: If it is not such a file.
    """
    import pandas as pd

    if not path.is_file():
        return {}
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(_WORDS, str))
        columns = [str(column) for column in frame if str(column).startswith(("zen", "inherited"))]
        return {
            int(row["trial"]): {
                name: row[name] if name in _WORDS else float(row[name]) for name in columns if not pd.isna(row[name])
            }
            for row in rows(frame)
        }
    except (ValueError, KeyError, OverflowError) as error:
        raise PlannerError(f"{path}: not a table of scores ({error}); remove it and score again") from error


def _joined(frame: pd.DataFrame, known: dict[int, HeirScore]) -> pd.DataFrame:
    import pandas as pd

    scores = pd.DataFrame.from_dict(known, orient="index").rename_axis("trial").reset_index()
    return frame.merge(scores, on="trial", how="left") if len(scores.columns) > 1 else frame
