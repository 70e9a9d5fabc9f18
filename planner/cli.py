"""The command line: the list of commands, and what becomes of errors."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

import click

from planner.commands.groups import Suggesting
from planner.errors import InputError
from trainer.mending import REMEDIES, told

# A command is the module of its name in planner.commands, imported when it is needed.
COMMANDS = (
    "bases",
    "cost",
    "sample",
    "train",
    "ask",
    "tell",
    "front",
    "fit",
    "predict",
    "finish",
    "export",
    "scale",
    "compare",
    "run",
    "propose",
    "next",
    "status",
    "studies",
    "latency",
    "data",
    "score",
    "audit",
    "calibrate",
    "report",
    "doctor",
)
# Imports and ledgers make hundreds of thousands of objects, none of them garbage; to look for it every 700, as Python
# does, takes a tenth of a command's time.
NEW_OBJECTS = 50_000


class Lazy(Suggesting):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order in which a study uses them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"planner.commands.{cmd_name}").command
        return command


@click.group(
    cls=Lazy,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="scaling-planner", prog_name="planner")
@click.pass_context
def cli(context: click.Context) -> None:
    """Learns how to scale a neural network: budget in, resolution, depth and width out.

    \b
    First answer:      planner predict --flops 200M
    Your own network:  planner run --data imagefolder:PATH --trials 24

    "FLOPs" here are MACs, as in the papers: multiply-accumulates of convolutions and linear layers.
    """  # noqa: D301 - \b is click's mark for lines not to be joined
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Runs the command line; 0 done, 2 the user can mend it (one line says how), 1 a defect."""
    gc.set_threshold(NEW_OBJECTS)
    _check_folder()
    try:
        cli(prog_name="planner", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "planner"
        _fail(f"{' '.join(error.format_message().split())} (see `{path} --help`)")
    except (click.Abort, KeyboardInterrupt):
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        _fail(told(error))


def _check_folder() -> None:
    """Refuses a working folder that somebody deleted: many libraries break there."""
    try:
        os.getcwd()
    except OSError as error:
        _fail(f"the working folder is not there any more ({error.strerror}); change to another, then run again")


def _fail(message: str) -> None:
    print(f"planner: {message}", file=sys.stderr)
    sys.exit(2)
