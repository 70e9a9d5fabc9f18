"""Recipes as a line of text: what trials ask for and what a lost ledger is made anew of."""

from dataclasses import replace

import pytest

from planner.errors import PlannerError
from planner.study.recipes import recipe_from, recipe_text
from trainer.recipe import RECIPES

AMPLIFY = RECIPES["amplify"]


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("amplify", AMPLIFY),
        ("amplify,batch_size=128", replace(AMPLIFY, batch_size=128)),
        (" fast , crop=0.35, schedule=step", replace(RECIPES["fast"], crop=0.35, schedule="step")),
        ("adjust,channel_ramp=false", replace(RECIPES["adjust"], channel_ramp=False)),
    ],
)
def test_a_text_is_a_recipe_and_a_recipe_a_text(text, recipe):
    assert recipe_from(text) == recipe
    assert recipe_from(recipe_text(recipe)) == recipe


def test_a_value_that_is_the_recipes_own_is_not_told():
    assert recipe_text(recipe_from("amplify,batch_size=64,learning_rate=0.02")) == "amplify,learning_rate=0.02"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("amplfy", "recipe 'amplfy' is unknown; known recipes: fast"),
        ("amplify,lr=0.1", "'lr=0.1' is no VALUE=NUMBER of it; values are optimizer, learning_rate"),
        ("amplify,0.1", "'0.1' is no VALUE=NUMBER"),
        ("amplify,crop=2", "crop: Input should be less than or equal to 1"),
        ("amplify,batch_size=many", "batch_size: Input should be a valid integer"),
        ("amplify,optimizer=adam9", "optimizer: Input should be 'adamw'"),
        ("amplify,name=fast", "'name=fast' is no VALUE"),
        ("fast,mixup=0.2,batch_size=33", "must be even"),
    ],
)
def test_what_is_no_recipe_is_refused_in_a_line(text, told):
    with pytest.raises(PlannerError, match=told):
        recipe_from(text)
