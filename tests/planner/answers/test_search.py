"""The search for answers: against all networks there are, which other code lists, for every budget and limit."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError, fit_surrogate
from planner.allocation.climbing import climbed
from planner.answers.ranking import BoundedScore
from planner.answers.search import NetworkSearch, best_networks
from planner.gaussian.warps import standardised_warp
from planner.latency.departure import Departure
from planner.latency.features import LATENCY_FEATURES, coordinates, features_of
from planner.latency.model import LatencyModel
from sampler import Limit, base, base_names, exact_limit, rule_named, scale, stack
from sampler.architecture import Architectures
from sampler.complexity import architecture_complexity, count
from sampler.moves import Grid, column_names, from_rows
from sampler.uniform import UniformGrid

CLASSES = 20
BUDGETS = 50
# Of three families: base network, rule, pixels, and the ends of d and w that give the ranges.
BASES = {
    "efficientnet_b0": ("inverse", (60, 70), (0.4, 1.6), (0.2, 0.7)),
    "resnet18": ("efficientnet", (60, 75), (0.5, 2.5), (0.2, 1.2)),
    "regnety_002": ("pycls", (48, 96), (0.5, 1.5), (0.5, 2.0)),
}
LIMITS = [names for k in range(4) for names in itertools.combinations(("params", "memory", "latency"), k)]


class Task:
    """A base network with ranges, all its uniform networks by nested loops over multipliers, and a latency model."""

    def __init__(self, name):
        self.rule, (low, high), d, w = BASES[name]
        self.network = replace(base(name), resolution=64)
        rule, names = rule_named(self.rule), column_names(len(self.network.stages))
        ends = scale(self.network, rule, [low, high], d, w).integers()
        self.ranges = {one: (int(a), int(b)) for one, a, b in zip(names, *ends, strict=True)}
        every_d, every_w = finely(self.network.depths, *d), np.linspace(0.9 * w[0], 1.1 * w[1], 20_001)
        blocks = scale(self.network, rule, 64, every_d).integers()
        channels = scale(self.network, rule, 64, 1.0, every_w).integers()
        first_d, first_w = (np.unique(one, axis=0, return_index=True)[1] for one in (blocks, channels))
        step, rows = 4 if self.rule == "pycls" else 1, set()
        for pixels in range(-(-low // step) * step, high + 1, step):
            for one in every_d[first_d]:
                both = scale(self.network, rule, pixels, one, every_w[first_w]).integers()
                rows |= set(map(tuple, both[((both >= ends[0]) & (both <= ends[1])).all(axis=1)].tolist()))
        self.rows = np.array(sorted(rows))
        self.all = Architectures(name, *split(self.rows, len(self.network.stages)))
        self.counted = count(self.all, CLASSES)
        self.latency = latency_model(self.all)
        self.costs = {
            "params": self.counted.params,
            "memory": self.counted.memory,
            "latency": self.latency.of(self.all, CLASSES),
        }
        self.limits = {
            "params": exact_limit("params", 1.0),
            "memory": exact_limit("memory", 1.0),
            "latency": Limit("latency", 1.0, self.latency.of),
        }

    def search(self, score, **options):
        return NetworkSearch(self.network, self.rule, CLASSES, score, self.ranges, **options)


def split(rows, stages):
    return rows[:, 0], rows[:, 1], rows[:, 2 : 2 + stages], rows[:, 2 + stages : 2 + 2 * stages], rows[:, -1]


def finely(depths, low, high):
    """Depth multipliers on a fine grid, and those at which a product of a base depth is a half or a whole."""
    ties = {k / (2 * depth) for depth in depths for k in range(1, 2 * depth * 4)}
    return np.array(sorted({*np.linspace(0.8 * low, 1.2 * high, 4_001).tolist(), *ties}))


def latency_model(architectures):
    """A sum of times with a Gaussian process on top that bends it by up to a third: what costs less may be slower."""
    rng = np.random.default_rng(1)
    features = features_of(architectures, CLASSES)
    few = rng.choice(len(architectures), 12, replace=False)
    inputs = coordinates({name: values[few] for name, values in features.items()})
    alpha = rng.normal(size=12) * 0.3
    times = {"fixed": 0.1, "macs": 1e-7, "activations": 1e-6, "params": 1e-8, "blocks": 0.01}
    ranges = {name: (float(values.min()), float(values.max())) for name, values in features.items()}
    return LatencyModel(
        {}, "image", LATENCY_FEATURES, times, Departure(inputs, alpha, 0.5, 0.4), ranges, np.array([0.05])
    )


def rough(seed, rows):
    """A smooth random function of the logarithms of the integers, with many summits."""
    rng = np.random.default_rng(seed)
    logs = np.log(np.maximum(rows, 1))
    centre, spread = logs.mean(axis=0), np.where(np.ptp(logs, axis=0) > 0, logs.std(axis=0), 1.0)
    waves = rng.normal(size=(rows.shape[1], 60)) * 2 / np.sqrt(rows.shape[1])
    phases, heights = rng.uniform(0, 2 * np.pi, 60), rng.normal(size=60)

    def score(architectures):
        x = (np.log(np.maximum(architectures.integers(), 1)) - centre) / spread
        return np.cos(x @ waves + phases) @ heights

    return score


@pytest.fixture(scope="module", params=BASES)
def task(request):
    return Task(request.param)


def asked(task, names, seed):
    """A budget of MACs, and limits that some networks within it keep; rarely none keeps all of them."""
    rng = np.random.default_rng(seed)
    macs = float(np.quantile(task.counted.macs, rng.uniform(0.02, 1)))
    inside = task.counted.macs <= macs
    most = {name: float(np.quantile(task.costs[name][inside], rng.uniform(0.05, 0.9))) for name in names}
    return macs, [replace(task.limits[name], largest=largest) for name, largest in most.items()]


def truth(task, values, macs, limits):
    """The highest score of all networks that keep budget and limits; None where there is none."""
    kept = task.counted.macs <= macs
    for limit in limits:
        kept &= task.costs[limit.name] <= limit.largest
    return float(values[kept].max()) if kept.any() else None


@pytest.mark.parametrize("names", LIMITS, ids=lambda names: "-".join(("macs", *names)))
def test_the_best_uniform_network_is_found_at_fifty_budgets_under_all_limits(task, names):
    score = rough(0, task.rows)
    values, search, nothing = score(task.all), task.search(score), 0
    for seed in range(BUDGETS):
        macs, limits = asked(task, names, seed)
        best = truth(task, values, macs, limits)
        if best is None:
            nothing += 1
            with pytest.raises(PlannerError, match="cannot be kept"):
                search.best(macs, limits)
            continue
        (found,) = search.best(macs, limits)
        assert found.score == pytest.approx(best, abs=1e-12) and found.exhaustive
        assert found.macs == architecture_complexity(found.architecture, CLASSES).macs <= macs
        for limit in limits:
            assert found.costs[limit.name] <= limit.largest
            alone = limit.cost(stack([found.architecture]), CLASSES)[0]
            assert found.costs[limit.name] == pytest.approx(alone, rel=1e-12)
    assert nothing < BUDGETS / 2


def test_all_uniform_networks_are_listed_and_nothing_else(task):
    networks = task.search(rough(0, task.rows))._uniform.networks
    for macs in (*np.quantile(task.counted.macs, [0.1, 0.2, 0.7]), np.inf):  # listed step by step
        assert networks.upto(macs) == (task.counted.macs <= macs).sum()
    listed = networks.take(np.arange(len(networks.macs)))
    assert (np.unique(listed.integers(), axis=0) == task.rows).all() and len(listed) == len(task.rows)
    assert (np.diff(networks.macs) >= 0).all()
    assert (count(listed, CLASSES).macs == networks.macs).all()
    d, w = listed.multipliers[:, 1], listed.multipliers[:, 2]
    again = scale(task.network, rule_named(task.rule), listed.resolution, d, w)
    assert (again.integers() == listed.integers()).all()


def test_ceilings_change_the_number_of_scores_alone(task):
    score, scored = rough(3, task.rows), []

    def counting(architectures):
        scored.append(len(architectures))
        return score(architectures)

    # By up to a tenth of the spread too high.
    bounded = BoundedScore(counting, lambda one: score(one) + 0.5 * np.sin(one.resolution) ** 2)
    plain, search = task.search(score), task.search(bounded)
    for seed in range(BUDGETS):
        macs, limits = asked(task, ("params", "latency"), seed)
        try:
            expected = plain.best(macs, limits, 3)
        except PlannerError:
            continue
        assert [one.architecture for one in search.best(macs, limits, 3)] == [one.architecture for one in expected]
    assert sum(scored) < len(task.rows) / 2


def test_the_best_three_are_distinct_and_in_order(task):
    score = rough(1, task.rows)
    values, search = score(task.all), task.search(score)
    for seed in range(10):
        macs, limits = asked(task, ("memory",), seed)
        kept = (task.counted.macs <= macs) & (task.costs["memory"] <= limits[0].largest)
        found = search.best(macs, limits, n=3)
        assert [one.score for one in found] == pytest.approx(np.sort(values[kept])[::-1][:3].tolist(), abs=1e-12)
        assert len({one.architecture for one in found}) == len(found)


def test_of_equal_scores_the_one_with_fewer_macs_is_taken(task):
    def few_values(architectures):
        return np.rint(architectures.resolution / 8.0)

    macs, limits = asked(task, ("params",), 7)
    kept = (task.counted.macs <= macs) & (task.costs["params"] <= limits[0].largest)
    best = kept & (few_values(task.all) == few_values(task.all.take(kept)).max())
    order = np.lexsort((*task.rows[best].T[::-1], task.counted.macs[best]))
    (found,) = task.search(few_values).best(macs, limits)
    assert stack([found.architecture]).integers()[0].tolist() == task.rows[best][order[0]].tolist()


def test_dear_budgets_after_cheap_ones_answer_as_if_asked_alone(task):
    score = rough(2, task.rows)
    ladder = task.search(score)
    for macs in np.quantile(task.counted.macs, [0.05, 0.06, 0.4, 0.1, 1.0]):
        alone = best_networks(task.network, task.rule, CLASSES, score, macs=float(macs), ranges=task.ranges)
        assert ladder.best(float(macs)) == alone


def test_without_a_budget_of_macs_only_the_limits_hold(task):
    score = rough(4, task.rows)
    for name in ("params", "memory", "latency"):
        limit = replace(task.limits[name], largest=float(np.quantile(task.costs[name], 0.3)))
        (found,) = task.search(score).best(None, [limit])
        assert found.score == pytest.approx(truth(task, score(task.all), np.inf, [limit]), abs=1e-12)
    assert task.search(score).best()[0].score == pytest.approx(float(score(task.all).max()), abs=1e-12)


@pytest.fixture(scope="module")
def small():
    """A search over a few thousand stage-wise networks, and all of them by nested loops."""
    network = replace(base("regnety_002"), resolution=64)
    ranges = {"resolution": (62, 66), "stem": (24, 32), "head": (0, 0)}
    ends = {"width": ((16, 24), (40, 56), (128, 152), (320, 368)), "depth": ((1, 2), (1, 1), (3, 5), (6, 7))}
    ranges |= {f"{kind}_{i + 1}": pair for kind, pairs in ends.items() for i, pair in enumerate(pairs)}
    values = [range(62, 67), [32]]
    values += [range(low, high + 1, 8) for low, high in ends["width"]]
    values += [range(low, high + 1) for low, high in ends["depth"]]
    rule = rule_named("inverse")
    rows = np.array(list(itertools.product(*values, [0])))
    rows[:, 1] = rule.stem_channels(network, rows[:, 2] / 24)
    return network, ranges, rows, count(from_rows(network, rows), CLASSES)


def small_search(small, score, **options):
    return NetworkSearch(small[0], "inverse", CLASSES, score, small[1], kind="stage", **options)


def small_asked(small, names, seed):
    rng = np.random.default_rng(seed)
    counted = small[3]
    macs = float(np.quantile(counted.macs, rng.uniform(0.05, 1)))
    kept = counted.macs <= macs
    limits = []
    for name in names:
        limits.append(exact_limit(name, float(np.quantile(getattr(counted, name)[kept], rng.uniform(0.3, 0.9)))))
    for limit in limits:
        kept &= getattr(counted, limit.name) <= limit.largest
    return macs, limits, kept


@pytest.mark.parametrize("names", [(), ("params",), ("memory",), ("params", "memory")])
def test_the_best_network_of_a_small_grid_of_stages_is_found_at_fifty_budgets(small, names):
    score = rough(0, small[2])
    values, search = score(from_rows(small[0], small[2])), small_search(small, score)
    for seed in range(BUDGETS):
        macs, limits, kept = small_asked(small, names, seed)
        if kept.any():
            (found,) = search.best(macs, limits)
            assert found.exhaustive and found.macs <= macs
            assert found.score == pytest.approx(float(values[kept].max()), abs=1e-12)


def climbs_that_hit(small, seeds):
    network, ranges, rows, _ = small
    low, high = rows.min(axis=0), rows.max(axis=0)
    grid = Grid.between(network, rule_named("inverse"), low, high)
    hits = 0
    for seed in seeds:
        macs, limits, kept = small_asked(small, ("params",), seed)
        score = rough(seed, rows)
        found, scores = climbed(macs, score, grid, None, limits, CLASSES, 0, 2)
        assert (count(found, CLASSES).macs <= macs).all()
        assert (count(found, CLASSES).params <= limits[0].largest).all()
        assert scores == pytest.approx(score(found), abs=1e-12) and scores[0] >= scores[-1]
        hits += scores[0] >= score(from_rows(network, rows[kept])).max() - 1e-12
    return hits


def test_climbs_find_the_best_stages_of_most_random_functions(small):
    assert climbs_that_hit(small, range(6)) >= 5


@pytest.mark.slow
def test_climbs_find_the_best_stages_of_95_in_100_random_functions(small):
    assert climbs_that_hit(small, range(100, 200)) >= 95


def test_apart_stages_are_never_worse_than_uniform_ones_and_stay_within_the_ranges():
    task = Task("efficientnet_b0")
    score, starts = rough(5, task.rows), scale(task.network, rule_named(task.rule), [70, 150], 0.9, 0.6)
    (uniform,) = task.search(score, starts=starts).best(12e6)
    found = task.search(score, starts=starts, kind="stage", seed=3).best(12e6, n=3)
    assert found[0].score > uniform.score and not found[0].exhaustive
    names = column_names(7)
    for one in found:
        row = dict(zip(names, stack([one.architecture]).integers()[0], strict=True))
        assert all(low <= row[name] <= high for name, (low, high) in task.ranges.items())
        assert architecture_complexity(one.architecture, CLASSES).macs == one.macs <= 12e6
    assert task.search(score, starts=starts, kind="stage", seed=3).best(12e6, n=3) == found


def test_a_start_is_an_answer_wherever_its_integers_lie(task):
    outside = replace(task.network.architecture(), resolution=40)

    def wanted(architectures):
        return -np.abs(architectures.resolution - 40.0)

    starts = stack([outside, replace(outside, resolution=4_000)])
    best, second = task.search(wanted, starts=starts).best(1e12, n=2)
    assert best.architecture == outside and second.architecture.resolution == min(task.all.resolution)
    with pytest.raises(PlannerError, match="are no start of a search for"):
        task.search(wanted, starts=stack([base("convnext_tiny").architecture()]))


def test_nothing_that_keeps_the_limits_is_said_with_what_the_smallest_network_costs(task):
    score = rough(0, task.rows)
    first = int(np.argmin(task.counted.macs))
    macs, params = task.counted.macs[first], task.counted.params[first]
    with pytest.raises(PlannerError) as caught:
        task.search(score).best(1000, [exact_limit("params", 10), exact_limit("memory", 1e12)])
    assert str(caught.value) == (
        f"at most 1,000 MACs and 10 params cannot be kept: the smallest network of {task.network.name} within the "
        f"ranges has {macs:,} MACs and {params:,} params; give as much, or train smaller ones"
    )


@pytest.mark.parametrize("macs", [0, -1.0, float("nan"), float("inf"), "3M", True])
def test_an_impossible_budget_is_refused(macs):
    with pytest.raises(PlannerError, match="the budget must be a positive number of MACs, got"):
        best_networks(base("resnet18"), "inverse", 10, rough(0, np.ones((1, 11))), macs=macs, ranges={})


def test_impossible_questions_are_refused(task):
    score = rough(0, task.rows)
    with pytest.raises(PlannerError, match="kind 'both' is unknown; known: uniform, stage"):
        task.search(score, kind="both")
    with pytest.raises(PlannerError, match="n must be between 1 and 10000, got 0"):
        task.search(score).best(1e9, n=0)
    with pytest.raises(PlannerError, match="the range of depth_1 is"):
        NetworkSearch(task.network, task.rule, CLASSES, score, {"depth_1": (3, 1)})
    with pytest.raises(PlannerError, match="has all its integers within the ranges; widen them"):
        NetworkSearch(task.network, task.rule, CLASSES, score, {"width_1": (9, 9)}).best(1e9)


def test_a_score_that_is_not_finite_is_never_the_answer(task):
    best = float(rough(0, task.rows)(task.all).max())

    def score(architectures):
        values = rough(0, task.rows)(architectures)
        return np.where(values == best, np.nan, np.where(architectures.resolution % 2, np.inf, values))

    assert task.search(score).best()[0].architecture.resolution % 2 == 0
    with pytest.raises(PlannerError, match="has a finite score"):
        task.search(lambda one: np.full(len(one), np.nan)).best()


def test_an_impossible_number_of_networks_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr("planner.formulas.uniform_networks.MOST", 10_000)
    with pytest.raises(PlannerError, match="are compared; give a smaller budget of MACs"):
        best_networks(base("resnet18"), "inverse", 10, lambda one: one.resolution * 1.0, macs=None, ranges={})


def test_no_network_costs_less_at_more_pixels():
    # What lets the search list the networks of a budget without counting those beyond it.
    for name in base_names():
        network, rule = base(name), rule_named(base(name).rule)
        sides = network.stride + rule.step * np.arange(200)
        assert (np.diff(count(scale(network, rule, sides, 0.8, 0.7)).macs) >= 0).all(), name


@pytest.mark.parametrize("kind", ["identity", "above", "below"])
def test_ceilings_of_a_surrogate_are_above_its_means_and_need_no_variances(kind):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"width": rng.integers(8, 64, 30), "depth": rng.integers(1, 9, 30)})
    rows["macs"] = rows["width"] ** 2 * rows["depth"]
    rows["accuracy"] = 0.9 - rows["macs"] ** -0.3 + rng.normal(0, 0.01, 30)
    surrogate = fit_surrogate(rows, ["width", "depth"], cost="macs", validate=False)
    limit = {"identity": 0.0, "above": 1.0, "below": 0.0}[kind]
    warp = standardised_warp(kind, limit, rows["accuracy"].to_numpy())
    surrogate = replace(surrogate, mixture=replace(surrogate.mixture, warp=warp))
    inputs = np.column_stack([rng.integers(4, 128, 500), rng.integers(1, 12, 500)])
    macs = inputs[:, 0] ** 2 * inputs[:, 1]
    over = surrogate.ceiling_of(inputs, macs) - surrogate.posterior_of(inputs, macs)[0]
    assert (over >= -1e-12).all()
    assert over.max() < 1e-9 if kind != "above" else over.max() > 1e-6  # nothing is lost where there is no skew


def test_multipliers_that_only_one_number_gives_are_not_missed():
    # At d = 1.5 one block becomes 2, but three become 4 (halves to even), as no other d does.
    network = base("efficientnet_b0")
    rows = {tuple(row) for row in UniformGrid.between(network, rule_named("inverse"), {"depth_1": (1, 3)}).depths}
    tie = scale(network, rule_named("inverse"), 224, 1.5).depths[0]
    assert tuple(tie) in rows
