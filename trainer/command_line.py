"""The command line of a program that trains: text with `{names}` in it, and what they become for one training.

No shell reads it: it is split as a shell would, then every `{name}` of a part is replaced, so that no value is ever
split or run. Single numbers of a network have their columns' names: `{width_1}`, `{depth_2}`, `{heads_1}`.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from string import Formatter

from sampler import BaseNetwork, InputError, architecture_complexity
from sampler import base as base_named
from sampler.checks import shown
from sampler.families import family_of
from sampler.knobs import every_knob
from trainer.observation import Command
from trainer.protocol import Job

_OF_JOBS = ("epochs", "share", "seed", "device", "threads", "folder", "classes")
_OF_NETWORKS = ("base", "resolution", "widths", "depths", "knobs", "stem", "head", "macs", "params")
_SCORE_FILES = (".json", ".jsonl", ".csv")


def command_parts(line: str) -> list[str]:
    """The parts of a command line, as a shell splits it; nothing in it is replaced or run.

    Raises:
        InputError: If it cannot be split, or is empty.
    """
    try:
        parts = shlex.split(line)
    except ValueError as error:
        raise InputError(f"--command {shown(line)}: {error}; close the quotes") from error
    if not parts:
        raise InputError("--command is empty; give a program, such as 'python train.py --size {resolution}'")
    return parts


def known_names(network: BaseNetwork) -> list[str]:
    """Every name that a command line may have in braces."""
    stages = range(1, len(network.stages) + 1)
    knobs = {name: len(values) for name, values in family_of(network).knobs(network).items()}
    columns = [f"{size}_{stage}" for size in ("width", "depth") for stage in stages]
    columns += [f"{name}_{i}" for name, n in knobs.items() for i in range(1, n + 1)]
    return [*_OF_NETWORKS, *_OF_JOBS, *columns, *sorted(knobs)]


def check_command(line: str, score_file: str, network: BaseNetwork) -> None:
    """Refuses a command line that could never be filled in.

    Args:
        line: Command line.
        score_file: Path of the file that holds the score; "" for none.
        network: The study's base network, whose stages and knobs have names.

    Raises:
        InputError: In one line: what is wrong, and how to mend it.
    """
    for part in command_parts(line):
        _check_names(part, f"--command {shown(line)}", network)
    if not score_file:
        return
    named = _check_names(score_file, f"--score-file {score_file}", network)
    if "folder" not in named:
        raise InputError(
            f"--score-file {score_file}: each training needs a file of its own; put it into {{folder}}, as "
            f"'{{folder}}/{Path(score_file).name}'"
        )
    if Path(score_file).suffix not in _SCORE_FILES:
        raise InputError(f"--score-file {score_file}: a name that ends in {', '.join(_SCORE_FILES)} is wanted")


def _check_names(text: str, where: str, network: BaseNetwork) -> set[str]:
    """The names in a text's braces.

    Raises:
        InputError: If one is unknown, or the braces are wrong.
    """
    known, named = known_names(network), set()
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise InputError(f"{where}: {error}; write {{{{ and }}}} for braces that are meant as such") from error
    for _, name, layout, conversion in parts:
        if name is None:
            continue
        if name not in known or layout or conversion:
            given = name + (f"!{conversion}" if conversion else "") + (f":{layout}" if layout else "")
            raise InputError(
                f"{where}: {{{given}}} is unknown; known: {' '.join(known)} (write {{{{ and }}}} for braces that are "
                "meant as such)"
            )
        named.add(name)
    return named


def check_program(line: str) -> None:
    """Refuses a command line whose program is not on this machine.

    Raises:
        InputError: If it is not there, or must not be run.
    """
    program = command_parts(line)[0]
    if "{" in program:
        return
    if shutil.which(program) is None:
        why = "may not be run (chmod +x)" if Path(program).is_file() else "is not there, and not on PATH"
        raise InputError(f"--command {shown(line)}: the program {program} {why}; give another, or its whole path")


def values_of(job: Job) -> dict[str, str]:
    """What the names in braces are for a job.

    Lists are joined by commas; `{knobs}` is JSON, `{"heads": [4, 4]}`; the folder is absolute.
    """
    architecture = job.architecture
    network = base_named(architecture.base)
    knobs = every_knob(network, architecture)
    cost = architecture_complexity(architecture, job.classes)
    values: dict[str, object] = {
        **{name: getattr(architecture, name) for name in ("base", "resolution", "stem", "head")},
        **{name: getattr(job, name) for name in ("epochs", "share", "seed", "device", "threads", "classes")},
        "folder": job.folder.absolute(),
        "knobs": json.dumps({name: list(numbers) for name, numbers in knobs.items()}, sort_keys=True),
        "macs": cost.macs,
        "params": cost.params,
    }
    lists = {"width": architecture.widths, "depth": architecture.depths, **knobs}
    for name, numbers in lists.items():
        values |= {f"{name}_{i}": number for i, number in enumerate(numbers, start=1)}
        values[name if name in knobs else f"{name}s"] = ",".join(map(str, numbers))
    return {name: str(value) for name, value in values.items()}


def filled(command: Command, job: Job) -> tuple[list[str], Path | None]:
    """The program and its arguments for a job, and its file of scores, if it has one."""
    values = values_of(job)
    parts = [part.format_map(values) for part in command_parts(command.line)]
    return parts, Path(command.score_file.format_map(values)) if command.score_file else None
