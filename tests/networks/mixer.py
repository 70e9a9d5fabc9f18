"""timm's MLP-Mixer: linear layers over channels, and over places."""

from timm.models.mlp_mixer import MlpMixer

import planner


@planner.network(resolution=224, widths=(512,), depths=(8,), divisor=8)
def mixer(resolution, widths, depths, classes):
    return MlpMixer(num_classes=classes, img_size=resolution, num_blocks=depths[0], embed_dim=widths[0])
