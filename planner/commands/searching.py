"""What `planner scale` does where the method is a search: options, start, progress, result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from planner.commands.options import (
    EPOCH_RANGE,
    LATENCY_FILE,
    REPEATS,
    Quantity,
    echo_json,
    integers,
    study,
    widths_words,
)
from planner.commands.options import latency_limit as limit_of
from planner.commands.resource_options import resources
from planner.commands.together import refuse
from planner.commands.types import Number
from planner.errors import PlannerError
from planner.searches.names import SEARCH_NAMES
from planner.text.quantities import format_count, parse_ms

if TYPE_CHECKING:
    from planner.searches.running import Search
    from planner.searches.scoring import ChosenBy, SearchResult
    from planner.searches.stopwatch import MeasuredCost
    from planner.searches.trained import FineTune, TrainedScorer
    from planner.study.ledger import Ledger
    from planner.training.resources import Resources
    from sampler import Architecture

_F = TypeVar("_F", bound=Callable[..., Any])
_OWN = (
    "study",
    "fine_tune",
    "settings",
    "score",
    "sizes",
    "latency",
    "width",
    "depth",
    "pretrain",
    "recipe",
    "noise",
    "seeds",
)
_NAMES = (*_OWN, "neighbours", "where", "latency_model", "measured")


@dataclass(frozen=True)
class SearchOptions:
    """The options that only searches have.

    Attributes:
        study: Name of the study; None for the last one used.
        where: Resources of trainings.
        fine_tune: Number of epochs of fine-tunes.
        settings: Options of the method, each as NAME=VALUE.
        score: Name of what ranks candidates.
        sizes: Resolutions in pixels.
        latency: Budget in milliseconds.
        latency_model: File of a latency model.
        measured: Name of the runtime by which each candidate is timed.
        width: Width multiplier of the start.
        depth: Depth multiplier of the start.
        pretrain: Epochs of the start, or a file of weights for it.
        recipe: Recipe of fine-tunes.
        noise: Noise on inherited weights.
        seeds: Trainings of each network.
        neighbours: Whether resolutions beside those before a jump are candidates, too.
    """

    study: str | None
    where: Resources
    fine_tune: int | None
    settings: tuple[str, ...]
    score: str | None
    sizes: list[int] | None
    latency: float | None
    latency_model: str | None
    measured: str | None
    width: float | None
    depth: float | None
    pretrain: str | None
    recipe: str | None
    noise: float | None
    seeds: int | None
    neighbours: bool

    def refuse(self, method: str) -> None:
        """Refuses what only a search can use.

        Raises:
            PlannerError: Naming the option.
        """
        for name in (*_OWN, "neighbours"):
            if getattr(self, name) not in (None, ()) and getattr(self, name) is not False:
                option = {"settings": "set", "sizes": "resolutions"}.get(name, name.replace("_", "-"))
                raise PlannerError(
                    f"{method} is a rule and takes no --{option}; searches do: {', '.join(SEARCH_NAMES)}"
                )


def searching(command: _F) -> _F:
    """The options of searches, ready-made as `search`."""

    @wraps(command)
    def packed(**given: Any) -> Any:
        return command(search=SearchOptions(**{name: given.pop(name) for name in _NAMES}), **given)

    added = (
        study,
        click.option("--width", type=float, help="Of searches: width multiplier of the start."),
        click.option("--depth", type=float, help="Of searches: depth multiplier of the start."),
        click.option("--fine-tune", type=EPOCH_RANGE, metavar="EPOCHS", help="Of greedy, rbis: epochs; 20."),
        click.option(
            "--pretrain",
            metavar="EPOCHS|FILE",
            help="Of greedy: epochs of the start, the study's by default; or weights for it, such as timm's.",
        ),
        click.option(
            "--recipe",
            metavar="NAME[,VALUE=X..]",
            help="Of greedy, rbis: how weights are fine-tuned; amplify by default, or amplify,batch_size=128,crop=0.3.",
        ),
        click.option(
            "--noise",
            type=Number(0),
            help="Of greedy, rbis: noise on weights of repeated channels, in standard deviations; 0.001.",
        ),
        click.option("--seeds", type=REPEATS, help="Of searches: trainings of each network, whose mean scores it; 1."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="Of searches: a number of the method, such as iterations=3; a wrong name lists them all.",
        ),
        click.option("--latency", type=Quantity(parse_ms), help="Of rbis: a budget in time, instead of --flops."),
        click.option("--latency-model", metavar="FILE", help=f"Of rbis: the device's; {LATENCY_FILE} by default."),
        click.option(
            "--measured",
            type=click.Choice(["torch", "compile", "onnxruntime"]),
            help="Of rbis with --latency: time each candidate by this runtime on --device, instead of by a model.",
        ),
        click.option(
            "--resolutions", "sizes", callback=integers, metavar="PX,..", help="Of rbis; before a jump by default."
        ),
        click.option("--neighbours", is_flag=True, help="Of rbis: also the sizes beside those before a jump."),
        click.option(
            "--score",
            type=click.Choice(["accuracy", "zen", "zen-per-block"]),
            help="Of rbis: trained accuracy (default), or the Zen-score of untrained networks.",
        ),
    )
    result = cast(_F, resources(packed))
    for option in reversed(added):
        result = option(result)
    return result


def search_on_ledger(
    method: str,
    base: str,
    macs: float | None,
    resolution: int | None,
    options: SearchOptions,
    rule: str | None,
    json_: bool,
) -> None:
    """Runs a search on a study's ledger, or goes on with it, and shows what it found."""
    from planner.commands.progress import TerminalProgress
    from planner.searches.running import chosen_by, run
    from planner.searches.trained import TrainedScorer
    from planner.study.folder import cache_of
    from planner.study.opening import open_ledger
    from planner.training.kept import KeptWorkers

    ledger = open_ledger(options.study)
    if ledger.settings.base != base:
        raise PlannerError(
            f"study {ledger.folder.name} is of {ledger.settings.base}, not of {base}; name it, or another"
        )
    start = start_of(ledger, resolution, options.width or 1.0, options.depth or 1.0, rule or _rule(method, ledger))
    wanted = _wanted(method, macs, start, options, ledger)
    how = _fine_tune(wanted, options, ledger)
    with KeptWorkers() as kept:
        told, cache = TerminalProgress(), cache_of(ledger.folder)
        scorer = TrainedScorer(ledger, cache, options.where, told, method, _tell, how, kept)
        found = run(wanted, scorer, _tell)
    seconds = sum(ledger.seconds_of(trial) for trial in scorer.trials)
    paths = _written(ledger, found, macs, scorer, seconds, chosen_by(wanted, scorer.inherits))
    if json_:
        echo_json(_as_dict(found, scorer, seconds, paths))
    else:
        _show(found, scorer, seconds, paths)


def _fine_tune(search: Search, options: SearchOptions, ledger: Ledger) -> FineTune:
    """How networks are trained, by what was said."""
    from planner.searches.pretraining import pretraining
    from planner.searches.trained import FINE_TUNE, FINE_TUNE_EPOCHS, FineTune
    from planner.study.recipes import recipe_from, recipe_text
    from trainer.observation import INHERITANCE_NOISE

    first = None if options.pretrain is None else pretraining(options.pretrain, search.start, ledger)
    noise = INHERITANCE_NOISE if options.noise is None else options.noise
    recipe = recipe_text(recipe_from(options.recipe or FINE_TUNE))
    return FineTune(options.fine_tune or FINE_TUNE_EPOCHS, recipe, noise, options.seeds or 1, first)


def _written(
    ledger: Ledger,
    found: SearchResult,
    macs: float | None,
    scorer: TrainedScorer,
    seconds: float,
    chosen: ChosenBy,
) -> tuple[Path, ...]:
    """What was found as JSON; its iterations, and all that it trained, as CSV."""
    import pandas as pd

    from planner.searches.record import FOLDER, write_found
    from planner.tables.table import csv_text
    from sampler import architecture_complexity
    from trainer.files import write_atomically

    classes = ledger.settings.data.classes
    aim = macs or architecture_complexity(found.architecture, classes).macs  # of a budget in time, what it came to
    trials, seeds = scorer.trials, scorer.how.seeds
    path = write_found(ledger.folder / FOLDER, found, aim, classes, len(trials), seconds, chosen, seeds)
    trace = path.with_suffix(".csv")
    rows = pd.DataFrame([step.as_row() for step in found.steps])
    lists = [name for name in ("widths", "depths", "layers") if name in rows]
    write_atomically(trace, csv_text(rows.assign(**{name: rows[name].map(_spaced) for name in lists})))
    done = ledger.frame()
    done = done[done["trial"].isin(list(trials))]
    trainings = path.with_suffix(".trainings.csv")
    write_atomically(trainings, csv_text(done.assign(candidate=done["trial"].map(trials))))
    return path, trace, trainings


def _spaced(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))


def _rule(method: str, ledger: Ledger) -> str:
    """The rule that the start of a search is rounded by: the study's, but where layers have any width anyway."""
    from sampler.families.residual import has_layers

    return "free" if method == "adjust" and has_layers(ledger.space.network) else ledger.space.rule


def start_of(ledger: Ledger, resolution: int | None, width: float, depth: float, rule: str) -> Architecture:
    """The study's base network, or a reduced one; tells what it costs where rounding changes widths much."""
    from sampler import architecture_complexity, scaled

    space, classes = ledger.space, ledger.settings.data.classes
    start, free = (scaled(space.base, resolution or space.resolution, width, depth, rule=one) for one in (rule, "free"))
    if width != 1 and any(abs(one / other - 1) > 0.2 for one, other in zip(start.widths, free.widths, strict=True)):
        (own, cost), (other, usual) = (
            (" ".join(map(str, one.widths)), format_count(architecture_complexity(one, classes).macs))
            for one in (start, free)
        )
        _tell(
            f"width {width:g} by rule {rule} is {own} channels, {cost} MACs; --rule free starts from {other}, {usual}"
        )
    return start


def _wanted(method: str, macs: float | None, start: Architecture, options: SearchOptions, ledger: Ledger) -> Search:
    from planner.searches.running import Search, as_score

    if method != "rbis":
        refuse(("--score", "--latency-model", "--measured"), f"on {method}; it is of rbis")
    if method != "greedy":
        refuse(("--pretrain",), f"on {method}; it is of greedy, whose networks inherit from the start")
    if method == "adjust":
        refuse(("--fine-tune", "--recipe", "--noise"), "on adjust, which trains each network anew")
    if options.score in ("zen", "zen-per-block"):
        refuse(("--seeds",), "with a Zen-score, which trains nothing")
    if options.neighbours and (method != "rbis" or options.sizes):
        refuse(("--neighbours",), "beside --resolutions" if method == "rbis" else f"on {method}; it is of rbis")
    own = {"rbis": ("latency", "sizes")}.get(method, ())
    for name in ("latency", "sizes"):
        if getattr(options, name) is not None and name not in own:
            raise PlannerError(f"{method} takes no --{'resolutions' if name == 'sizes' else name}; leave it out")
    if macs is not None and options.latency is not None:
        raise PlannerError("give --flops or --latency, not both: the search has one cost")
    sizes, score = options.sizes or (), as_score(options.score)
    settings = _settings(options.settings)
    result = Search(method, start, macs, settings, sizes=sizes, score=score, neighbours=options.neighbours)
    if options.latency is None:
        return result
    if options.measured is not None:
        refuse(("--latency-model",), "beside --measured, which times the networks themselves")
        return replace(result, budget=options.latency, cost=_measured(options.measured, options.where.device, ledger))
    limit = limit_of(options.latency, Path(options.latency_model or LATENCY_FILE))
    return replace(
        result,
        budget=options.latency,
        cost=lambda architectures: limit.cost(architectures, ledger.settings.data.classes),
    )


def _measured(runtime: str, device: str, ledger: Ledger) -> MeasuredCost:
    """The latency of networks as this machine has it; kept in the study's folder."""
    from planner.searches.record import FOLDER
    from planner.searches.stopwatch import MeasuredCost
    from trainer.runtimes import Setting, find_device

    setting = Setting(cast(Any, runtime), find_device(device, runtime))
    return MeasuredCost(setting, ledger.settings.data.classes, ledger.folder / FOLDER / "latency.jsonl", _tell)


def _settings(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise PlannerError(f"--set {name}{sign}{value}: NAME=VALUE is wanted, such as iterations=3")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _as_dict(found: SearchResult, scorer: TrainedScorer, seconds: float, paths: tuple[Path, ...]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "method": found.method,
        "architecture": asdict(found.architecture),
        "steps": [step.as_row() for step in found.steps],
        "notes": list(found.notes),
        "gain": found.gain and asdict(found.gain),
        "seeds": scorer.how.seeds,
        "trainings": len(scorer.trials),
        "seconds": seconds,
        "files": [str(path) for path in paths],
    }


def _show(found: SearchResult, scorer: TrainedScorer, seconds: float, paths: tuple[Path, ...]) -> None:
    one = found.architecture
    for step in found.steps:
        accuracy = "no score" if step.accuracy is None else f"{step.accuracy:.4g}"
        control = "" if step.control is None else f" (control {step.control:.4g})"
        click.echo(f"{step.iteration:3d}  {format_count(step.macs):>8s} MACs  {accuracy:>8s}{control}  {step.move}")
    click.echo(f"{found.method}: {one.base} at {one.resolution} px")
    click.echo(f"  depths  {' '.join(map(str, one.depths))}")
    click.echo(f"  widths  {widths_words(one)}")
    for note in found.notes:
        click.echo(f"  {note}")
    click.echo(f"{len(scorer.trials)} trainings, {seconds / 3600:.2g} h; {', '.join(map(str, paths))}")
