"""timm's MobileNetV4: universal inverted bottlenecks, and multi-query attention in the third stage."""

from functools import partial

from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.mobilenetv3 import MobileNetV3

import planner


@planner.network(resolution=224, widths=(48, 96, 192), depths=(2, 3, 4), divisor=16)
def mobilenetv4(resolution, widths, depths, classes):
    a, b, c = widths
    table = [[f"cn_r1_k3_s2_e1_c{a // 2}"], [f"uir_r{depths[0]}_a3_k5_s2_e4_c{a}"]]
    table += [[f"uir_r{depths[1]}_a0_k5_s2_e3_c{b}"], [f"uir_r1_a5_k5_s2_e4_c{c}"]]
    table += [[f"mqa_r{depths[2]}_k3_h4_s1_v2_d64_c{c}"], [f"cn_r1_k1_s1_c{4 * c}"]]
    sizes = dict(num_features=1280, stem_size=32, fix_stem=True)
    rounded = partial(round_channels, multiplier=1.0)
    return MobileNetV3(decode_arch_def(table), num_classes=classes, head_norm=True, round_chs_fn=rounded, **sizes)
