"""MBConv networks: MobileNetV2 to EfficientNet."""

from __future__ import annotations

from sampler.architecture import BaseNetwork, Stage


def _mbconv_stages(rows: tuple[tuple[str, int, int, float, int, int], ...], se_ratio: float) -> tuple[Stage, ...]:
    """Stages from rows of (block, kernel, stride, expansion, width, depth)."""
    return tuple(Stage(block, k, s, e, se_ratio, width, depth) for block, k, s, e, width, depth in rows)


# Tan & Le 2019, https://arxiv.org/abs/1905.11946, Table 1 (with the strides of the released code).
EFFICIENTNET_B0 = BaseNetwork(
    name="efficientnet_b0",
    family="mbconv",
    resolution=224,
    stem=32,
    stages=_mbconv_stages(
        (
            ("ds", 3, 1, 1.0, 16, 1),
            ("mb", 3, 2, 6.0, 24, 2),
            ("mb", 5, 2, 6.0, 40, 2),
            ("mb", 3, 2, 6.0, 80, 3),
            ("mb", 5, 1, 6.0, 112, 3),
            ("mb", 5, 2, 6.0, 192, 4),
            ("mb", 3, 1, 6.0, 320, 1),
        ),
        se_ratio=0.25,
    ),
    head=1280,
    rule="efficientnet",
)

NETWORKS = (EFFICIENTNET_B0,)
