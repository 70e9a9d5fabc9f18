"""Options that a study is made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from planner.commands.options import EPOCH_RANGE, PIXEL_RANGE, SEED, Base
from planner.commands.together import needs
from planner.commands.types import Number, Whole

if TYPE_CHECKING:
    from trainer.score import Score

_F = TypeVar("_F", bound=Callable[..., Any])


def made_with(command: _F) -> _F:
    """The options a study is made with, ready-made as `options`; later calls may leave them out."""
    return needs("--classes", "--trainer", "--command")(made_or_asked_with(command))


def made_or_asked_with(command: _F) -> _F:
    """As `made_with`, for a study whose trainings somebody else may do, so that `--classes` alone mean something."""

    @wraps(command)
    def asked(**given: Any) -> Any:
        from planner.study.options import StudyOptions

        given["score"] = _score_of(*(given.pop(name) for name in ("score", "lower", "limit_score", "unit")))
        said = {one.name: given.pop(one.name) for one in fields(StudyOptions)}
        return command(options=StudyOptions(**said), **given)

    for of_score in ("--lower", "--limit-score", "--unit"):
        asked = needs(of_score, "--score")(asked)
    asked = needs("--score", "--trainer", "--command", "--classes")(asked)
    asked = needs("--score-file", "--command")(asked)
    options = (
        click.option(
            "--base",
            type=Base(typed=True),
            help="Base network (see `planner bases`), or one of yours: mynet.py:net (docs/networks.md).",
        ),
        click.option(
            "--data",
            metavar="SOURCE",
            help="fractal[:classes=20,..] (default), npz:PATH, imagefolder:PATH, cifar10:PATH, cifar100:PATH, hf:NAME.",
        ),
        click.option(
            "--skip-corrupt",
            is_flag=True,
            default=None,
            help="Leave out images that cannot be read, instead of stopping.",
        ),
        click.option("--resolution", type=PIXEL_RANGE, help="Pixels of the base network here; 64 by default."),
        click.option("--side", type=PIXEL_RANGE, help="Pixels images are decoded to; 1.25 x the largest r by default."),
        click.option(
            "--window",
            nargs=2,
            metavar="LOW HIGH",
            help="MACs of the networks: quantities (1M 10M), or multiples of the base's (0.03 1.05, the default).",
        ),
        click.option(
            "--space", type=click.Choice(["uniform", "stage"]), help="One d and w for all stages, or per stage."
        ),
        *(
            click.option(
                f"--{one}",
                nargs=2,
                type=float,
                metavar="LOW HIGH",
                help=f"Bounds of {one}, equal ones to hold it; {usual} by default.",
            )
            for one, usual in (("r", "0.35 to what the images have"), ("d", "0.35 2.8"), ("w", "0.35 2.8"))
        ),
        click.option("--rule", metavar="NAME", help="Scaling rule: inverse (default), tinynet, free .."),
        click.option(
            "--vary",
            metavar="KNOB",
            multiple=True,
            callback=lambda _, __, given: tuple(sorted(given)) or None,
            help="A knob of the base network that is drawn from its values, too; others follow their rules. Repeat it.",
        ),
        click.option("--epochs", type=EPOCH_RANGE, help="Epochs of a training; 3 by default."),
        click.option("--share", type=Number(0, 1, min_open=True), help="Share of the images; all by default."),
        click.option(
            "--holdout",
            type=Number(0, 0.9),
            help="Share of the training images that scores; 0.2 by default. 0 scores on the validation images.",
        ),
        click.option(
            "--recipe",
            metavar="NAME",
            help="Recipe: fast (default), tinynet, resnet, adjust, amplify, long, adjust-imagenet.",
        ),
        click.option(
            "--deterministic",
            is_flag=True,
            default=None,
            help="On a GPU, the same numbers every time, if more slowly; on a CPU they always are.",
        ),
        click.option(
            "--keep", type=Whole(0, 1000), metavar="K", help="Keep the weights of the K most accurate trainings."
        ),
        click.option("--seed", type=SEED, help="Of designs and trainings; 0 by default."),
        click.option(
            "--trainer",
            metavar="FILE.py:NAME",
            help="Train by a function of yours, a `planner` job in and a score out, instead of on images; also "
            "package.module:NAME, or what an installed package offers.",
        ),
        click.option(
            "--command",
            metavar="TEXT",
            help="Train by a program: 'python train.py --size {resolution} --widths {widths} --depths {depths} .. "
            "--epochs {epochs} --out {folder}', whose last line of JSON has the score (docs/trainers.md).",
        ),
        click.option(
            "--score-file", metavar="PATH", help="File that holds the score instead, such as '{folder}/result.json'."
        ),
        click.option(
            "--classes", type=Whole(1, 1_000_000), help="With --trainer or --command: outputs of the networks."
        ),
        click.option(
            "--score",
            metavar="NAME",
            help="With --trainer or --command: what it reports, such as rmse; accuracy, in [0, 1], by default.",
        ),
        click.option(
            "--lower/--higher", "lower", default=None, help="With --score: which is better; higher by default."
        ),
        click.option("--limit-score", type=float, metavar="X", help="With --score: the best possible, where known."),
        click.option("--unit", metavar="TEXT", help="With --score: its unit, which is printed behind it."),
        click.option("--storage", metavar="URL", help="Optuna storage; SQLite in the study's folder by default."),
    )
    for option in reversed(options):
        asked = option(asked)
    return cast(_F, asked)


def _score_of(name: str | None, lower: bool | None, limit: float | None, unit: str | None) -> Score | None:
    """The score that options name; None where nothing is said."""
    from trainer.score import Score

    return None if name is None else Score(name, bool(lower), limit, unit or "")
