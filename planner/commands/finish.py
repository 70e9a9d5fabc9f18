"""`planner finish`: the chosen network, trained fully and handed over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import EPOCH_RANGE, PIXEL_RANGE, SEED, as_json, budgets, echo_json, study
from planner.commands.together import refuse
from planner.commands.types import Number, Whole
from planner.errors import PlannerError
from planner.study.ranges import FINISH_HOLDOUT, LONG_EPOCHS
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.finishing.finish import FinishedNetwork
    from planner.study.reader import Records
    from sampler import Architecture, Limit
    from trainer.observation import EpochRecord

_BUDGETS = ("--flops", "--params", "--latency", "--memory")


@click.command(
    name="finish",
    epilog="Example: planner finish --study dogs --flops 3M --epochs 100",
    short_help="Train the chosen network fully, and hand it over in one folder.",
)
@budgets
@study
@click.option("--trial", type=Whole(0), metavar="N", help="A trial's network, instead of a budget's.")
@click.option("--epochs", type=EPOCH_RANGE, default=LONG_EPOCHS, show_default=True)
@click.option("--recipe", metavar="NAME", help="Recipe: long (default), fast, tinynet, resnet, adjust.")
@click.option(
    "--holdout",
    type=Number(0, 0.5, min_open=True),
    default=FINISH_HOLDOUT,
    show_default=True,
    help="Share of the training images that chooses the best epoch.",
)
@click.option("--seed", type=SEED, help="The study's by default.")
@click.option("--data", metavar="SOURCE", help="Other images of the same classes; the study's by default.")
@click.option("--side", type=PIXEL_RANGE, help="Pixels that images are decoded to; the study's by default.")
@click.option("--teacher", metavar="PATH", help="A finished folder, or a kept network, to distil from.")
@click.option("--device", default="auto", show_default=True, help="Torch device.")
@click.option("--out", metavar="FOLDER", help="results/STUDY/finished/BASE_BUDGET by default.")
@as_json
def command(
    flops: float | None,
    limits: list[Limit],
    study: str | None,
    trial: int | None,
    device: str,
    out: str | None,
    json_: bool,
    teacher: str | None,
    **how: Any,
) -> None:
    """Trains one network of a study on all its training images, for long, and writes a folder for its users.

    The network is that with which `planner predict` answers the budgets, or a trial's. The weights of the best epoch,
    chosen on held-out training images, and of the last are kept; the validation images are looked at once, at the end.
    The folder holds a file that builds it with timm alone, the weights as safetensors, ONNX where the extra [onnx] is
    installed, and a model card. Stop it at any time: the same command goes on.
    """
    from planner.finishing.plan import plan_of
    from planner.study.opening import read_ledger

    ledger = read_ledger(study)
    if trial is not None:
        refuse(_BUDGETS, "beside --trial")
        architecture, name, chosen, proxy = _of_trial(ledger, trial)
    elif flops is None and not limits:
        raise PlannerError("say which network: a budget such as --flops 3M, or --trial N")
    else:
        architecture, name, chosen, proxy = _for_budget(ledger, flops, limits)
    plan = plan_of(ledger, architecture, name, chosen, proxy, teacher=teacher or "", **how)
    from planner.finishing.finish import finish

    folder = Path(out) if out else ledger.folder / "finished" / name
    finished = finish(plan, folder, _loader(plan.training.data), _device(device), _Told())
    if json_:
        echo_json(finished.as_dict())
    else:
        _show(finished)


def _of_trial(ledger: Records, number: int) -> tuple[Architecture, str, str, float | None]:
    from planner.exports.network import name_of

    architecture, accuracy = ledger.architecture(number), ledger.accuracy_of(number)
    name = name_of(architecture.base, f"trial_{number}")
    return architecture, name, f"Trial {number} of study {ledger.folder.name}, named by the user.", accuracy


def _for_budget(
    ledger: Records, flops: float | None, limits: list[Limit]
) -> tuple[Architecture, str, str, float | None]:
    """The answer of the study's own formula."""
    from planner.answers.formulas import formula_for
    from planner.answers.predict import answer_for
    from planner.exports.network import name_of

    found = formula_for(flops, limits, study=ledger.folder.name)
    answer = answer_for(found.formula, found.macs, limits)[0]
    prediction = answer.prediction
    asked = [] if flops is None else [f"{format_count(flops)} MACs"]
    asked += [f"{limit.name} {limit.largest:g}" for limit in limits]
    rows = found.formula.provenance.get("rows", "its")
    chosen = (
        f"The answer of study {ledger.folder.name} (formula {found.source}, {rows} trainings) for a budget of "
        f"{' and '.join(asked)}: {answer.reason}."
    )
    proxy = None if prediction.accuracy is None else float(prediction.accuracy["mean"])
    suffix = format_count(prediction.macs if flops is None else flops)
    return answer.architecture, name_of(answer.architecture.base, suffix), chosen, proxy


def _loader(data: Any) -> Any:
    """Decodes the images when they are needed: a network that is finished needs none."""
    from planner.commands.progress import decoding
    from trainer.images import load_images

    return lambda: load_images(data.source, data.side, cache=Path(data.cache), progress=decoding)


def _device(asked: str) -> str:
    """The device; this process takes all of its cores."""
    import torch

    from trainer.engines.placement import place

    placement = place(asked, 1, 1, 0)
    torch.set_num_threads(placement.threads)
    return placement.devices[0]


class _Told:
    """A line on stderr for every epoch, or every hundredth part of very many."""

    def __call__(self, history: tuple[EpochRecord, ...], epochs: int) -> None:
        last = history[-1]
        if last.epoch % max(1, epochs // 100) and last.epoch < epochs:
            return
        scored = [record.accuracy for record in history if record.accuracy is not None]
        known = "" if not scored else f", held out {scored[-1]:.1%}, best {max(scored):.1%}"
        loss = "" if last.training_loss is None else f": loss {last.training_loss:.3f}"
        print(f"epoch {last.epoch}/{epochs}{loss}{known}", file=sys.stderr, flush=True)


def _show(finished: FinishedNetwork) -> None:
    training, validation = finished.result["training"], finished.result["validation"]
    click.echo(f"{finished.folder}: {', '.join(finished.result['files'])}")
    click.echo(
        f"accuracy {validation['accuracy']:.1%} on {validation['images']:,} validation images, looked at once "
        f"(held out {training['best_held_out_accuracy']:.1%} at epoch {training['best_epoch']})"
    )
    if finished.plan.proxy is not None:
        click.echo(f"as the study trains it was {finished.plan.proxy:.1%}")
    for kind, why in finished.result["left_out"].items():
        click.echo(f"no {kind} file: {why}")
    click.echo("in README.md fill in the licence of the data, and what it is meant for")
    for line in finished.usage:
        click.echo(f"  {line}")
