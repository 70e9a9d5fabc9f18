"""`planner export`: code and weights somebody can use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import applied, as_json, budgets, echo_first, echo_json
from planner.commands.together import needs
from planner.commands.types import Whole
from planner.errors import PlannerError
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.exports.network import ExportedNetwork, KeptTraining
    from sampler import Architecture, Limit

_UNTRAINED = "untrained: no study has kept this network's weights"
_KINDS = ("timm", "torch", "onnx")


@click.command(
    name="export",
    epilog="Example: planner export --flops 200M --to timm --out b0_200m.py",
    short_help="The network for a budget, for people without the planner.",
)
@needs("--extrapolate", "--flops")
@needs("--untrained", "--to torch")
@budgets
@click.option("--to", type=click.Choice(_KINDS), required=True, help="timm code, safetensors, or ONNX.")
@click.option("--out", metavar="FILE", help="The file; by default BASE_BUDGET in this folder.")
@click.option("--trial", type=Whole(0), metavar="N", help="A trial of the study, instead of a budget.")
@click.option(
    "--architecture", metavar="FILE", help="What `planner predict --json` printed, instead of a budget; - for a pipe."
)
@click.option("--formula", metavar="FILE", help="A formula written by `planner fit`.")
@click.option("--study", metavar="NAME", help="The study whose formula answers, and whose trials are exported.")
@click.option("--untrained", is_flag=True, help="With --to torch: also where there are no trained weights.")
@applied
@click.option("--space", type=click.Choice(["uniform", "stage"]), default="uniform", show_default=True)
@as_json
def command(
    flops: float | None,
    limits: list[Limit],
    to: Any,
    out: str | None,
    trial: int | None,
    architecture: str | None,
    study: str | None,
    untrained: bool,
    json_: bool,
    **how: Any,
) -> None:
    """Writes the network that `planner predict` answers with, a trial's, or one given as JSON.

    timm: a Python file that builds it with timm alone and registers it as one of timm's models. torch: its weights as
    safetensors, a JSON description, and that file. onnx: a graph of any batch size, compared with torch by ONNX
    Runtime. Of a network of yours, torch writes your file beside the weights. The weights are those that the study kept
    of this network; where there are none, it says so, and torch is refused unless --untrained. `planner finish` makes
    some.
    """
    from planner.exports.paths import export_path

    if out is not None:
        export_path(out, to)
    if trial is not None:
        _refuse("--trial", [flops, *limits, architecture, *how.values()])
        network = _of_trial(study, trial)
    elif architecture is not None:
        classes = how.pop("classes")
        _refuse("--architecture", [flops, *limits, *how.values()])
        network = _given(study, architecture, classes)
    else:
        network = _for_budget(flops, limits, study, **how)
    if to == "torch" and network.training is None and not untrained:
        raise PlannerError(
            f"--to torch: {_UNTRAINED.partition(': ')[2]}; train it by `planner finish`, or give --untrained for an "
            "initialisation that has learned nothing"
        )
    from planner.exports.files import write

    files = write(network, to, out)
    if json_:
        echo_json({**network.config(), "name": files[0].stem, "files": [str(file) for file in files]})
    else:
        _show(network, files, to)


def _refuse(option: str, others: Sequence[Any]) -> None:
    """Refuses what an option leaves no use for, but for what stands by default."""
    if any(value not in (None, False, "uniform") for value in others):
        raise PlannerError(f"{option} names the network; leave budgets and the formula's options out")


def _for_budget(
    flops: float | None,
    limits: list[Limit],
    study: str | None,
    formula: str | None,
    base: str | None,
    base_resolution: int | None,
    classes: int | None,
    extrapolate: bool,
    space: Any,
) -> ExportedNetwork:
    from planner.answers.formulas import formula_for
    from planner.answers.predict import answer_for

    choice = formula_for(flops, limits, formula, study, base, base_resolution, classes, extrapolate)
    echo_first(choice.formula.warnings, err=True)
    prediction = answer_for(choice.formula, choice.macs, limits, extrapolate=extrapolate, space=space)[0].prediction
    from planner.exports.network import ExportedNetwork, name_of

    architecture = prediction.architecture
    name = name_of(architecture.base, format_count(prediction.macs if flops is None else flops))
    outputs = choice.formula.classes
    return ExportedNetwork(name, architecture, outputs, _kept(Path(choice.source), architecture, outputs))


def _kept(source: Path, architecture: Architecture, classes: int) -> KeptTraining | None:
    """The weights that the study of a formula kept of an architecture, or None."""
    from planner.exports.network import best_training
    from planner.study.folder import RESULTS
    from planner.study.opening import read_ledger

    if source.parent.parent != RESULTS or not (source.parent / "study.toml").is_file():
        return None
    ledger = read_ledger(source.parent.name)
    return best_training(ledger, architecture) if ledger.settings.data.classes == classes else None


def _given(study: str | None, file: str, classes: int | None) -> ExportedNetwork:
    from planner.exports.given import read_given
    from planner.exports.network import ExportedNetwork, name_of
    from planner.study.folder import folder_of
    from planner.study.opening import read_ledger

    described = read_given(Path("/dev/stdin" if file == "-" else file), classes)
    architecture, source = described.architecture, Path(described.formula)
    if study is not None:
        source = folder_of(study) / "formula.json"
        read_ledger(study)  # refuses a study that is not there
    name = name_of(architecture.base, format_count(described.macs))
    return ExportedNetwork(name, architecture, described.classes, _kept(source, architecture, described.classes))


def _of_trial(study: str | None, number: int) -> ExportedNetwork:
    from planner.exports.network import ExportedNetwork, kept_training, name_of
    from planner.study.opening import read_ledger

    ledger = read_ledger(study)
    architecture = ledger.architecture(number)
    name = name_of(architecture.base, f"trial_{number}")
    return ExportedNetwork(name, architecture, ledger.settings.data.classes, kept_training(ledger, number))


def _show(network: ExportedNetwork, files: list[Path], to: str) -> None:
    architecture = network.architecture
    click.echo(f"{network.title}, {architecture.resolution} px, {network.classes} classes")
    click.echo(f"weights: {_UNTRAINED if network.training is None else network.training.words}")
    click.echo(f"written: {', '.join(str(file) for file in files)}")
    name = files[0].stem
    if network.shipped is not None:
        if to == "torch":
            click.echo("in Python, beside these files (also in the .json):")
            for line in network.config()["declared"]["load"]:
                click.echo(f"  {line}")
    elif to == "onnx":
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (network.mean, network.std))
        click.echo(f"its images: RGB of 0 to 1, less {mean}, over {std}; equal to torch to 1e-4 of the largest output")
    else:
        pretrained = ", pretrained=True" if network.training or to == "torch" else ""
        click.echo(f'in Python: import timm, {name}; model = timm.create_model("{name}"{pretrained})')
