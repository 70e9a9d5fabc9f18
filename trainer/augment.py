"""Augmentation of whole batches on the device: crop, flip, RandAugment, erasing, mixup or cutmix.

Every random number of a step comes from one seed, so that a step is the same whether or not the steps before it
were done by the same process. The libraries draw from the global generators of torch, numpy and Python: those are
seeded too, where a library that uses them is asked for.
"""

from __future__ import annotations

import math
import random

import numpy as np
import torch
from timm.data import Mixup
from timm.data.random_erasing import RandomErasing
from torch.nn import functional
from torchvision.transforms import v2  # type: ignore[import-untyped]

from trainer.batches import normalised
from trainer.devices import has_all_kernels, sent
from trainer.randaugment import randaugment
from trainer.recipe import LARGEST_MAGNITUDE, Recipe


def seed_of(*parts: int) -> int:
    """One seed of several numbers, such as (seed, epoch, step); neighbours give unrelated streams."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


class Augmentation:
    """What a recipe does to a batch.

    Args:
        recipe: Which operations, and how strong.
        resolution: Output side, in pixels.
        classes: Number of classes.
        device: Where the batches are.
    """

    def __init__(self, recipe: Recipe, resolution: int, classes: int, device: torch.device) -> None:
        self.recipe, self.resolution = recipe, resolution
        self.generator = torch.Generator()
        self.randaugment = self.erasing = self.mixup = None
        if recipe.randaugment and recipe.edition == 1:
            self.randaugment = v2.RandAugment(magnitude=recipe.randaugment, num_magnitude_bins=LARGEST_MAGNITUDE + 1)
        if recipe.erasing:
            self.erasing = RandomErasing(recipe.erasing, mode="pixel", device=device)  # type: ignore[no-untyped-call]
        if recipe.mixup or recipe.cutmix:
            self.mixup = Mixup(  # type: ignore[no-untyped-call]
                recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=classes
            )

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Augments a batch.

        Args:
            images: `(n, 3, side, side)` uint8.
            labels: `(n,)` int64.
            seed: Seed of every random number of this batch, dropout in the network included.

        Returns:
            Normalised float32 images, `(n, 3, resolution, resolution)`, channels last; and the labels, as
            `(n, classes)` probabilities under mixup or cutmix.
        """
        self._seed(seed)
        if self.randaugment:  # an operation of its own for every image; a batch would get one for all
            images = torch.stack([self.randaugment(image) for image in images])
        recipe = self.recipe
        cropped = crop_and_flip(images, self.resolution, recipe.crop, recipe.flip, self.generator)
        if recipe.randaugment and not self.randaugment:
            cropped = randaugment(cropped, recipe.randaugment, recipe.randaugment_noise, self.generator)
        cropped = normalised(cropped)
        if self.erasing:
            cropped = self.erasing(cropped)
        if self.mixup:
            cropped, labels = self.mixup(cropped, labels)
        return cropped, labels

    def _seed(self, seed: int) -> None:
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)
        if self.erasing:
            random.seed(seed)
        if self.mixup:
            np.random.seed(seed % 2**32)


def crop_and_flip(
    images: torch.Tensor, resolution: int, crop: float, flip: float, generator: torch.Generator
) -> torch.Tensor:
    """A random resized crop and flip of every image, `(n, 3, resolution, resolution)` float32 of 0 to 255.

    The area kept is uniform in [crop, 1] and its aspect ratio log-uniform in [3/4, 4/3], clipped to the image
    (Szegedy et al. 2015), as torchvision's RandomResizedCrop, which draws one crop for a whole batch.
    """
    boxes = sent(crop_boxes(len(images), crop, flip, generator), images.device)
    grid = crop_grid(boxes, resolution)
    # Channels first: on a CPU three times as fast here as channels last.
    padding = "reflection"
    if not has_all_kernels(images.device):  # the same: crops lie inside, but for half a pixel of the outermost
        edge = 1 - 1 / images.shape[-1]
        grid, padding = grid.clamp(-edge, edge), "zeros"
    return functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode=padding, align_corners=False)


def crop_boxes(n: int, crop: float, flip: float, generator: torch.Generator) -> torch.Tensor:
    """Random crops as `(4, n)`: half width (negative where mirrored), half height, centre x and y, in [-1, 1]."""
    uniform = torch.rand(5, n, generator=generator)
    area = crop + (1 - crop) * uniform[0]
    aspect = torch.exp((2 * uniform[1] - 1) * math.log(4 / 3))
    half_width = (area * aspect).sqrt().clamp(max=1.0)
    half_height = (area / aspect).sqrt().clamp(max=1.0)
    centre_x = (2 * uniform[2] - 1) * (1 - half_width)
    centre_y = (2 * uniform[3] - 1) * (1 - half_height)
    mirror = torch.where(uniform[4] < flip, -1.0, 1.0)
    return torch.stack([half_width * mirror, half_height, centre_x, centre_y])


def crop_grid(boxes: torch.Tensor, resolution: int) -> torch.Tensor:
    """Sampling grids of crops, `(n, resolution, resolution, 2)` float32 coordinates in [-1, 1]."""
    centres = (2 * torch.arange(resolution, device=boxes.device) + 1) / resolution - 1
    half_width, half_height, centre_x, centre_y = boxes.unsqueeze(-1)
    grid = torch.empty(boxes.shape[1], resolution, resolution, 2, device=boxes.device)
    grid[..., 0] = (half_width * centres + centre_x).unsqueeze(1)
    grid[..., 1] = (half_height * centres + centre_y).unsqueeze(2)
    return grid
