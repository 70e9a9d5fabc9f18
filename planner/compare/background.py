"""What the methods of a comparison may know: of a study, or of a table of trainings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from planner.answers.formula import Formula
from planner.errors import PlannerError
from planner.fitting.fit import fit
from planner.searches.record import FOLDER, SearchRecord, read_found
from planner.study.reader import Records
from planner.study.trials import trained
from planner.tables.table import Table, frame_sha256, usable
from sampler import SearchSpace
from trainer.score import ACCURACY, Score

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Background:
    """What the methods may know.

    Attributes:
        name: Name of the study or the table.
        base: Name of the base network.
        resolution: Resolution that r multiplies, in pixels.
        classes: Outputs of the classifier.
        epochs: Number of epochs of the trainings that compare.
        side: Pixels to which images are decoded; 0 where nothing is trained.
        own: The study's own trainings, averaged over seeds; None where it has none.
        trainings: How many those were.
        seconds: How long they took, summed up.
        formula: The formula fitted on them, or None.
        searches: Results of searches.
        space: Where the study's networks were drawn; None where nobody says.
        seed: The study's, of what is drawn at random.
        score: Number that the trainings are judged by.
    """

    name: str
    base: str
    resolution: int
    classes: int
    epochs: int
    side: int = 0
    own: Table | None = None
    trainings: int = 0
    seconds: float = 0.0
    formula: Formula | None = None
    searches: tuple[SearchRecord, ...] = ()
    space: SearchSpace | None = None
    seed: int = 0
    score: Score = ACCURACY

    @cached_property
    def fitted_compound(self) -> Formula:
        """The one compound rule that these trainings bear out best.

        Raises:
            PlannerError: If there are none, or too few.
        """
        return fit(self._trainings(), "compound")

    @cached_property
    def literal_formula(self) -> Formula:
        """TinyNet's curves through the front of these trainings as they were observed.

        Raises:
            PlannerError: If there are none, or too few.
        """
        return fit(self._trainings(), "tinynet", raw=True)

    def _trainings(self) -> Table:
        if self.own is None:
            raise PlannerError(f"{self.name}: no finished training; run `planner train`")
        return self.own


def study_background(ledger: Records, epochs: int) -> Background:
    """What a study knows: its own trainings, its formula, what was searched on it.

    Args:
        ledger: The study's ledger.
        epochs: Number of epochs of the trainings that compare.

    Raises:
        PlannerError: If its formula, or what a search found, is damaged.
    """
    settings, folder = ledger.settings, ledger.folder
    own = trained(ledger.frame())
    path = folder / "formula.json"
    return Background(
        name=str(folder),
        base=settings.base,
        resolution=settings.space.resolution,
        classes=settings.data.classes,
        epochs=epochs,
        side=settings.data.side,
        own=usable(own, frame_sha256(own), str(folder), settings.base, settings.score) if len(own) else None,
        trainings=len(own),
        seconds=_seconds(own),
        formula=Formula.load(path) if path.is_file() else None,
        searches=tuple(read_found(folder / FOLDER)),
        space=settings.search_space(),
        seed=settings.seed,
        score=settings.score,
    )


def table_background(name: str, table: Table, epochs: int) -> Background:
    """What a table of trainings knows: its trainings, as if they were a study's own.

    Args:
        name: Name of the file.
        table: The table.
        epochs: Number of epochs of the trainings that are looked up.
    """
    task = (table.base, table.resolution, table.classes)
    return Background(name, *task, epochs, 0, table, len(table.every), _seconds(table.every))


def agreeing(study: Background, table: Background) -> Background:
    """The study's knowledge, for networks that are looked up in a table of the same task.

    Raises:
        PlannerError: If it is another task.
    """
    if study.score != table.score:
        raise PlannerError(
            f"{table.name}: a table of accuracies, but {study.name} has {study.score.name}; leave --study out"
        )
    for name in ("base", "resolution", "classes"):
        ours, theirs = getattr(study, name), getattr(table, name)
        if ours != theirs:
            raise PlannerError(f"{table.name}: {name} is {theirs}, but {ours} in {study.name}; leave --study out")
    return study


def _seconds(frame: pd.DataFrame) -> float:
    """Of all rows together, as far as they say."""
    return float(frame["seconds"].sum()) if "seconds" in frame else 0.0
