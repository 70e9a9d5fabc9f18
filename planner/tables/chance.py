"""Whether trainings are at the level of chance: then nothing that is computed from them says anything."""

from __future__ import annotations

from collections.abc import Iterable

from trainer.score import ACCURACY, Score

# An accuracy of less than so many times that of guessing is none; said of so many trainings, or more.
GUESSED, FEWEST_GUESSING = 1.25, 3


def guessing(accuracies: Iterable[float], classes: int, score: Score = ACCURACY) -> str | None:
    """That most trainings learned nothing, in words; None where they did, or are too few to say so.

    Args:
        accuracies: Accuracies of the trainings, in [0, 1].
        classes: Outputs of their classifier.
        score: Number that they are judged by; of others than accuracy nobody knows what guessing gives.

    Example:
        >>> guessing([0.17, 0.16, 0.18, 0.5], classes=6)
        '3 of 4 trainings are hardly better than guessing among 6 classes (16.7%)'
    """
    if not score.is_accuracy or classes < 2:
        return None
    known = [float(accuracy) for accuracy in accuracies]
    lost = sum(accuracy <= GUESSED / classes for accuracy in known)
    if len(known) < FEWEST_GUESSING or lost < len(known) / 2:
        return None
    return (
        f"{lost} of {len(known)} trainings are hardly better than guessing among {classes} classes ({1 / classes:.1%})"
    )


def warning_of(accuracies: Iterable[float], classes: int, score: Score = ACCURACY) -> str | None:
    """`guessing`, with what that means for whatever is computed from them, and the way out."""
    why = guessing(accuracies, classes, score)
    return why and f"{why}: what follows from them is noise; train longer, or with more images"
