"""Options that several commands share, and how results are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from planner.commands.together import needs, replaces
from planner.commands.types import Whole
from planner.errors import PlannerError
from planner.study.ranges import MOST_EPOCHS, SIDES
from planner.text.quantities import parse_budgets, parse_bytes, parse_macs, parse_ms, parse_params
from sampler.seeds import LARGEST_SEED

if TYPE_CHECKING:
    from planner.study.ledger import Ledger
    from planner.tables.table import Table
    from sampler import Architecture, Limit

_F = TypeVar("_F", bound=Callable[..., Any])

# One range for each kind of whole number, in every command.
SEED = Whole(0, LARGEST_SEED)
TRIALS = Whole(1, 100_000)
REPEATS = Whole(1, 1000)
EPOCH_RANGE = Whole(1, MOST_EPOCHS)
PIXEL_RANGE = Whole(*SIDES)
WORKERS = Whole(0, 1024)


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """A positive quantity with a unit, such as 200M, 12ms or 8MB.

    Args:
        parse: Gives the number of a text.
        name: Kind of quantity, in help.
    """

    def __init__(self, parse: Callable[[str], float], name: str = "quantity") -> None:
        self.parse, self.name = parse, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of a text."""
        if isinstance(value, float):
            return value
        try:
            return self.parse(value)
        except PlannerError as error:
            self.fail(str(error), param, ctx)


class Base(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """A base network: a name, or where the user declared one, which is then known by its name.

    Args:
        typed: Whether what was typed is kept, and not the network's name.
    """

    name = "network"

    def __init__(self, typed: bool = False) -> None:
        self.typed = typed

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What help shows for it."""
        return "NAME|FILE.py:NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name of the network, which may take some seconds the first time that it is named."""
        from planner.commands.progress import Tracing
        from trainer.declared.loading import load_network

        with Tracing() as tracing:
            network = load_network(value, tracing)
        tracing.done(network)
        return str(value) if self.typed else network.name


BASE_NETWORK = Base()
LATENCY_FILE = "results/latency.json"
MOST_NUMBERS = 1000
MOST_BUDGETS = 100
DTYPES = ("float32", "float16", "bfloat16")
BUDGET_OPTIONS = ("--flops", "--params", "--latency", "--memory")


def integers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """A list such as 16,24,40."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")][:MOST_NUMBERS]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers such as 16,24,40") from error


def counts(_: click.Context, __: click.Parameter, text: str | None) -> list[float] | None:
    """A list of budgets in MACs such as 60M,120M."""
    if text is None:
        return None
    values = list(dict.fromkeys(parse_budgets(text)))
    if len(values) > MOST_BUDGETS:
        raise click.BadParameter(f"{len(values)} budgets; at most {MOST_BUDGETS} are taken at once")
    return values


as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")
study = click.option("--study", metavar="NAME", help="The study, a folder in results/; the last one used by default.")


def describing(command: _F) -> _F:
    """The argument and the options that describe one architecture, as `sampler.scaled` takes them, and its classes."""
    options = (
        click.argument("name", metavar="BASE", type=BASE_NETWORK),
        click.option(
            "--resolution", type=int, metavar="PX", help="Input side in pixels; the base network's by default."
        ),
        click.option("--width", type=float, default=1.0, show_default=True, help="Width multiplier."),
        click.option("--depth", type=float, default=1.0, show_default=True, help="Depth multiplier."),
        click.option(
            "--widths", callback=integers, metavar="N,N,..", help="Channels of each stage, instead of --width."
        ),
        click.option("--depths", callback=integers, metavar="N,N,..", help="Blocks of each stage, instead of --depth."),
        click.option(
            "--rule", metavar="NAME", help="How products become integers; the base network's rule by default."
        ),
        click.option("--classes", type=int, default=1000, show_default=True, help="Outputs of the classifier."),
    )
    command = replaces("--depths", "--depth")(command)
    for option in reversed(options):
        command = option(command)
    return command


def budgets(command: _F) -> _F:
    """The budgets, alone or together: `flops`, and all others as the list `limits`."""

    @wraps(command)
    def limited(**given: Any) -> Any:
        others = {name: given.pop(name) for name in ("params", "latency", "memory", "dtype", "latency_model")}
        return command(limits=limits_of(**others), **given)

    limited = needs("--dtype", "--memory")(needs("--latency-model", "--latency")(limited))
    options = (
        click.option(
            "--flops",
            type=Quantity(parse_macs),
            help="Budget in MACs, which papers call FLOPs: 200M, 200,000,000 and 0.2GFLOPs are the same.",
        ),
        click.option("--params", type=Quantity(parse_params), help="Budget in learnable parameters, such as 4M."),
        click.option("--latency", type=Quantity(parse_ms), help="Budget in time, such as 12ms, by a --latency-model."),
        click.option(
            "--memory", type=Quantity(parse_bytes), help="Budget in peak memory of inference with one image, as 8MB."
        ),
        click.option("--dtype", type=click.Choice(DTYPES), help="Type of the numbers in memory; float32 by default."),
        click.option(
            "--latency-model",
            metavar="FILE",
            help=f"What `planner latency fit` wrote for the device; {LATENCY_FILE} by default.",
        ),
    )
    for option in reversed(options):
        limited = option(limited)
    return cast(_F, limited)


def limits_of(
    params: float | None, latency: float | None, memory: float | None, dtype: str | None, latency_model: str | None
) -> list[Limit]:
    """The limits that the options of `budgets` set.

    Raises:
        PlannerError: If there is a budget of latency and no latency model.
    """
    from sampler import exact_limit

    limits = []
    if params is not None:
        limits.append(exact_limit("params", params))
    if latency is not None:
        limits.append(latency_limit(latency, Path(latency_model or LATENCY_FILE)))
    if memory is not None:
        limits.append(exact_limit("memory", memory, dtype or DTYPES[0]))
    return limits


def latency_limit(milliseconds: float, path: Path) -> Limit:
    """A limit on the latency that a model predicts.

    Raises:
        PlannerError: If there is no such model.
    """
    from planner.latency.model import LatencyModel
    from sampler import Limit

    if not path.is_file():
        raise PlannerError(
            f"{path}: no latency model for --latency; measure with `planner latency BASE --random 40 --out m.csv`, "
            f"then `planner latency fit --from m.csv --out {path}`"
        )
    return Limit("latency", milliseconds, LatencyModel.load(path).of)


def table_of(table: str | None, study_name: str | None, base: str | None = None) -> Table:
    """The observations of a CSV file, or of a study.

    Raises:
        PlannerError: If both are given, or there is nothing to read.
    """
    if table and study_name:
        raise PlannerError("give a table or --study, not both")
    if table:
        from planner.tables.table import read_csv

        return read_csv(Path(table), base)
    from planner.study.opening import read_ledger

    return read_ledger(study_name).table()


def applied(command: _F) -> _F:
    """Adds the options by which a formula is applied: base network, its resolution and classes, and how far."""
    options = (
        click.option("--base", type=BASE_NETWORK, help="Base network; efficientnet_b0 by default."),
        click.option(
            "--base-resolution", type=int, metavar="PX", help="Apply the formula to the base network at this side."
        ),
        click.option("--classes", type=int, metavar="N", help="Apply the formula to so many classes."),
        click.option("--extrapolate", is_flag=True, help="Answer outside the range that the formula was fitted on."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def warn_of_guessing(ledger: Ledger) -> None:
    """Says on standard error where most trainings of a study learned nothing."""
    from planner.study.trials import trained
    from planner.tables.chance import guessing

    if why := guessing(trained(ledger.frame())["accuracy"], ledger.settings.data.classes, ledger.settings.score):
        click.echo(f"warning: {why}; make another study with more --epochs or images", err=True)


def widths_words(one: Architecture) -> str:
    """The widths of an architecture in a line, and its stem's and head's where it has them."""
    ends = f"  (stem {one.stem}, head {one.head})" if one.stem or one.head else ""
    return f"{' '.join(map(str, getattr(one, 'layers', one.widths)))}{ends}"


def echo_first(warnings: Sequence[str], err: bool = False) -> None:
    """Prints what a reader must know before any number, a line each."""
    for one in warnings:
        click.echo(f"WARNING: {one}", err=err)


def echo_json(value: Any) -> None:
    """Prints JSON with sorted keys; a NaN is a defect."""
    click.echo(json.dumps(value, sort_keys=True, allow_nan=False))


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints right-aligned columns."""
    for line in table_lines(header, rows):
        click.echo(line)


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The header and the rows as lines of right-aligned columns."""
    every = [header, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(header))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]
