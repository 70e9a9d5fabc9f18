"""MBConv networks: MobileNetV2 to EfficientNetV2.

Stages are (block, kernel, stride, expansion, squeeze-excite ratio, width, depth). A family of published sizes has a
table for each; tests check that its rule gives the same integers from the smallest.
"""

from __future__ import annotations

from dataclasses import replace

from sampler.architecture import BaseNetwork, Stage

# Tan & Le 2019, https://arxiv.org/abs/1905.11946, Table 1 (with the strides of the released code).
_EFFICIENTNET_B0 = BaseNetwork(
    name="efficientnet_b0",
    family="mbconv",
    resolution=224,
    stem=32,
    stages=(
        Stage("ds", 3, 1, 1.0, 0.25, 16, 1),
        Stage("mb", 3, 2, 6.0, 0.25, 24, 2),
        Stage("mb", 5, 2, 6.0, 0.25, 40, 2),
        Stage("mb", 3, 2, 6.0, 0.25, 80, 3),
        Stage("mb", 5, 1, 6.0, 0.25, 112, 3),
        Stage("mb", 5, 2, 6.0, 0.25, 192, 4),
        Stage("mb", 3, 1, 6.0, 0.25, 320, 1),
    ),
    head=1280,
    rule="efficientnet",
)


def _resized(
    name: str, resolution: int, stem: int, widths: tuple[int, ...], depths: tuple[int, ...], head: int, rule: str
) -> BaseNetwork:
    """EfficientNet-B0's blocks at another published size."""
    stages = tuple(
        replace(stage, width=width, depth=depth)
        for stage, width, depth in zip(_EFFICIENTNET_B0.stages, widths, depths, strict=True)
    )
    return BaseNetwork(name, "mbconv", resolution, stem, stages, head, rule)


# The sizes of the released code (B8: https://arxiv.org/abs/1911.09665).
_EFFICIENTNETS = tuple(
    _resized(*size, rule="efficientnet")
    for size in (
        ("efficientnet_b1", 240, 32, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2), 1280),
        ("efficientnet_b2", 260, 32, (16, 24, 48, 88, 120, 208, 352), (2, 3, 3, 4, 4, 5, 2), 1408),
        ("efficientnet_b3", 300, 40, (24, 32, 48, 96, 136, 232, 384), (2, 3, 3, 5, 5, 6, 2), 1536),
        ("efficientnet_b4", 380, 48, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2), 1792),
        ("efficientnet_b5", 456, 48, (24, 40, 64, 128, 176, 304, 512), (3, 5, 5, 7, 7, 9, 3), 2048),
        ("efficientnet_b6", 528, 56, (32, 40, 72, 144, 200, 344, 576), (3, 6, 6, 8, 8, 11, 3), 2304),
        ("efficientnet_b7", 600, 64, (32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4), 2560),
        ("efficientnet_b8", 672, 72, (32, 56, 88, 176, 248, 424, 704), (4, 8, 8, 11, 11, 15, 4), 2816),
    )
)

# Han et al. 2020, https://arxiv.org/abs/2010.14819, and the released code.
_TINYNETS = tuple(
    _resized(*size, head=1280, rule="tinynet")
    for size in (
        ("tinynet_a", 192, 32, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 4, 4, 5, 1)),
        ("tinynet_b", 188, 32, (16, 24, 32, 64, 88, 144, 240), (1, 2, 2, 3, 3, 4, 1)),
        ("tinynet_c", 184, 32, (8, 16, 24, 40, 64, 104, 176), (1, 2, 2, 3, 3, 3, 1)),
        ("tinynet_d", 152, 32, (8, 16, 24, 40, 64, 104, 176), (1, 1, 1, 2, 2, 3, 1)),
        ("tinynet_e", 106, 32, (8, 16, 24, 40, 56, 96, 160), (1, 1, 1, 2, 2, 2, 1)),
    )
)

# B0 without squeeze-excite: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
_EFFICIENTNET_LITE0 = replace(
    _EFFICIENTNET_B0,
    name="efficientnet_lite0",
    stages=tuple(replace(stage, se_ratio=0.0) for stage in _EFFICIENTNET_B0.stages),
    rule="lite",
    variant="relu6",
)

# Tan & Le 2021, https://arxiv.org/abs/2104.00298, and the released code.
_EFFICIENTNETV2_B0 = BaseNetwork(
    name="efficientnetv2_b0",
    family="mbconv",
    resolution=224,
    stem=32,
    stages=(
        Stage("cn", 3, 1, 1.0, 0.0, 16, 1),
        Stage("er", 3, 2, 4.0, 0.0, 32, 2),
        Stage("er", 3, 2, 4.0, 0.0, 48, 2),
        Stage("mb", 3, 2, 4.0, 0.25, 96, 3),
        Stage("mb", 3, 1, 6.0, 0.25, 112, 5),
        Stage("mb", 3, 2, 6.0, 0.25, 192, 8),
    ),
    head=1280,
    rule="efficientnetv2",
    variant="efficientnetv2",
)

# Sandler et al. 2018, https://arxiv.org/abs/1801.04381, Table 2.
_MOBILENETV2_100 = BaseNetwork(
    name="mobilenetv2_100",
    family="mbconv",
    resolution=224,
    stem=32,
    stages=(
        Stage("ds", 3, 1, 1.0, 0.0, 16, 1),
        Stage("mb", 3, 2, 6.0, 0.0, 24, 2),
        Stage("mb", 3, 2, 6.0, 0.0, 32, 3),
        Stage("mb", 3, 2, 6.0, 0.0, 64, 4),
        Stage("mb", 3, 1, 6.0, 0.0, 96, 3),
        Stage("mb", 3, 2, 6.0, 0.0, 160, 3),
        Stage("mb", 3, 1, 6.0, 0.0, 320, 1),
    ),
    head=1280,
    rule="mobilenetv2",
    variant="relu6",
)

# Howard et al. 2019, https://arxiv.org/abs/1905.02244, Tables 1 and 2. The last stage is the 1x1 convolution before
# pooling; squeeze-excite ratios are over hidden channels; timm rounds some published hidden widths to 8 in expansions.
_MOBILENETV3_LARGE_100 = BaseNetwork(
    name="mobilenetv3_large_100",
    family="mbconv",
    resolution=224,
    stem=16,
    stages=(
        Stage("ds", 3, 1, 1.0, 0.0, 16, 1),
        Stage("mb", 3, 2, 4.0, 0.0, 24, 2, expansions=(4.0, 3.0)),
        Stage("mb", 5, 2, 3.0, 0.25, 40, 3),
        Stage("mb", 3, 2, 6.0, 0.0, 80, 4, expansions=(6.0, 2.5, 2.3, 2.3)),
        Stage("mb", 3, 1, 6.0, 0.25, 112, 2),
        Stage("mb", 5, 2, 6.0, 0.25, 160, 3),
        Stage("cn", 1, 1, 1.0, 0.0, 960, 1),
    ),
    head=1280,
    rule="mobilenetv3",
    variant="mobilenetv3_large",
)
_MOBILENETV3_SMALL_100 = BaseNetwork(
    name="mobilenetv3_small_100",
    family="mbconv",
    resolution=224,
    stem=16,
    stages=(
        Stage("ds", 3, 2, 1.0, 0.25, 16, 1),
        Stage("mb", 3, 2, 4.5, 0.0, 24, 2, expansions=(4.5, 3.67)),
        Stage("mb", 5, 2, 4.0, 0.25, 40, 3, expansions=(4.0, 6.0, 6.0)),
        Stage("mb", 5, 1, 3.0, 0.25, 48, 2),
        Stage("mb", 5, 2, 6.0, 0.25, 96, 3),
        Stage("cn", 1, 1, 1.0, 0.0, 576, 1),
    ),
    head=1024,
    rule="mobilenetv3",
    variant="mobilenetv3_small",
)

# Tan et al. 2018, https://arxiv.org/abs/1807.11626, B1 and A1 (with squeeze-excite), as the released code has them.
_MNASNET_100 = BaseNetwork(
    name="mnasnet_100",
    family="mbconv",
    resolution=224,
    stem=32,
    stages=(
        Stage("ds", 3, 1, 1.0, 0.0, 16, 1),
        Stage("mb", 3, 2, 3.0, 0.0, 24, 3),
        Stage("mb", 5, 2, 3.0, 0.0, 40, 3),
        Stage("mb", 5, 2, 6.0, 0.0, 80, 3),
        Stage("mb", 3, 1, 6.0, 0.0, 96, 2),
        Stage("mb", 5, 2, 6.0, 0.0, 192, 4),
        Stage("mb", 3, 1, 6.0, 0.0, 320, 1),
    ),
    head=1280,
    rule="mnasnet",
    variant="mnasnet_b1",
)
_SEMNASNET_100 = BaseNetwork(
    name="semnasnet_100",
    family="mbconv",
    resolution=224,
    stem=32,
    stages=(
        Stage("ds", 3, 1, 1.0, 0.0, 16, 1),
        Stage("mb", 3, 2, 6.0, 0.0, 24, 2),
        Stage("mb", 5, 2, 3.0, 0.25, 40, 3),
        Stage("mb", 3, 2, 6.0, 0.0, 80, 4),
        Stage("mb", 3, 1, 6.0, 0.25, 112, 2),
        Stage("mb", 5, 2, 6.0, 0.25, 160, 3),
        Stage("mb", 3, 1, 6.0, 0.0, 320, 1),
    ),
    head=1280,
    rule="mnasnet",
    variant="mnasnet_a1",
)

MBCONV_NETWORKS = (
    _EFFICIENTNET_B0,
    *_EFFICIENTNETS,
    _EFFICIENTNET_LITE0,
    _EFFICIENTNETV2_B0,
    *_TINYNETS,
    _MOBILENETV2_100,
    _MOBILENETV3_LARGE_100,
    _MOBILENETV3_SMALL_100,
    _MNASNET_100,
    _SEMNASNET_100,
)
