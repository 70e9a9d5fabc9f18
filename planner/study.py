"""A study is a folder: finding it, making it, opening it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from planner.errors import PlannerError
from planner.quantities import parse_count

if TYPE_CHECKING:
    from planner.records import Records
    from planner.settings import StudySettings
    from planner.store import Ledger
    from trainer.image_data import Progress

R = TypeVar("R", bound="Records")
RESULTS = Path("results")
LAST = RESULTS / ".last-study"
DEFAULT_NAME = "study"
DEFAULT_RESOLUTION = 64
SIDE = 1.4  # decoded side over the base resolution: the largest r drawn
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
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise PlannerError(f"--study {name!r}: letters, digits, dot, dash and underscore are wanted")
    return RESULTS / name


def open_ledger(name: str | None) -> Ledger:
    """The ledger of a study that exists, to be written too; the study becomes the last one used.

    Raises:
        PlannerError: If there is no such study.
    """
    from planner.store import Ledger

    return _opened(name, Ledger)


def read_ledger(name: str | None) -> Records:
    """The ledger of a study that exists, to be read: where it is nothing is written, nor need one be allowed to.

    Raises:
        PlannerError: If there is no such study.
    """
    from planner.records import Records

    return _opened(name, Records)


def _opened(name: str | None, kind: Callable[[Path, StudySettings], R]) -> R:
    from planner.settings import read_settings

    folder = folder_of(name)
    if not (folder / "study.toml").is_file():
        raise PlannerError(f"no study in {folder}; make one with `planner run --study {folder.name}`, or name another")
    ledger = kind(folder, read_settings(folder / "study.toml"))
    if folder != folder_of(None):
        remember(folder)
    return ledger


def open_or_make(name: str | None, options: dict[str, Any], tell: Progress | None = None) -> Ledger:
    """The ledger of a study, made from options where there is none yet.

    Args:
        name: The study's name; the last one used, or `study`, by default.
        options: What the user asked for, by the names of `settings_of`; None where nothing was said.
        tell: Called with (what, done, total) while images are decoded.

    Raises:
        PlannerError: If the study exists with other settings, or the settings are impossible.
    """
    from planner.settings import read_settings, write_settings
    from planner.store import Ledger

    folder = folder_of(name)
    path = folder / "study.toml"
    if path.is_file():
        settings = read_settings(path)
        refuse_changes(folder, settings, options)
    else:
        settings = settings_of(folder, options, tell)
        write_settings(path, settings)
    ledger = Ledger(folder, settings)
    remember(folder)
    return ledger


def remember(folder: Path) -> None:
    """Makes a study the last one used; where that cannot be written, nothing is lost."""
    try:
        LAST.write_text(folder.name + "\n", encoding="utf-8")
    except OSError:
        return


def cache_of(folder: Path) -> Path:
    """Where a study keeps its decoded images."""
    return folder / "cache"


def settings_of(folder: Path, options: dict[str, Any], tell: Progress | None = None) -> StudySettings:
    """Settings from options, by the names of `planner.commands.options.made_with`.

    The images are decoded once here, because the number of classes is part of every cost.

    Raises:
        PlannerError: If they are impossible.
    """
    from planner.settings import checked
    from sampler import base as base_named
    from trainer.images import load_images
    from trainer.pictures import first_names

    given = _with_source(options)
    base = base_named(given.get("base", "efficientnet_b0"))
    resolution = given.get("resolution", DEFAULT_RESOLUTION)
    side = given.get("side", round(SIDE * resolution))
    space: dict[str, Any] = {"resolution": resolution, "r": (0.35, min(2.8, side / resolution))}
    space.update({name: given[name] for name in ("rule", *BOUNDED) if name in given})
    space.update({"kind": given["space"]} if "space" in given else {})
    document: dict[str, Any] = {
        "base": base.name,
        "data": {"side": side, "classes": 2},
        "space": space,
        "fidelity": {new: given[old] for old, new in (("epochs", "epochs"), ("share", "data_share")) if old in given},
    }
    document.update({name: given[name] for name in ("seed", "storage") if name in given})
    document.update({"recipe": {"name": given["recipe"]}} if "recipe" in given else {})
    document["data"].update({"holdout": given["holdout"]} if "holdout" in given else {})
    checked(document, "study")  # before images are decoded, which may take long
    data = load_images(given.get("data", "fractal"), side, cache=cache_of(folder), progress=tell)
    if data.unread:
        names = first_names(data.unread, 3)
        print(f"{data.source}: {len(data.unread)} images cannot be read and are left out: {names}", file=sys.stderr)
    if "window" in given:
        space["window"] = window_multiples(given["window"], base.name, resolution, len(data.classes))
    document["data"].update(classes=len(data.classes), fingerprint=data.fingerprint, source=data.source)
    return checked(document, "study")


def refuse_changes(folder: Path, settings: StudySettings, options: dict[str, Any]) -> None:
    """A study keeps the settings it was made with: its trainings could not be compared otherwise.

    Raises:
        PlannerError: If an option says something else.
    """
    now = {
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
    }
    wanted = _with_source(options)
    if "window" in wanted:
        window = window_multiples(wanted.pop("window"), settings.base, settings.space.resolution, settings.data.classes)
        wanted["window"] = tuple(f"{value:.4g}" for value in window)
        now["window"] = tuple(f"{value:.4g}" for value in settings.space.window)
    for name, value in wanted.items():
        if value != now[name]:
            raise PlannerError(
                f"study {folder.name} was made with --{name} {now[name]}, not {value}; leave the option out, "
                "or take another --study"
            )


def _with_source(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; whether corrupt images are skipped is part of their source."""
    from trainer.images import skipping

    given = {name: value for name, value in options.items() if value is not None}
    if given.pop("skip_corrupt", False) and "data" in given:
        given["data"] = skipping(given["data"])
    return given


def window_multiples(window: tuple[str, str], base: str, resolution: int, classes: int) -> tuple[float, float]:
    """A window as multiples of the base network's MACs; `1M 10M` are MACs, `0.03 1.05` are multiples."""
    from sampler.complexity import base_macs

    try:
        low, high = (float(text) for text in window)
        if high <= LARGEST_MULTIPLE:
            return low, high
    except ValueError:
        pass
    one = base_macs(base, resolution, classes)
    low, high = (parse_count(text) / one for text in window)
    return low, high
