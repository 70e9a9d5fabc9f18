"""`planner score`: cheap scores beside a study's accuracies."""

from __future__ import annotations

import sys

import click

from planner.commands.options import WORKERS, as_json, echo_json, study
from planner.commands.types import Whole
from planner.errors import PlannerError


@click.command(
    name="score",
    epilog="Example: planner score --study dogs --zen --inherit 2",
    short_help="Cheap scores of trained architectures, for `planner audit`.",
)
@study
@click.option("--zen", is_flag=True, help="Zen-score, plain and per block: no training.")
@click.option(
    "--inherit",
    type=Whole(0, 9999),
    default=0,
    metavar="EPOCHS",
    help="Accuracy after so many epochs of fine-tuning weights inherited from a few small parents, trained once each.",
)
@click.option("--workers", type=WORKERS, default=0, help="Processes; one per core by default.")
@click.option("--device", default="auto", show_default=True, help="Torch device; cuda for all GPUs, cuda:1 for one.")
@as_json
def command(study: str | None, zen: bool, inherit: int, workers: int, device: str, json_: bool) -> None:
    """Scores every architecture that a study has trained, and writes them with their accuracies to scores.csv.

    Stop it at any time: the same command goes on. `planner audit` then says whether a score can be trusted.
    """
    from planner.scores.heirs import read_parents
    from planner.scores.score import cost_of_inheritance, score
    from planner.study.folder import cache_of
    from planner.study.opening import read_ledger
    from planner.training.resources import Resources

    if not (zen or inherit):
        raise PlannerError("no score asked for: give --zen, --inherit EPOCHS or both")
    ledger = read_ledger(study)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    where = Resources(workers=workers, device=device)
    frame = score(ledger, cache_of(ledger.folder), zen, inherit, where, tell)
    path = ledger.folder / "scores.csv"
    if json_:
        echo_json({"study": ledger.folder.name, "scores": str(path), "rows": len(frame)})
        return
    if "inherited" in frame:
        click.echo(cost_of_inheritance(frame, read_parents(ledger.folder / "parents")))
    names = [name for name in ("zen", "zen_per_block", "inherited") if name in frame]
    proxies = " ".join(f"--proxy {name}" for name in names)
    target = ledger.settings.score.name
    click.echo(f"{path}: {len(frame)} architectures. Next: planner audit {path} {proxies} --target {target}")
