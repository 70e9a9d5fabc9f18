"""Images on the device: resized once per architecture, then handed out by the batch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch.nn import functional

from trainer.devices import has_all_kernels
from trainer.image_data import MEAN, STD, ImageSplit, PickedImages, chunk_of, scored_side


class DeviceImages:
    """One split at one architecture's resolution, on the device.

    Args:
        split: Decoded images, `(n, side, side, 3)` uint8. They are read in pieces, and all that is kept of them is what
            is made of each: memory for them is needed once.
        side: Side to which they are resized, in pixels (antialiased).
        device: Where they are kept, as uint8.
        crop_pct: Share of a picture's side that is kept, around its centre; the rest is cut off.
    """

    def __init__(
        self, split: ImageSplit | PickedImages, side: int, device: torch.device, crop_pct: float = 1.0
    ) -> None:
        self.labels = torch.from_numpy(split.labels.copy()).to(device)
        n, at_once, whole = len(split), chunk_of(split.side), scored_side(side, crop_pct)
        first = round((whole - side) / 2)
        centre = slice(first, first + side)
        self.images = torch.empty((n, 3, side, side), dtype=torch.uint8, device=device)
        for start in range(0, n, at_once):
            stop = min(n, start + at_once)
            # A copy: the source may be a read-only memory map, which torch does not take.
            chunk = torch.from_numpy(split.taken(start, stop)).permute(0, 3, 1, 2)
            chunk = resized(chunk.to(device) if has_all_kernels(device) else chunk, whole)
            self.images[start:stop] = chunk[..., centre, centre]

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Normalised batches of `(images, labels)`, in order, the last one smaller."""
        for start in range(0, len(self), batch_size):
            rows = slice(start, start + batch_size)
            yield normalised(self.images[rows]), self.labels[rows]

    def shuffled(
        self, batch_size: int, generator: torch.Generator, first: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One epoch of batches of `(uint8 images, labels)`; an incomplete last batch is left out.

        Args:
            batch_size: Images per batch.
            generator: A CPU generator; the order comes from it.
            first: The batch to begin with; earlier ones are left out.
        """
        order = torch.randperm(len(self), generator=generator).to(self.labels.device)
        for step in range(first, steps_per_epoch(len(self), batch_size)):
            rows = order[step * batch_size : (step + 1) * batch_size]
            yield self.images[rows], self.labels[rows]


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
    """Images of 0 to 255 as float32 with ImageNet's mean and deviation taken out, channels last."""
    shift, scale = _shift_and_scale(images.device)
    return torch.addcmul(shift, images.to(torch.float32, memory_format=torch.channels_last), scale)


@cache
def _shift_and_scale(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """For a product and a sum in one pass: images * scale + shift = (images - 255 mean) / (255 std).

    Made once: a copy from the host at every step would wait for all that the device has to do.
    """
    with torch.inference_mode(False):  # the first to ask may be one who only scores
        shift = torch.tensor([-mean / std for mean, std in zip(MEAN, STD, strict=True)], device=device)
        scale = torch.tensor([1 / (255 * std) for std in STD], device=device)
        return shift.view(1, 3, 1, 1), scale.view(1, 3, 1, 1)
