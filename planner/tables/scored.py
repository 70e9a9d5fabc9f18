"""Tables of trainings as people read them: scores as they were reported, under their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.score import ACCURACY_NAME, Score

if TYPE_CHECKING:
    import pandas as pd


def outward_frame(frame: pd.DataFrame, score: Score, merits: bool = True) -> pd.DataFrame:
    """A table with the score's values in a column of its name; as it is for accuracy.

    Args:
        frame: Rows with a column `accuracy`.
        score: Number that they are judged by.
        merits: Whether that column holds merits, as models see them; else values.
    """
    if score.is_accuracy or ACCURACY_NAME not in frame:
        return frame
    if score.lower and merits:
        frame = frame.assign(**{ACCURACY_NAME: -frame[ACCURACY_NAME]})
    # A loss that is the score is told once.
    return frame.drop(columns=[score.name], errors="ignore").rename(columns={ACCURACY_NAME: score.name})
