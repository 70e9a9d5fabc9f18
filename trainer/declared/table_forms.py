"""What a table of each family may say beside its stages, and what is meant where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sampler import BaseNetwork, InputError
from sampler.families.convnext import CONVNEXT_VARIANTS
from sampler.families.mbconv_variants import MBCONV_VARIANTS
from sampler.families.regnet import REGNET_VARIANTS
from sampler.families.residual import RESIDUAL_VARIANTS
from sampler.families.variants import ACTIVATIONS, IN_PLACE, variant_made, variant_of, variant_text
from trainer.declared.table_keys import ONE_NUMBER, SWITCH, TEXT, WHOLE_NUMBER, WHOLES, Keys


@dataclass(frozen=True)
class _Detail:
    """A key beside the stages.

    Attributes:
        name: Field of the family's variant that it says.
        kind: Kind of value.
        words: Meaning of each word, where it is one of several.
    """

    name: str
    kind: str
    words: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableForm:
    """A family's tables.

    Attributes:
        variants: The family's variants by name.
        details: Keys of what its variants say.
        norm: Kind of norm that its blocks have.
        stage: Values of a stage that does not say them, and has no base network to say them.
        stem_stride: Stride of the stem, likewise.
        head: Whether it has a 1x1 convolution before the classifier.
        rule: Scaling rule, likewise.
        lists: Whether a stage lists its blocks' expansions and ratios at base size, as many as its depth.
    """

    variants: Mapping[str, Any]
    details: Mapping[str, _Detail]
    norm: str
    stage: Mapping[str, Any]
    stem_stride: int
    head: bool = False
    rule: str = "inverse"
    lists: bool = False


def _named(names: tuple[str, ...]) -> dict[str, str]:
    return {name: name for name in names}


_EPSILON = {"norm_epsilon": _Detail("norm_epsilon", ONE_NUMBER)}
_IN_PLACE = {"activation": _Detail("activation", TEXT, _named(IN_PLACE)), **_EPSILON}
_ANY = {"activation": _Detail("activation", TEXT, _named(ACTIVATIONS)), **_EPSILON}
TABLE_FORMS: dict[str, TableForm] = {
    "mbconv": TableForm(
        MBCONV_VARIANTS,
        {
            **_ANY,
            "padding": _Detail("padding", TEXT, {"symmetric": "", "same": "same"}),
            "relu_stages": _Detail("relu_stages", WHOLE_NUMBER),
            "no_skip": _Detail("no_skip", WHOLES),
            "skip_convolutions": _Detail("skip_convolutions", SWITCH),
            "head.pooled": _Detail("pooled_head", SWITCH),
            "squeeze_excite.of": _Detail("squeeze_of", TEXT, _named(("input", "hidden"))),
            "squeeze_excite.divisor": _Detail("squeeze_divisor", WHOLE_NUMBER),
            "squeeze_excite.gate": _Detail("squeeze_gate", TEXT, _named(("Sigmoid", "Hardsigmoid"))),
            "squeeze_excite.activation": _Detail(
                "squeeze_activation", TEXT, {"the block's": "", **_named(ACTIVATIONS)}
            ),
        },
        norm="batch",
        stage={"kernel": 3, "stride": 1},
        stem_stride=2,
        head=True,
    ),
    "residual": TableForm(
        RESIDUAL_VARIANTS,
        {
            **_IN_PLACE,
            "stem.kernel": _Detail("stem_kernel", WHOLE_NUMBER),
            "stem.pool": _Detail("stem_pool", SWITCH),
            "shortcut": _Detail("shortcut", TEXT, _named(("projected", "padded"))),
        },
        norm="batch",
        stage={"kernel": 3, "stride": 1},
        stem_stride=2,
    ),
    "regnet": TableForm(
        REGNET_VARIANTS,
        _IN_PLACE,
        norm="batch",
        stage={"block": "bottleneck", "kernel": 3, "stride": 2, "expansion": 1},
        stem_stride=2,
        rule="pycls",
    ),
    "convnext": TableForm(
        CONVNEXT_VARIANTS,
        {**_ANY, "pointwise": _Detail("conv_mlp", TEXT, {"linear": False, "convolution": True})},
        norm="layer",
        stage={"block": "convnext", "kernel": 7, "stride": 1, "expansion": 4},
        stem_stride=4,
    ),
    "ghost": TableForm(
        {},
        {},
        norm="batch",
        stage={"block": "ghost", "kernel": 3, "stride": 1},
        stem_stride=2,
        head=True,
        rule="ghost",
        lists=True,
    ),
}
# Expansions of blocks that have only one usual one.
EXPANSIONS = {"ds": 1, "cn": 1, "basic": 1, "bottleneck": 0.25}


def detail_keys(form: TableForm) -> dict[str, str]:
    """The kinds of values of the keys beside the stages, by key."""
    return {"norm": TEXT, **{key: detail.kind for key, detail in form.details.items()}}


def variant_in(form: TableForm, keys: Keys, like: BaseNetwork | None, stages: int) -> str:
    """The variant that a table says, as a base network has it.

    Args:
        form: The family's.
        keys: The table's.
        like: Base network that says what the table does not.
        stages: How many stages the table has.

    Raises:
        InputError: If a value is impossible.
    """
    if "norm" in keys:
        keys.choice("norm", {form.norm: form.norm})
    told = {}
    for key, detail in form.details.items():
        if key in keys:
            told[detail.name] = keys.choice(key, detail.words) if detail.words else keys.take(key)
    if "no_skip" in told:  # users count from 1
        told["no_skip"] = [number - 1 for number in told["no_skip"]]
    if not form.variants:
        return ""
    usual = asdict(variant_of(form.variants, like.variant if like else ""))
    usual = {name: list(value) if isinstance(value, tuple) else value for name, value in usual.items()}
    if "no_skip" in usual:
        usual["no_skip"] = [index for index in usual["no_skip"] if index < stages]
        usual["relu_stages"] = min(usual["relu_stages"], stages)
    try:
        return variant_text(form.variants, variant_made(type(form.variants[""]), {**usual, **told}))
    except InputError as error:
        raise InputError(f"{keys.place}: {error}") from error


def pools(form: TableForm, variant: str) -> int:
    """Stride of what follows the stem's convolution."""
    return int(getattr(variant_of(form.variants, variant), "pools", 1)) if form.variants else 1
