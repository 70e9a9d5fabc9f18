"""What a user asks of a study when it is made: checked, made into settings, compared with those of one that exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.study.designs import APART
from planner.study.folder import cache_of
from planner.study.network import network_settings
from planner.study.ranges import SIDES
from planner.study.settings import StudySettings, checked
from planner.study.urls import safe_url
from planner.study.windows import is_multiples, window_multiples
from planner.text.quantities import format_count
from sampler import rule_named
from sampler.complexity import base_macs
from trainer.command_line import check_command, check_program
from trainer.declared.images import check_images
from trainer.declared.loading import load_network
from trainer.image_data import ImageData, Progress, fitted_labels, side_needed
from trainer.images import load_images, skipping
from trainer.observation import COMMAND
from trainer.pictures import first_names
from trainer.recipe import EDITION, Recipe, recipe_named
from trainer.score import ACCURACY, Score
from trainer.trainers import trainer_named

_BASE = "efficientnet_b0"
_RESOLUTION = 64
_HARDLY_SMALLER = 0.5  # what r can be at least, in most studies
_USUAL_R, _MOST_R = 1.4, 2.8  # the largest r drawn
_UNKNOWN_CLASSES = 2  # until the images are read


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What is asked of a study; None where nothing is said, which is as a new study has it by default.

    Attributes:
        base: The base network, as `trainer.declared.loading.load_network` takes it; `efficientnet_b0`.
        data: Source of the images, such as `imagefolder:PATH`; generated fractals.
        classes: Outputs of the classifier, of a study whose images only the user's own training knows; else those of
            the images.
        skip_corrupt: Whether images that cannot be read are left out.
        resolution: Pixels of the base network here; 64, or a declared network's own.
        side: Pixels that images are decoded to; the recipe's margin (1.25) x the largest r x resolution.
        window: Lowest and highest MACs: quantities (`1M`), or multiples of the base network's (`0.03`).
        space: `uniform` (one d and w for all stages) or `stage`.
        r: Lowest and highest resolution multiplier.
        d: Lowest and highest depth multiplier.
        w: Lowest and highest width multiplier.
        rule: Name of the scaling rule; `inverse`, or a declared network's own.
        epochs: Epochs of a training; 3.
        share: Share of the images; all.
        holdout: Share of the training images that scores; 0.2.
        recipe: Name of the recipe; `fast`.
        deterministic: Whether a GPU gives the same numbers every time, if more slowly; no.
        seed: Random seed of designs and trainings; 0.
        storage: URL of an Optuna storage; SQLite in the study's folder.
        keep: Most accurate trainings whose weights are kept; 0.
        trainer: Name of the trainer, as `trainer.trainers.trainer_named` takes it; the image trainer.
        command: Command line of a program that trains, instead of a trainer, as `trainer.command_line` takes it.
        score_file: Path of the file that holds its score; what it prints.
        vary: Names of the knobs that are drawn, too; none.
        score: Number that trainings are judged by; accuracy.
    """

    base: str | Callable[..., Any] | None = None
    data: str | None = None
    classes: int | None = None
    skip_corrupt: bool | None = None
    resolution: int | None = None
    side: int | None = None
    window: tuple[str, str] | None = None
    space: str | None = None
    r: tuple[float, float] | None = None
    d: tuple[float, float] | None = None
    w: tuple[float, float] | None = None
    rule: str | None = None
    epochs: int | None = None
    share: float | None = None
    holdout: float | None = None
    recipe: str | None = None
    deterministic: bool | None = None
    seed: int | None = None
    storage: str | None = None
    keep: int | None = None
    trainer: str | None = None
    command: str | None = None
    score_file: str | None = None
    vary: tuple[str, ...] | None = None
    score: Score | None = None

    @property
    def source(self) -> str | None:
        """Source of the images; whether corrupt ones are skipped is a part of it."""
        return skipping(self.data) if self.data is not None and self.skip_corrupt else self.data

    def given(self) -> dict[str, Any]:
        """What was said, by its name."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}


def settings_of(folder: Path, options: StudyOptions, tell: Progress | None = None) -> tuple[StudySettings, list[str]]:
    """Settings from options.

    The images are decoded once here, because the number of classes is part of every cost; but for a study whose
    `classes` are said.

    Args:
        folder: The study's folder, which keeps the decoded images.
        options: Options that the user gave.
        tell: Called with (what, done, total) while images are decoded.

    Returns:
        The settings, and what is to be said of them.

    Raises:
        PlannerError: If they are impossible.
    """
    source = options.source or "fractal"
    if source != source.encode("utf-8", "replace").decode():
        raise PlannerError(f"--data {source}: a path that is no UTF-8, as study.toml is; rename that file or folder")
    if options.trainer is not None or options.command is not None:
        _check_beside_trainer(options)
    if options.score not in (None, ACCURACY) and options.classes is None:
        raise PlannerError("--score is another trainer's: the trainer of images is judged by accuracy; leave it out")
    if options.classes is not None:
        if options.data is not None:
            raise PlannerError("images say how many classes they have; leave --classes out")
        settings = _settings(options, {"classes": options.classes, "source": ""})
        return settings, [f"warning: {doubt}" for doubt in _bound_doubts(settings, options.r is not None)]
    check_images(load_network(options.base or _BASE).name)
    settings = _settings(options, {"classes": _UNKNOWN_CLASSES})  # before images are decoded, which may take long
    data = load_images(source, settings.data.side, cache=cache_of(folder), progress=tell)
    doubts = [f"{data.source}: {note}" for note in data.notes]
    doubts += [f"warning: {doubt}" for doubt in _doubts(settings, data, options.r is not None)]
    if data.unread:
        names = first_names(data.unread, 3)
        doubts.insert(0, f"{data.source}: {len(data.unread)} images cannot be read and are left out: {names}")
    images = {"classes": len(data.classes), "fingerprint": data.fingerprint, "source": data.source}
    return _settings(options, images), doubts


def _check_beside_trainer(options: StudyOptions) -> None:
    """Refuses a trainer that is none, and what is the image trainer's beside another one.

    Raises:
        PlannerError: Naming the option.
    """
    given = f"--trainer {options.trainer}" if options.command is None else "--command"
    if options.command is not None and options.trainer is not None:
        raise PlannerError(f"--command and --trainer {options.trainer} are two trainers; leave one out")
    for name in ("data", "side", "holdout", "recipe", "deterministic", "keep"):
        if getattr(options, name) is not None:
            option = given.split()[0]
            raise PlannerError(f"--{name} has no effect beside {option}, which looks after its own data; leave it out")
    if options.classes is None:
        raise PlannerError(f"{given}: say how many outputs networks have, such as --classes 10")
    if options.command is not None:
        check_command(options.command, options.score_file or "", load_network(options.base or _BASE))
        check_program(options.command)
    elif options.trainer is not None:
        trainer_named(options.trainer)


def _settings(options: StudyOptions, images: dict[str, Any]) -> StudySettings:
    """Settings from options and from what is known of the images."""
    network = load_network(options.base or _BASE)
    declared = network_settings(network.name, options.base)
    usual_side = _RESOLUTION if declared is None else network.resolution
    resolution = usual_side if options.resolution is None else options.resolution
    side, most_r = _side_and_r(options, resolution)
    space: dict[str, Any] = {
        **({"rule": network.rule} if rule_named(network.rule).stepped else {}),
        "resolution": resolution,
        "r": (0.35, most_r),
        "apart": 0.0 if options.space == "stage" else APART,
        **_renamed(options, rule="rule", r="r", d="d", w="w", space="kind"),
        **({"knobs": sorted(options.vary)} if options.vary else {}),
    }
    if options.window is not None:
        space["window"] = window_multiples(options.window, network.name, resolution, images["classes"])
    document = {
        "base": network.name,
        "network": declared,
        **_renamed(options, seed="seed", storage="storage", trainer="trainer", keep="keep"),
        **({} if options.score is None else {"score": options.score.as_dict()}),
        **_command(options),
        "data": {"side": side, **_renamed(options, holdout="holdout"), **images},
        "space": space,
        "fidelity": _renamed(options, epochs="epochs", share="data_share"),
        "recipe": {**_renamed(options, recipe="name", deterministic="deterministic"), "edition": EDITION},
    }
    return checked(document, "study")


def _side_and_r(options: StudyOptions, resolution: int) -> tuple[int, float]:
    """Pixels that images are decoded to, and the largest r drawn where nothing is said.

    At the largest r crops have the recipe's margin, too; else a larger r would also mean more blurred images. A side
    that is given bounds r as it is: `_margin_doubts` say what it leaves without.
    """
    if options.side is not None:
        return options.side, min(_MOST_R, options.side / resolution)
    if options.classes is not None:  # others' data are as large as they like
        side = round(_MOST_R * resolution)
        return side, min(_MOST_R, side / resolution)
    largest_r = _USUAL_R if options.r is None else options.r[1]
    if not 0 < largest_r * resolution <= SIDES[1]:  # of which is said elsewhere what is wrong
        largest_r = _USUAL_R
    margin, largest = recipe_named(options.recipe or Recipe.name).margin, round(largest_r * resolution)
    return min(SIDES[1], side_needed(largest, margin)), largest / resolution


def _command(options: StudyOptions) -> dict[str, Any]:
    """The program that trains, as study.toml has it, if there is one."""
    if options.command is None:
        return {}
    return {"trainer": COMMAND, "command": {"line": options.command, "score_file": options.score_file or ""}}


def _renamed(options: StudyOptions, **names: str) -> dict[str, Any]:
    """Of some options those that were said, by their names in study.toml."""
    return {new: value for name, new in names.items() if (value := getattr(options, name)) is not None}


def _bound_doubts(settings: StudySettings, r_given: bool) -> Iterator[str]:
    """What of the bounds of r and w one may not expect."""
    side, least = settings.space.resolution, settings.search_space().r[0]
    if settings.space.r[0] < least and (r_given or least > _HARDLY_SMALLER):
        yield f"r below {least:.3g} is not possible: nothing is smaller than {round(least * side)} px"
    if settings.space.w[0] == settings.space.w[1]:
        yield "w is held in the trainings, but a formula gives r and d and solves the width for each budget"


def _doubts(settings: StudySettings, data: ImageData, r_given: bool) -> Iterator[str]:
    """What a study that is made will not do as one may expect."""
    yield from _bound_doubts(settings, r_given)
    yield from _margin_doubts(settings)
    images = len(fitted_labels(data.train.labels, settings.data.holdout, settings.fidelity.data_share))
    batch = settings.recipe.batch_size
    if images < batch:
        yield (
            f"{images} images to train on make no batch of {batch}, and no training will begin: give more images or "
            f"--share, or set batch_size in [recipe] of study.toml to {max(2, images // 2)} or so"
        )


def _margin_doubts(settings: StudySettings) -> Iterator[str]:
    """From where on the images leave no margin."""
    side, space, margin = settings.data.side, settings.space, settings.recipe.margin
    needed = side_needed(round(space.r[1] * space.resolution), margin)
    if side < needed:
        yield (
            f"images of {side} px leave crops their margin ({margin:g} x the input) up to r = "
            f"{side / margin / space.resolution:.3g} only; above it a larger r also means more blurred images: give "
            f"--side {needed} or none, or a smaller --r"
        )


def options_of(settings: StudySettings) -> StudyOptions:
    """The options that a study was made with, as its settings tell; its window is in multiples."""
    space, low_high = settings.space, settings.space.window
    return StudyOptions(
        base=settings.base,
        data=settings.data.source,
        classes=settings.data.classes,
        resolution=space.resolution,
        side=settings.data.side,
        window=(f"{low_high[0]:.4g}", f"{low_high[1]:.4g}"),
        space=space.kind,
        r=space.r,
        d=space.d,
        w=space.w,
        rule=space.rule,
        epochs=settings.fidelity.epochs,
        share=settings.fidelity.data_share,
        holdout=settings.data.holdout,
        recipe=settings.recipe.name,
        deterministic=settings.recipe.deterministic,
        seed=settings.seed,
        storage=settings.storage,
        trainer=settings.trainer,
        command=settings.command.line if settings.command else None,
        score_file=settings.command.score_file if settings.command else None,
        keep=settings.keep,
        vary=tuple(space.knobs),
        score=settings.score,
    )


def diff(made: StudyOptions, wanted: StudyOptions) -> Iterator[tuple[str, Any, Any]]:
    """What was said of a study and is not so: each option's name, what it is, and what was said."""
    for name, value in replace(wanted, data=wanted.source, skip_corrupt=None).given().items():
        if value != (now := getattr(made, name)):
            yield name, now, value


def changed_option(study: str, settings: StudySettings, options: StudyOptions) -> str:
    """What an option would change; empty where none does. A study's trainings could not be compared otherwise.

    Args:
        study: The study's name.
        settings: Settings that it was made with.
        options: Options that are given now.

    Raises:
        PlannerError: If an option is impossible, whatever the study was made with.
    """
    if options.base is not None:
        options = replace(options, base=load_network(options.base).name)
    for name, known in (("rule", rule_named), ("recipe", recipe_named)):
        if (value := getattr(options, name)) is not None:
            known(value)  # refuses names that nobody knows, before they are compared
    made = options_of(settings)
    if options.window is not None:
        made = replace(made, window=_window_as(settings, options.window))
    for name, now, value in diff(made, options):
        was, said = (_typed(name, one) for one in (now, value))
        said = "another one" if was == said else said  # which differs in a password
        return f"study {study} was made with --{name} {was}, not {said}; leave the option out, or take another --study"
    return ""


def _window_as(settings: StudySettings, typed: tuple[str, str]) -> tuple[str, str]:
    """The window of a study, in the words of a typed one where it is the same, else in its unit."""
    space, classes = settings.space, settings.data.classes
    window = window_multiples(typed, settings.base, space.resolution, classes)
    if [f"{value:.4g}" for value in window] == [f"{value:.4g}" for value in space.window]:
        return typed
    if is_multiples(typed):
        return f"{space.window[0]:.4g}", f"{space.window[1]:.4g}"
    one = base_macs(settings.base, space.resolution, classes)
    return format_count(space.window[0] * one), format_count(space.window[1] * one)


def _typed(name: str, value: Any) -> str:
    """A value as one types it on a command line."""
    if isinstance(value, tuple):
        return " ".join(_typed(name, one) for one in value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Score):
        return value.typed
    return safe_url(value) if name == "storage" and value else str(value) or "''"
