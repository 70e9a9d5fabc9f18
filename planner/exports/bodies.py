"""The code that builds a network with timm alone, by family; `planner.exports.families` has the constants it reads.

It is the same for every network of a family. It builds what `trainer.builders` builds, by the same names, and tests
hold the two against each other.
"""

EFFICIENTNET = """
def network(**kwargs):
    return EfficientNet(
        block_args=decode_arch_def(STAGES),
        stem_size=STEM,
        num_features=HEAD,
        round_chs_fn=partial(round_channels, divisor=1, round_limit=0.0),  # the widths are final
        pad_type=PADDING,
        act_layer=ACTIVATION,
        norm_layer=partial(nn.BatchNorm2d, eps=NORM_EPSILON),
        **kwargs,
    )
"""
MOBILENETV3 = EFFICIENTNET.replace("EfficientNet(", "MobileNetV3(").replace(
    """        **kwargs,
""",
    """        se_layer=partial(
            SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels
        ),
        **kwargs,
""",
)
REGNET = """
class GivenRegNet(RegNet):
    # timm generates the stages of a RegNet from four numbers; here they are given.
    def _get_stage_args(self, cfg, *args, **kwargs):
        return STAGES, super()._get_stage_args(cfg, *args, **kwargs)[1]


def network(**kwargs):
    return GivenRegNet(RegNetCfg(stem_width=STEM, se_ratio=SE_RATIO), **kwargs)
"""
BOTTLENECK = """
class Block(Bottleneck):
    expansion = 1  # WIDTHS are the blocks' output channels; BASE_WIDTH / 64 of them are hidden

"""
RESNET = """
def network(**kwargs):
    return ResNet(Block, DEPTHS, channels=WIDTHS, base_width=BASE_WIDTH, **kwargs)
"""
RESNET_STEM = """
def network(**kwargs):
    model = ResNet(Block, DEPTHS, channels=WIDTHS, base_width=BASE_WIDTH, **kwargs)
    # timm's class has a stem of 64 channels.
    projection = None if STEM == WIDTHS[0] else downsample_conv(STEM, WIDTHS[0], kernel_size=1)
    model.conv1 = nn.Conv2d(model.conv1.in_channels, STEM, 7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(STEM)
    model.layer1[0] = Block(STEM, WIDTHS[0], downsample=projection, base_width=BASE_WIDTH)
    model.feature_info[0]["num_chs"] = STEM
    model.init_weights()
    return model
"""
CIFAR = """
class ZeroPad(nn.Module):
    # Zero channels at the front, or only the first channels; after a pooling where there is one.
    def __init__(self, c_in, c_out, pool=None):
        super().__init__()
        self.missing, self.kept = max(c_out - c_in, 0), min(c_in, c_out)
        self.pool = nn.Identity() if pool is None else pool

    def forward(self, x):
        x = self.pool(x)[:, : self.kept]
        return nn.functional.pad(x, (0, 0, 0, 0, self.missing, 0)) if self.missing else x


def block(c_in, c_mid, c_conv, c_out, stride):
    shortcut = None
    if stride > 1 or c_in != c_out:
        shortcut = ZeroPad(c_in, c_out, POOL if stride > 1 else None)
    made = BasicBlock(c_in, c_mid, stride, shortcut)
    if c_conv != c_mid:
        made.conv2 = nn.Conv2d(c_mid, c_conv, 3, padding=1, bias=False)
        made.bn2 = nn.BatchNorm2d(c_conv)
    if c_conv != c_out:
        made.se = ZeroPad(c_conv, c_out)
    return made


def network(num_classes, in_chans=3, drop_rate=0.0):
    parts = OrderedDict(conv1=nn.Conv2d(in_chans, STEM, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(STEM))
    parts["act1"] = nn.ReLU(inplace=True)
    for number, blocks in enumerate(STAGES, start=1):
        parts[f"layer{number}"] = nn.Sequential(*(block(*channels) for channels in blocks))
    parts["global_pool"] = SelectAdaptivePool2d(flatten=True)
    parts["drop"] = nn.Dropout(drop_rate)
    parts["fc"] = nn.Linear(STAGES[-1][-1][3], num_classes)
    model = nn.Sequential(parts)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
"""
# The same for ImageNet's, whose shortcuts into a stage are convolutions.
LAYERS = (
    CIFAR.replace(
        """    if stride > 1 or c_in != c_out:
        shortcut = ZeroPad(c_in, c_out, POOL if stride > 1 else None)
""",
        """    if stride > 1:
        shortcut = downsample_conv(c_in, c_out, kernel_size=1, stride=stride)
    elif c_in != c_out:
        shortcut = ZeroPad(c_in, c_out)
""",
    )
    .replace("nn.Conv2d(in_chans, STEM, 3, padding=1, bias=False)", "nn.Conv2d(in_chans, STEM, 7, 2, 3, bias=False)")
    .replace(
        """    parts["act1"] = nn.ReLU(inplace=True)
""",
        """    parts["act1"] = nn.ReLU(inplace=True)
    parts["maxpool"] = nn.MaxPool2d(3, 2, 1)
""",
    )
)
GHOST = """
def network(**kwargs):
    model = GhostNet([[[3, 16, 16, 0, 1]]], **kwargs)  # its stem and blocks are replaced: timm's class rounds them
    model.cfgs = []
    model.conv_stem = nn.Conv2d(model.conv_stem.in_channels, STEM, 3, 2, 1, bias=False)
    model.bn1 = nn.BatchNorm2d(STEM)
    model.feature_info = [dict(num_chs=STEM, reduction=2, module="conv_stem")]
    groups = []
    for group in GROUPS:
        groups.append(nn.Sequential(*(GhostBottleneck(*block[:5], se_ratio=block[5]) for block in group)))
        if group and group[0][4] > 1:
            reduction = model.feature_info[-1]["reduction"] * group[0][4]
            model.feature_info.append(
                dict(num_chs=group[0][2], reduction=reduction, module=f"blocks.{len(groups) - 1}")
            )
    model.stage_ends = [-1, *(int(info["module"].split(".")[1]) for info in model.feature_info[1:])]
    model.blocks = nn.Sequential(*groups, nn.Sequential(ConvBnAct(WIDTH, HEAD, 1)))
    model.pool_dim = model.num_features = HEAD
    model.conv_head = nn.Conv2d(HEAD, model.head_hidden_size, 1, bias=True)
    return model
"""
CONVNEXT = """
def network(**kwargs):
    return ConvNeXt(
        depths=DEPTHS, dims=WIDTHS, kernel_sizes=KERNELS, patch_size=PATCH, conv_mlp=CONV_MLP, **kwargs
    )
"""
CONVNEXT_STEM = """
def network(**kwargs):
    model = ConvNeXt(
        depths=DEPTHS, dims=WIDTHS, kernel_sizes=KERNELS, patch_size=PATCH, conv_mlp=CONV_MLP, **kwargs
    )
    # timm's class has a stem as wide as the first stage.
    model.stem = nn.Sequential(nn.Conv2d(model.stem[0].in_channels, STEM, PATCH, PATCH), LayerNorm2d(STEM))
    model.stages[0] = ConvNeXtStage(
        STEM,
        WIDTHS[0],
        KERNELS[0],
        stride=1,
        depth=DEPTHS[0],
        ls_init_value=1e-6,
        conv_mlp=CONV_MLP,
        norm_layer=LayerNorm2d,
        norm_layer_cl=LayerNorm2d if CONV_MLP else LayerNorm,
    )
    for part in (model.stem, model.stages[0]):
        named_apply(_init_weights, part)
    return model
"""
