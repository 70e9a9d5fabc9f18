"""Images large enough for a crop's margin at the largest r; and studies made before stay what they were."""

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from planner.exports.network import ExportedNetwork, KeptTraining
from planner.exports.source import timm_source
from planner.finishing.plan import _recipe
from planner.study import options as module
from planner.study.options import StudyOptions, settings_of
from planner.study.settings import StudySettings
from planner.study.storage import _flat
from planner.study.trials import trial_training
from planner.tables.table import ASKS
from sampler import Architecture
from trainer.image_data import ImageData, ImageSplit, kept_side
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.recipe import RECIPES, Recipe, recipe_named

ONE = Architecture("resnet18", 64, 8, (8, 16, 32, 64), (1, 1, 1, 1), 0)
# Of key and facts of a training by each recipe, as versions before margin and crop_pct wrote them.
DIGESTS = {
    "fast": "662addc34583f9e8",
    "tinynet": "7a14ff7f67158b03",
    "resnet": "a646ff4e78413319",
    "adjust": "543935df36b97c6c",
    "amplify": "a7ac08ec53cbdf52",
    "long": "72a051f9ac9f7cdb",
}


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A function: settings of options and what is said of them; images are of the side that is asked for."""

    def load(source, side, cache, progress):
        split = ImageSplit(np.zeros((200, side, side, 3), np.uint8), np.arange(200) % 2)
        return ImageData(split, split, ("one", "two"), source, side, "")

    monkeypatch.setattr(module, "load_images", load)
    return lambda **wanted: settings_of(tmp_path, StudyOptions(data="npz:some.npz", **wanted))


@pytest.mark.parametrize("wanted", [{}, {"resolution": 90}, {"r": (0.5, 2.0)}, {"r": (1.0, 1.0)}, {"resolution": 224}])
def test_images_have_the_recipe_s_margin_at_the_largest_r(made, wanted):
    settings, said = made(**wanted)
    largest = round(settings.space.r[1] * settings.space.resolution)
    assert settings.data.side == np.ceil(1.25 * largest) and not said
    assert kept_side(settings.data.side, largest, settings.recipe.margin) == settings.data.side
    assert settings.space.r[1] == pytest.approx(wanted.get("r", (0, 1.4))[1], abs=0.01)


def test_a_side_that_is_given_bounds_r_as_ever_and_it_is_said_where_the_margin_ends(made):
    settings, said = made(side=90)
    assert settings.space.r[1] == 90 / 64
    assert said == [
        "warning: images of 90 px leave crops their margin (1.25 x the input) up to r = 1.12 only; above it a larger r "
        "also means more blurred images: give --side 113 or none, or a smaller --r"
    ]
    assert not made(side=113, r=(0.5, 1.4))[1] and not made(side=90, r=(0.5, 1.12))[1]
    assert made(r=(0.5, 1e9), side=90)[1] and made(r=(0.5, 1e9))[0].data.side == 113  # and no images of 80 gigapixels


def training(recipe):
    return Training(ONE, Fidelity(), recipe, DataSpec("fractal", 90), 3)


@pytest.mark.parametrize("name", DIGESTS)
def test_a_training_is_known_by_what_it_was_known_by_unless_margin_or_crop_differ(name):
    def digest(recipe):
        one = training(recipe)
        return hashlib.sha256(json.dumps([one.key(), one.facts()], sort_keys=True).encode()).hexdigest()[:16]

    recipe = replace(RECIPES[name], edition=1)
    found = [digest(one) for one in (recipe, replace(recipe, margin=1.5), replace(recipe, crop_pct=0.875))]
    assert found[0] == DIGESTS[name] and len(set(found)) == 3


def test_an_observation_is_of_another_training_where_only_one_of_them_names_a_margin():
    usual, wide = training(Recipe()), training(Recipe(margin=1.5))

    def found(of):
        facts = {"status": "ok", "accuracy": 0.5, "loss": 1.0, "macs": 1, "params": 1, "activations": 1}
        return Observation(ONE, Fidelity(), 3, **facts, seconds=1.0, device="cpu", asked=of.facts())

    assert found(usual).other_than(usual) is None and found(wide).other_than(wide) is None
    assert found(usual).other_than(wide) == found(wide).other_than(usual) == "recipe.margin"


def settings(**recipe):
    data = {"source": "fractal", "side": 90, "classes": 4}
    return StudySettings.model_validate({"data": data, "space": {"resolution": 64}, "recipe": recipe})


def test_a_storage_that_an_older_version_wrote_agrees_with_the_settings_of_its_study():
    names = {name for name in _flat(settings().model_dump(mode="json")) if name.startswith("recipe.")}
    later = {"margin", "crop_pct", "lr_scaling", "randaugment_noise", "cutmix", "clip_grad", "deterministic", "edition"}
    assert names == {f"recipe.{name}" for name in asdict(Recipe()).keys() - later - {"channel_ramp"}}
    assert _flat(settings(crop_pct=0.875).model_dump(mode="json"))["recipe.crop_pct"] == 0.875


def test_all_trainings_of_a_study_are_fitted_and_scored_on_the_same_crops(tmp_path):
    one = settings(margin=1.5, crop_pct=0.875)
    facts = {"architecture": asdict(ONE), ASKS: {"recipe": "amplify"}}
    found = trial_training(0, facts, one, tmp_path).recipe
    assert found == replace(recipe_named("amplify"), margin=1.5, crop_pct=0.875, edition=1)
    finished = _recipe(one.recipe, None, "")
    assert (finished.name, finished.margin, finished.crop_pct) == ("long", 1.5, 0.875)


def test_files_that_are_exported_say_the_share_that_was_scored(tmp_path):
    kept = KeptTraining("mine", 3, 0.5, tmp_path / "kept.safetensors", crop_pct=0.875)
    trained, untrained = (ExportedNetwork("one", ONE, 4, training) for training in (kept, None))
    assert "crop_pct=0.875," in timm_source(trained, True) and "crop_pct=1.0," in timm_source(untrained, False)
    crops = [network.config()["input"]["crop"] for network in (trained, untrained)]
    assert crops == ["the central square, of its side the central 0.875", "the central square"]
