"""What a search starts from, by what `--pretrain` says."""

import pytest
import torch
from safetensors.torch import save_file

from planner.errors import PlannerError
from planner.searches.pretraining import pretraining
from planner.searches.scoring import Candidate
from planner.searches.trained import FineTune, TrainedScorer
from planner.training.resources import Resources
from sampler import scaled
from trainer.network import build
from trainer.weights import load_trained

START = scaled("efficientnet_b0", 64, 0.5, 0.5, rule="inverse")


@pytest.fixture
def weights(tmp_path):
    """A file of weights that fit the start, but for its classifier of seven classes."""
    torch.manual_seed(1)
    save_file(build(START, 7).state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_a_number_is_epochs(new):
    assert pretraining("12", START, new) == 12


def test_a_file_is_kept_among_the_studys_networks_by_a_name_that_stays(new, weights):
    name = pretraining(str(weights), START, new)
    assert pretraining(str(weights), START, new) == name
    kept, architecture, classes = load_trained(new.network_path(name))
    assert (architecture, classes) == (START, new.settings.data.classes)
    assert torch.equal(kept.conv_stem.weight, build_of(weights)["conv_stem.weight"])


def build_of(path):
    from safetensors.torch import load_file

    return load_file(path)


def test_the_start_is_fine_tuned_from_a_file_as_its_heirs_are(new, weights, silent, train, tmp_path, monkeypatch):
    monkeypatch.setattr("planner.searches.trained.train_queued", lambda ledger, *_: train(ledger))
    how = FineTune(2, pretraining=pretraining(str(weights), START, new))
    scorer = TrainedScorer(new, tmp_path, Resources(), silent, "greedy", print, how)
    assert None not in scorer([Candidate(START)])
    (number,) = scorer.scored_by[START]
    asks = {"keep": True, "parent": how.pretraining, "epochs": 2, "recipe": "amplify", "noise": 0.001}
    assert new.asks_of(number) == asks and new.training(number).parent == str(new.network_path(how.pretraining))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "a number of epochs from 1 to"),
        ("nowhere.pth", "neither a number of epochs nor a file; nothing is downloaded"),
        ("weights.safetensors", "not weights of this efficientnet_b0: conv_stem.weight is 16 x 3 x 3 x 3, not 32 x"),
    ],
)
def test_what_is_neither_is_refused_in_one_line(new, weights, text, words, monkeypatch):
    monkeypatch.chdir(weights.parent)
    with pytest.raises(PlannerError) as refused:
        pretraining(text, scaled("efficientnet_b0", 64), new)
    assert words in str(refused.value) and "\n" not in str(refused.value)
