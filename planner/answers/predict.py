"""The answer to a budget: the best buildable network by all that the trainings taught.

All uniform networks that keep to the budget and the limits are candidates, and beside them whatever else is known: what
was trained, what the formula's curves give, what compound scaling gives. Where the trainings taught too little to
choose by, the curves answer, and the answer says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.answers.answer import Answer, AnsweredBy
from planner.answers.question import AnswerSpace, Question, asked_for
from planner.answers.search import FoundNetwork, best_networks
from planner.answers.words import beyond, integer_differences, outside_words
from planner.errors import PlannerError
from planner.formulas.budgets import prediction_of
from planner.formulas.columns import check_reads
from planner.formulas.formula import FormulaCurves
from planner.formulas.prediction import Prediction
from planner.formulas.trainings import TrainedNetwork
from sampler import Architecture, Limit, rule_named, stack
from sampler.architecture import Architectures, FloatArray
from sampler.complexity import count
from sampler.knobs import stack_alike
from sampler.moves import effective
from sampler.scaling import own_steps
from sampler.solve import TOLERANCE, spent_near
from trainer.score import Score

__all__ = ["Answer", "answer_for", "smooth_answer"]

NOTHING_INSIDE = "no network inside what was trained keeps to the budget"
SMOOTH = "asked for"
_LEVEL = 0.0005  # of accuracy: less is no difference that could be printed


def answer_for(
    formula: FormulaCurves,
    macs: float | str | None,
    limits: Sequence[Limit] = (),
    cautious: bool = False,
    extrapolate: bool = False,
    n: int = 1,
    space: AnswerSpace = "uniform",
) -> list[Answer]:
    """The `n` best distinct networks within a budget, the best first; fewer where there are no more.

    Args:
        formula: With `answers`, or else its curves answer.
        macs: Budget of multiply-accumulates of one image; None where the limits alone decide.
        limits: Further costs that must not be passed.
        cautious: Whether lower bounds are compared instead of means.
        extrapolate: Whether the curves answer outside the range that the fit saw.
        n: Number of networks.
        space: `stage` also for networks whose stages are scaled apart, where enough trainings were.

    Raises:
        PlannerError: If there is no budget, it is outside the range, or no network keeps to it.
    """
    asked = asked_for(formula, macs, limits, cautious, extrapolate, space)
    why = asked.doubt
    found = [] if why else _spending(asked, n) if own_steps(formula.network) and asked.macs else _searched(asked, n)
    if not found:
        return [_by_formula(asked, why or NOTHING_INSIDE)]
    return [_answer(asked, one) for one in found]


def smooth_answer(
    formula: FormulaCurves,
    macs: float | str | None,
    limits: Sequence[Limit] = (),
    extrapolate: bool = False,
    space: AnswerSpace = "uniform",
) -> Answer:
    """What the formula's curves answer, in the form of an answer; arguments as in `answer_for`."""
    return _by_formula(asked_for(formula, macs, limits, False, extrapolate, space), SMOOTH)


def _by_formula(asked: Question, why: str) -> Answer:
    """The formula's answer, or a published rule's where the curves give nothing buildable, and why."""
    by: AnsweredBy = "formula" if asked.learned else "published rule"
    try:
        prediction = asked.smooth
    except PlannerError:
        if asked.published is None or asked.limits:
            raise
        prediction, by = asked.published, "published rule"
    who = "the formula answers" if by == "formula" else "compound scaling answers"
    reason = f"{who}: {why}" if why else who
    return _beside(asked, Answer(prediction, by, reason, _left(asked, prediction)))


def _spending(asked: Question, n: int) -> list[FoundNetwork]:
    """The best networks of those that spend the budget to 1 %, and after them the best that do not.

    Networks with coarse steps leave gaps between budgets; where no uniform one spends the budget, one with finer
    numbers near the best does.
    """
    spent = (1 - TOLERANCE) * asked.most
    # With limits, another budget may be the one that decides.
    found = [] if asked.limits else _searched(asked, n, spent)
    if len(found) == n:
        return found
    every = _searched(asked, n)
    if asked.limits and every:
        return every
    if not found and (one := _finer(asked, every, spent)) is not None:
        found = [one]
    known = {one.architecture for one in found}
    return [*found, *(one for one in every if one.architecture not in known)][:n]


def _finer(asked: Question, every: Sequence[FoundNetwork], spent: float) -> FoundNetwork | None:
    """The network near the best, or else the formula's, that spends the budget; None where none does."""
    formula, smooth = asked.formula, asked.formula_answer
    rule, found = rule_named(formula.branch(asked.most / formula.base_macs).rule), list[Architecture]()
    if every:
        near = spent_near(formula.network, rule, stack([every[0].architecture]), asked.most, formula.classes)
        found += [near.architecture] if near is not None and near.macs >= spent else []
    found += [smooth.architecture] if smooth is not None and spent <= smooth.macs <= asked.most else []
    if not found:
        return None
    scores = [float(formula.answers.scores(asked.matrix(stack([one])), asked.cautious)[0]) for one in found]
    inside = [bool(formula.answers.in_range(asked.matrix(stack([one])))[0]) for one in found]
    best = max(range(len(found)), key=lambda i: (inside[i], scores[i]))
    one = effective(formula.network, stack([found[best]]))
    r, d, w = one.multipliers[0].tolist()
    macs = int(count(one, formula.classes).macs[0])
    return FoundNetwork(found[best], scores[best], macs, {}, (r, d, w), exhaustive=False)


def _searched(asked: Question, n: int, least: float = 0.0) -> list[FoundNetwork]:
    """The best networks by the model of answers, the best first; none where nothing keeps to the budgets.

    Args:
        asked: Budget, limits and formula.
        n: Number of networks.
        least: Fewest MACs.
    """
    formula, model = asked.formula, asked.formula.answers
    check_reads(formula)
    least = max(least, float(model.tried[:, -1].min()))

    def score(architectures: Architectures) -> FloatArray:
        matrix = asked.matrix(architectures)
        values: FloatArray = model.scores(matrix, asked.cautious)
        return np.where(matrix[:, -1] >= least, values, -np.inf)  # cheaper than all trained: a guess

    try:
        found = best_networks(
            formula.network,
            formula.branch(asked.most / formula.base_macs).rule,
            formula.classes,
            score,
            macs=asked.most,
            limits=asked.limits,
            ranges=asked.ranges,
            starts=_starts(asked),
            kind="stage" if asked.apart else "uniform",
            n=n,
        )
    except PlannerError:
        return []  # nothing keeps to the budgets inside what was trained
    return [one for one in found if np.isfinite(one.score)]


def _starts(asked: Question) -> Architectures | None:
    """What may win beside the uniform networks, inside what was trained."""
    known = [] if asked.trainings.networks is None else list(asked.trainings.networks)
    known += [one.architecture for one in (asked.formula_answer, asked.published) if one is not None]
    if not known:
        return None
    starts = stack_alike(asked.formula.network, known, asked.formula.knobs)
    if set(starts.knobs) != set(asked.formula.knobs):  # moved to meet the budget, of trainings that varied none
        known = [one for one in known if not one.knobs]
        starts = stack(known)
    starts = starts.take(asked.formula.answers.in_range(asked.matrix(starts)))
    return starts if len(starts) else None


def _answer(asked: Question, found: FoundNetwork) -> Answer:
    """The answer that a network found is."""
    budget = float(found.macs) if asked.macs is None else asked.macs
    prediction = prediction_of(asked.formula, budget, found.architecture, asked.limits)
    expected = asked.expected(found.architecture)
    prediction = replace(prediction, expected=expected, binding=_binding(asked, prediction))
    own = asked.trainings.of(found.architecture)
    answer = Answer(prediction, "search" if own is None else "training", "", _left(asked, prediction))
    return replace(_beside(asked, answer), reason=_reason(asked, prediction, own))


def _beside(asked: Question, answer: Answer) -> Answer:
    """An answer with all that stands beside it."""
    out = beyond(answer.architecture, asked.ranges)
    notes = list(asked.notes)
    coarse = own_steps(asked.formula.network) and not asked.limits
    if answer.left > TOLERANCE and (coarse or answer.by in ("search", "training")):
        why = "no network near it spends more" if coarse else "dearer networks are expected to reach less"
        notes.append(f"leaves {answer.left:.1%} of the budget: {why}")
    if out:
        notes.append(f"outside what was trained: {outside_words(answer.architecture, out, asked.ranges)}")
    return replace(
        answer,
        formula=asked.formula_answer,
        best=asked.best,
        published=asked.published,
        out_of_range=out,
        notes=tuple(notes),
    )


def _reason(asked: Question, prediction: Prediction, own: TrainedNetwork | None) -> str:
    """Why an answer of the search is not the formula's, in one sentence."""
    assert prediction.accuracy is not None
    mean, smooth = prediction.accuracy["mean"], asked.formula_answer
    score = asked.formula.score
    said = f"expected {score.text(mean)}"
    if own is not None and own.reached is not None:
        said = f"{own.name} was of this very network, worth {score.text(own.reached)} by its own result; {said}"
    if asked.cautious:
        said = f"the best {'upper' if score.lower else 'lower'} bound; {said}"
    if smooth is None or smooth.accuracy is None:
        return f"{said}; the formula has no network within the budget"
    if smooth.architecture == prediction.architecture:
        return f"{said}; the formula gives the same network"
    gain = mean - smooth.accuracy["mean"]
    than = _than(gain, score)
    unlike = integer_differences(prediction.architecture, smooth.architecture)
    return f"{said}, {than} the formula's network{_but(asked, smooth)}: {unlike}"


def _than(gain: float, score: Score) -> str:
    """How an expectation compares, up to the noun: above and below are meant of the values that are printed."""
    if gain == 0 or (score.is_accuracy and abs(gain) < _LEVEL):
        return "level with"
    if score.is_accuracy:
        return f"{score.gap(abs(gain))} {'above' if gain > 0 else 'below'}"
    return f"{score.gap(abs(gain))} {'better' if gain > 0 else 'worse'} than"


def _but(asked: Question, smooth: Prediction) -> str:
    """Why the formula's network could not be the answer, whatever is expected of it; nothing where it could."""
    if smooth.accuracy is not None and not smooth.accuracy["in_range"]:
        return ", which lies outside what was trained"
    return ", which costs a little more than the budget" if smooth.macs > asked.most else ""


def _spent(asked: Question, prediction: Prediction) -> dict[str, float]:
    """The shares that a prediction spends of each budget, by name; `range` where what was trained ends it."""
    shares = {"range" if asked.macs is None else "macs": prediction.macs / asked.most}
    return shares | {name: cost / prediction.limits[name] for name, cost in prediction.costs.items()}


def _left(asked: Question, prediction: Prediction) -> float:
    """The share of the budget that decides which is not spent; 0 where a solved width passes it by its tolerance."""
    return max(0.0, 1 - max(_spent(asked, prediction).values()))


def _binding(asked: Question, prediction: Prediction) -> str:
    """The budget that is spent most."""
    spent = _spent(asked, prediction)
    return max(spent, key=lambda name: spent[name])
