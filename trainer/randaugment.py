"""RandAugment of whole batches: images that drew the same operation are changed together, each by its own strength.

Operations and their strongest forms are torchvision's (Cubuk et al. 2020, arXiv 1909.13719); strengths are noisy and
what moves into the picture from outside is ImageNet's mean colour, both as in timm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms  # type: ignore[import-untyped]

from trainer.devices import sent
from trainer.image_data import MEAN
from trainer.recipe import LARGEST_MAGNITUDE

PER_IMAGE = 2
_LARGEST = 255.0
# At the largest magnitude.
_SHEAR, _SHIFT, _ANGLE, _BLEND, _BITS = 0.3, 150 / 331, math.radians(30), 0.9, 4
_GREY = (0.2989, 0.587, 0.114)

# Images `(k, 3, s, s)` of whole numbers from 0 to 255 and strengths `(k,)` in [-1, 1]; gives such images.
_Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class DrawnOperations:
    """One operation for each image of a batch.

    Attributes:
        kinds: Places in `OPERATIONS`, `(n,)` int64, on the CPU.
        strengths: Shares of the strongest form, signed, in [-1, 1], `(n,)` float32, on the CPU.
    """

    kinds: torch.Tensor
    strengths: torch.Tensor


def drawn_operations(n: int, magnitude: float, noise: float, generator: torch.Generator) -> DrawnOperations:
    """An operation for each of `n` images, all equally likely.

    Args:
        n: Images.
        magnitude: Mean magnitude, of `LARGEST_MAGNITUDE`.
        noise: Standard deviation of a magnitude; those outside the range are clipped.
        generator: A CPU generator.
    """
    kinds = torch.randint(len(OPERATIONS), (n,), generator=generator)
    magnitudes = magnitude + noise * torch.randn(n, generator=generator)
    sign = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)  # noqa: PLR2004
    return DrawnOperations(kinds, sign * magnitudes.clamp(0, LARGEST_MAGNITUDE) / LARGEST_MAGNITUDE)


def operated(images: torch.Tensor, drawn: DrawnOperations) -> torch.Tensor:
    """Images after their operations.

    Args:
        images: `(n, 3, s, s)` float32 of whole numbers from 0 to 255; changed in place.
        drawn: An operation for each.
    """
    order = drawn.kinds.argsort(stable=True)
    rows, strengths = sent(order, images.device), sent(drawn.strengths[order], images.device)
    start = 0
    counts = drawn.kinds.bincount(minlength=len(OPERATIONS)).tolist()
    for operation, count in zip(OPERATIONS.values(), counts, strict=True):
        group = slice(start, start + count)
        if count and operation is not None:
            images[rows[group]] = operation(images[rows[group]], strengths[group])
        start += count
    return images


def randaugment(images: torch.Tensor, magnitude: float, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Images after `PER_IMAGE` operations each, drawn and applied as above.

    Args:
        images: `(n, 3, s, s)` float32 from 0 to 255.
        magnitude: Mean magnitude, of `LARGEST_MAGNITUDE`.
        noise: Standard deviation of a magnitude.
        generator: A CPU generator.
    """
    images = images.round()  # some operations mean 8 bits
    for _ in range(PER_IMAGE):
        images = operated(images, drawn_operations(len(images), magnitude, noise, generator))
    return images


def _per_image(strengths: torch.Tensor) -> torch.Tensor:
    return strengths[:, None, None, None]


def _warped(images: torch.Tensor, *rows: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Images read at other places: what is seen at (x, y) in [-1, 1] is what was at `rows` (x, y, 1)."""
    matrix = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    fill = _per_channel(images.device, *(_LARGEST * mean for mean in MEAN))
    return (functional.grid_sample(images - fill, grid, align_corners=False) + fill).round_().clamp_(0, _LARGEST)


@cache
def _per_channel(device: torch.device, *values: float) -> torch.Tensor:
    """A number for each channel, copied to a device once."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(1, 3, 1, 1)


def _shear_x(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    level, none, all_ = _SHEAR * strengths, torch.zeros_like(strengths), torch.ones_like(strengths)
    return _warped(images, (all_, level, level), (none, all_, none))  # the upper edge stays where it is


def _shear_y(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    level, none, all_ = _SHEAR * strengths, torch.zeros_like(strengths), torch.ones_like(strengths)
    return _warped(images, (all_, none, none), (level, all_, level))


def _shift_x(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    none, all_ = torch.zeros_like(strengths), torch.ones_like(strengths)
    return _warped(images, (all_, none, -2 * _SHIFT * strengths), (none, all_, none))


def _shift_y(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    none, all_ = torch.zeros_like(strengths), torch.ones_like(strengths)
    return _warped(images, (all_, none, none), (none, all_, -2 * _SHIFT * strengths))


def _rotated(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    angle, none = _ANGLE * strengths, torch.zeros_like(strengths)
    return _warped(images, (angle.cos(), -angle.sin(), none), (angle.sin(), angle.cos(), none))


def _blended(images: torch.Tensor, plain: torch.Tensor | float, strengths: torch.Tensor) -> torch.Tensor:
    """Away from a plainer picture, or towards it where the strength is negative."""
    factor = 1 + _BLEND * _per_image(strengths)
    return (images * factor + plain * (1 - factor)).round_().clamp_(0, _LARGEST)


def _grey(images: torch.Tensor) -> torch.Tensor:
    return (images * _per_channel(images.device, *_GREY)).sum(1, keepdim=True).floor_()


def _brightness(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    return _blended(images, 0.0, strengths)


def _saturation(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    return _blended(images, _grey(images), strengths)


def _contrast(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    return _blended(images, _grey(images).mean((1, 2, 3), keepdim=True), strengths)


def _sharpness(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    """The plainer picture is smoothed with 1 around 5 in 13 parts, but for the outermost pixels."""
    inner = images[..., 1:-1, 1:-1]
    plain = images.clone()
    plain[..., 1:-1, 1:-1] = ((9 * functional.avg_pool2d(images, 3, 1) + 4 * inner) / 13).round_()
    return _blended(images, plain, strengths)


def _posterized(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    step = torch.exp2((_BITS * _per_image(strengths.abs())).round())  # so many values become one
    return (images / step).floor_() * step


def _solarized(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    threshold = _LARGEST * (1 - _per_image(strengths.abs()))
    return torch.where(images >= threshold, _LARGEST - images, images)


def _autocontrast(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    darkest, brightest = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    spread = brightest - darkest
    stretched = ((images - darkest) * (_LARGEST / spread.clamp(min=1))).floor_()
    return torch.where(spread > 0, stretched, images)


def _equalized(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    return transforms.equalize(images.to(torch.uint8)).float()  # type: ignore[no-any-return]


# By the names that torchvision has for them.
OPERATIONS: dict[str, _Operation | None] = {
    "Identity": None,
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _shift_x,
    "TranslateY": _shift_y,
    "Rotate": _rotated,
    "Brightness": _brightness,
    "Color": _saturation,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterized,
    "Solarize": _solarized,
    "AutoContrast": _autocontrast,
    "Equalize": _equalized,
}
