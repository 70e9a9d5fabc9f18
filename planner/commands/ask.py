"""`planner ask`: hands out trainings to be done by whoever asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import TRIALS, Quantity, as_json, echo_json, study, widths_words
from planner.commands.study_options import made_or_asked_with
from planner.errors import PlannerError
from planner.text.durations import parse_seconds
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.study.asking import Trial
    from planner.study.ledger import Ledger
    from planner.study.options import StudyOptions


@click.command(
    name="ask",
    epilog="Example: planner ask --study own --base resnet18 --classes 10 -n 4 --json; planner tell 0 --score 0.71",
    short_help="Hand out trainings that you do yourself; `tell` takes their scores.",
)
@study
@click.option("-n", "n", type=TRIALS, default=1, show_default=True, help="Trainings to hand out.")
@click.option(
    "--within",
    type=Quantity(parse_seconds, "duration"),
    default="24h",
    show_default=True,
    help="Hand them out again to whoever asks when nobody told of them for so long.",
)
@click.option("--device", default="cpu", help="Torch device, passed on to whoever trains; cpu by default.")
@made_or_asked_with
@as_json
def command(study: str | None, n: int, within: float, device: str, json_: bool, options: StudyOptions) -> None:
    """Hands out trainings, for your own scripts: networks with their sizes, epochs and seed.

    Nobody else is given the same, nor does `planner train` take them. Those that wait come first, such as what `planner
    propose` queued; else new ones are drawn inside the window of MACs. Makes the study where there is none and
    --classes say how many outputs its networks have; it needs neither images nor a trainer.
    """
    from planner.study.asking import Asker
    from planner.training.loop import queue

    ledger = _ledger(study, options)
    asker = Asker(ledger)
    trials = asker.ask(n, lambda missing: queue(ledger, ledger.asked() + missing), device, within)
    if json_:
        echo_json([_facts(one) for one in trials])
        return
    for one in trials:
        click.echo(_words(one))
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(trials[0].until)) if trials else ""
    click.echo(
        f"Tell what they gave: planner tell {trials[0].number} --study {ledger.folder.name} --score 0.71. "
        f"Not told of by {until}, they are handed out again."
        if trials
        else f"{ledger.folder}: there are no more networks inside the window"
    )


def _ledger(name: str | None, options: StudyOptions) -> Ledger:
    """The ledger of a study, which is made where there is none and options say of what.

    Raises:
        PlannerError: If they do not, or say something else than it was made with.
    """
    from planner.commands.progress import decoding
    from planner.study.folder import folder_of, remember
    from planner.study.opening import opened
    from planner.training.making import make_study

    folder = folder_of(name)
    if not (folder / "study.toml").is_file():
        if options.classes is None and options.data is None:
            raise PlannerError(
                f"no study in {folder}; to make one, say what is trained: `planner ask --study {folder.name} --base "
                "resnet18 --classes 10`, or name another --study"
            )
        if (made := make_study(folder.name, options, decoding)) is not None:
            return made
    ledger = opened(folder, options)
    remember(folder)
    return ledger


def _facts(one: Trial) -> dict[str, Any]:
    """A training, for programs."""
    architecture, cost = one.architecture, one.cost
    return {
        "trial": one.number,
        "base": architecture.base,
        **{name: getattr(architecture, name) for name in ("resolution", "stem", "head")},
        "widths": list(architecture.widths),
        "depths": list(architecture.depths),
        "knobs": {name: list(numbers) for name, numbers in one.knobs.items()},
        "macs": one.macs,
        "params": cost.params,
        **{name: getattr(one, name) for name in ("classes", "epochs", "share", "seed", "device")},
        "folder": str(one.folder.absolute()),
        "until": one.until,
    }


def _words(one: Trial) -> str:
    """A training in a line, for people."""
    architecture = one.architecture
    knobs = "".join(f"; {name} {' '.join(map(str, numbers))}" for name, numbers in one.knobs.items())
    return (
        f"trial {one.number}: {architecture.resolution} px; depths {' '.join(map(str, architecture.depths))}; widths "
        f"{widths_words(architecture)}{knobs}; {format_count(one.macs)} MACs, {format_count(one.cost.params)} "
        f"parameters; {one.epochs} epochs, seed {one.seed}"
    )
