"""A study that was asked and told, for the tests of the study in Python and of its pictures."""

import numpy as np
import pytest

import planner

SMALL = {"base": "efficientnet_b0", "classes": 4, "resolution": 64, "window": (0.03, 1.05)}


@pytest.fixture(scope="session")
def score_of():
    """A function: what a network reaches, a power law of MACs and a little noise that the network alone decides."""

    def score(macs):
        return 0.9 - 0.5 * (macs / 1e6) ** -0.3 + np.random.default_rng(macs % 2**32).normal(0, 0.005)

    return score


@pytest.fixture(scope="session")
def told_folder(tmp_path_factory, score_of):
    """A folder with a study of 24 networks that were asked for and told, fitted."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = planner.create_study("forms", **SMALL)
        for _ in range(2):
            for trial in study.ask(12):
                study.tell(trial, score_of(trial.macs), seconds=trial.macs / 1e5)
        study.fit()
    return folder


@pytest.fixture
def told(told_folder, monkeypatch):
    """That study, in its folder."""
    monkeypatch.chdir(told_folder)
    return planner.load_study("forms")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small():
    """Options of a study that needs no images."""
    return dict(SMALL)


@pytest.fixture
def study(here):
    """A study in which nothing was asked for yet."""
    return planner.create_study("mine", **SMALL)
