"""Batches: resized, cropped and flipped as described."""

import tracemalloc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sampler import scaled, stack
from trainer import image_data
from trainer.augment import crop_and_flip, crop_boxes, crop_grid
from trainer.batches import MEAN, STD, DeviceImages, normalised, resized, steps_per_epoch
from trainer.engines.placement import PROCESS_BYTES, training_bytes
from trainer.image_data import ImageSplit, PickedImages, chunk_of, kept_side, scored_side, side_needed
from trainer.recipe import Recipe

CPU = torch.device("cpu")


def split(n=10, side=24):
    rng = np.random.default_rng(0)
    return ImageSplit(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8), np.arange(n) % 3)


def test_resizing_agrees_with_pillows_antialiased_bilinear_filter():
    images = split(side=48).images
    ours = resized(torch.from_numpy(images).permute(0, 3, 1, 2), 20).permute(0, 2, 3, 1).numpy().astype(int)
    theirs = np.stack([np.asarray(Image.fromarray(one).resize((20, 20), Image.Resampling.BILINEAR)) for one in images])
    assert np.abs(ours - theirs.astype(int)).max() <= 1  # a rounding apart


@pytest.mark.parametrize(("side", "crop_pct"), [(24, 0.875), (21, 0.9), (24, 1.0), (40, 0.8), (8, 0.3)])
def test_what_is_scored_is_the_centre_that_timm_scores(side, crop_pct):
    pictures = split(n=3, side=48)
    with_timm = create_transform((3, side, side), interpolation="bilinear", crop_pct=crop_pct)
    theirs = torch.stack([with_timm(Image.fromarray(one)) for one in pictures.images])
    ((ours, _),) = DeviceImages(pictures, side, CPU, crop_pct).in_order(3)
    assert ours.shape == theirs.shape == (3, 3, side, side)
    assert (ours - theirs).abs().max() <= 1.01 / 255 / min(STD)  # a rounding apart


def source_pixels(side, resolution, margin):
    """Pixels of the kept images per pixel of the input, and the share of their width that is seen; means of crops."""
    kept = kept_side(side, resolution, margin)
    grid = crop_grid(crop_boxes(2000, 0.5, 0.0, torch.Generator().manual_seed(0)), resolution)
    apart = (grid[:, 0, 1, 0] - grid[:, 0, 0, 0]).mean().item() * kept / 2
    return apart, (grid[:, 0, -1, 0] - grid[:, 0, 0, 0]).mean().item() / 2


def test_crops_have_as_many_pixels_of_the_images_at_every_r_and_show_the_same_share_of_them():
    margin, sizes = 1.25, [round(64 * r) for r in (0.35, 0.7, 1.0, 1.12, 1.4)]
    found = [source_pixels(side_needed(sizes[-1], margin), size, margin) for size in sizes]
    assert [apart for apart, _ in found] == pytest.approx([1.08] * 5, abs=0.03)
    assert [share for _, share in found] == pytest.approx([0.85] * 5, abs=0.04)
    # As it was: images of 1.4 x 64 px, whose margin is gone at r = 1.4, where crops were enlarged.
    before = [source_pixels(90, size, margin)[0] for size in sizes]
    assert before[:3] == pytest.approx([1.08] * 3, abs=0.03) and before[-1] == pytest.approx(0.86, abs=0.02)


def test_sides_are_whole_pixels_and_no_larger_than_needed():
    assert [side_needed(size, 1.1) for size in (100, 101, 10)] == [110, 112, 11]
    assert kept_side(90, 64, 1.25) == 80 and kept_side(70, 64, 1.25) == 70
    assert [scored_side(224, share) for share in (1.0, 0.875, 0.95)] == [224, 256, 235]


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


class Counting(TorchDispatchMode):
    """Counts the bytes of all tensors that live at once, with those of numpy arrays."""

    def __init__(self):
        super().__init__()
        self.alive, self.most, self.storages = 0, 0, {}

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        found = function(*arguments, **(named or {}))
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor):
                self.count(one)
        self.most = max(self.most, self.alive + tracemalloc.get_traced_memory()[0])
        return found

    def count(self, tensor):
        """Of a storage once, until the last tensor that looks at it has gone."""
        place, size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
        users = self.storages.get(place, 0)
        self.alive += 0 if users or size == 0 else size
        self.storages[place] = users + 1
        weakref.finalize(tensor, self.gone, place, size)

    def gone(self, place, size):
        self.storages[place] -= 1
        if not self.storages[place]:
            del self.storages[place]
            self.alive -= size


@pytest.mark.parametrize("kept", [64, 48])
def test_loading_takes_memory_for_the_images_once_and_for_one_piece_of_them(tmp_path, monkeypatch, kept):
    n, side = 6000, 64
    monkeypatch.setattr(image_data, "_CHUNK", 64)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    picked = PickedImages(ImageSplit(images, np.zeros(n, np.int64)), np.flatnonzero(np.arange(n) % 6))
    tracemalloc.start()
    try:
        with Counting() as counting:
            loaded = DeviceImages(picked, kept, CPU)
    finally:
        tracemalloc.stop()
    once = 3 * 5000 * kept**2
    assert loaded.images.nbytes == once and len(loaded) == 5000
    piece = 3 * 64 * (side**2 + kept**2)
    assert once <= counting.most < 1.25 * once, counting.most / once
    planned = training_bytes(
        stack([scaled("resnet20_cifar", resolution=kept, width=0.1)]), 2, Recipe(batch_size=1), 5000, 0, side
    )
    assert counting.most < planned[0] - PROCESS_BYTES + piece


def test_picked_images_are_those_and_nothing_is_read_before_they_are_asked_for():
    whole = split()
    picked = PickedImages(whole, np.array([7, 2, 5]))
    assert len(picked) == 3 and picked.labels.tolist() == [1, 2, 2] and picked.side == 24
    assert np.array_equal(picked.taken(1, 3), whole.images[[2, 5]])
    assert np.array_equal(picked.images[0], whole.images[7])
    loaded = DeviceImages(picked, 24, CPU)
    assert torch.equal(loaded.images.permute(0, 2, 3, 1), torch.from_numpy(whole.images[[7, 2, 5]]))
    assert not any(np.shares_memory(one.taken(0, 3), whole.images) for one in (picked, whole))


def test_pieces_are_no_more_than_so_many_pixels_and_one_image_at_least():
    assert chunk_of(32) == 512 and chunk_of(314) * 314**2 <= 2**23 < (chunk_of(314) + 1) * 314**2
    assert chunk_of(10_000) == 1


def test_a_step_copies_nothing_from_the_host_for_normalising(monkeypatch):
    batch = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with torch.inference_mode():
        first = normalised(batch)  # whoever comes first, what is kept may be used in a training
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a tensor made of numbers on the host"))
    again = normalised(batch)
    assert torch.equal(first, again) and not again.is_inference()
