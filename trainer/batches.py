"""Images on the device: resized once per architecture, then cropped and flipped by the batch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn import functional

from trainer.images import ImageSplit

# ImageNet's channel statistics; any fixed values do for proxies.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Images are kept a little larger than the input, so that a crop of part of the area is not blown up too much.
CROP_MARGIN = 1.25
RESIZE_CHUNK = 512


class DeviceImages:
    """One split at one architecture's resolution, on the device.

    Args:
        split: Decoded images, `(n, side, side, 3)` uint8.
        side: Side to which they are resized, in pixels (antialiased).
        device: Where they are kept, as uint8.
    """

    def __init__(self, split: ImageSplit, side: int, device: torch.device) -> None:
        self.labels = torch.from_numpy(split.labels.copy()).to(device)
        parts = []
        for start in range(0, len(split.labels), RESIZE_CHUNK):
            # A copy: the source may be a read-only memory map, which torch does not take.
            chunk = torch.from_numpy(split.images[start : start + RESIZE_CHUNK].copy()).permute(0, 3, 1, 2)
            parts.append(resized(chunk.to(device), side))
        self.images = torch.cat(parts).contiguous(memory_format=torch.channels_last)

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Normalised batches of `(images, labels)`, in order, the last one smaller."""
        for start in range(0, len(self), batch_size):
            rows = slice(start, start + batch_size)
            yield normalised(self.images[rows]), self.labels[rows]

    def shuffled(
        self, batch_size: int, resolution: int, crop: float, flip: float, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One epoch of augmented, normalised batches; an incomplete last batch is left out.

        Args:
            batch_size: Images per batch.
            resolution: Output side, in pixels.
            crop: Smallest share of the area that a random resized crop keeps.
            flip: Probability of a horizontal flip.
            generator: A CPU generator; every random number comes from it.
        """
        order = torch.randperm(len(self), generator=generator)
        for start in range(0, len(self) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size].to(self.labels.device)
            grid = crop_grid(len(rows), resolution, crop, flip, generator).to(self.labels.device)
            cropped = functional.grid_sample(
                normalised(self.images[rows]), grid, mode="bilinear", padding_mode="reflection", align_corners=False
            )
            yield cropped.contiguous(memory_format=torch.channels_last), self.labels[rows]


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches that `shuffled` yields."""
    return images // batch_size


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """`(n, 3, h, w)` uint8 images at `side` pixels, antialiased."""
    if images.shape[-1] == side:
        return images
    floats = functional.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    return floats.round_().clamp_(0, 255).to(torch.uint8)


def normalised(images: torch.Tensor) -> torch.Tensor:
    """uint8 images as float32 with ImageNet's mean and deviation taken out."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1) * 255
    return ((images.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def crop_grid(n: int, resolution: int, crop: float, flip: float, generator: torch.Generator) -> torch.Tensor:
    """Sampling grids of random resized crops and flips, one per image.

    The area kept is uniform in [crop, 1] and its aspect ratio log-uniform in [3/4, 4/3], clipped to the image
    (Szegedy et al. 2015), as torchvision's RandomResizedCrop, which draws one crop for a whole batch.

    Returns:
        `(n, resolution, resolution, 2)` float32 coordinates in [-1, 1].
    """
    uniform = torch.rand(5, n, generator=generator)
    area = crop + (1 - crop) * uniform[0]
    aspect = torch.exp((2 * uniform[1] - 1) * math.log(4 / 3))
    half_width = (area * aspect).sqrt().clamp(max=1.0)
    half_height = (area / aspect).sqrt().clamp(max=1.0)
    centre_x = (2 * uniform[2] - 1) * (1 - half_width)
    centre_y = (2 * uniform[3] - 1) * (1 - half_height)
    mirror = torch.where(uniform[4] < flip, -1.0, 1.0)
    zero = torch.zeros(n)
    theta = torch.stack([half_width * mirror, zero, centre_x, zero, half_height, centre_y], dim=1).view(n, 2, 3)
    return functional.affine_grid(theta, [n, 3, resolution, resolution], align_corners=False)
