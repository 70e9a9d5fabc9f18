"""ConvNeXt networks, atto to base."""

from __future__ import annotations

from sampler.architecture import BaseNetwork, Stage


def _convnext(size: str, width: int, depths: tuple[int, int, int, int], variant: str = "") -> BaseNetwork:
    """A network by the width of its first stage, which doubles from stage to stage, and its depths."""
    return BaseNetwork(
        name=f"convnext_{size}",
        family="convnext",
        resolution=224,
        stem=width,
        stages=tuple(
            Stage("convnext", 7, 2 if index else 1, 4.0, 0.0, width << index, depth)
            for index, depth in enumerate(depths)
        ),
        head=0,
        rule="inverse",
        stem_stride=4,
        variant=variant,
    )


# tiny to base: Liu et al. 2022, https://arxiv.org/abs/2201.03545, section 3; the smaller ones are timm's own, with 1x1
# convolutions ("conv_mlp") where the others have linear layers.
NETWORKS = (
    _convnext("atto", 40, (2, 2, 6, 2), "conv_mlp"),
    _convnext("femto", 48, (2, 2, 6, 2), "conv_mlp"),
    _convnext("pico", 64, (2, 2, 6, 2), "conv_mlp"),
    _convnext("nano", 80, (2, 2, 8, 2), "conv_mlp"),
    _convnext("tiny", 96, (3, 3, 9, 3)),
    _convnext("small", 96, (3, 3, 27, 3)),
    _convnext("base", 128, (3, 3, 27, 3)),
)
