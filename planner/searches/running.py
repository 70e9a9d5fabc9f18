"""A search on a study: its start, its scorer and its options made from what a user said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from planner.errors import PlannerError
from planner.proposers.pool import architectures_frame
from planner.searches.adjust import AdjustOptions, adjust
from planner.searches.greedy import GreedyOptions, Rank, greedy
from planner.searches.increments import Increments, RbisOptions
from planner.searches.probing import TrainedProbe
from planner.searches.rbis import Cost, rbis
from planner.searches.scoring import ChosenBy, Scorer, SearchResult, Tell
from planner.searches.sizes import sizes_above
from planner.searches.stopwatch import MeasuredCost
from planner.searches.trained import TrainedScorer
from planner.searches.widths import width_vector
from planner.searches.zen import ZenScorer
from planner.study.trials import trained
from planner.surrogates.fit import fit_surrogate
from planner.training.measuring import Jobs, zen_asked, zen_bytes
from sampler import Architecture
from sampler.architecture import stack
from sampler.complexity import count
from trainer.channel_units import check_units
from trainer.devices import one_device

if TYPE_CHECKING:
    from planner.study.ledger import Ledger

_Score = Literal["accuracy", "zen", "zen-per-block"]
_FEWEST = 20  # trainings that a ranking of candidates is learned from
# Numbers of an adjustment that go with the study's recipe, as the released code takes them on ImageNet.
_OF_RECIPE: dict[str, dict[str, str]] = {"adjust-imagenet": {"base_rate": "0.2", "rate": "0.1"}}
_T = TypeVar("_T")


@dataclass(frozen=True)
class Search:
    """What a user asked for.

    Attributes:
        method: `greedy`, `rbis` or `adjust`.
        start: Where it begins; an adjustment keeps its MACs unless there is a budget.
        budget: The most it may cost, in the unit of `cost`; None only where adjusting.
        settings: Values of the method's options, by name, as text.
        cost: Cost that the budget limits, in a search by RBIS; None for MACs.
        sizes: Resolutions of RBIS, in pixels; by default those just before a jump, from the start's own to the study's
            largest.
        neighbours: Whether the sizes beside those are candidates, too.
        score: Score that ranks candidates of RBIS.
    """

    method: str
    start: Architecture
    budget: float | None
    settings: Mapping[str, str]
    cost: Cost | None = None
    sizes: Sequence[int] = ()
    score: _Score = "accuracy"
    neighbours: bool = False


def as_score(name: str | None) -> _Score:
    """A score by its name; accuracy by default."""
    known: dict[str, _Score] = {"zen": "zen", "zen-per-block": "zen-per-block"}
    return known.get(name or "", "accuracy")


def run(search: Search, scorer: TrainedScorer, tell: Tell) -> SearchResult:
    """Runs a search, or goes on with one that was interrupted.

    Raises:
        PlannerError: If an option is unknown or impossible, or the search can go nowhere.
    """
    classes = scorer.ledger.settings.data.classes
    if search.method == "adjust":
        return _adjust(search, scorer, classes, tell)
    if search.budget is None:
        raise PlannerError(f"{search.method} grows a network to a budget; give --flops" + RBIS_TOO * _is_rbis(search))
    if _is_rbis(search):
        return _rbis(search, search.budget, scorer, classes, tell)
    options = _made(GreedyOptions, search.settings)
    rank = ranking(scorer.ledger) if options.shortlist else None
    return greedy(search.start, search.budget, scorer, options, classes, tell, rank)


def chosen_by(search: Search, inherits: bool) -> ChosenBy:
    """The scores that a search chooses by; `inherits` says whether its networks have weights to inherit."""
    if search.score != "accuracy":
        return search.score
    heirs = search.method == "greedy" or (_is_rbis(search) and _made(RbisOptions, search.settings).inherit)
    return "fine-tunes" if heirs and inherits else "trainings"


RBIS_TOO = " or --latency"


def _is_rbis(search: Search) -> bool:
    return search.method == "rbis"


def _adjust(search: Search, scorer: TrainedScorer, classes: int, tell: Tell) -> SearchResult:
    check_units(search.start)
    usual = _OF_RECIPE.get(scorer.ledger.settings.recipe.name, {})
    options = _made(AdjustOptions, {**usual, **search.settings})
    vector = width_vector(search.start, classes, options.padding, options.smallest, options.divisor)
    one_device(scorer.resources.device)  # refuses one that is not there, before anything is trained
    with TrainedProbe(scorer, vector.architecture_of, options, tell) as probe:
        return adjust(vector, probe, options, tell, None if search.budget is None else round(search.budget))


def _rbis(search: Search, budget: float, scorer: TrainedScorer, classes: int, tell: Tell) -> SearchResult:
    space = scorer.ledger.space
    options = _made(RbisOptions, search.settings)
    highest = min(round(space.resolution * space.r[1]), scorer.ledger.settings.data.side)
    timed = search.cost if isinstance(search.cost, MeasuredCost) else None
    # Jumps of what is timed would need every size timed well: `planner latency --sweep` does that.
    jumps = None if timed else search.cost
    sizes = search.sizes or sizes_above(search.start, highest, jumps, options.sizes, search.neighbours)
    tell(f"resolutions: {', '.join(map(str, sizes))} px")
    still = Increments(search.start, options).standstill()
    if still:
        tell(still)
    cost = search.cost or partial(_macs, classes=classes)
    with ExitStack() as open_:
        chosen: Scorer = scorer
        if search.score != "accuracy":
            chosen = _by_zen(search.score == "zen-per-block", scorer, classes, tell, open_)
        found = rbis(search.start, budget, cost, chosen, sizes, options, classes, tell)
    about = (
        [f"latencies timed by {timed.setting.runtime} on {timed.setting.device_name}; {timed.disturbance()}"]
        if timed
        else []
    )
    return replace(found, notes=(*found.notes, *about, *([still] if still else [])))


def _by_zen(per_block: bool, scorer: TrainedScorer, classes: int, tell: Tell, open_: ExitStack) -> ZenScorer:
    """Zen-scores by the engine's workers, which stay until the stack is left; remembered in the study's folder."""
    ledger, resources = scorer.ledger, scorer.resources
    jobs = open_.enter_context(Jobs(ledger.folder, resources, tell, zen_bytes))
    memory, device = ledger.folder / "searches" / "zen.jsonl", one_device(resources.device)
    # Scores of different sizes do not compare: all are taken at the study's.
    where: dict[str, Any] = {"resolution": ledger.space.resolution, "memory": memory, "measure": partial(_zens, jobs)}
    return ZenScorer(classes, 0, per_block, device, **where)


def _zens(jobs: Jobs, architectures: Sequence[Architecture], how: Mapping[str, Any]) -> list[float | None]:
    """Zen-scores by an engine's workers, by the settings of a `ZenScorer`; None for what was given up."""
    named = {name: how[name] for name in ("classes", "seed", "repeats", "batch")}
    found = jobs([zen_asked(one, **named, resolution=how["image_side"]) for one in architectures])
    return [one.accuracy for one in found]


def _macs(architectures: Any, classes: int) -> Any:
    return count(architectures, classes).macs


def ranking(ledger: Ledger) -> Rank:
    """A ranking of architectures by the surrogate of the study's own trainings.

    Raises:
        PlannerError: If there are too few trainings to learn from.
    """
    rows = trained(ledger.frame())
    if len(rows) < _FEWEST:
        raise PlannerError(
            f"a shortlist is ranked by the study's own trainings, and {ledger.folder} has {len(rows)} of at least "
            f"{_FEWEST}; run `planner sample --study {ledger.folder.name} --trials {_FEWEST}` and `planner train`, or "
            "leave shortlist out"
        )
    surrogate = fit_surrogate(rows, validate=False)

    def rank(architectures: Sequence[Architecture]) -> list[float]:
        frame = architectures_frame(stack(architectures), ledger.space)
        constant = {name: rows[name].mode()[0] for name in surrogate.inputs if name not in frame}
        return list(surrogate.predict(frame.assign(**constant))["mean"])

    return rank


def _made(kind: type[_T], settings: Mapping[str, str]) -> _T:
    """A method's options from names and texts, such as {"keep": "5"}; several values with commas.

    Raises:
        PlannerError: If there is no such option, or the text is no value of it.
    """
    hints = get_type_hints(kind)
    known = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in known:
            raise PlannerError(f"--set {name}: no option of this search; it has {', '.join(known)}")
        values[name] = _value(name, text, hints[name])
    return replace(kind(), **values)  # type: ignore[type-var]


def _value(name: str, text: str, hint: Any) -> Any:
    """A text as a value of a type: itself, or the list that its commas make."""
    parts = [part.strip() for part in text.split(",")]
    for given in (text, parts, [int(part) if part.isdigit() else part for part in parts]):
        try:
            return TypeAdapter(hint).validate_python(given)
        except ValidationError:
            continue
    raise PlannerError(f"--set {name}={text}: not a value of it; see the paper's section in the help of planner scale")
