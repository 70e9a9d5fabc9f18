"""Options that say where and how long trainings run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar, cast

import click

from planner.commands.options import WORKERS, Quantity
from planner.commands.types import Number, Whole
from planner.text.durations import parse_seconds

_F = TypeVar("_F", bound=Callable[..., Any])
_ENGINES = ("local", "ray", "slurm", "inline")


class EngineName(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """The name of an engine: ours, or one that was registered or that an installed package offers."""

    name = "engine"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if there is such an engine; only others than ours are looked for."""
        if value not in _ENGINES:
            from planner.training.resources import ENGINES

            if value not in ENGINES:
                self.fail(f"{value!r} is not one of {', '.join(map(repr, ENGINES.names()))}.", param, ctx)
        return str(value)


def resources(command: _F) -> _F:
    """Where and how long trainings run, ready-made as `where`."""

    @wraps(command)
    def placed(**given: Any) -> Any:
        from planner.training.resources import Resources

        where = Resources(**{one.name: given.pop(one.name) for one in fields(Resources)})
        return command(where=where, **given)

    return resource_options(cast(_F, placed))


def resource_options(command: _F) -> _F:
    """Where and how long trainings run, each option by its name: fields of `planner.training.resources.Resources`."""
    options = (
        click.option("--workers", type=WORKERS, default=0, help="Processes; one per core by default."),
        click.option(
            "--threads",
            type=Whole(0, 1024),
            default=0,
            help="Torch threads of each process; the processes' share of the cores by default, or what "
            "OMP_NUM_THREADS says if that is less.",
        ),
        click.option(
            "--engine",
            type=EngineName(),
            metavar=f"[{'|'.join(_ENGINES)}]",
            default="local",
            show_default=True,
            help="Where trainings run: processes here, tasks of a Ray cluster, Slurm jobs, this process; or an engine "
            "that an installed package offers.",
        ),
        click.option(
            "--address", metavar="HOST:PORT", help="Of ray: a cluster, or auto; a private one here by default."
        ),
        click.option(
            "--cpus-per-training",
            type=Number(0, min_open=True),
            default=1.0,
            help="Of ray and slurm; 1 by default.",
        ),
        click.option(
            "--gpus-per-training",
            type=Number(0),
            help="Of ray (also a fraction) and slurm; with ray 1 where the cluster has GPUs.",
        ),
        click.option(
            "--slurm-option", multiple=True, metavar="NAME=VALUE", help="Of slurm, such as partition=gpu; repeatable."
        ),
        click.option(
            "--device", default="auto", show_default=True, help="Torch device; cuda for all GPUs, cuda:1 for one."
        ),
        click.option(
            "--per-device",
            type=WORKERS,
            default=0,
            help="Trainings at once on each GPU; as many as its memory holds by default.",
        ),
        click.option("--minutes", type=Number(0, min_open=True), help="Begin no training later than this."),
        click.option(
            "--hours",
            type=Number(0, min_open=True),
            help="Begin only trainings that, by those measured, end within so many hours from now.",
        ),
        click.option(
            "--limit",
            type=Quantity(parse_seconds, "duration"),
            metavar="DURATION",
            help="With --trainer or --command: give up a training that takes longer, such as 2h.",
        ),
        click.option(
            "--stop-early",
            is_flag=True,
            help="End trainings that, by those of similar MACs, will not reach the front (95 % sure).",
        ),
        click.option(
            "--log",
            multiple=True,
            metavar="NAME",
            help="Tell another listener how trainings go: jsonl, or one that an installed package offers; repeatable.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


# What `resources` adds, as it is typed.
RESOURCES = (
    *("--workers", "--threads", "--engine", "--address", "--cpus-per-training", "--gpus-per-training"),
    *("--slurm-option", "--device", "--per-device", "--minutes", "--hours", "--limit", "--stop-early", "--log"),
)
