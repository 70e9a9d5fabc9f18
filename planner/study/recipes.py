"""A recipe as one line of text, as trials and options say it: `amplify`, or `amplify,batch_size=128,crop=0.35`."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from planner.errors import PlannerError
from planner.study.settings import RecipeTable, first_problem
from trainer.recipe import EDITION, OF_STUDY, Recipe, recipe_named

_TABLE: TypeAdapter[Recipe] = TypeAdapter(RecipeTable)


def recipe_from(text: str) -> Recipe:
    """The recipe of a name and of what differs from it.

    Args:
        text: `NAME` or `NAME,VALUE=NUMBER,..`; the values are the fields of `trainer.recipe.Recipe`, but for
            those that are a study's (`OF_STUDY`).

    Raises:
        InputError: If there is no such recipe or value, or it is out of range.

    Example:
        >>> recipe_from("amplify,batch_size=128").batch_size
        128
    """
    name, *pairs = [part.strip() for part in text.split(",")]
    if not pairs:
        return recipe_named(name)
    recipe_named(name)
    known, values = [one.name for one in fields(Recipe) if one.name not in ("name", *OF_STUDY)], {}
    for pair in pairs:
        key, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or key not in known:
            raise PlannerError(f"recipe {text!r}: {pair!r} is no VALUE=NUMBER of it; values are {', '.join(known)}")
        values[key] = value
    try:
        return _TABLE.validate_python({"name": name, "edition": EDITION, **values})
    except ValidationError as error:
        raise PlannerError(f"recipe {text!r}: {first_problem(error)}") from error


def recipe_text(recipe: Recipe) -> str:
    """The text that `recipe_from` makes this recipe of.

    Raises:
        InputError: If no recipe has its name.

    Example:
        >>> recipe_text(recipe_from("amplify, crop=0.35,batch_size=64"))
        'amplify,crop=0.35'
    """
    return ",".join([recipe.name, *(f"{name}={value}" for name, value in recipe_changes(recipe).items())])


def recipe_changes(recipe: Recipe) -> dict[str, Any]:
    """What differs in it from the recipe of its name, but for what all trainings of a study have alike.

    Raises:
        InputError: If no recipe has its name.
    """
    usual = asdict(recipe_named(recipe.name))
    return {name: one for name, one in asdict(recipe).items() if one != usual[name] and name not in OF_STUDY}
