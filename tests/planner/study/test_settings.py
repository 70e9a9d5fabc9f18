"""Settings of a study: there and back, and every mistake in one line."""

import tomllib
from dataclasses import asdict, replace

import pytest

from planner import PlannerError
from planner.study.folder import folder_of
from planner.study.settings import StudySettings, read_settings, write_settings
from planner.study.trials import trial_training
from sampler import base
from trainer.recipe import RECIPES, Recipe

WHOLE = {
    "base": "efficientnet_b0",
    "seed": 7,
    "storage": "sqlite:///somewhere.db",
    "data": {"source": 'npz:a "quoted" name.npz', "side": 90, "holdout": 0.25, "classes": 4, "fingerprint": "abc"},
    "space": {
        "kind": "stage",
        "apart": 0.1,
        "resolution": 64,
        "rule": "free",
        "window": [0.1, 0.9],
        "r": [0.6, 1.4],
        "d": [0.5, 2.0],
        "w": [0.4, 2.5],
    },
    "fidelity": {"epochs": 5, "data_share": 0.5},
    "recipe": {"learning_rate": 1e-5, "name": "tinynet", "batch_size": 32},
}
SHORT = "[data]\nside = 90\nclasses = 4\n[space]\nresolution = 64\n"


@pytest.fixture
def refusal(tmp_path):
    """A function: the one line with which a text is refused as `study.toml`."""

    def refused(text):
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(PlannerError) as error:
            read_settings(path)
        message = str(error.value)
        assert "\n" not in message and message.startswith(f"{path}: ")
        return message.removeprefix(f"{path}: ")

    return refused


def test_settings_survive_the_file(tmp_path):
    settings = StudySettings.model_validate(WHOLE)
    write_settings(tmp_path / "new" / "study.toml", settings)
    assert read_settings(tmp_path / "new" / "study.toml") == settings


def test_the_file_says_every_value_that_was_given(tmp_path):
    write_settings(tmp_path / "study.toml", StudySettings.model_validate(WHOLE))
    document = tomllib.loads((tmp_path / "study.toml").read_text())
    assert document == WHOLE


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_name_alone_selects_its_values(tmp_path, name):
    path = tmp_path / "study.toml"
    path.write_text(SHORT + f"[recipe]\nname = '{name}'\n")
    assert read_settings(path).recipe == replace(RECIPES[name], edition=1)
    path.write_text(f"recipe.name = '{name}'\n" + SHORT)
    assert read_settings(path).recipe == replace(RECIPES[name], edition=1)


def test_a_field_beside_the_name_overrides_one_value(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SHORT + "[recipe]\nname = 'tinynet'\ndropout = 0.5\n")
    assert read_settings(path).recipe == replace(RECIPES["tinynet"], dropout=0.5, edition=1)


def test_changing_the_name_in_a_written_file_is_enough_to_change_the_recipe(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SHORT)
    write_settings(path, read_settings(path))
    path.write_text(path.read_text().replace('"fast"', '"tinynet"'))
    assert read_settings(path).recipe == RECIPES["tinynet"]


def test_a_file_from_before_recipes_had_names_of_their_own_still_reads(tmp_path):
    old = """name = "fast"\noptimizer = "adamw"\nlearning_rate = 0.006\nweight_decay = 0.02\nbatch_size = 64
warmup = 0.1\nlabel_smoothing = 0.1\ncrop = 0.5\nflip = 0.5\ndropout = 0.0\nema = 0.02\n"""
    path = tmp_path / "study.toml"
    path.write_text(SHORT + "[recipe]\n" + old)
    assert read_settings(path).recipe == Recipe(edition=1)


def test_a_study_from_before_editions_keeps_their_rules_and_what_its_trainings_are_known_by(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SHORT + "[recipe]\nname = 'fast'\nbatch_size = 256\nrandaugment = 9\n")
    settings = read_settings(path)
    assert settings.recipe.scaled_learning_rate == pytest.approx(4 * Recipe.learning_rate)  # in proportion
    known = settings.recipe.as_dict()
    added = {"edition", "lr_scaling", "randaugment_noise", "cutmix", "clip_grad", "deterministic"}
    assert not added & known.keys() and added < asdict(settings.recipe).keys()
    write_settings(path, settings)
    assert read_settings(path) == settings and "edition" not in path.read_text()
    of_trial = {"architecture": asdict(base("efficientnet_b0").architecture()), "asks": {"recipe": "long"}}
    assert trial_training(0, of_trial, settings, tmp_path).recipe == replace(RECIPES["long"], edition=1)


def test_a_new_study_says_by_which_edition_it_trains(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SHORT)
    settings = read_settings(path).model_copy(update={"recipe": Recipe(batch_size=256)})
    write_settings(path, settings)
    assert "edition = 2" in path.read_text()
    assert read_settings(path).recipe.scaled_learning_rate == pytest.approx(2 * Recipe.learning_rate)


def test_what_is_left_out_is_the_default(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SHORT)
    settings = read_settings(path)
    assert (settings.base, settings.seed, settings.space.rule, settings.fidelity.epochs) == (
        "efficientnet_b0",
        0,
        "inverse",
        3,
    )
    assert settings.search_space().resolution == 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bogus = 1\n" + SHORT, "bogus: Extra inputs are not permitted"),
        (SHORT + "[recipe]\nlr = 1\n", "recipe.lr: Extra inputs are not permitted"),
        (SHORT + "[recipe]\nname = 'tinynets'\n", "recipe: recipe 'tinynets' is unknown; known recipes: fast, tinynet"),
        (SHORT + "[recipe]\nname = [1]\n", r"recipe.name: Input should be a valid string \(given: \[1\]\)"),
        (SHORT + "recipe = 3\n", "space.recipe: Extra inputs are not permitted"),
        ("recipe = 3\n" + SHORT, r"recipe: .*dictionary.*\(given: 3\)"),
        (SHORT + "[recipe]\noptimizer = 'adam9'\n", r"recipe.optimizer: .*'adamw'.*\(given: 'adam9'\)"),
        (SHORT + "[recipe]\nlearning_rate = inf\n", "recipe.learning_rate: .*finite"),
        (SHORT + "[recipe]\nrandaugment = 31\n", "recipe.randaugment: .*less than or equal to 30"),
        (
            SHORT + "[recipe]\nmixup = 0.2\nbatch_size = 33\n",
            "recipe: mixup pairs images, so batch_size=33 must be even",
        ),
        ("seed = 'x'\n" + SHORT, r"seed: .*integer.*\(given: 'x'\)"),
        ("seed = -1\n" + SHORT, r"seed: .*greater than or equal to 0 \(given: -1\)"),
        (SHORT + "window = [2.0, 1.0]\n", "window must be two rising positive numbers, got 2 and 1"),
        (SHORT + "window = [-1.0, 1.0]\n", r"space.window.0: .*greater than 0 \(given: -1.0\)"),
        (SHORT + "window = [1.0]\n", "space.window.1: Field required"),
        (SHORT + "window = [nan, 1.0]\n", "space.window.0|window must be two rising"),
        (SHORT + "r = [0.1, inf]\n", "r must be two rising positive numbers"),
        (SHORT + "rule = 'mine'\n", "scaling rule 'mine' is unknown; known rules: efficientnet"),
        (SHORT + "kind = 'both'\n", "space.kind: .*'uniform' or 'stage'"),
        ("base = 'resnet_b0'\n" + SHORT, "base network 'resnet_b0' is unknown"),
        ("[data]\nside = 90\nclasses = 0\n[space]\nresolution = 64\n", r"data.classes: .*\(given: 0\)"),
        ("[data]\nside = 90\nclasses = 4\n[space]\nresolution = 8\n", "stays below efficientnet_b0's stride of 32 px"),
        ("[data]\nside = 90\nclasses = 4\n", "space: Field required"),
        (SHORT + "[fidelity]\nepochs = 0\n", "fidelity.epochs: "),
        (SHORT + "[fidelity]\ndata_share = 1.5\n", "fidelity.data_share: "),
        ("[data\nside = 90\n", r"not TOML \(.*line 1.*\); mend that line"),
        (SHORT + "resolution = 64\n", "not TOML .*; mend that line"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(refusal, text, words):
    import re

    assert re.search(words, refusal(text))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xff\xf0\x00")
    with pytest.raises(PlannerError, match="study.toml: not text; name another --study"):
        read_settings(path)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(PlannerError, match="study.toml: No such file.*make one with `planner run`"):
        read_settings(tmp_path / "study.toml")


def test_settings_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlannerError, match="study.toml: .*choose another folder"):
        write_settings(tmp_path / "file" / "study.toml", StudySettings.model_validate(WHOLE))


@pytest.mark.parametrize(
    "name", ["../x", "/tmp/x", "a/b", "a\\b", ".", "..", ".hidden", "", "a b", "a\nb", "é", "x" * 101]
)
def test_a_name_that_could_leave_the_results_folder_is_refused(name):
    with pytest.raises(PlannerError, match="letters, digits, dot, dash and underscore are wanted") as error:
        folder_of(name)
    assert "\n" not in str(error.value) and repr(name) in str(error.value)


@pytest.mark.parametrize("name", ["photos", "a.b-c_d", "0", "x" * 100])
def test_a_plain_name_is_a_folder_of_the_results(name):
    assert folder_of(name).as_posix() == f"results/{name}"


def test_the_last_study_used_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folder_of(None).as_posix() == "results/study"
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".last-study").write_text("mine\n")
    assert folder_of(None).as_posix() == "results/mine"
