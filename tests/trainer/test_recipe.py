"""Recipes say what the papers say, and every value reaches the library it is meant for."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from sampler import Architecture, InputError, base
from trainer.augment import Augmentation, seed_of
from trainer.distillation import Distillation
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.optimization import averaged, label_loss, optimizer, schedule, set_drop_path, set_norm_momentum
from trainer.recipe import RECIPES, Recipe, recipe_named
from trainer.weights import load_trained, save_network

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 2, 1, 1, 1, 1, 1), 16)
CPU = torch.device("cpu")


def rates(recipe, total_steps):
    """The learning rate of every step."""
    stepper = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.scaled_learning_rate)
    found, scheduler = [], schedule(stepper, recipe, total_steps)
    for step in range(total_steps):
        scheduler.step_update(step)
        found.append(stepper.param_groups[0]["lr"])
    return found


def test_an_unknown_recipe_is_refused_with_those_known():
    with pytest.raises(
        InputError, match="recipe 'fats' is unknown; known recipes: fast, tinynet, resnet, adjust, ampl"
    ):
        recipe_named("fats")


@pytest.mark.parametrize(("field", "value"), [("optimizer", "adam9"), ("schedule", "linear"), ("lr_scaling", "cubic")])
def test_an_unknown_word_is_refused_with_those_known(field, value):
    with pytest.raises(InputError, match=f"{field} '{value}' is unknown; known: "):
        replace(Recipe(), **{field: value})


def test_the_rate_of_a_paper_is_reached_at_the_batch_of_the_paper():
    assert replace(RECIPES["tinynet"], batch_size=1024).scaled_learning_rate == pytest.approx(0.048)
    assert replace(RECIPES["resnet"], batch_size=1024).scaled_learning_rate == pytest.approx(0.4)
    assert RECIPES["adjust"].scaled_learning_rate == pytest.approx(0.15)  # at its own batch of 128
    assert RECIPES["tinynet"].scaled_learning_rate == pytest.approx(0.048 / 16)


# timm's training script: at a batch of `lr_base_size` the base rate, else times the ratio, or its square root for
# optimisers whose name has `ada` or `lamb` in it.
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "momentum", "rmsproptf"])
@pytest.mark.parametrize("batch", [16, 64, 512])
def test_rates_scale_with_the_batch_as_in_timms_script(optimizer, batch):
    asked = Recipe(optimizer=optimizer, batch_size=batch, learning_rate=0.1)
    exponent = 0.5 if "ada" in optimizer else 1.0
    assert asked.scaled_learning_rate == pytest.approx(0.1 * (batch / 64) ** exponent)
    said = {"linear": batch / 64, "sqrt": (batch / 64) ** 0.5, "none": 1.0}
    for name, factor in said.items():
        assert replace(asked, lr_scaling=name).scaled_learning_rate == pytest.approx(0.1 * factor)
    before = replace(asked, edition=1)
    assert before.scaled_learning_rate == 0.1 * batch / 64  # to the bit


def test_what_a_training_is_known_by_does_not_grow_with_the_fields_of_later_versions():
    old = RECIPES["long"].seen_as(Recipe(edition=1)).as_dict()
    assert not {"edition", "lr_scaling", "randaugment_noise", "cutmix", "clip_grad", "deterministic"} & old.keys()
    assert len(old) == 27  # as many as there were
    new = replace(RECIPES["long"], cutmix=1.0, deterministic=True).as_dict()
    assert {name: new[name] for name in new.keys() - old.keys()} == {"edition": 2, "cutmix": 1.0, "deterministic": True}


def test_a_record_from_before_is_of_the_same_training_by_the_rules_of_then_only():
    def asked(**other):
        return Training(SMALL, Fidelity(1), Recipe(**other), DataSpec("noise", 40))

    cost = {"macs": 1, "params": 1, "activations": 1, "seconds": 1.0, "device": "cpu"}
    facts = asked(edition=1).facts()
    found = Observation(SMALL, Fidelity(1), 0, "ok", 0.5, 1.0, **cost, asked=facts)
    assert found.other_than(asked(edition=1)) is None
    assert found.other_than(asked()) == "recipe.edition"
    newer = replace(found, asked=asked(edition=1, cutmix=1.0).facts())
    assert newer.other_than(asked(edition=1)) == "recipe.cutmix"


def test_tinynets_rate_falls_by_three_percent_every_2_4_epochs_of_450():
    recipe, steps_per_epoch = RECIPES["tinynet"], 10
    found = rates(recipe, 450 * steps_per_epoch)
    for epoch in (4, 100, 449):
        expected = recipe.scaled_learning_rate * 0.97 ** (epoch // 2.4)
        assert found[epoch * steps_per_epoch + 5] == pytest.approx(expected, rel=0.031)
    assert found[: 3 * steps_per_epoch] == sorted(found[: 3 * steps_per_epoch])  # three epochs of warm-up
    assert found[0] < 0.02 * max(found)


def test_a_tenth_of_the_epochs_gives_the_same_schedule_in_a_tenth_of_the_steps():
    long, short = rates(RECIPES["tinynet"], 9000), rates(RECIPES["tinynet"], 900)
    assert short[100::100] == pytest.approx(long[1000::1000], rel=1e-6)


def test_resnets_rate_falls_to_a_tenth_after_each_third():
    found = np.array(rates(RECIPES["resnet"], 90)) / RECIPES["resnet"].scaled_learning_rate
    assert found.tolist() == pytest.approx([1.0] * 30 + [0.1] * 30 + [0.01] * 30)


def test_adjusts_rate_falls_from_0_15_to_0_001():
    found = rates(RECIPES["adjust"], 1000)
    assert found[0] == pytest.approx(0.15) and found[-1] == pytest.approx(0.001, rel=0.01)
    assert found == sorted(found, reverse=True)


def test_a_value_that_was_added_since_is_no_fact_of_recipes_that_do_not_use_it():
    assert "channel_ramp" not in RECIPES["adjust"].as_dict()
    assert RECIPES["adjust-imagenet"].as_dict()["channel_ramp"] is False
    assert replace(RECIPES["adjust-imagenet"], batch_size=512).scaled_learning_rate == pytest.approx(0.2)


def test_the_rate_of_fast_warms_up_and_then_falls_to_nothing():
    found = rates(replace(Recipe(), learning_rate=1.0, warmup=0.2), 100)
    assert found[:20] == sorted(found[:20]) and found[20:] == sorted(found[20:], reverse=True)
    assert max(found) == pytest.approx(1.0, abs=0.11) and found[-1] < 0.001


@pytest.mark.parametrize("name", RECIPES)
def test_the_optimiser_has_the_recipes_numbers_and_leaves_norms_and_biases_undecayed(name):
    recipe = RECIPES[name]
    model = build(SMALL, 4)
    groups = optimizer(model, recipe).param_groups
    decayed = {id(one) for group in groups if group["weight_decay"] for one in group["params"]}
    assert decayed == {id(one) for one in model.parameters() if one.ndim > 1}
    assert {group["weight_decay"] for group in groups} == {0.0, recipe.weight_decay}
    assert all(group["lr"] == pytest.approx(recipe.scaled_learning_rate) for group in groups)
    if name == "tinynet":
        assert all((group["alpha"], group["momentum"], group["eps"]) == (0.9, 0.9, 1e-3) for group in groups)
    if recipe.optimizer == "momentum":
        assert all(group["momentum"] == 0.9 and not group["nesterov"] for group in groups)


def test_the_average_of_weights_spans_a_share_of_the_training():
    model = nn.Linear(2, 2)
    assert averaged(model, replace(Recipe(), ema=0.1), 1000).decay == pytest.approx(0.99)
    assert averaged(model, replace(Recipe(), ema=0.1), 5).decay == 0.0
    assert averaged(model, replace(Recipe(), ema=0.0), 1000) is None


def test_tinynets_average_is_0_9999_at_its_own_450_epochs_of_imagenet():
    steps = 450 * (1_281_167 // 1024)
    assert averaged(nn.Linear(2, 2), RECIPES["tinynet"], steps).decay == pytest.approx(0.9999, abs=1e-6)


@pytest.mark.parametrize(("steps", "momentum"), [(100_000, 0.01), (500, 0.02), (40, 0.1)])
def test_batch_norms_momentum_is_tinynets_unless_the_training_is_too_short_for_it(steps, momentum):
    model = build(SMALL, 4)
    set_norm_momentum(model, RECIPES["tinynet"], steps)
    (found,) = {module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)}
    assert found == pytest.approx(momentum)


def test_the_loss_is_cross_entropy_with_smoothed_labels():
    logits, labels = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0])
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert label_loss(Recipe())(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)
    soft = functional.one_hot(labels, 4).float()
    expected = functional.cross_entropy(logits, soft)
    assert label_loss(replace(Recipe(), mixup=0.2))(logits, soft).item() == pytest.approx(expected.item(), rel=1e-5)


# --- drop path ---


@pytest.mark.parametrize(
    ("name", "blocks"),
    # In EfficientNet-B0 the first block of every stage but those that keep shape lacks a shortcut.
    [("efficientnet_b0", 9), ("resnet18", 8), ("regnety_002", 13), ("convnext_atto", 12), ("resnet20_cifar", 9)],
)
def test_drop_path_of_the_first_edition_counts_blocks_with_a_shortcut_and_changes_nothing_in_eval(name, blocks):
    network = base(name)
    torch.manual_seed(0)
    model = build(replace(network.architecture(), resolution=network.stride), 4).eval()
    images = torch.randn(2, 3, network.stride, network.stride)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith(".gamma"):  # ConvNeXt's branches begin at a millionth of their size
                parameter.fill_(1.0)
        before = model(images)
        assert set_drop_path(model, 0.2, edition=1) == blocks
        assert torch.allclose(model.eval()(images), before, atol=1e-5)
        torch.manual_seed(0)
        assert not torch.allclose(model.train()(images), before, atol=1e-3)
    dropped = [module.drop_prob for module in model.modules() if type(module).__name__ == "DropPath"]
    assert dropped == pytest.approx([0.2 * index / (blocks - 1) for index in range(1, blocks)])


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenetv2_100", "resnet18", "regnety_002", "convnext_atto"])
def test_drop_path_is_that_of_timms_own_network(name):
    network = base(name)
    model = build(network.architecture(), 4)
    set_drop_path(model, 0.2)
    theirs = timm.create_model(name, drop_path_rate=0.2)

    def rates(model):
        places = (block for block in model.modules() if hasattr(block, "drop_path"))
        return [getattr(block.drop_path, "drop_prob", 0.0) for block in places]

    assert rates(model) == pytest.approx(rates(theirs)) and max(rates(model)) > 0.15


def test_a_family_without_a_place_for_drop_path_has_none():
    assert set_drop_path(build(base("ghostnet_100").architecture(), 4), 0.2) == 0


# --- augmentation ---


def batch(n=8, side=40):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8)), torch.arange(n) % 4


RICH = replace(Recipe(), batch_size=8, randaugment=9, mixup=0.4, erasing=0.5)


def test_a_seed_decides_everything_whatever_was_drawn_before():
    augment = Augmentation(RICH, 32, 4, CPU)
    first = augment(*batch(), seed_of(1, 2, 3))
    augment(*batch(), seed_of(1, 2, 4))
    again = Augmentation(RICH, 32, 4, CPU)(*batch(), seed_of(1, 2, 3))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_neighbouring_steps_have_unrelated_seeds():
    seeds = {seed_of(seed, epoch, step) for seed in range(5) for epoch in range(5) for step in range(5)}
    assert len(seeds) == 125 and min(abs(a - b) for a, b in zip(sorted(seeds), sorted(seeds)[1:], strict=False)) > 1e9


@pytest.mark.parametrize(
    "change",
    [{"randaugment": 20}, {"randaugment": 20, "edition": 1}, {"mixup": 1.0}, {"cutmix": 1.0}, {"erasing": 1.0}],
)
def test_each_augmentation_changes_images_and_keeps_their_form(change):
    plain = Augmentation(Recipe(), 32, 4, CPU)(*batch(), 5)
    images, labels = Augmentation(replace(Recipe(), **change), 32, 4, CPU)(*batch(), 5)
    assert images.shape == (8, 3, 32, 32) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(images, plain[0])
    mixes = "mixup" in change or "cutmix" in change
    assert labels.shape == ((8, 4) if mixes else (8,))
    if mixes:
        assert labels.sum(1).tolist() == pytest.approx([1.0] * 8)


def test_cutmix_gives_a_class_the_share_of_the_area_that_its_image_has():
    asked = Recipe(cutmix=1.0, crop=1.0, flip=0.0, label_smoothing=0.0, batch_size=8)
    images = torch.zeros(8, 3, 40, 40, dtype=torch.uint8)
    images[4:] = 255  # an image's partner is of the other half
    shares = set()
    for seed in range(20):
        mixed, labels = Augmentation(asked, 40, 2, CPU)(images, torch.arange(8) // 4, seed)
        bright = (mixed[:, 0] > 0).float().mean((1, 2))
        assert labels[:, 1].tolist() == pytest.approx(bright.tolist(), abs=1e-6)
        shares.add(round(labels[0, 1].item(), 3))
    assert len(shares) > 10


def test_beside_mixup_batches_have_either():
    asked = Recipe(cutmix=1.0, mixup=1.0, crop=1.0, flip=0.0, batch_size=8)
    images = torch.zeros(8, 3, 40, 40, dtype=torch.uint8)
    images[4:] = 255
    augment = Augmentation(asked, 40, 2, CPU)
    mixed = [augment(images, torch.arange(8) // 4, seed)[0][0, 0] for seed in range(60)]
    kinds = [1 + (one.max() - one.min() > 0.1).item() for one in mixed]
    cut = sum(kind == 2 for kind in kinds)  # a mixture of two flat images is flat
    assert 15 < cut < 45 and set(kinds) == {1, 2}


def test_every_image_of_a_batch_gets_operations_of_its_own():
    one, _ = batch(1)
    images, _ = Augmentation(replace(Recipe(), randaugment=30, crop=1.0, flip=0.0), 40, 4, CPU)(
        one.repeat(16, 1, 1, 1), torch.zeros(16, dtype=torch.int64), 0
    )
    assert len({image.mean().item() for image in images}) > 8


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_needs_pairs(name):
    with pytest.raises(InputError, match=f"{name} pairs images, so batch_size=33 must be even"):
        replace(Recipe(), **{name: 0.2}, batch_size=33)


# --- distillation ---


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(1)
    model, path = build(SMALL, 4), tmp_path / "teacher.safetensors"
    save_network(path, model, SMALL, 4)
    return path, model.eval()


def test_a_network_comes_back_from_its_file(teacher):
    path, model = teacher
    torch.manual_seed(7)
    loaded, architecture, classes = load_trained(path)
    state = torch.get_rng_state()
    assert (architecture, classes) == (SMALL, 4)
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in model.state_dict().items())
    torch.manual_seed(7)
    assert torch.equal(torch.get_rng_state(), state)  # reading draws no random number


def test_distillation_is_the_temperature_scaled_divergence_from_the_teacher(teacher):
    path, model = teacher
    images, logits = torch.randn(5, 3, 32, 32), torch.randn(5, 4)
    found = Distillation(replace(Recipe(), teacher=str(path), temperature=3.0), 4, CPU)(logits, images)
    with torch.no_grad():
        p = (model(images).double() / 3).softmax(1).numpy()
    q = (logits.double() / 3).softmax(1).numpy()
    assert found.item() == pytest.approx(9 * (p * np.log(p / q)).sum(1).mean(), rel=1e-4)


def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn_from_it(teacher):
    path, model = teacher
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        logits = model(images)
    assert Distillation(replace(Recipe(), teacher=str(path)), 4, CPU)(logits, images).item() == pytest.approx(
        0, abs=1e-5
    )


def test_a_teacher_of_other_classes_is_refused(teacher):
    with pytest.raises(InputError, match="a teacher of 4 classes; the student has 7"):
        Distillation(replace(Recipe(), teacher=str(teacher[0])), 7, CPU)


def test_a_teacher_that_is_not_one_is_refused_in_one_line(tmp_path):
    (tmp_path / "text").write_text("no network")
    for name, words in (("absent", "No such file"), ("text", "not a saved network")):
        with pytest.raises(InputError, match=words) as error:
            load_trained(tmp_path / name)
        assert "\n" not in str(error.value)
