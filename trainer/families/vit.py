"""Vision transformers in torch, as timm builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampler import Architecture, BaseNetwork, stack
from sampler.families import family_of
from sampler.families.protocol import knob_values, sizes_of
from sampler.families.vit import HEADS, MLP
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn


class ViTFamily:
    """ViT as timm's class.

    It has no parts, channels or shortcuts: a token and an embedding that belong to no module, attention whose heads
    share their channels, and a class token instead of a pooling leave nothing to inherit, drop or cut as elsewhere.
    """

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture."""
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture; position embeddings belong to one resolution."""
        knobs = knob_values(family_of(network), network, sizes_of(stack([architecture])))
        arguments: dict[str, Any] = {
            "resolution": architecture.resolution,
            "patch": network.stem_stride,
            "width": architecture.widths[0],
            "depth": architecture.depths[0],
            "heads": int(knobs[HEADS][0, 0]),
            "mlp": int(knobs[MLP][0, 0]),
        }
        features = f"dict(out_indices={min(3, arguments['depth'])}, feature_cls='getter')"  # of the last blocks
        return TimmCode((vision_transformer,), arguments, "patch_embed.proj", "head", features=features)


# --- code that an export writes ---


def vision_transformer(
    resolution: int, patch: int, width: int, depth: int, heads: int, mlp: int, **kwargs: Any
) -> nn.Module:
    """A VisionTransformer of timm's, for images of this resolution."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        **{"img_size": resolution, **kwargs},
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=(mlp + 0.5) / width,  # timm rounds width times this down
    )
