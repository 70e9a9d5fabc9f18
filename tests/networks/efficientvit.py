"""timm's EfficientViT of MIT: linear attention of several scales."""

from timm.models.efficientvit_mit import EfficientVit

import planner


@planner.network(resolution=224, widths=(8, 16, 32, 64, 128), depths=(1, 2, 2, 2, 2), divisor=8)
def efficientvit(resolution, widths, depths, classes):
    return EfficientVit(widths=widths, depths=depths, head_dim=8, head_widths=(1152, 1280), num_classes=classes)
