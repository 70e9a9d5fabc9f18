"""`planner latency`: measured latency of one architecture, of a sweep, of a random design; `fit` models it."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.latency_show import measurement_summary, show_measurement, title
from planner.commands.options import DTYPES, SEED, as_json, describing, echo_json
from planner.commands.together import replaces
from planner.commands.types import Number, Whole
from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.latency.designs import Sweep
    from planner.latency.measure import Measurement
    from trainer.latency import Stopwatch

MEASURE, FIT = "measure", "fit"
_GRID = 4  # pixels, as in RBIS
_LARGEST = 1_000_000


class Latency(click.Group):
    """A group in which everything but `fit` is the measuring command, whose options it shows as its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The one command that is named."""
        return [FIT]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name == FIT:
            fit: click.Command = import_module("planner.commands.latency_fit").command
            return fit
        return measure if cmd_name == MEASURE else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What does not begin with the name of a command is for the measuring one."""
        named = args and args[0] in (FIT, MEASURE, *ctx.help_option_names)
        return super().parse_args(ctx, args if named else [MEASURE, *args])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """`BASE [OPTIONS]`, as the measuring command wants it."""
        return ["BASE [OPTIONS]", "|", "fit --from CSV"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The measuring command's options, then the other command."""
        measure.format_options(ctx.__class__(measure, parent=ctx.parent, info_name=ctx.info_name), formatter)
        self.format_commands(ctx, formatter)


@click.group(
    name="latency",
    cls=Latency,
    short_help="Measure latency; find the resolutions just before a jump.",
    epilog="Example: planner latency efficientnet_b0 --sweep resolution",
)
def command() -> None:
    """Measures the latency of the base network BASE, or of a scaled version of it, on this machine.

    \b
    One architecture:   planner latency efficientnet_b0 --resolution 188 --width 0.75
    Its best sizes:     planner latency efficientnet_b0 --sweep resolution
    .. without timing:  planner latency efficientnet_b0 --sweep resolution --no-measure
    Widths of a stage:  planner latency efficientnet_b0 --sweep width --stage 5
    A table to fit:     planner latency efficientnet_b0 --random 60 --out measured.csv
    Its model:          planner latency fit --from measured.csv

    Latency is in ms per forward pass of the whole batch: the median over rounds, in each of which everything is
    timed once, in a new order. Latency and MACs climb in steps; the sizes just before a jump are the cheap ones.
    """  # noqa: D301 - \b is click's mark for lines not to be joined


@click.command(name=MEASURE)
@replaces("--no-measure", "--runtime", "--device", "--threads", "--batch", "--dtype", "--minutes")
@describing
@click.option("--runtime", type=click.Choice(["torch", "compile", "onnxruntime"]), default="torch", show_default=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", type=Whole(1, 1024), default=1, show_default=True, help="Threads of the CPU.")
@click.option("--batch", type=Whole(1, _LARGEST), default=1, show_default=True, help="Images of one pass.")
@click.option("--dtype", type=click.Choice(DTYPES), default=DTYPES[0], show_default=True)
@click.option("--sweep", type=click.Choice(["resolution", "width"]), help="Step through one size; find its jumps.")
@click.option("--from", "start", type=int, metavar="SIZE", help="First size; 0.75 of the resolution, or 8 widths less.")
@click.option("--to", "stop", type=int, metavar="SIZE", help="Last size; 1.5 of the resolution, or 8 widths more.")
@click.option("--step", type=Whole(1, 4096), help="Pixels between resolutions; 4 by default.")
@click.option("--stage", type=int, metavar="N", help="The stage whose width is swept, from 1.")
@click.option("--no-measure", is_flag=True, help="Only the exact MACs of a sweep, at once.")
@click.option("--random", type=Whole(1, 10_000), metavar="N", help="Measure N random versions of BASE.")
@click.option("--window", nargs=2, metavar="LOW HIGH", help="MACs of these: 50M 1G, or multiples of BASE's.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the versions and the order.")
@click.option(
    "--minutes",
    type=Number(0, 10_000, min_open=True),
    default=4.0,
    show_default=True,
    help="Measure no longer than this; ends earlier where all medians are known to 0.5 %.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="CSV of the measurements.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Picture of a sweep.")
@as_json
@click.pass_context
def measure(context: click.Context, /, json_: bool, **options: Any) -> None:
    """Measures latency; `planner latency --help` says more."""
    _check_together(options, {name for name in options if _is_given(context, name)})
    measurement = _wanted(options)
    out, plot = _paths(options, measurement.sweep)
    if not options["no_measure"]:
        measurement.measure(_stopwatch(measurement, options), options["minutes"])
    _write(measurement, out, plot)
    files = {"csv": str(out) if out else None, "plot": str(plot) if plot else None}
    if json_:
        echo_json(measurement_summary(measurement) | files)
    else:
        show_measurement(measurement)
        for name, path in files.items():
            if path:
                click.echo(f"{name}: {path}")
    if measurement.stopped:
        print("planner: stopped; what was measured until then is kept", file=sys.stderr)
        sys.exit(130)


def _write(measurement: Measurement, out: Path | None, plot: Path | None) -> None:
    if out:
        measurement.write(out)
    if plot and measurement.sweep:
        from planner.latency.plots import plot_sweep

        plot_sweep(plot, title(measurement), measurement.sweep, measurement)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _check_together(options: dict[str, Any], given: set[str]) -> None:
    """Refuses options that would be ignored.

    Raises:
        PlannerError: Naming the option, and what it belongs to.
    """
    flags = {name: "--" + name.replace("_", "-") for name in options} | {"start": "--from", "stop": "--to"}
    sweep = options["sweep"]
    wants = {
        "--sweep": (sweep, ("start", "stop", "plot", "no_measure")),
        "--sweep resolution": (sweep == "resolution", ("step",)),
        "--sweep width": (sweep == "width", ("stage",)),
        "--random": (options["random"], ("window",)),
    }
    for needed, (there, names) in wants.items():
        for name in names:
            if name in given and not there:
                raise PlannerError(f"{flags[name]} belongs to {needed}; add it, or leave {flags[name]} out")
    if sweep == "width" and options["stage"] is None:
        raise PlannerError("--sweep width needs --stage N, the stage whose width is swept, from 1")
    for name in ("sweep", "width", "depth", "widths", "depths"):
        if options["random"] and name in given:
            raise PlannerError(f"--random draws widths and depths itself; leave {flags[name]} out")


def _wanted(options: dict[str, Any]) -> Measurement:
    """What is to be measured, counted; nothing heavy is imported for it."""
    from planner.latency import designs
    from planner.latency.measure import Measurement
    from sampler import scaled

    classes, start, stop = options["classes"], options["start"], options["stop"]
    if options["random"]:
        drawn = designs.random_architectures(
            options["name"],
            options["random"],
            options["resolution"],
            classes,
            options["rule"],
            options["window"],
            options["seed"],
        )
        return Measurement(drawn, classes)
    architecture = scaled(
        *(options[name] for name in ("name", "resolution", "width", "depth", "widths", "depths", "rule"))
    )
    Measurement([architecture], classes)  # refuses what cannot be built before a sweep is made of it
    if options["sweep"] is None:
        return Measurement([architecture], classes)
    if options["sweep"] == "resolution":
        sweep = designs.resolution_sweep(architecture, start, stop, options["step"] or _GRID)
    else:
        sweep = designs.width_sweep(architecture, options["stage"], start, stop)
    return Measurement(sweep.architectures, classes, sweep)


def _paths(options: dict[str, Any], sweep: Sweep | None) -> tuple[Path | None, Path | None]:
    """The CSV file and the picture to write; by default both, named after what is measured.

    Raises:
        PlannerError: If one cannot be written there; said before minutes are spent on measuring.
    """
    kind = options["sweep"] or ("random" if options["random"] else "one")
    name = f"latency-{options['name']}-{kind}-{options['runtime']}"
    out, plot = options["out"], options["plot"]
    if not options["no_measure"]:
        out, plot = out or Path(f"{name}.csv"), plot or (Path(f"{name}.png") if sweep else None)
    for flag, path in (("--out", out), ("--plot", plot)):
        folder = path and next(parent for parent in path.parents if parent.exists())
        if folder and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise PlannerError(f"{path}: {folder} is no folder that can be written to; choose another {flag}")
    if plot:
        from planner.latency.plots import check_plot

        check_plot(plot)
    return out, plot


def _stopwatch(measurement: Measurement, options: dict[str, Any]) -> Stopwatch:
    from trainer.latency import Stopwatch
    from trainer.runtimes import Setting, find_device

    device = find_device(options["device"], options["runtime"])
    setting = Setting(options["runtime"], device, options["threads"], options["batch"], options["dtype"])
    return Stopwatch(measurement.architectures, setting, measurement.classes, options["seed"])
