"""Every proposer keeps the same rules: ours, and one of this file's own; one that breaks a rule is told which."""

import itertools

import pytest

from planner import PlannerError
from planner.proposers.conformance import check_proposer
from planner.proposers.names import PROPOSER_NAMES
from planner.proposers.registry import PROPOSERS, register_proposer


def cheapest(observed, pool, n, task):
    """A proposer in one line: the cheapest rows."""
    return list(pool[task.cost].nsmallest(n).index)


@pytest.mark.parametrize("name", [name for name in PROPOSER_NAMES if name != "gp"])
def test_ours_conform(name):
    check_proposer(PROPOSERS[name])


@pytest.mark.slow
def test_optuna_s_gaussian_process_conforms():
    check_proposer(PROPOSERS["gp"])


def test_a_proposer_of_one_s_own_conforms():
    check_proposer(cheapest)


def changing(observed, pool, n, task):
    pool["gain"] = 1.0
    return list(pool.index[:n])


CALLS = itertools.count()


def counting(observed, pool, n, task):
    return list(pool.index[next(CALLS) :][:n])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda observed, pool, n, task: list(range(n)), "it gives 0, which is no label of the pool"),
        (lambda observed, pool, n, task: [pool.index[0]] * n, "three different rows are wanted"),
        (lambda observed, pool, n, task: list(pool.index[:1]), "three different rows are wanted"),
        (lambda observed, pool, n, task: pool.index[0], "a list of labels is wanted"),
        (lambda observed, pool, n, task: [*cheapest(observed, pool, n, task), pool.index[0]], "three different rows"),
        (changing, "it changes pool, of twelve results"),
        (counting, "the same seed gives"),
    ],
)
def test_a_broken_one_is_told_what_it_does_not_keep_to(broken, words):
    with pytest.raises(AssertionError, match=words) as told:
        check_proposer(broken)
    assert "\n" not in str(told.value).partition("\nassert")[0]


def needing_results(observed, pool, n, task):
    assert observed[task.target].notna().any(), "nothing to learn from"
    return cheapest(observed, pool, n, task)


def test_one_that_needs_results_is_found_out():
    with pytest.raises(AssertionError, match="nothing to learn from"):
        check_proposer(needing_results)


def test_names_are_given_once_and_unknown_ones_name_the_known():
    with pytest.raises(PlannerError, match="proposer 'bayes' is there already"):
        register_proposer("bayes")(cheapest)
    with pytest.raises(PlannerError, match="--method best: there is no such proposer; one of: bayes, tpe, gp, nsga2"):
        PROPOSERS["best"]


def test_a_proposer_of_one_s_own_chooses_what_is_trained_next(run, mine, train):
    """From the ledger's trainings through `propose --method toy` into the queue, and through the next trainings."""
    with PROPOSERS.temporarily("toy", cheapest):
        code, out, err = run("propose", "-n", 3, "--method", "toy", "--pool", 500)
        assert (code, err) == (0, "")
        assert "toy: its own choice; chosen among" in out
    waiting = mine.pending()
    assert len(waiting) == 3
    assert {trial.user_attrs["origin"] for trial in mine.study.trials[-3:]} == {"toy"}
    train(mine)
    assert mine.counts()["ok"] == 13
    code, _, err = run("propose", "--method", "toy")
    assert code == 2 and "'toy' is not one of 'bayes'" in err


def test_one_that_leaves_the_pool_is_refused_in_one_line(refused, mine):
    with PROPOSERS.temporarily("toy", lambda observed, pool, n, task: ["nowhere"] * n):
        told = refused("propose", "-n", 2, "--method", "toy", "--pool", 500)
    assert "--method toy: its proposer gave 2 rows, 0 of them different ones of the pool, and 2 are wanted" in told
    assert mine.pending() is None


def test_before_the_initial_design_is_trained_it_is_not_asked(run, new):
    def never(observed, pool, n, task):
        raise AssertionError("asked too early")

    with PROPOSERS.temporarily("toy", never):
        code, out, err = run("propose", "--method", "toy")
    assert (code, err) == (0, "") and "the initial design has 8 architectures" in out
    never.from_nothing = True
    with PROPOSERS.temporarily("toy", never), pytest.raises(AssertionError, match="asked too early"):
        run("propose", "--method", "toy")
