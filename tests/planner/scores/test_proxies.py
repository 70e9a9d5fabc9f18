"""A cheap training said in one line, and what it asks of the ledger."""

from dataclasses import replace

import pytest

from planner.errors import PlannerError
from planner.scores.proxies import read_proxy
from trainer.recipe import RECIPES


def test_what_a_line_says_is_what_its_trainings_ask(new):
    settings = new.settings
    short = read_proxy("epochs=2, share=0.2", settings)
    assert (short.name, short.asks(settings, None)) == ("epochs=2 share=0.2", {"epochs": 2, "data_share": 0.2})
    images = {"source": "fractal:classes=9,train=8", "side": 32, "classes": 9, "fingerprint": "f"}
    other = read_proxy("name=few,side=32,lr=0.01,data=fractal:classes=9,train=8", settings)
    assert (other.name, other.data, other.side) == ("few", "fractal:classes=9,train=8", 32)
    recipe = "fast,learning_rate=0.01"
    assert other.asks(settings, images) == {"epochs": 3, "data": images, "recipe": recipe}
    assert other.as_settings(settings) == {
        "fidelity": {"epochs": 3},
        "recipe": {"name": "fast", "learning_rate": 0.01, "edition": 2},
        "data": {"source": other.data, "side": 32},
    }


def test_inherited_weights_are_tuned_by_their_own_recipe_and_their_parents_trained_by_the_study_s(new):
    heir = read_proxy("inherit,lr=0.02,schedule=step,share=0.5,parent_epochs=7", new.settings)
    recipe = "amplify,learning_rate=0.02,schedule=step"
    assert heir.asks(new.settings, None) == {"epochs": 20, "data_share": 0.5, "recipe": recipe, "noise": 0.001}
    assert heir.parent_asks(new.settings, None) == {"keep": True, "epochs": 7, "data_share": 0.5}


def test_another_resolution_is_another_network_in_the_rule_s_steps(new):
    half = read_proxy("resolution=0.5", new.settings)
    network = new.space.network.architecture()
    assert half.architecture(network, new.settings) == replace(network, resolution=32)  # of 64 px
    assert half.asks(new.settings, None) == {"epochs": 3}  # said, so that it is no row of the study
    assert half.as_settings(new.settings)["space"] == {"resolution": 32}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "nothing in it differs"),
        ("name=a", "nothing in it differs"),
        ("epochs", "not NAME=VALUE"),
        ("inherit=1", "not NAME=VALUE"),
        ("epochs=", "not NAME=VALUE"),
        ("epochs=0", "from 1 to"),
        ("epochs=2.5", "a whole number"),
        ("share=nan", "above 0 to 1"),
        ("share=0", "above 0 to 1"),
        ("side=2", "from 8 to"),
        ("epochs=1,epochs=2", "twice"),
        ("epoch=1", "'epoch' is unknown"),
        ("recipe=best", "recipe 'best' is unknown"),
        ("lr=fast", "learning_rate"),
        ("momentum=1", "momentum"),
        ("schedule=none", "schedule"),
        ("noise=1", "add inherit"),
        ("epochs=1,data=", "lacks a source"),
    ],
)
def test_a_malformed_line_is_refused_in_one(new, line, words):
    with pytest.raises(PlannerError) as found:
        read_proxy(line, new.settings)
    assert words in str(found.value) and "\n" not in str(found.value) and "such as epochs=3" in str(found.value)


def test_what_is_of_images_is_refused_beside_another_trainer(new):
    other = new.settings.model_copy(update={"trainer": "mine.py:train"})
    for line in ("lr=0.1", "inherit", "data=npz:a.npz", "side=32"):
        with pytest.raises(PlannerError, match="image trainer"):
            read_proxy(line, other)
    assert read_proxy("epochs=1", other).epochs == 1


def test_a_recipe_of_the_study_s_own_is_what_values_are_changed_in(new):
    own = new.settings.model_copy(update={"recipe": replace(RECIPES["fast"], batch_size=32)})
    asks = read_proxy("lr=0.1", own).asks(own, None)
    assert asks["recipe"] == "fast,learning_rate=0.1,batch_size=32"
