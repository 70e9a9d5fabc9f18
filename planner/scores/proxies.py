"""Cheap trainings that may stand for a long one: each said in one line, such as `epochs=3,share=0.2`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_type_hints

from planner.errors import PlannerError
from planner.study.ranges import MOST_EPOCHS, SIDES
from planner.study.recipes import recipe_changes, recipe_from, recipe_text
from planner.study.settings import StudySettings
from sampler import Architecture, InputError, rule_named
from trainer.observation import INHERITANCE_NOISE
from trainer.recipe import OF_STUDY, Recipe, recipe_named

# Network Amplification, section 4.1: of inherited weights.
_FINE_TUNE, _FINE_TUNE_EPOCHS = "amplify", 20
_INHERIT = "inherit"
_SHORT = {"lr": "learning_rate", "batch": "batch_size"}
_KINDS = {name: kind for name, kind in get_type_hints(Recipe).items() if name not in ("name", "teacher", *OF_STUDY)}
_KNOWN = "name, epochs, share, resolution, side, recipe, lr, batch, schedule or another value of a recipe, data"
_OF_HEIRS = ("parent_epochs", "noise")
_OF_IMAGES = (_INHERIT, *_OF_HEIRS, "side", "recipe", "data")


@dataclass(frozen=True)
class ProxyTraining:
    """A cheap training, by what differs from the study's own.

    Attributes:
        name: Column of its scores.
        epochs: Number of epochs; the study's by default, 20 of inherited weights.
        share: Share of the images; the study's by default.
        resolution: Factor of every architecture's resolution.
        data: Source of other images; the study's by default.
        side: Side that images are decoded to, in pixels; the study's by default.
        recipe: Name of the recipe; the study's by default, `amplify` of inherited weights.
        changes: Values of the recipe that differ.
        inherit: Whether weights are inherited from small parents, which are trained on the same images.
        parent_epochs: Number of epochs of the parents; the study's by default.
        noise: Noise on inherited weights.
    """

    name: str
    epochs: int | None = None
    share: float | None = None
    resolution: float = 1.0
    data: str = ""
    side: int | None = None
    recipe: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    inherit: bool = False
    parent_epochs: int | None = None
    noise: float = INHERITANCE_NOISE

    def recipe_of(self, settings: StudySettings) -> Recipe:
        """The recipe of its trainings.

        Raises:
            InputError: If there is none of that name, or a value is impossible.
        """
        name = self.recipe or (_FINE_TUNE if self.inherit else "")
        start = recipe_named(name) if name else settings.recipe
        changes = {name: f"{name}={value}" for name, value in {**recipe_changes(start), **self.changes}.items()}
        return recipe_from(",".join([start.name, *changes.values()])).seen_as(settings.recipe)

    def asks(self, settings: StudySettings, images: Mapping[str, Any] | None) -> dict[str, Any]:
        """What its trainings ask of the ledger, but for the parent that they inherit from.

        They always say their epochs: so fits, fronts and counts of the study leave them out.

        Args:
            settings: The study's.
            images: The other images, as `Ledger.ask_for` takes them; None for the study's.
        """
        usual = _FINE_TUNE_EPOCHS if self.inherit else settings.fidelity.epochs
        asks: dict[str, Any] = {"epochs": self.epochs or usual, **self._images(images)}
        recipe = self.recipe_of(settings)
        if recipe != settings.recipe:
            asks["recipe"] = recipe_text(recipe)
        if self.inherit:
            asks["noise"] = self.noise
        return asks

    def parent_asks(self, settings: StudySettings, images: Mapping[str, Any] | None) -> dict[str, Any]:
        """What trainings of the parents ask: the study's recipe on the proxy's images."""
        epochs = self.parent_epochs or settings.fidelity.epochs
        return {"keep": True, "epochs": epochs, **self._images(images)}

    def _images(self, images: Mapping[str, Any] | None) -> dict[str, Any]:
        share = {} if self.share is None else {"data_share": self.share}
        return {**share, **({} if images is None else {"data": dict(images)})}

    def architecture(self, one: Architecture, settings: StudySettings) -> Architecture:
        """What it trains for an architecture: that, or the same at another resolution, in the rule's steps."""
        if self.resolution == 1:
            return one
        step = rule_named(settings.space.rule).step
        return replace(one, resolution=max(step, step * round(self.resolution * one.resolution / step)))

    def as_settings(self, settings: StudySettings) -> dict[str, Any]:
        """The tables of `study.toml` that say it, as far as a study can have it: one trained from random weights."""
        fidelity: dict[str, Any] = {"epochs": self.epochs or settings.fidelity.epochs}
        if self.share is not None:
            fidelity["data_share"] = self.share
        recipe = self.recipe_of(settings)
        found: dict[str, Any] = {"fidelity": fidelity}
        if self.recipe or self.changes:
            own = settings.recipe.as_dict()
            alike = {name: own[name] for name in OF_STUDY if name in own}
            found["recipe"] = {"name": recipe.name, **recipe_changes(recipe), **alike}
        images = {"source": self.data, "side": self.side}
        if given := {name: value for name, value in images.items() if value}:
            found["data"] = given
        if self.resolution != 1:
            found["space"] = {"resolution": round(self.resolution * settings.space.resolution)}
        return found


def read_proxy(text: str, settings: StudySettings) -> ProxyTraining:
    """A proxy from a line such as `epochs=3,share=0.2`, `inherit,epochs=20,lr=0.01` or `epochs=9,data=npz:PATH`.

    `data=` comes last: a source may hold commas.

    Args:
        text: The line.
        settings: The study's.

    Raises:
        PlannerError: If it is none; in one line.
    """
    head, sign, data = text.partition("data=")
    given: dict[str, str] = {"data": data.strip()} if sign else {}
    for part in filter(None, (one.strip() for one in head.split(","))):
        key, equals, value = (one.strip() for one in part.partition("="))
        if key in given:
            raise _wrong(text, f"{key} is there twice")
        if (key == _INHERIT) == bool(equals) or (equals and not value):
            raise _wrong(text, f"{part!r} is not NAME=VALUE")
        given[_SHORT.get(key, key)] = value
    if sign and not given["data"]:
        raise _wrong(text, "data= lacks a source, such as npz:PATH")
    _check_goes_together(text, given, settings)
    found = _proxy(text, given)
    try:
        found.recipe_of(settings)
    except InputError as error:
        raise _wrong(text, str(error)) from error
    return found


def _check_goes_together(text: str, given: Mapping[str, str], settings: StudySettings) -> None:
    if not set(given) - {"name"}:
        raise _wrong(text, "nothing in it differs from the study's own training")
    for key in _OF_HEIRS:
        if key in given and _INHERIT not in given:
            raise _wrong(text, f"{key} is of inherited weights: add inherit")
    for key in given:
        if settings.trainer and (key in _OF_IMAGES or key in _KINDS):
            raise _wrong(text, f"{key} is of the image trainer, and the study has another: vary epochs or share")


def _proxy(text: str, given: Mapping[str, str]) -> ProxyTraining:
    values: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for key, value in given.items():
        if key in ("epochs", "parent_epochs"):
            values[key] = _number(text, key, value, 1, MOST_EPOCHS, int)
        elif key == "side":
            values[key] = _number(text, key, value, *SIDES, int)
        elif key == "share":
            values[key] = _number(text, key, value, 1e-9, 1)
        elif key == "resolution":
            values[key] = _number(text, key, value, 0.05, 20)
        elif key == "noise":
            values[key] = _number(text, key, value, 0, 1e6)
        elif key == _INHERIT:
            values[key] = True
        elif key in ("name", "data", "recipe"):
            values[key] = value
        elif key in _KINDS:
            changes[key] = value.lower() if _KINDS[key] is bool else value
        else:
            raise _wrong(text, f"{key!r} is unknown; known: {_INHERIT}, {_KNOWN}")
    named = {"name": " ".join(text.replace(",", " ").split()), **values}
    return ProxyTraining(**named, changes=changes)


def _number(text: str, key: str, value: str, low: float, high: float, kind: type = float) -> Any:
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        what = "a whole number" if kind is int else "a number"
        above = f"above 0 to {high:g}" if low == 1e-9 else f"from {low:g} to {high:g}"
        raise _wrong(text, f"{key}={value}: {what} {above} is wanted")
    return number


def _wrong(text: str, why: str) -> PlannerError:
    return PlannerError(f"--proxy {text!r}: {why}; such as epochs=3,share=0.2 or inherit,epochs=20,lr=0.01")
