"""`planner bases`: the base networks."""

from __future__ import annotations

import click

from planner.commands.options import as_json, echo_json, echo_table


@click.command(
    name="bases", epilog="Example: planner bases --json", short_help="List base networks with MACs, params, stages."
)
@as_json
def command(json_: bool) -> None:
    """Lists base networks: exact MACs and params at their own resolution and 1000 classes."""
    from planner.workbench.names import bases
    from sampler.complexity import complexity

    rows = []
    for name, network in bases().items():
        cost = complexity(name)
        rows.append(
            {
                "name": name,
                "family": network.family,
                "resolution": network.resolution,
                "macs": cost.macs,
                "params": cost.params,
                "stages": len(network.stages),
                "rule": network.rule,
            }
        )
    if json_:
        echo_json(rows)
        return
    echo_table(
        ("base", "family", "px", "MACs", "params", "stages", "rule"),
        [
            (
                r["name"],
                r["family"],
                str(r["resolution"]),
                f"{r['macs']:,}",
                f"{r['params']:,}",
                str(r["stages"]),
                r["rule"],
            )
            for r in rows
        ],
    )
