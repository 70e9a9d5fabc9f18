"""`planner latency fit`: a model of latency from a table of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import SEED, as_json, echo_json

if TYPE_CHECKING:
    from planner.latency.model import LatencyModel

_LEVEL = 0.9
OUT = "results/latency.json"
# A count, its label and how many of it the label means.
_LABELS = {
    "macs": ("GMAC", 1e9),
    "activations": ("M activations", 1e6),
    "params": ("M params", 1e6),
    "blocks": ("block", 1),
}


@click.command(
    name="fit",
    epilog="Example: planner latency fit --from latency.csv --out board.json",
    short_help="Fit latency over MACs, activations .. of a table; writes a JSON file.",
)
@click.option(
    "--from", "tables", multiple=True, required=True, metavar="CSV", help="Table of latencies; may be given repeatedly."
)
@click.option("--models", metavar="GLOB", help="Only rows whose column model (or base) matches, such as 'resnet*'.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the cross-validation's folds.")
@click.option("--out", type=click.Path(dir_okay=False), default=OUT, show_default=True, help="The file.")
@as_json
def command(tables: tuple[str, ...], models: str | None, seed: int, out: str, json_: bool) -> None:
    """Learns latency from the measurements in CSV files, and writes a JSON file that needs no device to answer.

    A table needs the columns latency_ms and macs; activations, params, resolution and depth_1 .. are used where
    they are. timm's published inference benchmarks are read as they come. All rows must be of one device, runtime,
    number of threads, batch and dtype.
    """
    from planner.latency.fit import fit_latency

    model = fit_latency(tables, models, seed)
    model.save(out)
    if json_:
        echo_json(_summary(model, Path(out)))
    else:
        _show(model, Path(out))


def _summary(model: LatencyModel, path: Path) -> dict[str, Any]:
    """What `latency fit --json` prints."""
    return {
        "latency_model": str(path),
        "measured_on": model.measured_on,
        "per": model.per,
        "features": list(model.features),
        "coefficients": model.coefficients,
        "errors": model.errors,
        "ranges": {name: list(ends) for name, ends in model.ranges.items()},
        "interval": {"level": _LEVEL, "factor": model.factor(_LEVEL)},
        "tables": model.provenance["tables"],
    }


def _show(model: LatencyModel, path: Path) -> None:
    """Prints a fit for people."""
    errors = model.errors
    on = ", ".join(f"{key} {value}" for key, value in model.measured_on.items()) or "an unnamed device"
    what = "one image" if model.per == "image" else "one forward pass"
    click.echo(f"fitted the time of {what} to {errors['rows']:.0f} rows, {errors['architectures']:.0f} architectures")
    click.echo(f"  measured on: {on}")
    click.echo(f"  {sum_in_words(model)}, times a learned departure")
    ours, line = errors["median_relative_error"], errors["macs_only_median_relative_error"]
    click.echo(f"  cross-validated median error {ours:.1%}; a straight line of log latency over log MACs: {line:.1%}")
    low, high = 1 / model.factor(_LEVEL) - 1, model.factor(_LEVEL) - 1
    click.echo(f"  {_LEVEL:.0%} of the left-out measurements lie within {low:+.0%} and {high:+.0%} of their prediction")
    click.echo(f"latency model: {path}")


def sum_in_words(model: LatencyModel) -> str:
    """The sum of times with its units; what costs nothing is left out."""
    parts = [f"{model.coefficients['fixed']:.3g} ms"] if model.coefficients["fixed"] else []
    for name, (label, unit) in _LABELS.items():
        if model.coefficients.get(name):
            parts.append(f"{model.coefficients[name] * unit:.3g} ms per {label}")
    return " + ".join(parts)
