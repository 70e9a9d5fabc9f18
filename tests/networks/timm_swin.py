"""timm's Swin stages with widths of one's own: windows of 7, every second block shifted, half the side per stage."""

from timm.layers import ClassifierHead, PatchEmbed
from timm.models.swin_transformer import SwinTransformerStage
from torch import nn

import planner


@planner.network(resolution=224, widths=(96, 192, 384, 768), depths=(2, 2, 6, 2), divisor=32, step=32)
def swin(resolution, widths, depths, classes):
    layers = [PatchEmbed(resolution, 4, 3, widths[0], nn.LayerNorm, output_fmt="NHWC")]
    before, side = widths[0], resolution // 4
    for i, (width, depth) in enumerate(zip(widths, depths)):
        sizes = dict(downsample=i > 0, num_heads=width // 32, drop_path=[0.0] * depth)
        layers.append(SwinTransformerStage(before, width, (side, side), depth, **sizes))
        before, side = width, (side + 1) // 2 if i else side
    return nn.Sequential(*layers, nn.LayerNorm(before), ClassifierHead(before, classes, "avg", input_fmt="NHWC"))
