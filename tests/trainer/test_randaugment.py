"""RandAugment of a batch: each image as torchvision's own operation makes it, alone."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandAugment
from torchvision.transforms.v2 import functional as transforms

from trainer import randaugment as subject
from trainer.image_data import MEAN
from trainer.randaugment import OPERATIONS, DrawnOperations, drawn_operations, operated, randaugment

SIDE = 24
NAMES = list(OPERATIONS)
MOVING = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
FILL = 255 * torch.tensor(MEAN).view(3, 1, 1)


def pictures(n, seed=0):
    """Smooth pictures with a little noise, whole numbers from 20 to 230 or so."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    phases = rng.uniform(0, 6, (n, 3, 2))
    waves = np.sin(5 * x + phases[..., 0, None, None]) + np.cos(4 * y + phases[..., 1, None, None])
    return torch.from_numpy((125 + 50 * waves + rng.normal(0, 4, waves.shape)).clip(0, 255)).round().float()


def alone(image, name, strength):
    """One image by torchvision's functions, with the numbers of its RandAugment at a share of their largest."""
    # Mean colour outside as black around a picture without it: its own `fill` darkens the edge.
    pixels = image - FILL
    image, moved = image.to(torch.uint8), {"interpolation": InterpolationMode.BILINEAR}
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    shear, factor = math.degrees(math.atan(0.3 * strength)), 1 + 0.9 * strength
    shift = 150 / 331 * SIDE * strength
    made = {
        "Identity": lambda: image,
        "ShearX": lambda: transforms.affine(pixels, **{**still, "shear": [shear, 0.0]}, center=[0, 0], **moved),
        "ShearY": lambda: transforms.affine(pixels, **{**still, "shear": [0.0, shear]}, center=[0, 0], **moved),
        "TranslateX": lambda: transforms.affine(pixels, **{**still, "translate": [shift, 0]}, **moved),
        "TranslateY": lambda: transforms.affine(pixels, **{**still, "translate": [0, shift]}, **moved),
        "Rotate": lambda: transforms.rotate(pixels, 30 * strength, **moved),
        "Brightness": lambda: transforms.adjust_brightness(image, factor),
        "Color": lambda: transforms.adjust_saturation(image, factor),
        "Contrast": lambda: transforms.adjust_contrast(image, factor),
        "Sharpness": lambda: transforms.adjust_sharpness(image, factor),
        "Posterize": lambda: transforms.posterize(image, round(8 - 4 * abs(strength))),
        "Solarize": lambda: transforms.solarize(image, 255 * (1 - abs(strength))),
        "AutoContrast": lambda: transforms.autocontrast(image),
        "Equalize": lambda: transforms.equalize(image),
    }
    found = made[name]().float()
    return (found + FILL).round() if name in MOVING else found


def test_operations_are_those_of_torchvision():
    assert set(OPERATIONS) == set(RandAugment._AUGMENTATION_SPACE)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_of_images_is_changed_as_each_alone(name):
    strengths = torch.tensor([-1.0, -0.43, 0.0, 0.21, 0.77, 1.0])
    images = pictures(6)
    expected = torch.stack([alone(one, name, by) for one, by in zip(images, strengths.tolist(), strict=True)])
    found = operated(images.clone(), DrawnOperations(torch.full((6,), NAMES.index(name)), strengths))
    apart = (found - expected).abs()
    # torchvision cuts fractions off in some operations, ours rounds.
    assert apart.max() <= 1.001, apart.max()
    if name not in ("Identity", "Posterize"):
        assert (found - images).abs().max() > 2


def test_a_batch_of_mixed_operations_is_each_image_with_its_own():
    n = 40
    drawn = drawn_operations(n, 9, 0.5, torch.Generator().manual_seed(0))
    images = pictures(n)
    found = operated(images.clone(), drawn)
    pairs = zip(drawn.kinds.tolist(), drawn.strengths.tolist(), strict=True)
    expected = torch.stack([alone(images[i], NAMES[kind], by) for i, (kind, by) in enumerate(pairs)])
    assert (found - expected).abs().max() <= 1.001
    assert len(set(drawn.kinds.tolist())) > 8
    # to the bit what the same operations give in batches of one
    single = [
        operated(images[i : i + 1].clone(), DrawnOperations(drawn.kinds[i : i + 1], drawn.strengths[i : i + 1]))
        for i in range(n)
    ]
    assert (found - torch.cat(single)).abs().max() <= 1  # a sum in another order may round to the next number


def test_magnitudes_are_normal_about_theirs_and_within_the_range():
    drawn = drawn_operations(20_000, 9, 0.5, torch.Generator().manual_seed(1))
    magnitudes = 30 * drawn.strengths.abs().double()
    assert magnitudes.mean().item() == pytest.approx(9, abs=0.02) and magnitudes.std().item() == pytest.approx(
        0.5, rel=0.03
    )
    assert (drawn.strengths > 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    counts = drawn.kinds.bincount(minlength=14) / 20_000
    assert counts.tolist() == pytest.approx([1 / 14] * 14, abs=0.01)
    wide = drawn_operations(1000, 29, 5.0, torch.Generator().manual_seed(1)).strengths.abs()
    assert wide.max() == 1 and (wide == 1).float().mean() > 0.3


def test_without_noise_all_magnitudes_are_the_same_and_the_generator_decides_the_rest():
    first = drawn_operations(50, 9, 0.0, torch.Generator().manual_seed(1))
    again = drawn_operations(50, 9, 0.0, torch.Generator().manual_seed(1))
    assert first.strengths.abs().tolist() == pytest.approx([0.3] * 50)
    assert torch.equal(first.kinds, again.kinds) and torch.equal(first.strengths, again.strengths)


def test_two_operations_one_after_the_other(monkeypatch):
    seen = []
    monkeypatch.setattr(subject, "operated", lambda images, drawn: seen.append(drawn) or images + 1)
    images = pictures(5) + 0.25
    assert torch.equal(randaugment(images, 9, 0.5, torch.Generator().manual_seed(0)), images.round() + 2)
    assert len(seen) == 2 and not torch.equal(seen[0].kinds, seen[1].kinds)


def test_flat_images_have_no_contrast_to_stretch():
    flat = torch.full((2, 3, SIDE, SIDE), 90.0)
    for name in ("AutoContrast", "Equalize"):
        found = operated(flat.clone(), DrawnOperations(torch.full((2,), NAMES.index(name)), torch.ones(2)))
        assert torch.equal(found, flat)
