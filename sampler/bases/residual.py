"""Residual networks: ResNets for ImageNet as timm has them, and He et al.'s for CIFAR."""

from __future__ import annotations

from sampler.architecture import BaseNetwork, Stage


def _resnet(name: str, block: str, depths: tuple[int, ...]) -> BaseNetwork:
    """A ResNet of He et al. 2015 (https://arxiv.org/abs/1512.03385, Table 1); a bottleneck strides in its 3x3."""
    widths, expansion = ((256, 512, 1024, 2048), 0.25) if block == "bottleneck" else ((64, 128, 256, 512), 1.0)
    stages = tuple(
        Stage(block, 3, stride, expansion, 0.0, width, depth)
        for stride, width, depth in zip((1, 2, 2, 2), widths, depths, strict=True)
    )
    # The rule `inverse` is plain rounding: of depths to integers, of widths and stem to multiples of 8.
    return BaseNetwork(name, "residual", 224, 64, stages, head=0, rule="inverse", stem_stride=4)


def _resnet_cifar(layers: int) -> BaseNetwork:
    """A ResNet of He et al. 2015, section 4.2: 3x3 stem, `6 n + 2` layers, shortcuts without parameters."""
    stages = tuple(
        Stage("basic", 3, stride, 1.0, 0.0, width, (layers - 2) // 6) for stride, width in ((1, 16), (2, 32), (2, 64))
    )
    name = f"resnet{layers}_cifar"
    return BaseNetwork(name, "residual", 32, 16, stages, head=0, rule="inverse", stem_stride=1, variant="cifar")


NETWORKS = (
    _resnet("resnet18", "basic", (2, 2, 2, 2)),
    _resnet("resnet34", "basic", (3, 4, 6, 3)),
    _resnet("resnet50", "bottleneck", (3, 4, 6, 3)),
    _resnet("resnet101", "bottleneck", (3, 4, 23, 3)),
    _resnet("resnet152", "bottleneck", (3, 8, 36, 3)),
    *(_resnet_cifar(layers) for layers in (20, 32, 56, 110)),
)
