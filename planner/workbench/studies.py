"""Making, opening and listing studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.errors import PlannerError
from planner.study.folder import existing, folder_of, remember
from planner.study.opening import opened
from planner.study.options import StudyOptions
from planner.study.studies import Standing, standings
from planner.training.making import make_study
from planner.workbench.own_trainer import known_trainer, trainer_name
from planner.workbench.study import Study
from sampler.checks import shown
from trainer.protocol import Trainer
from trainer.score import Score, score_from


def create_study(
    name: str,
    *,
    load_if_exists: bool = False,
    base: str | Callable[..., Any] | None = None,
    trainer: str | Trainer | None = None,
    command: str | None = None,
    score_file: str | None = None,
    data: str | None = None,
    classes: int | None = None,
    skip_corrupt: bool = False,
    resolution: int | None = None,
    side: int | None = None,
    window: tuple[float | str, float | str] | None = None,
    space: str | None = None,
    r: tuple[float, float] | None = None,
    d: tuple[float, float] | None = None,
    w: tuple[float, float] | None = None,
    rule: str | None = None,
    vary: Sequence[str] | None = None,
    epochs: int | None = None,
    share: float | None = None,
    holdout: float | None = None,
    recipe: str | None = None,
    deterministic: bool = False,
    seed: int | None = None,
    storage: str | None = None,
    score: Score | Mapping[str, Any] | None = None,
    keep: int | None = None,
) -> Study:
    """Makes a study in `results/NAME`; nothing is queued in it yet. Images are decoded, which may take a while.

    Args:
        name: Name of the study.
        load_if_exists: Whether a study of that name is opened instead, which what is said here may not change.
        base: The base network: its name, `FILE.py:NAME`, or a function that `planner.network` decorates;
            `efficientnet_b0` by default.
        trainer: The trainer, if not the trainer of images: `FILE.py:NAME`, `package.module:NAME`, a registered name; or
            a function of a job, which then trains in this process. It has its own data, so that `classes` are needed.
        command: A program that trains, instead of a trainer: its command line, with `{resolution}`, `{widths}` .. in it
            (docs/trainers.md).
        score_file: File that holds the program's score in the end, such as `"{folder}/result.json"`; its last line of
            JSON by default.
        data: Source of the images: `imagefolder:PATH`, `npz:PATH`, `cifar10:PATH`; generated fractals by default.
        classes: Outputs of the classifier, of a study without images of ours: another trainer does its trainings, or
            they are asked for and told.
        skip_corrupt: Whether images that cannot be read are left out, instead of refused.
        resolution: Pixels of the base network here; 64 by default, or a declared network's own.
        side: Pixels that images are decoded to, which bounds r; 1.25 x the largest r x resolution by default.
        window: Lowest and highest MACs of networks: quantities (`"1M"`), or multiples of the base network's (`0.03`).
        space: `"uniform"` (default): one d and one w for all stages; `"stage"`: each stage its own.
        r: Lowest and highest resolution multiplier; equal ones hold it.
        d: Lowest and highest depth multiplier.
        w: Lowest and highest width multiplier.
        rule: Name of the scaling rule; `inverse` by default, or the one that a declared network has.
        vary: Names of the knobs that are drawn from their values, too; others follow their rules.
        epochs: Epochs of a training; 3 by default.
        share: Share of the images, in (0, 1]; all by default.
        holdout: Share of the training images that scores, in [0, 0.9]; 0.2 by default.
        recipe: Name of the recipe: `fast` (default), `tinynet`, `resnet`, `adjust`, `amplify`, `long`,
            `adjust-imagenet`.
        deterministic: Whether a GPU gives the same numbers every time, if more slowly; on a CPU they always are.
        seed: Random seed of designs and trainings; 0 by default.
        storage: URL of an Optuna storage; SQLite in the study's folder by default.
        score: Number that another trainer's trainings are judged by: `planner.Score("rmse", lower=True)`, or its
            fields in a dict; accuracy by default.
        keep: Trainings, the most accurate, whose weights are kept; none by default.

    Raises:
        PlannerError: If there is a study of that name (and it is not to be loaded, or was made otherwise), or the
            options are impossible: then nothing is left of the study.
    """
    options = StudyOptions(
        base=base,
        trainer=None if trainer is None else trainer_name(trainer),
        command=command,
        score_file=score_file,
        data=data,
        classes=classes,
        skip_corrupt=skip_corrupt or None,
        resolution=resolution,
        side=side,
        window=None if window is None else _typed(window),
        space=space,
        r=r,
        d=d,
        w=w,
        rule=rule,
        vary=None if vary is None else tuple(sorted(vary)),
        epochs=epochs,
        share=share,
        holdout=holdout,
        recipe=recipe,
        deterministic=deterministic or None,
        seed=seed,
        storage=storage,
        score=None if score is None else _score(score),
        keep=keep,
    )
    folder, function = folder_of(name), None if isinstance(trainer, str) else trainer
    with known_trainer(function):
        made = make_study(name, options)
    if made is None:
        if not load_if_exists:
            raise PlannerError(f"{folder}: a study of that name is there; load_if_exists=True opens it")
        opened(folder, options)
        remember(folder)
    return Study(folder, function)


def load_study(name: str | None = None, *, trainer: Trainer | None = None) -> Study:
    """The study of a name; the last one used by default.

    Args:
        name: Name of the study.
        trainer: Function that the study was made with, to go on with trainings in this process.

    Raises:
        PlannerError: If there is none; names those that there are. Or it was made with another trainer.
    """
    study = Study(existing(name), trainer)
    remember(study.folder)
    return study


def list_studies() -> list[Standing]:
    """How every study in `results/` stands, the last used first."""
    return standings()


def _score(given: Any) -> Score:
    if isinstance(given, Score):
        return given
    if not isinstance(given, Mapping):
        raise PlannerError(f"score {shown(given)}: planner.Score(name, lower=..), or its fields in a dict, is wanted")
    return score_from(given)


def _typed(window: tuple[float | str, float | str]) -> tuple[str, str]:
    """A window as it is typed on a command line.

    Raises:
        PlannerError: If it is no two quantities.
    """
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise PlannerError(f"window {window!r:.60}: two quantities are wanted, the lower one first, as ('1M', '10M')")
    low, high = window
    return str(low), str(high)
