"""A training is a pure function of architecture, fidelity, seed and data; failures are facts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sampler import Architecture, InputError, architecture_complexity, base
from trainer import proxy, scoring
from trainer.device_errors import CrowdedError
from trainer.images import ImageData
from trainer.micro_batches import accumulated
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.proxy import prepared, train
from trainer.recipe import RECIPES, Recipe
from trainer.scoring import evaluation_interval, splits
from trainer.weights import load_trained

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
OTHER = replace(SMALL, resolution=40, widths=(8, 8, 16, 8, 8, 8, 8))


@pytest.fixture(scope="module")
def data(stripes):
    return ImageData(stripes(160, 0), stripes(40, 1), ("horizontal", "vertical"), "stripes", 40, "")


def training(architecture=SMALL, seed=0, epochs=2, **recipe):
    return Training(
        architecture,
        Fidelity(epochs=epochs),
        replace(Recipe(batch_size=16), **recipe),
        DataSpec("stripes", 40, holdout=0.2),
        seed,
    )


def numbers(observation):
    return observation.status, observation.accuracy, observation.loss


def test_the_same_training_gives_the_same_numbers_whatever_was_trained_before(data):
    first = train(training(), data)
    train(training(OTHER, seed=5), data)
    torch.rand(7)
    assert numbers(train(training(), data)) == numbers(first)


def test_another_seed_gives_another_loss(data):
    assert train(training(seed=1), data).loss != train(training(seed=0), data).loss


def test_a_training_learns_what_can_be_learned(data):
    observation = train(training(epochs=16), data)
    assert observation.status == "ok" and observation.accuracy >= 0.9


def test_the_observation_carries_the_exact_cost_and_where_it_ran(data):
    observation = train(training(), data)
    cost = architecture_complexity(SMALL, classes=2)
    assert (observation.macs, observation.params, observation.activations) == (cost.macs, cost.params, cost.activations)
    assert observation.device == "cpu" and observation.versions["torch"] == torch.__version__
    assert observation.seconds > 0


def test_a_diverged_training_is_a_fact_and_not_an_exception(data):
    observation = train(training(optimizer="sgd", learning_rate=1e30), data)
    assert observation.status == "diverged" and observation.accuracy is None
    assert "training loss is" in observation.message
    assert Observation.from_json(observation.to_json()) == observation


def test_a_device_out_of_memory_is_a_fact(data, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("tried to allocate 9 TiB\nand a second line")

    monkeypatch.setattr("trainer.proxy.build", full)
    observation = train(training(), data)
    assert observation.status == "out_of_memory" and observation.message == "tried to allocate 9 TiB"


def test_too_few_images_for_a_batch_are_refused_in_words(data):
    with pytest.raises(ValueError, match="128 training images make no batch of 500; raise the share"):
        train(training(batch_size=500), data)


def test_every_epoch_is_reported(data):
    seen = []
    train(
        training(epochs=3),
        data,
        on_epoch=lambda history: seen.append((len(history), math.isfinite(history[-1].training_loss))),
    )
    assert seen == [(1, True), (2, True), (3, True)]


def test_the_images_that_score_are_training_images_held_out_and_never_fitted(data):
    fit, score = splits(training(), data)
    fitted, scored = ({image.tobytes() for image in split.images} for split in (fit, score))
    whole = {image.tobytes() for image in data.train.images}
    assert len(fit.labels) == 128 and len(score.labels) == 32
    assert not fitted & scored and fitted | scored == whole


def test_without_a_holdout_the_validation_images_score(data):
    asked = replace(training(), data=DataSpec("stripes", 40, holdout=0.0))
    assert splits(asked, data) == (data.train, data.validation)


def test_a_share_of_the_data_is_taken_from_every_class_and_does_not_depend_on_the_seed(data):
    asked = replace(training(), fidelity=Fidelity(1, data_share=0.25))
    fit, score = splits(asked, data)
    assert np.bincount(fit.labels).tolist() == [16, 16] and len(score.labels) == 32
    again, _ = splits(replace(asked, seed=9), data)
    assert (again.images == fit.images).all()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_and_the_same_seed_gives_the_same_numbers(data, name):
    asked = replace(training(), recipe=replace(RECIPES[name], batch_size=16))
    first, again = train(asked, data), train(asked, data)
    assert first.status == "ok" and replace(again, seconds=first.seconds) == first


# --- history ---


def test_every_epoch_is_recorded_and_the_last_one_is_the_result(data):
    observation = train(training(epochs=3), data)
    assert [record.epoch for record in observation.history] == [1, 2, 3]
    last = observation.history[-1]
    assert (last.accuracy, last.loss) == (observation.accuracy, observation.loss)
    assert observation.history[0].training_loss > last.training_loss


def test_scoring_does_not_influence_the_training(data, monkeypatch):
    scored = train(training(epochs=3), data)
    monkeypatch.setattr("trainer.proxy.evaluation_interval", lambda fitted, scoring: 100)
    unscored = train(training(epochs=3), data)
    assert [record.accuracy for record in unscored.history[:2]] == [None, None]
    assert numbers(unscored) == numbers(scored)
    assert [a.training_loss for a in unscored.history] == [b.training_loss for b in scored.history]


@pytest.mark.slow
def test_other_scoring_images_change_the_scores_and_nothing_else(stripes, data):
    asked = replace(training(epochs=2), data=DataSpec("stripes", 40, holdout=0.0))
    other = replace(data, validation=stripes(40, 9))
    one, two = train(asked, data), train(asked, other)
    assert [a.training_loss for a in one.history] == [b.training_loss for b in two.history]
    assert one.loss != two.loss


@pytest.mark.parametrize(
    ("fitted", "scoring", "epochs"), [(8000, 2000, 1), (1000, 300, 1), (1000, 301, 2), (800, 2000, 9)]
)
def test_scoring_costs_about_a_tenth_of_the_training(fitted, scoring, epochs):
    assert evaluation_interval(fitted, scoring) == epochs


def test_a_diverged_training_keeps_the_epochs_before(data, monkeypatch):
    asked = training(epochs=3)
    calls = []

    def third_epoch(self, number):
        calls.append(number)
        for group in self.optimizer.param_groups:
            group["lr"] = float("nan") if number >= 16 else 1e-3

    monkeypatch.setattr("timm.scheduler.CosineLRScheduler.step_update", third_epoch)
    observation = train(asked, data)
    assert observation.status == "diverged" and [record.epoch for record in observation.history] == [1, 2]


# --- memory ---


def images_and_labels(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 8, 8, generator=generator), torch.arange(n) % 3


@pytest.mark.parametrize("parts", [2, 4, 5])
def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(parts):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = images_and_labels(14)

    def loss(some, their):
        return torch.nn.functional.cross_entropy(model(some), their)

    loss(images, labels).backward()
    whole = [one.grad.clone() for one in model.parameters()]
    mean = accumulated(loss, optimizer, images, labels, parts)
    assert mean.item() == pytest.approx(loss(images, labels).item(), rel=1e-6)
    for one, expected in zip(model.parameters(), whole, strict=True):
        assert torch.allclose(one.grad, expected, rtol=1e-5, atol=1e-7)


MEMORY_ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
)


def limited(most, seen, error=MEMORY_ERRORS[0]):
    """The builder of a network that fits no more than `most` images into memory while it trains."""

    def building(architecture, classes, dropout):
        model = build(architecture, classes, dropout)

        def refuse(module, inputs):
            if module.training and len(inputs[0]) > most:
                raise error
            seen.append(len(inputs[0]))

        model.register_forward_pre_hook(refuse)
        return model

    return building


def test_where_memory_is_short_micro_batches_keep_the_batch_and_the_recipe(data, monkeypatch):
    seen = []
    monkeypatch.setattr("trainer.proxy.build", limited(7, seen))
    steps = []
    monkeypatch.setattr("torch.optim.AdamW.step", count_calls(torch.optim.AdamW.step, steps))
    observation = train(training(), data)
    assert observation.status == "ok" and len(observation.history) == 2
    assert observation.micro_batches == 4 and observation.alone
    assert set(seen) <= {4, 32}  # a quarter of a batch of 16, and the scoring images
    assert len(steps) == 2 * 8  # one step per batch of 16, as without it


@pytest.mark.parametrize("error", MEMORY_ERRORS, ids=lambda error: type(error).__name__)
def test_each_librarys_word_for_it_cuts_batches_of_a_training_that_is_alone(data, monkeypatch, error):
    monkeypatch.setattr("trainer.proxy.build", limited(8, [], error))
    observation = train(training(epochs=1), data)
    assert (observation.status, observation.micro_batches) == ("ok", 2)


def test_beside_others_no_batch_is_cut_and_nothing_is_recorded(data, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("trainer.proxy.build", limited(7, seen))
    with pytest.raises(CrowdedError, match="Tried to allocate"):
        train(training(), data, checkpoint=tmp_path / "state.pt", alone=False)
    assert not seen
    monkeypatch.setattr("trainer.proxy.build", build)
    beside = train(training(), data, alone=False)
    assert beside.history == train(training(), data).history
    assert (beside.alone, beside.micro_batches) == (False, 1)


def count_calls(function, calls):
    def counting(*arguments, **named):
        calls.append(1)
        return function(*arguments, **named)

    return counting


def test_a_network_that_fits_no_micro_batch_is_out_of_memory(data, monkeypatch):
    seen = []
    monkeypatch.setattr("trainer.proxy.build", limited(3, seen))
    observation = train(training(), data)
    assert observation.status == "out_of_memory" and not seen and observation.accuracy is None


def test_other_errors_of_a_step_are_defects_and_not_swallowed(data, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("trainer.proxy.accumulated", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(training(), data)


# --- weights in and out, teachers ---


def test_the_network_that_was_scored_is_kept_and_can_be_started_from(data, tmp_path):
    path = tmp_path / "network.safetensors"
    long = train(training(epochs=8), data, keep=path)
    network, architecture, classes = load_trained(path)
    assert (architecture, classes) == (SMALL, 2)
    tuned = train(training(epochs=1, learning_rate=1e-9, ema=0.0), data, weights=network.state_dict())
    assert tuned.history[0].training_loss < long.history[0].training_loss


@pytest.mark.slow
def test_a_teacher_changes_what_is_learned(data, tmp_path):
    path = tmp_path / "teacher.safetensors"
    train(training(epochs=4), data, keep=path)
    taught = train(training(teacher=str(path), distillation=0.9), data)
    assert taught.status == "ok" and taught.loss != train(training(), data).loss
    none = train(training(teacher=str(path), distillation=0.0), data)
    assert numbers(none) == numbers(train(training(), data))


def test_drop_path_is_refused_where_the_family_has_none(data):
    ghost = base("ghostnet_100").architecture()
    with pytest.raises(InputError, match="ghostnet_100: its blocks have no drop path; set recipe.drop_path to 0"):
        train(training(replace(ghost, resolution=32), drop_path=0.1), data)


def test_a_training_ends_where_it_is_told_to_and_keeps_what_it_has_reached(data):
    whole = train(training(epochs=3), data)
    stopped = train(training(epochs=3), data, on_epoch=lambda history: len(history) == 2)
    assert stopped.status == "stopped" and stopped.history == whole.history[:2]
    assert (stopped.accuracy, stopped.loss) == (whole.history[1].accuracy, whole.history[1].loss)
    # After the last epoch there is nothing left to stop.
    assert train(training(epochs=2), data, on_epoch=lambda history: True).status == "stopped"
    assert train(training(epochs=2), data, on_epoch=lambda history: len(history) == 2).status == "ok"


BLOCKS = ("InvertedResidual", "EdgeResidual", "GhostBottleneck", "BasicBlock", "Bottleneck")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("efficientnet_b0", 9), ("efficientnetv2_b0", 15), ("resnet18", 5), ("ghostnet_100", 11), ("regnety_002", 9)],
)
def test_residual_blocks_begin_as_identities_where_the_recipe_says_so(name, expected):
    identities = {True: 0, False: 0}
    for zero_init in identities:
        asked = replace(training(base(name).architecture()), recipe=Recipe(zero_init=zero_init))
        model = prepared(asked, 10, 100, None).eval()
        blocks = [block for block in model.modules() if type(block).__name__ in BLOCKS]

        def note(block, inputs, output, zero_init=zero_init):
            identities[zero_init] += torch.equal(inputs[0], output)

        for block in blocks:
            block.register_forward_hook(note)
        model(torch.rand(2, 3, 64, 64))
    assert identities[True] == expected
    # timm's ResNets and RegNets begin so on their own.
    assert identities[False] == (expected if name in ("resnet18", "regnety_002") else 0)


def test_inherited_weights_are_not_silenced(data, tmp_path):
    trained = train(training(epochs=1), data, keep=tmp_path / "kept.safetensors")
    model = load_trained(tmp_path / "kept.safetensors")
    inherited = prepared(training(), 2, 10, model[0].state_dict())
    assert trained.status == "ok"
    assert all(torch.equal(a, b) for a, b in zip(model[0].parameters(), inherited.parameters(), strict=True))


def test_a_training_fits_images_with_the_recipe_s_margin_and_scores_the_centre_that_it_says(data, monkeypatch):
    seen = []
    whole = proxy.DeviceImages

    def noted(*arguments):
        seen.append(whole(*arguments))
        return seen[-1]

    monkeypatch.setattr(proxy, "DeviceImages", noted)
    scores = [train(training(epochs=1, margin=1.1, crop_pct=share), data).loss for share in (1.0, 0.8)]
    fitted, scoring, _, centre = seen
    assert fitted.images.shape[-1] == 36 and scoring.images.shape == centre.images.shape == (32, 3, 32, 32)
    _, held = splits(training(), data)  # of 40 px, 32 of which are 0.8
    assert torch.equal(centre.images, torch.from_numpy(held.images[:, 4:36, 4:36]).permute(0, 3, 1, 2))
    assert scores[0] != scores[1]


class Remembering:
    """A pretended recorder of steps: replays do the work again on what lies in the buffers."""

    made = 0

    def warm(self, work):
        return work()

    def record(self, work):
        Remembering.made += 1
        return work


@pytest.mark.parametrize("other", [{}, {"clip_grad": 0.1, "cutmix": 1.0, "optimizer": "momentum"}])
def test_a_training_of_recorded_steps_is_one_of_plain_ones(data, monkeypatch, other):
    plain = train(training(**other), data)
    Remembering.made = 0
    monkeypatch.setattr(proxy, "recorder_for", lambda _: Remembering())
    recorded = train(training(**other), data)
    assert Remembering.made == 1 and not recorded.message
    losses = [one.training_loss for one in plain.history]
    assert [one.training_loss for one in recorded.history] == pytest.approx(losses, rel=1e-3)


def test_steps_whose_dropout_changes_with_the_epoch_are_not_recorded(data, monkeypatch):
    Remembering.made = 0
    monkeypatch.setattr(proxy, "recorder_for", lambda _: Remembering())
    assert train(training(epochs=1, channel_dropout=0.1), data).status == "ok" and not Remembering.made


def test_why_steps_are_not_recorded_is_said_once(data, monkeypatch):
    class Refusing(Remembering):
        def record(self, work):
            raise RuntimeError("no such thing here")

    monkeypatch.setattr(proxy, "recorder_for", lambda _: Refusing())
    assert train(training(), data).message == "no CUDA graph: no such thing here"


def test_gradients_are_clipped_to_the_length_that_the_recipe_says(data, monkeypatch):
    lengths, update = [], proxy._Run._update

    def looking(run):
        update(run)
        squares = [one.grad.square().sum() for one in run.model.parameters()]
        lengths.append(torch.stack(squares).sum().sqrt().item())

    monkeypatch.setattr(proxy._Run, "_update", looking)
    train(training(epochs=1), data)
    free, lengths[:] = list(lengths), []
    assert min(free) > 0.05
    train(training(epochs=1, clip_grad=0.05), data)
    assert max(lengths) <= 0.05 * 1.001 and min(lengths) > 0.049


def test_beside_top_1_there_is_top_5_where_there_are_more_classes(stripes, data):
    assert all(not record.facts for record in train(training(epochs=1), data).history)
    many = tuple(f"class {i}" for i in range(8))
    found = train(training(epochs=1), ImageData(stripes(160, 0), stripes(40, 1), many, "stripes", 40, ""))
    assert found.history[-1].accuracy <= found.history[-1].facts["top5"] <= 1


def test_top_5_counts_images_whose_class_is_among_the_five_likeliest():
    class Ranked(torch.nn.Module):  # the class that an image's brightness says, then its neighbours
        def forward(self, images):
            return -(images.mean((1, 2, 3))[:, None].round() - torch.arange(10)).abs() + 0.01 * torch.arange(10)

    class Batches:
        def __len__(self):
            return 10

        def in_order(self, size):
            labels = torch.arange(10)
            yield torch.full((10, 3, 2, 2), 4.0), labels

    scores = scoring.evaluate(Ranked(), Batches(), torch.device("cpu"), 10)
    assert scores.accuracy == pytest.approx(0.1) and scores.facts == {"top5": pytest.approx(0.5)}
