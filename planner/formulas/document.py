"""What a formula file holds: the one definition of `planner-formula/1`, from which its JSON Schema is made.

A new key of the file is a field here, not a required one, so that older files stay readable, and is written only where
there is something to say; the digest covers it. `formula.schema.json`, for readers elsewhere, is `json_schema()`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, Len, MaxLen, MinLen
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on alone

from planner.formulas.kinds import OUR_KINDS

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMULA_SCHEMA = "planner-formula/1"
COUNTING = "macs: multiply-accumulates of convolutions and linear layers; no bias, norm, activation or pooling"
_CLOSED = {"strict": True, "extra": "forbid"}
_OPEN = {"strict": True, "extra": "allow"}

_Kind: Any = Literal[OUR_KINDS]
_Counted = Annotated[int, Ge(1)]
_Natural = Annotated[int, Ge(0)]
_Above = Annotated[float, Gt(0)]
_NotBelow = Annotated[float, Ge(0)]
_Share = Annotated[float, Ge(0), Le(1)]
_Channels = Annotated[list[_Counted], MinLen(1)]
_Expression = int | str | list[Any]  # see CountsDocument
_Fitted = Annotated[list[float], MaxLen(1000)]
_Scale = Literal["identity", "log"]
_End = Literal["scaled", "fixed", "never_below"]
_Size = Literal["c_in", "c_out", "c_mid", "c_se", "c_group", "before", "after", "changed"]


class CurveDocument(TypedDict):
    """A quantity over x, which is c or log c, from m fitted points: the mean or its exponential.

    mean = offset + slope x + variance sum_i alpha_i exp(-(x - inputs_i)^2 / (2 length_scale^2)) [+ prior_weight times
    the mean of prior]; its variance follows from slope_variance x x' + the RBF kernel, and the noise.
    """

    __pydantic_config__ = {  # type: ignore[misc]
        **_CLOSED,
        "json_schema_extra": {"dependentRequired": {"prior": ["prior_weight"], "prior_weight": ["prior"]}},
    }
    kernel: Literal["rbf"]
    input_scale: _Scale
    output_scale: _Scale
    offset: float
    slope: float
    slope_variance: _NotBelow
    variance: _NotBelow
    length_scale: _Above
    noise_variance: _NotBelow
    inputs: _Fitted
    alpha: _Fitted
    prior: NotRequired[CurveDocument]
    prior_weight: NotRequired[float]


class StageDocument(TypedDict):
    """One stage of the base network's table."""

    block: str
    kernel: _Counted
    stride: _Counted
    expansion: _Above
    se_ratio: _NotBelow
    width: _Counted
    depth: _Counted
    group_width: _Natural
    expansions: list[_Above]
    se_ratios: list[_NotBelow]


class PartCountsDocument(TypedDict):
    """What the stem, a stage or the head costs."""

    part: _Counted | Literal["stem", "head"]
    """The number of a stage, from 1."""
    macs: _Expression
    params: _Expression
    activations: _Expression


class CountsDocument(TypedDict):
    """What a network costs whose costs are no products of sizes: whole numbers as expressions of its integers.

    An expression is a whole number; the name of a variable (resolution, classes, width_1 .., depth_1 .., a knob's
    columns as heads_1, index inside a sum); or a list of what is done and to what: [cell, i] is the i-th cell, from 0;
    [+, ..], [*, ..], [max, ..], [min, ..], [-, a, b]; [//, a, b] the quotient rounded down and [%, a, b] what is left;
    [==, a, b], [!=, a, b], [<, a, b], [>=, a, b] are 1 or 0; [round, x, n, m] is x n / m to the nearest, halves to the
    even one; [divisible, x, n, m, k, g] is x n / m to the nearest multiple of k, halves up, at least k, and where g is
    1 and that is below 9/10 of x n / m, k more; [table, x, keys, values] is the value beside the key x; [sum, first,
    last, body] is body's sum over index = first .. last; [cycle, x, values] is values[x % their number].
    """

    follows: dict[str, _Expression]
    """Knobs' columns, where a network has no such knob of its own: by the other variables."""
    cells: list[_Expression]
    """Shared expressions, each of earlier ones."""
    parts: Annotated[list[PartCountsDocument], MinLen(1)]
    """The network costs their sum."""
    alive: _Expression
    """Elements of its type alive at once, at most: memory is bytes of one times these and the params, and 8 int64s."""
    int64s: _Expression


class KnobDocument(TypedDict):
    """A further whole number of a declared network."""

    base: _Channels
    """One, or one for each stage."""
    values: list[_Counted]
    """Those that it may have."""
    follows: _Expression | None
    """Its value where nobody says, of width, depth and resolution; null where it stays what it is at base."""


class SourceDocument(TypedDict):
    """Where a declared network is from."""

    file: str
    function: str
    sha256: str


class DeclaredDocument(TypedDict):
    """A network that a user's function declares, but for its counts."""

    schema: Literal["planner-network/1"]
    name: str
    resolution: _Counted
    least: _Counted
    """Least resolution."""
    step: _Counted
    """Of resolutions."""
    widths: _Channels
    divisors: _Channels
    depths: _Channels
    knobs: dict[str, KnobDocument]
    images: bool
    """Whether it takes images and gives one score per class."""
    channels: _Counted
    source: SourceDocument
    derived: dict[str, Any]
    """How its counts were found."""


class NetworkDocument(TypedDict):
    """The base network's table."""

    name: str
    family: str
    variant: str
    rule: str
    resolution: _Counted
    """In pixels: what r multiplies."""
    stem: _Natural
    stem_stride: _Counted
    head: _Natural
    stages: Annotated[list[StageDocument], MinLen(1)]
    counts: NotRequired[CountsDocument]
    """What it costs, where that is no parts."""
    declared: NotRequired[DeclaredDocument]
    """Of a network of a user's."""


class BaseDocument(TypedDict):
    """The base network: its name, its table, and its MACs."""

    name: str
    macs: _Counted
    """At network.resolution and classes: c = 1."""
    network: NetworkDocument


class RuleDocument(TypedDict):
    """The scaling rule, which resolution and parts follow."""

    name: str
    depth: Literal["ceil", "round", "ceil_inside"]
    divisor: _Counted
    guard: bool
    stem: _End
    head: _End
    resolution: Literal["nearest", "floor", "multiple_of_4"]
    smallest: _Counted
    step: NotRequired[_Counted]
    """Resolutions are multiples of it; 1 where it is not said."""


class WholeDocument(TypedDict):
    """How base times a multiplier becomes an integer.

    Rounded to a multiple of divisor (up; down, 1e-9 forgiven; even: nearest, halves to even; nearest: halves up); one
    divisor more where below guard times the product; kept between least and most; then, unless below group, moved to
    the nearest multiple of group (halves to even).
    """

    base: _NotBelow
    rounding: Literal["up", "down", "even", "nearest"]
    divisor: _Counted
    guard: _Share
    least: _Natural
    most: _Natural
    group: _Counted


class ChannelsDocument(WholeDocument):
    """A further size of a block: the size named in `of`, times base, as an integer."""

    name: Literal["c_mid", "c_se", "c_group"]
    of: Literal["c_in", "c_out", "c_mid"]


class BlockDocument(TypedDict):
    """One block, as a reader needs it in order to count."""

    stride: _Counted
    padding: _Natural
    """The output side is side + padding over stride, rounded down."""
    channels: list[ChannelsDocument]
    """Further sizes, in this order."""
    layers: list[Annotated[list[_Counted | _Size], MinLen(1)]]
    """Each layer's MACs, as factors: numbers, or sizes (c_in, c_out: channels before and after the block; before,
    after: pixels; changed: 1 where c_in and c_out differ, else 0)."""


class SizeDocument(TypedDict):
    """How large the stem, a stage or the head is."""

    width: WholeDocument
    """Channels from w."""
    depth: WholeDocument
    """Blocks from d."""


class PartDocument(SizeDocument):
    """The stem, a stage or the head."""

    blocks: Annotated[list[BlockDocument], MinLen(1)]
    """The first block, the second and so on; the last stands for all further ones."""


class StagesDocument(TypedDict):
    """Curves of each stage, scaled apart: centred log-ratio of its MACs, and its depth and width multipliers."""

    shares: list[CurveDocument]
    depths: list[CurveDocument]
    widths: list[CurveDocument]


class BranchDocument(TypedDict):
    """The curves of one direction and what turns them into integers."""

    c_range: Annotated[list[_Above], Len(2, 2)]
    """Smallest and largest c of the trainings."""
    r: CurveDocument
    d: CurveDocument
    rule: RuleDocument
    resolution: WholeDocument
    """Pixels from r."""
    parts: list[PartDocument]
    """The stem, the stages, the head, input side first: what a reader needs to count MACs. Empty for a GhostNet, whose
    hidden channels are no product, and where the base network has counts."""
    sizes: NotRequired[list[SizeDocument]]
    """Where the base network has counts: the stem, the stages, the head."""
    stages: NotRequired[StagesDocument]


class BranchesDocument(TypedDict, total=False):
    """For c <= 1 and above; the only one there is answers for all c."""

    __pydantic_config__ = {**_CLOSED, "json_schema_extra": {"minProperties": 1}}  # type: ignore[misc]
    shrink: BranchDocument
    enlarge: BranchDocument


class IntegersDocument(TypedDict):
    """A network, and its exact MACs."""

    resolution: _Counted
    stem: _Natural
    widths: _Channels
    depths: _Channels
    head: _Natural
    macs: _Counted
    knobs: NotRequired[dict[str, _Channels]]
    """Further whole numbers where they are not the base network's, one or one for each stage."""


class ScoreDocument(TypedDict):
    """What trainings were judged by.

    Every accuracy in the file is its merit: the value, or its negative where lower is better, so that more is better.
    The curve `accuracy` gives the merit of the limit less that of the front.
    """

    name: str
    lower: bool
    limit: float | None
    """The best possible value; where nobody knew one, 0 of an error, or a value that no training reached."""
    unit: str


class RungDocument(IntegersDocument):
    """The best buildable network of a budget by all that the trainings taught.

    Its MACs are the least budget that it answers; accuracy is what a training of it is expected to reach, between the
    ends of its 90 % interval.
    """

    accuracy: float
    lower: float
    upper: float


class VectorDocument(TypedDict):
    """A budget of MACs, and what it gives."""

    budget: _Counted
    c: _Above
    r: _Above
    """Of the curve."""
    d: _Above
    """Of the curve."""
    w: _Above
    """The largest whose MACs are within the budget at r and d, solved to 1e-11; 0.001 where none is."""
    before_nudge: IntegersDocument
    """What r, d and w round to."""
    answer: IntegersDocument | None
    """The planner's answer, within 1 % of the budget: the resolution moved by pixels, or a stage by a step, where that
    is needed; null where nothing comes so near. A network with coarse steps of its own never costs more, may move in
    all its whole numbers, and comes as near as it can."""
    ladder: NotRequired[IntegersDocument | None]
    """The answer of the ladder, where the file has one; null below its first rung."""


class PointDocument(TypedDict):
    """One training; with resolution (in pixels), stem, widths, depths and head also its network."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    c: _Above
    r: float
    d: float
    w: NotRequired[float]
    macs: _Counted
    accuracy: float
    resolution: NotRequired[_Counted]
    stem: NotRequired[_Natural]
    widths: NotRequired[list[_Counted]]
    depths: NotRequired[list[_Counted]]
    head: NotRequired[_Natural]
    knobs: NotRequired[dict[str, _Channels]]
    trial: NotRequired[int | str]


class SurrogateDocument(TypedDict):
    """Expected accuracy of any architecture: a record of `planner.surrogates`, which checks the rest itself."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]
    schema: str


class FormulaDocument(TypedDict):
    """Budget -> (resolution, depth, width), learned for one base network; c is a budget over that network's MACs."""

    schema: Literal["planner-formula/1"]
    sha256: Annotated[str, Len(64, 64)]
    """SHA-256 of the file's text without the line of this key, in hexadecimal digits. The text is canonical: ASCII,
    keys sorted; an object or array that holds another, not an empty one, is broken after each member and indented by
    one space, any other is one line."""
    counting: Literal[
        "macs: multiply-accumulates of convolutions and linear layers; no bias, norm, activation or pooling"
    ]
    base: BaseDocument
    classes: _Counted
    """Outputs of the classifier that MACs count."""
    kind: _Kind
    """How the curves were fitted."""
    branches: Annotated[BranchesDocument, MinLen(1)]
    accuracy: CurveDocument | None
    """Top-1 error (not accuracy) of the front over c."""
    front: list[PointDocument]
    """The rows selected for the fit."""
    errors: dict[str, float]
    """Leave-one-out errors of the curves, and cross-validated ones of the surrogate, by name."""
    provenance: dict[str, Any]
    """What it was fitted on: rows, table_sha256, seed, share, versions."""
    vectors: Annotated[list[VectorDocument], Len(1, 100)]
    """Budgets and what they give."""
    non_dominated: NotRequired[list[PointDocument]]
    """The rows that no other dominates by observed accuracy and MACs."""
    warnings: NotRequired[list[str]]
    """What a reader must know before any number."""
    score: NotRequired[ScoreDocument]
    """What trainings were judged by; top-1 accuracy in a file without it."""
    surrogate: NotRequired[SurrogateDocument]
    answers: NotRequired[dict[str, Any]]
    """What chooses the answer to a budget, beside the surrogate: a record of `planner.answers`."""
    ladder: NotRequired[Annotated[list[RungDocument], Len(1, 2000)]]
    """The answers over the fitted range, by rising MACs: the answer to a budget is the last one whose macs are within
    it; there is none below the first."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `planner-formula/1`, draft 2020-12, for readers elsewhere."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        """Without a title for every key, which says the same once more."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    defined = formula_model(use_attribute_docstrings=True).json_schema(schema_generator=Untitled)["$defs"]
    document = {"$schema": GenerateJsonSchema.schema_dialect, "$id": "urn:planner-formula:1"}
    return {**document, **defined.pop("FormulaDocument"), "title": FORMULA_SCHEMA, "$defs": defined}


def schema_text() -> str:
    """The text of `formula.schema.json`, which ships beside this file."""
    return json.dumps(json_schema(), indent=1) + "\n"


@cache
def formula_model(**more: bool) -> TypeAdapter[FormulaDocument | None]:
    """The checker of documents; None is one as well, for pydantic refuses to configure a `TypedDict` from here."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(FormulaDocument | None, config=ConfigDict(**_CLOSED, **more))  # type: ignore[typeddict-item]
