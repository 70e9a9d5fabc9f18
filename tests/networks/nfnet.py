"""timm's NFNet: no norms, weights standardised, a shortcut convolved only where widths or strides differ."""

from timm.models.nfnet import NfCfg, NormFreeNet

import planner


@planner.network(resolution=192, widths=(256, 512, 1536, 1536), depths=(1, 2, 6, 3), divisor=128)
def nfnet(resolution, widths, depths, classes):
    layers = dict(stem_type="deep_quad", stem_chs=128, group_size=64, bottle_ratio=0.5, extra_conv=True)
    attention = dict(act_layer="gelu", attn_layer="se", attn_kwargs=dict(rd_ratio=0.5))
    table = NfCfg(depths=depths, channels=widths, num_features=2 * widths[-1], **layers, **attention)
    return NormFreeNet(table, num_classes=classes)
