"""timm's FastViT: convolutional mixers of several branches, attention in the last stage."""

from timm.models.fastvit import FastVit

import planner


@planner.network(resolution=256, widths=(64, 128, 256, 512), depths=(2, 2, 6, 2), divisor=32)
def fastvit(resolution, widths, depths, classes):
    mixers = ("repmixer", "repmixer", "repmixer", "attention")
    tables = dict(layers=depths, embed_dims=widths, token_mixers=mixers, mlp_ratios=(3, 3, 3, 3))
    return FastVit(**tables, num_classes=classes)
