"""`planner cost`: exact complexity of one architecture."""

from __future__ import annotations

from typing import Any

import click

from planner.commands.options import as_json, echo_json
from planner.errors import PlannerError

MOST_NUMBERS = 1000


def integers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """A list such as 16,24,40."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")][:MOST_NUMBERS]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers such as 16,24,40") from error


@click.command(
    name="cost",
    epilog="Example: planner cost efficientnet_b0 --resolution 188 --width 0.75 --depth 1.1 --rule tinynet",
    short_help="Exact MACs, params and activations of an architecture.",
)
@click.argument("base")
@click.option("--resolution", type=int, metavar="PX", help="Input side in pixels; the base network's by default.")
@click.option("--width", type=float, default=1.0, show_default=True, help="Width multiplier.")
@click.option("--depth", type=float, default=1.0, show_default=True, help="Depth multiplier.")
@click.option("--widths", callback=integers, metavar="N,N,..", help="Channels of each stage, instead of --width.")
@click.option("--depths", callback=integers, metavar="N,N,..", help="Blocks of each stage, instead of --depth.")
@click.option("--rule", metavar="NAME", help="How products become integers; the base network's rule by default.")
@click.option("--classes", type=int, default=1000, show_default=True, help="Outputs of the classifier.")
@as_json
def command(
    base: str,
    resolution: int | None,
    width: float,
    depth: float,
    widths: list[int] | None,
    depths: list[int] | None,
    rule: str | None,
    classes: int,
    json_: bool,
) -> None:
    """Counts one architecture of the base network BASE, exactly.

    MACs (which papers call FLOPs) are multiply-accumulates of convolutions and linear layers: half of torch's
    FlopCounterMode. Bias, norm, activation and pooling are not counted.
    """
    from sampler import base as base_named
    from sampler import rule_named, scale
    from sampler.complexity import complexity

    network = base_named(base)
    chosen = rule or network.rule
    pixels = network.resolution if resolution is None else resolution
    for name, value in (("resolution", pixels), ("classes", classes)):
        if abs(value) > 10**9:
            raise PlannerError(f"--{name} {value} is impossible; give a small positive number")
    cost = complexity(base, pixels, width, depth, widths, depths, chosen, classes)
    scaled = scale(network, rule_named(chosen), pixels, depth, width)[0]
    answer: dict[str, Any] = {
        "base": base,
        "resolution": pixels,
        "stem": scaled.stem,
        "widths": widths or list(scaled.widths),
        "depths": depths or list(scaled.depths),
        "head": scaled.head,
        "rule": chosen,
        "classes": classes,
        "macs": cost.macs,
        "params": cost.params,
        "activations": cost.activations,
    }
    if json_:
        echo_json(answer)
        return
    click.echo(f"{base} at {pixels} px, {classes} classes, rule {chosen}")
    click.echo(f"  stem {scaled.stem}, head {scaled.head}")
    for name in ("widths", "depths"):
        click.echo(f"  {name:12s}{' '.join(str(value) for value in answer[name])}")
    for name in ("macs", "params", "activations"):
        click.echo(f"  {name:12s}{answer[name]:,}")
