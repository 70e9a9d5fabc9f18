"""timm's ConvNeXt V2: global response norm, no layer scale."""

from timm.models.convnext import ConvNeXt

import planner


@planner.network(resolution=224, widths=(40, 80, 160, 320), depths=(2, 2, 6, 2), divisor=8)
def convnextv2(resolution, widths, depths, classes):
    return ConvNeXt(depths=depths, dims=widths, use_grn=True, ls_init_value=None, num_classes=classes)
