"""A study is a folder: finding it, making it, opening it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from planner.errors import PlannerError
from planner.text.quantities import format_count, parse_count
from trainer.files import write_atomically

if TYPE_CHECKING:
    from planner.study.ledger import Ledger
    from planner.study.reader import Records
    from planner.study.settings import StudySettings
    from trainer.image_data import ImageData, Progress

_R = TypeVar("_R", bound="Records")
RESULTS = Path("results")
LAST = RESULTS / ".last-study"
DEFAULT_NAME = "study"
DEFAULT_RESOLUTION = 64
HARDLY_SMALLER = 0.5  # what r can be at least, in most studies
_SIDE = 1.4  # decoded side over the base resolution: the largest r drawn
_LARGEST_R = 2.8  # with another trainer, whose data are as large as it likes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_NAMED = 5  # studies in an error
BOUNDED = ("r", "d", "w")
# Multiples of the base network's MACs are small numbers, MACs are not.
LARGEST_MULTIPLE = 1000.0


def folder_of(name: str | None) -> Path:
    """The folder of a study: the one named, else the last one used in this folder.

    Raises:
        PlannerError: If the name cannot be a folder's.
    """
    if name is None:
        name = LAST.read_text(encoding="utf-8", errors="replace").strip() if LAST.is_file() else DEFAULT_NAME
    if not NAME.fullmatch(name):
        raise PlannerError(f"--study {name!r}: letters, digits, dot, dash and underscore are wanted")
    return RESULTS / name


def open_ledger(name: str | None) -> Ledger:
    """The ledger of a study that exists, to be written too; the study becomes the last one used.

    Raises:
        PlannerError: If there is no such study.
    """
    from planner.study.ledger import Ledger

    return _opened(name, Ledger)


def read_ledger(name: str | None) -> Records:
    """The ledger of a study that exists, to be read: where it is nothing is written, nor need one be allowed to.

    Raises:
        PlannerError: If there is no such study.
    """
    from planner.study.reader import Records

    return _opened(name, Records)


def _opened(name: str | None, kind: Callable[[Path, StudySettings], _R]) -> _R:
    from planner.study.settings import read_settings

    folder = existing(name)
    ledger = kind(folder, read_settings(folder / "study.toml"))
    if folder != folder_of(None):
        remember(folder)
    return ledger


def existing(name: str | None) -> Path:
    """The folder of a study that exists.

    Raises:
        PlannerError: If there is none; names those that there are.
    """
    folder = folder_of(name)
    if not (folder / "study.toml").is_file():
        known = [one.name for one in folders()]
        named = get_close_matches(folder.name, known, n=1) or known[:MOST_NAMED]
        others = f": {', '.join(named)}{'' if len(known) == len(named) else ' ..'} (`planner studies` lists them)"
        raise PlannerError(
            f"no study in {folder}; make one with `planner run --study {folder.name}`, or name another"
            f"{others if known else ''}"
        )
    return folder


def folders() -> list[Path]:
    """The folders of the studies here, by name."""
    try:
        return sorted(one for one in RESULTS.iterdir() if (one / "study.toml").is_file() and NAME.fullmatch(one.name))
    except OSError:
        return []


def opened(folder: Path, options: dict[str, Any]) -> Ledger:
    """The ledger of a study that exists, which options may describe but not change.

    Raises:
        PlannerError: If an option says something else than the study was made with.
    """
    from planner.study.ledger import Ledger
    from planner.study.reader import Records
    from planner.study.settings import read_settings

    settings = read_settings(folder / "study.toml")
    changed = change_of(folder, settings, options)
    if not changed:
        return Ledger(folder, settings)
    if not settings.storage and not any(Records(folder, settings).counts().values()):
        changed += f"; nothing was queued in it: `planner studies rm {folder.name}` removes it"
    raise PlannerError(changed)


def remember(folder: Path) -> None:
    """Makes a study the last one used; where that cannot be written, nothing is lost."""
    with suppress(OSError):
        write_atomically(LAST, folder.name + "\n")


def cache_of(folder: Path) -> Path:
    """Where a study keeps its decoded images."""
    return folder / "cache"


def settings_of(folder: Path, options: dict[str, Any], tell: Progress | None = None) -> tuple[StudySettings, list[str]]:
    """Settings from options, by the names of `planner.commands.options.made_with`.

    The images are decoded once here, because the number of classes is part of every cost. With another trainer than
    the image trainer there are none, and `classes` says how many.

    Returns:
        The settings, and what is to be said of them.

    Raises:
        PlannerError: If they are impossible.
    """
    from planner.study.designs import APART
    from planner.study.settings import checked
    from sampler import base as base_named
    from trainer.images import load_images
    from trainer.pictures import first_names
    from trainer.trainers import trainer_named

    given = _with_source(options)
    _refuse_beside_trainer(given)
    trainer = given.get("trainer", "")
    source = "" if trainer else given.get("data", "fractal")
    if source != source.encode("utf-8", "replace").decode():
        raise PlannerError(f"--data {source}: a path that is no UTF-8, as study.toml is; rename that file or folder")
    base = base_named(given.get("base", "efficientnet_b0"))
    resolution = given.get("resolution", DEFAULT_RESOLUTION)
    side = given.get("side", round((_LARGEST_R if trainer else _SIDE) * resolution))
    apart = 0.0 if given.get("space") == "stage" else APART
    space: dict[str, Any] = {"resolution": resolution, "r": (0.35, min(_LARGEST_R, side / resolution)), "apart": apart}
    space.update({name: given[name] for name in ("rule", *BOUNDED) if name in given})
    space.update({"kind": given["space"]} if "space" in given else {})
    document: dict[str, Any] = {
        "base": base.name,
        "data": {"side": side, "classes": given.get("classes", 2)},
        "space": space,
        "fidelity": {new: given[old] for old, new in (("epochs", "epochs"), ("share", "data_share")) if old in given},
    }
    document.update({name: given[name] for name in ("seed", "storage", "trainer") if name in given})
    document.update({"recipe": {"name": given["recipe"]}} if "recipe" in given else {})
    document["data"].update({"holdout": given["holdout"]} if "holdout" in given else {})
    if "window" in given:
        space["window"] = window_multiples(given["window"], base.name, resolution, document["data"]["classes"])
    settings = checked(document, "study")  # before images are decoded, which may take long
    if trainer:
        trainer_named(trainer)
        document["data"]["source"] = source
        return checked(document, "study"), []
    data = load_images(source, side, cache=cache_of(folder), progress=tell)
    doubts = [f"{data.source}: {note}" for note in data.notes]
    doubts += [f"warning: {doubt}" for doubt in _doubts(settings, data, "r" in given)]
    if data.unread:
        names = first_names(data.unread, 3)
        doubts.insert(0, f"{data.source}: {len(data.unread)} images cannot be read and are left out: {names}")
    if "window" in given:
        space["window"] = window_multiples(given["window"], base.name, resolution, len(data.classes))
    document["data"].update(classes=len(data.classes), fingerprint=data.fingerprint, source=data.source)
    return checked(document, "study"), doubts


def _refuse_beside_trainer(given: dict[str, Any]) -> None:
    """Refuses options that are the image trainer's beside another one, and the other way round.

    Raises:
        PlannerError: Naming the option.
    """
    if "trainer" not in given:
        if "classes" in given:
            raise PlannerError("--classes has no effect without --trainer: the images say how many there are")
        return
    for name in ("data", "side", "holdout", "recipe"):
        if name in given:
            raise PlannerError(f"--{name} has no effect beside --trainer, which looks after its own data; leave it out")
    if "classes" not in given:
        raise PlannerError(
            f"--trainer {given['trainer']}: say how many outputs networks have, such as --classes 10"
        )


def _doubts(settings: StudySettings, data: ImageData, r_given: bool) -> Iterator[str]:
    """What a study that is made will not do as one may expect."""
    from trainer.image_data import fitted_labels

    side, least = settings.space.resolution, settings.search_space().r[0]
    if settings.space.r[0] < least and (r_given or least > HARDLY_SMALLER):
        yield f"r below {least:.3g} is not possible: nothing is smaller than {round(least * side)} px"
    if settings.space.w[0] == settings.space.w[1]:
        yield "w is held in the trainings, but a formula gives r and d and solves the width for each budget"
    images = len(fitted_labels(data.train.labels, settings.data.holdout, settings.fidelity.data_share))
    batch = settings.recipe.batch_size
    if images < batch:
        yield (
            f"{images} images to train on make no batch of {batch}, and no training will begin: give more images or "
            f"--share, or set batch_size in [recipe] of study.toml to {max(2, images // 2)} or so"
        )


def change_of(folder: Path, settings: StudySettings, options: dict[str, Any]) -> str:
    """What an option would change; empty where none does. A study's trainings could not be compared otherwise.

    Raises:
        PlannerError: If an option is impossible, whatever the study was made with.
    """
    wanted = _with_source(options)
    _check_names(wanted)
    now: dict[str, Any] = {
        "base": settings.base,
        "data": settings.data.source,
        "side": settings.data.side,
        "holdout": settings.data.holdout,
        "resolution": settings.space.resolution,
        "space": settings.space.kind,
        "rule": settings.space.rule,
        **{name: getattr(settings.space, name) for name in BOUNDED},
        "epochs": settings.fidelity.epochs,
        "share": settings.fidelity.data_share,
        "recipe": settings.recipe.name,
        "seed": settings.seed,
        "storage": settings.storage,
        "trainer": settings.trainer,
        "classes": settings.data.classes,
    }
    if "window" in wanted:
        now["window"] = _window_as(settings, wanted["window"])
    for name, value in wanted.items():
        if value != now[name]:
            was, said = (_typed(name, one) for one in (now[name], value))
            said = "another one" if was == said else said  # which differs in a password
            return (
                f"study {folder.name} was made with --{name} {was}, not {said}; leave the option out, "
                "or take another --study"
            )
    return ""


def _check_names(given: dict[str, Any]) -> None:
    """Refuses names that nobody knows, before they are compared with what a study was made with."""
    from sampler import base as base_named
    from sampler import rule_named
    from trainer.recipe import recipe_named

    for name, known in (("base", base_named), ("rule", rule_named), ("recipe", recipe_named)):
        if name in given:
            known(given[name])


def _window_as(settings: StudySettings, typed: tuple[str, str]) -> tuple[str, str]:
    """The window of a study, in the words of a typed one where it is the same, else in its unit."""
    from sampler.complexity import base_macs

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
    from planner.study.storage import shown

    if isinstance(value, tuple):
        return " ".join(_typed(name, one) for one in value)
    if isinstance(value, float):
        return f"{value:g}"
    return shown(value) if name == "storage" and value else str(value) or "''"


def _with_source(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; whether corrupt images are skipped is part of their source."""
    from trainer.images import skipping

    given = {name: value for name, value in options.items() if value is not None}
    if given.pop("skip_corrupt", False) and "data" in given:
        given["data"] = skipping(given["data"])
    return given


def window_multiples(window: tuple[str, str], base: str, resolution: int, classes: int) -> tuple[float, float]:
    """A window as multiples of the base network's MACs; `1M 10M` are MACs, `0.03 1.05` are multiples.

    Raises:
        PlannerError: If it is no window; says what was typed.
    """
    from sampler.complexity import base_macs

    one = 1 if is_multiples(window) else base_macs(base, resolution, classes)
    low, high = (float(text) if one == 1 else parse_count(text) / one for text in window)
    if not 0 < low < high:
        raise PlannerError(
            f"--window {window[0]} {window[1]}: two quantities are wanted, the lower one first, such as --window 1M 10M"
        )
    return low, high


def is_multiples(window: tuple[str, str]) -> bool:
    """Whether a typed window is in multiples of the base network's MACs."""
    try:
        return max(float(text) for text in window) <= LARGEST_MULTIPLE
    except ValueError:
        return False
