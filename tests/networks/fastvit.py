"""timm's FastViT: convolutional mixers of several branches, attention in the last stage."""

from timm.models.fastvit import FastVit

import planner


@planner.network(resolution=256, widths=(64,), depths=(2,), divisor=32)
def fastvit(resolution, widths, depths, classes):  # where a stage begins, its width is a multiple of the last one's
    (width,), (depth,) = widths, depths
    mixers = ("repmixer", "repmixer", "repmixer", "attention")
    tables = dict(layers=(depth, depth, 3 * depth, depth), token_mixers=mixers, mlp_ratios=(3, 3, 3, 3))
    return FastVit(embed_dims=(width, 2 * width, 4 * width, 8 * width), **tables, num_classes=classes)
