"""`planner scale`: what the published rules give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import BASE_NETWORK, EPOCH_RANGE, Quantity, as_json, echo_json, widths_words
from planner.commands.resource_options import RESOURCES
from planner.commands.searching import search_on_ledger, searching
from planner.commands.together import needs, refuse
from planner.commands.transferring import TRANSFER, transfer_found
from planner.commands.types import Number
from planner.errors import PlannerError
from planner.searches.names import SEARCH_NAMES
from planner.text.quantities import format_count, parse_macs

if TYPE_CHECKING:
    from planner.commands.searching import SearchOptions
    from planner.formulas.coefficients import Coefficients
    from planner.rules import RuleAnswer

# Options that searches do nothing with.
RULES_OWN = ("--scale", "--pure", "--alpha", "--beta", "--gamma", "--formula", "--epochs", "--classes")

_NOT_OF_TRANSFER = (
    *("--scale", "--pure", "--alpha", "--beta", "--gamma", "--formula", "--epochs", "--rule", "--classes", "--study"),
    *("--depth", "--fine-tune", "--recipe", "--pretrain", "--noise", "--seeds", "--set", "--latency", "--resolutions"),
    *("--neighbours", "--score", "--latency-model", "--measured"),
)


@click.command(
    name="scale",
    epilog="Example: planner scale efficientnet_b0 --method fast --flops 800M",
    short_help="What a published rule gives: compound, fast, resnet-rs, regnet, tinynet ..",
)
@needs("--pure", "--flops")
@needs("--latency-model", "--latency")
@needs("--measured", "--latency")
@click.argument("base", metavar="BASE", type=BASE_NETWORK)
@click.option(
    "--method",
    required=True,
    metavar="NAME",
    help="compound, fast, resnet-rs, regnet, tinynet, width, depth, resolution, or pycls' strings (d1_w8_g8_r1, dwr); "
    "searches: greedy, rbis, adjust; transfer carries over what a search found.",
)
@click.option("--flops", type=Quantity(parse_macs), help="Budget in MACs, which papers call FLOPs, such as 400M.")
@click.option(
    "--scale",
    "factor",
    type=Number(0, min_open=True),
    metavar="K",
    help="Instead of a budget: K times the resources, as the rule counts them (compound: phi = log2 K).",
)
@click.option("--pure", is_flag=True, help="With --flops: the rule's own answer, however far rounding leaves it.")
@click.option("--alpha", type=float, help="Of compound: depth for twice the resources; EfficientNet's 1.2 by default.")
@click.option("--beta", type=float, help="Of compound: width; 1.1 by default.")
@click.option("--gamma", type=float, help="Of compound: resolution; 1.15 by default.")
@click.option(
    "--formula",
    metavar="FILE",
    help="Of compound: takes the alpha, beta, gamma of `planner fit --kind compound`. Of tinynet: any formula.",
)
@click.option(
    "--epochs",
    type=EPOCH_RANGE,
    metavar="N",
    help="Of resnet-rs: how long the networks will be trained; deeper from 100 on, else wider; 350 by default.",
)
@click.option(
    "--found",
    metavar="FILE",
    help="Of transfer: the .json that a search wrote; carried over to --width times its widths, or to --flops.",
)
@click.option("--resolution", type=int, metavar="PX", help="Pixels of the base network; its own by default.")
@click.option("--classes", type=int, default=1000, show_default=True, help="Outputs of the classifier.")
@click.option(
    "--rule",
    metavar="NAME",
    help="How products become integers, instead of as the method, or a search's study, has it.",
)
@searching
@as_json
def command(
    base: str,
    method: str,
    flops: float | None,
    resolution: int | None,
    search: SearchOptions,
    found: str | None,
    json_: bool,
    **options: Any,
) -> None:
    """Scales the base network BASE (or yours, FILE.py:NAME) by a published rule or search; counts the result exactly.

    With --flops the answer is within 1 % of the budget, as networks must be that are compared: where rounding
    leaves the rule farther from it, the width is solved anew, and the rule's own answer stands beside it.

    With --scale it is what the rule gives, rounded, and nothing else.

    A search (greedy, rbis, adjust) trains networks on the images of a --study, from its base network or a reduced one
    (--width, --depth). Stop it at any time: the same command goes on, and trains nothing twice.

    transfer trains nothing: it gives what a search found at other widths (--width 2, or --flops), another --resolution,
    or in a deeper BASE of as many stages.
    """
    if method in SEARCH_NAMES:
        refuse((*RULES_OWN, "--found"), f"on the search {method}")
        search_on_ledger(method, base, flops, resolution, search, options["rule"], json_)
        return
    if method == TRANSFER:
        refuse((*_NOT_OF_TRANSFER, *RESOURCES), f"on {TRANSFER}, which carries over what a search found")
        transfer_found(base, found, flops, search.width, resolution, json_)
        return
    refuse(("--found",), f"on {method}; it is of {TRANSFER}")
    search.refuse(method)
    refuse((*RESOURCES, "--latency-model", "--measured"), f"on {method}, a rule, which trains nothing")
    own = RuleOptions(**options)
    answer = _answer(base, method, flops, resolution, own)
    if json_:
        echo_json(answer.as_dict())
    else:
        _show(answer, own.factor)


@dataclass(frozen=True)
class RuleOptions:
    """The options that only rules have.

    Attributes:
        factor: Multiple of the resources, instead of a budget.
        pure: Whether the rule's own answer is wanted, however far from the budget.
        alpha: Depth of compound scaling for twice the resources; None for the usual one.
        beta: Width of it.
        gamma: Resolution of it.
        formula: File of a formula.
        epochs: Number of epochs for which networks will be trained.
        classes: Outputs of the classifier.
        rule: Name of the scaling rule that rounds, instead of the method's.
    """

    factor: float | None
    pure: bool
    alpha: float | None
    beta: float | None
    gamma: float | None
    formula: str | None
    epochs: int | None
    classes: int
    rule: str | None


def _answer(base: str, method: str, flops: float | None, resolution: int | None, own: RuleOptions) -> RuleAnswer:
    """What a rule gives for a budget, or for a multiple of the resources."""
    from planner.answers.formula import Formula
    from planner.rules import at_budget, by_factor

    arguments: dict[str, Any] = {
        "resolution": resolution,
        "classes": own.classes,
        "rule": own.rule,
        "factors": _factors_of(own.alpha, own.beta, own.gamma),
        "formula": None if own.formula is None else Formula.load(own.formula),
        "epochs": own.epochs,
    }
    if (flops is None) == (own.factor is None):
        raise PlannerError("give --flops, such as 400M, or --scale, such as 2")
    if flops is not None:
        return at_budget(method, base, flops, exact=not own.pure, **arguments)
    assert own.factor is not None
    return by_factor(method, base, own.factor, **arguments)


def _factors_of(alpha: float | None, beta: float | None, gamma: float | None) -> Coefficients | None:
    """The factors that were given, with EfficientNet's for the others; None where none was."""
    from planner.formulas.coefficients import ALPHA, BETA, GAMMA, Coefficients

    if alpha is beta is gamma is None:
        return None
    given = zip((alpha, beta, gamma), (ALPHA, BETA, GAMMA), strict=True)
    return Coefficients(*(usual if one is None else one for one, usual in given))


def _show(answer: RuleAnswer, factor: float | None) -> None:
    """Prints an answer for people."""
    aim = f"{format_count(answer.budget)} MACs" + (f", {factor:g} times its own" if factor is not None else "")
    found = ", ".join(f"{name} {value:.4g}" for name, value in answer.parameters.items())
    click.echo(f"{answer.architecture.base} for {aim}, {answer.classes} classes")
    click.echo(f"method {answer.method} ({found}), rounded by rule {answer.rule}")
    if answer.pure is None:
        show_one("the rule itself", answer)
    else:
        show_one("moved to the budget", answer)
        click.echo(f"  moved       {', '.join(answer.nudges())}")
        show_one("the rule itself", answer.pure)
    for note in answer.notes:
        click.echo(note)


def show_one(name: str, answer: RuleAnswer) -> None:
    """Prints one network."""
    one = answer.architecture
    click.echo(f"{name}:")
    click.echo(f"  resolution  {one.resolution} px  (r {answer.r:.3f}, d {answer.d:.3f}, w {answer.w:.3f})")
    click.echo(f"  depths      {' '.join(str(depth) for depth in one.depths)}")
    click.echo(f"  widths      {widths_words(one)}")
    for knob, values in one.knobs.items():
        click.echo(f"  {knob:10s}  {' '.join(map(str, values))}")
    off = f"{100 * answer.error:+.2f} % of the budget"
    click.echo(f"  MACs        {answer.macs:,} ({off}), params {answer.params:,}")
