"""`planner cost`: exact complexity of one architecture."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import DTYPES, as_json, describing, echo_json, echo_table

if TYPE_CHECKING:
    from sampler import Architecture
    from sampler.families.parts import Block

COUNTS = ("macs", "params", "activations")


@click.command(
    name="cost",
    epilog="Example: planner cost efficientnet_b0 --resolution 188 --width 0.75 --rule tinynet --explain; planner cost "
    "mynet.py:net --width 1.5",
    short_help="Exact MACs, params, activations and memory of an architecture.",
)
@describing
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default=DTYPES[0],
    show_default=True,
    help="Type of the numbers in memory.",
)
@click.option("--explain", is_flag=True, help="Counts per stage, and what other counters say and why.")
@as_json
def command(classes: int, dtype: str, explain: bool, json_: bool, **options: Any) -> None:
    """Counts one architecture of the base network BASE, exactly: one of `planner bases`, or yours as FILE.py:NAME.

    MACs (which papers call FLOPs) are multiply-accumulates of convolutions and linear layers: half of torch's
    FlopCounterMode. Bias, norm, activation and pooling are not counted.

    Memory is the peak of inference with one image in PyTorch: weights, batch norms' buffers and the feature maps
    alive at once.
    """
    from sampler import architecture_complexity, scaled
    from sampler import base as base_named

    architecture = scaled(**options)
    cost = architecture_complexity(architecture, classes, dtype)
    answer: dict[str, Any] = {
        "base": architecture.base,
        "resolution": architecture.resolution,
        "stem": architecture.stem,
        "widths": list(architecture.widths),
        "depths": list(architecture.depths),
        "head": architecture.head,
        **({"knobs": knobs} if (knobs := _knobs(architecture, classes)) else {}),
        "rule": options["rule"] or base_named(architecture.base).rule,
        "classes": classes,
        "dtype": dtype,
        **{name: getattr(cost, name) for name in (*COUNTS, "memory")},
    }
    if explain:
        answer.update(_explained(architecture, classes))
    if json_:
        echo_json(answer)
        return
    show(answer)


def _knobs(architecture: Architecture, classes: int) -> dict[str, list[int]]:
    """Further whole numbers of a declared network, its own or as they follow; nothing of others."""
    import numpy as np

    from sampler.architecture import stack
    from sampler.declared.family import declared_family
    from sampler.families.protocol import Sizes
    from trainer.declared.images import described

    if (network := described(architecture.base)) is None:
        return {}
    one = stack([architecture])
    sizes = Sizes(one.resolution, one.stem, one.widths, one.depths, one.head, one.knobs)
    values = declared_family(architecture.base).variables(sizes, classes)
    return {
        knob: [int(np.max(values[column])) for column in columns] for knob, columns in network.knob_columns().items()
    }


def _explained(architecture: Architecture, classes: int) -> dict[str, Any]:
    """Counts per part of the network, and other counters' totals, in JSON's types."""
    import numpy as np

    from sampler import base as base_named
    from sampler.architecture import stack
    from sampler.complexity import blocks_of
    from sampler.counters import others
    from sampler.declared.description import BLOCK as DECLARED
    from sampler.totals import by_part

    network = base_named(architecture.base)
    blocks = list(blocks_of(network, stack([architecture]), classes))
    widths: dict[str | int, int] = {"stem": architecture.stem, "head": architecture.head}
    depths: dict[str | int, int] = {}
    for number, (width, depth) in enumerate(zip(architecture.widths, architecture.depths, strict=True), start=1):
        widths[number], depths[number] = width, depth
    sides = {block.part: isqrt(_pixels(block)) for block in blocks}
    counted = network.stages[0].block != DECLARED
    parts = [
        {
            "part": f"stage {part}" if isinstance(part, int) else part,
            "blocks": depths.get(part, 1),
            "width": widths[part],
            "side": sides[part] if counted else None,  # nobody knows what a foreign network's maps are
            **{name: int(np.max(getattr(total, name))) for name in COUNTS},
        }
        for part, total in by_part(blocks).items()
    ]
    return {"parts": parts, "counters": [vars(said) for said in others(architecture, classes)]}


def _pixels(block: Block) -> int:
    """Pixels of a block's last feature map; 1 where it comes after the pooling."""
    return min((int(layer.area[0]) for layer in block.layers if not isinstance(layer.area, int)), default=1)


def show(answer: dict[str, Any]) -> None:
    """Prints an answer for people."""
    click.echo(f"{answer['base']} at {answer['resolution']} px, {answer['classes']} classes, rule {answer['rule']}")
    if answer["stem"] or answer["head"]:
        click.echo(f"  stem {answer['stem']}, head {answer['head']}")
    for name in ("widths", "depths"):
        click.echo(f"  {name:12s}{' '.join(str(value) for value in answer[name])}")
    for name, values in answer.get("knobs", {}).items():
        click.echo(f"  {name:12s}{' '.join(map(str, values))}")
    for name in COUNTS:
        click.echo(f"  {name:12s}{answer[name]:,}")
    click.echo(f"  {'memory':12s}{answer['memory']:,} bytes in {answer['dtype']}, one image")
    if "parts" not in answer:
        return
    click.echo()
    rows = [
        [
            one["part"],
            *(str(one[name] or "-") for name in ("blocks", "width", "side")),
            f"{one['macs']:,}",
            f"{one['macs'] / answer['macs']:.1%}",
            f"{one['params']:,}",
            f"{one['activations']:,}",
        ]
        for one in answer["parts"]
    ]
    echo_table(["part", "blocks", "width", "px out", "MACs", "share", "params", "activations"], rows)
    click.echo("\nThe same network in other counters (computed, not run):")
    for said in answer["counters"]:
        click.echo(f"  {said['tool']:27s}{said['value']:>17,}")
        click.echo(f"    {said['why']}")
