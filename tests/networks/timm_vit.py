"""timm's vision transformer, patches of 16."""

from timm.models.vision_transformer import VisionTransformer

import planner


@planner.network(
    resolution=224,
    widths=(192,),
    depths=(12,),
    divisor=64,
    knobs={"heads": dict(base=3, values=(1, 2, 3, 4, 6), follows="width/64")},
)
def small_vit(resolution, widths, depths, classes, heads):
    return VisionTransformer(
        img_size=resolution, embed_dim=widths[0], depth=depths[0], num_heads=heads, num_classes=classes
    )
