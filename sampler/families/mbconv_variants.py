"""Variants of MBConv networks: what their tables of stages do not say."""

from __future__ import annotations

from dataclasses import dataclass

from sampler.checks import checked_name, checked_number
from sampler.errors import InputError
from sampler.families.variants import ACTIVATIONS, IN_PLACE


@dataclass(frozen=True)
class MBConvVariant:
    """What a network's table cannot say.

    Attributes:
        activation: Name in `torch.nn` of what follows every convolution that has an activation.
        norm_epsilon: Number that batch norm adds to a variance.
        padding: timm's word: `""` for symmetric, `"same"` for TensorFlow's, which pads into a copy before a stride.
        relu_stages: How many of the first stages have ReLU all the same.
        no_skip: Indices of stages that never have a skip connection.
        skip_convolutions: Whether blocks of one convolution have a skip connection where they can.
        pooled_head: Whether pooling comes before the head's convolution, which then has a bias and no norm, as in
            MobileNetV3.
        squeeze_of: Channels that squeeze-excite ratios are of: a block's `"input"` or its `"hidden"` ones.
        squeeze_divisor: 8 where squeezed channels are rounded to multiples of 8; 1 for the nearest integer.
        squeeze_gate: Name in `torch.nn` of squeeze-excite's last function, `"Sigmoid"` or `"Hardsigmoid"`.
        squeeze_activation: Name in `torch.nn` of the one inside it; `""` for the block's.
    """

    activation: str = "SiLU"
    norm_epsilon: float = 1e-5
    padding: str = ""
    relu_stages: int = 0
    no_skip: tuple[int, ...] = ()
    skip_convolutions: bool = False
    pooled_head: bool = False
    squeeze_of: str = "input"
    squeeze_divisor: int = 1
    squeeze_gate: str = "Sigmoid"
    squeeze_activation: str = ""

    def __post_init__(self) -> None:
        checked_name("activation", self.activation, ACTIVATIONS)
        checked_number("norm_epsilon", self.norm_epsilon, 1e-12, 1)
        checked_name("padding", self.padding, ("", "same"))
        checked_name("squeeze_of", self.squeeze_of, ("input", "hidden"))
        checked_name("squeeze_gate", self.squeeze_gate, ("Sigmoid", "Hardsigmoid"))
        checked_name("squeeze_activation", self.squeeze_activation, ("", *ACTIVATIONS))
        if self.squeeze_divisor not in (1, 8):
            raise InputError(f"squeeze_divisor is {self.squeeze_divisor}; 1 or 8 is wanted")
        if self.pooled_head:
            checked_name("activation before a pooled head", self.activation, IN_PLACE)
        if self.relu_stages < 0 or any(index < 0 for index in self.no_skip):
            raise InputError("relu_stages and no_skip count stages; none may be negative")

    @property
    def copies(self) -> bool:
        """Whether it pads into a copy before a stride."""
        return self.padding == "same"

    @property
    def squeeze(self) -> tuple[str, int, str, str]:
        """Everything about squeeze-excite but its ratios."""
        return self.squeeze_of, self.squeeze_divisor, self.squeeze_gate, self.squeeze_activation

    def maps(self, index: int | None = None) -> int:
        """Feature maps alive while a norm and an activation run on one: a third where the latter is not in place.

        Args:
            index: The stage; None for stem and head.
        """
        relu = index is not None and index < self.relu_stages
        return 2 if relu or self.activation in IN_PLACE else 3


_V3_SQUEEZE = ("hidden", 8, "Hardsigmoid", "ReLU")


def _v3(relu_stages: int) -> MBConvVariant:
    of, divisor, gate, activation = _V3_SQUEEZE
    return MBConvVariant(
        "Hardswish",
        relu_stages=relu_stages,
        pooled_head=True,
        squeeze_of=of,
        squeeze_divisor=divisor,
        squeeze_gate=gate,
        squeeze_activation=activation,
    )


MBCONV_VARIANTS = {
    "": MBConvVariant(),
    "relu6": MBConvVariant("ReLU6"),
    "efficientnetv2": MBConvVariant(norm_epsilon=1e-3, padding="same", skip_convolutions=True),
    "mobilenetv3_large": _v3(relu_stages=3),
    "mobilenetv3_small": _v3(relu_stages=2),
    "mnasnet_b1": MBConvVariant("ReLU", no_skip=(0, 6)),
    "mnasnet_a1": MBConvVariant("ReLU", no_skip=(0,)),
}
