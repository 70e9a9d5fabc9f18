"""Batches: resized, cropped and flipped as described."""

import numpy as np
import pytest
import torch
from PIL import Image

from trainer.augment import crop_and_flip, crop_boxes, crop_grid
from trainer.batches import MEAN, STD, DeviceImages, normalised, resized, steps_per_epoch
from trainer.images import ImageSplit

CPU = torch.device("cpu")


def split(n=10, side=24):
    rng = np.random.default_rng(0)
    return ImageSplit(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8), np.arange(n) % 3)


def test_resizing_agrees_with_pillows_antialiased_bilinear_filter():
    images = split(side=48).images
    ours = resized(torch.from_numpy(images).permute(0, 3, 1, 2), 20).permute(0, 2, 3, 1).numpy().astype(int)
    theirs = np.stack([np.asarray(Image.fromarray(one).resize((20, 20), Image.Resampling.BILINEAR)) for one in images])
    assert np.abs(ours - theirs.astype(int)).max() <= 1  # a rounding apart


def test_normalised_images_have_imagenets_statistics_taken_out():
    pixel = torch.full((1, 3, 1, 1), 51, dtype=torch.uint8)
    expected = [(0.2 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    assert normalised(pixel).flatten().tolist() == pytest.approx(expected)


def test_in_order_gives_every_image_once_and_a_smaller_last_batch():
    batches = list(DeviceImages(split(), 24, CPU).in_order(4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == split().labels.tolist()


def shuffled(seed=0, first=0):
    return list(DeviceImages(split(), 24, CPU).shuffled(4, torch.Generator().manual_seed(seed), first))


def test_an_epoch_has_the_stated_number_of_full_batches_of_different_images():
    batches = shuffled()
    assert len(batches) == steps_per_epoch(10, 4) == 2
    assert all(images.shape == (4, 3, 24, 24) and images.dtype == torch.uint8 for images, _ in batches)
    assert len({image.numpy().tobytes() for images, _ in batches for image in images}) == 8


def test_the_generator_decides_the_order():
    same = zip(shuffled(3), shuffled(3), strict=True)
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in same)
    assert not torch.equal(shuffled(3)[0][0], shuffled(4)[0][0])


def test_an_epoch_that_begins_in_the_middle_goes_on_as_the_whole_one():
    (rest,) = shuffled(first=1)
    assert torch.equal(rest[0], shuffled()[1][0]) and torch.equal(rest[1], shuffled()[1][1])


def drawn(n, flip=0.5):
    return crop_grid(crop_boxes(n, 0.4, flip, torch.Generator().manual_seed(0)), 8)


def corners(grid):
    """Left, right, top, bottom of each crop, in [-1, 1], the half pixels of the grid added."""
    n = grid.shape[1]
    x, y = grid[:, 0, :, 0], grid[:, :, 0, 1]
    half_x, half_y = (x[:, -1] - x[:, 0]) / (n - 1) / 2, (y[:, -1] - y[:, 0]) / (n - 1) / 2
    return x[:, 0] - half_x, x[:, -1] + half_x, y[:, 0] - half_y, y[:, -1] + half_y


def test_crops_lie_inside_the_image_and_keep_the_stated_share_of_it():
    left, right, top, bottom = corners(drawn(2000))
    for edge in (left, right, top, bottom):
        assert edge.abs().max() <= 1 + 1e-5
    area = (right - left).abs() * (bottom - top).abs() / 4
    assert area.max() <= 1 + 1e-5 and area.min() >= 0.35  # clipped to the image, a long crop loses a little
    assert 0.65 < area.mean() < 0.73


def test_half_of_the_images_are_mirrored():
    left, right, _, _ = corners(drawn(4000))
    assert 0.46 < (right < left).float().mean() < 0.54
    left, right, _, _ = corners(drawn(500, flip=0.0))
    assert (right > left).all()


def test_a_grid_is_torchs_own_for_the_same_crop():
    boxes = crop_boxes(20, 0.4, 0.5, torch.Generator().manual_seed(0))
    width, height, x, y = boxes
    zero = torch.zeros(20)
    theta = torch.stack([width, zero, x, zero, height, y], dim=1).view(20, 2, 3)
    expected = torch.nn.functional.affine_grid(theta, [20, 3, 8, 8], align_corners=False)
    assert torch.allclose(crop_grid(boxes, 8), expected, atol=1e-6)


def test_the_whole_image_is_a_crop_that_changes_nothing():
    images = torch.from_numpy(split().images).permute(0, 3, 1, 2)
    boxes = torch.tensor([[1.0], [1.0], [0.0], [0.0]]).repeat(1, len(images))
    whole = torch.nn.functional.grid_sample(images.float(), crop_grid(boxes, 24), align_corners=False)
    assert torch.allclose(whole, images.float(), atol=1e-3)
    cropped = crop_and_flip(images, 24, 1.0, 0.0, torch.Generator().manual_seed(0))
    # aspect ratios other than 1 are clipped to the image, so some rows or columns are cut; none is invented
    assert cropped.min() >= images.min() - 1e-3 and cropped.max() <= images.max() + 1e-3
