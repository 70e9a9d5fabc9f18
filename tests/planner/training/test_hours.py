"""`--hours`: what a training takes is reserved before it begins, and nothing begins that would not fit."""

import math
import shutil

import numpy as np
import pytest

import planner.training.coordinator as coordination
import planner.training.interruption as interruption_module
from planner.advice.situation import Situation
from planner.errors import PlannerError
from planner.study.ledger import Ledger
from planner.study.pace import Pace, own_seconds
from planner.study.settings import StudySettings
from planner.training.coordinator import Coordinator, hours_of
from planner.training.hours import Hours
from planner.training.interruption import Interruption
from planner.training.loop import queue
from planner.training.resources import Resources
from sampler import architecture_complexity, stratified_design
from trainer.engines.engine import Event, observation_path
from trainer.observation import EpochRecord, Fidelity, Observation

SETTINGS = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}


def test_a_pace_is_recovered_from_its_own_seconds():
    macs = np.geomspace(1e6, 1e8, 12)
    pace = Pace.of(macs, 3.0 * (macs / 1e6) ** 0.7)
    assert pace.slope == pytest.approx(0.7)
    assert pace.expected([1e6, 1e9]) == pytest.approx([3.0, 3.0 * 1000**0.7])
    assert pace.reserved(1e6) == pytest.approx([3.0 * 1.1])  # the least that is put on top


def test_one_training_beside_which_the_machine_did_something_else_changes_little():
    macs = np.geomspace(1e6, 1e8, 12)
    seconds = 2.0 * macs / 1e6
    seconds[5] *= 30
    assert Pace.of(macs, seconds).expected(1e7) == pytest.approx([20.0], rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_nine_of_ten_trainings_end_within_what_was_reserved(seed):
    rng = np.random.default_rng(seed)
    macs = np.exp(rng.uniform(math.log(1e6), math.log(1e8), 400))
    seconds = macs / 1e6 * rng.lognormal(0, 0.3, 400)
    pace = Pace.of(macs[:100], seconds[:100])
    assert 0.82 <= np.mean(seconds[100:] <= pace.reserved(macs[100:])) <= 0.97


def test_little_is_known_from_few_trainings_and_that_is_on_the_safe_side():
    assert Pace.of([], []) is None
    one = Pace.of([1e7], [60.0])
    assert one.expected([1e6, 1e7, 4e7]) == pytest.approx([60.0, 60.0, 240.0])
    alike = Pace.of([1e7, 1.01e7, 1.02e7], [50.0, 60.0, 55.0])
    assert alike.expected([1e7]) == pytest.approx([60.0])
    assert Pace.of([1e6, 1e7], [np.nan, 20.0]).rows == 1


def test_one_thread_has_its_processor_time_and_several_unless_they_were_hardly_busy():
    nan = math.nan
    seconds = [2.0, 119.0, 50.0, 10.0, 7.0, 40.0, 30.0]
    cpu = [2.0, 2.4, nan, 16.0, 12.0, 8.0, 0.0]
    threads = [1, 1, 1, 2, 2, 2, nan]
    # Two threads of which 80 % and 86 % were busy set what is usual; the third one had a ninth of that.
    expected = [2.0, 2.4, 50.0, 10.0, 7.0, 40 * 0.1 / (12 / 14), 30.0]
    assert own_seconds(seconds, cpu, threads) == pytest.approx(expected)
    assert own_seconds([], [], []).tolist() == []
    assert own_seconds([0.0], [0.1], [4]).tolist() == [0.0]


def test_what_this_run_took_says_how_crowded_the_machine_is_now():
    macs = np.geomspace(1e6, 1e8, 12)
    pace = Pace.of(macs, macs / 1e6)
    assert pace.beside([], []) == pace
    assert pace.beside([1e7, 2e7, 4e7], [30.0, 60.0, 500.0]).expected(1e6) == pytest.approx([3.0])
    assert pace.beside([1e7], [40.0]).expected(1e6) == pytest.approx([4.0])
    assert pace.beside([1e7], [4.0]).expected(1e6) == pytest.approx([1.0])  # one that was faster is luck
    assert pace.beside([1e7] * 3, [5.0] * 3).expected(1e6) == pytest.approx([0.5])


def test_a_budget_reserves_what_trainings_take_beside_others_today():
    clock = Clock()
    macs = [1e6 * 2**i for i in range(12)]
    budget = Hours(1.0, macs, [m / 1e6 for m in macs], clock)
    budget.begins(0, 100e6)
    clock.now += 400  # four times as long as on cores of its own
    budget.ends(0, "ok")
    assert budget.admits(720e6) and not budget.admits(730e6)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_training_begins_only_if_its_reservation_is_left():
    clock = Clock()
    macs = [1e6 * 2**i for i in range(12)]
    budget = Hours(1.0, macs, [m / 1e6 for m in macs], clock)  # a second for a million
    assert budget.admits(3000e6) and not budget.admits(3600e6)  # 10 % on top is reserved
    clock.now += 3000
    assert budget.admits(500e6) and not budget.admits(600e6)
    clock.now += 601
    assert not budget.admits(1e6)


def test_before_anything_is_measured_one_training_begins_and_its_first_epoch_measures():
    clock = Clock()
    budget = Hours(1.0, clock=clock)
    assert "nothing was measured yet, so one training begins alone" in budget.plan([1e6], 2)
    assert budget.admits(1e6)
    budget.begins(0, 1e6)
    assert not budget.admits(1e6)
    clock.now += 100
    budget.epoch(0, 1, 10)  # so 1000 s in all
    assert budget.admits(1e6) and budget.admits(2e6) and not budget.admits(3e6)


def test_what_was_wasted_is_told_and_measures_nothing():
    clock = Clock()
    budget = Hours(2.0, clock=clock)
    for key, (taken, status) in enumerate([(1800, "ok"), (360, "diverged"), (720, "died")]):
        budget.begins(key, 1e6)
        clock.now += taken
        budget.ends(key, status)
    assert budget.pace.rows == 1
    told = budget.account([1e6])
    assert "spent: 0.8 of 2 h, with 0.8 h of training, 0.3 h of it wasted (1 died, 1 diverged); 1 trained" in told
    assert "1 wait, the next of which may need 0.63 h" in told  # half an hour, and a quarter on top
    assert "1 that wait are expected to take 0.25 h on 2 workers, so all of it fits" in budget.plan([1e6], 2)
    assert "about 40% of it fits" in budget.plan([1e6] * 20, 2)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with the storage of a ledger in which eight architectures wait."""
    folder = tmp_path_factory.mktemp("begun") / "mine"
    folder.mkdir()
    made = Ledger(folder, StudySettings.model_validate(SETTINGS))
    made.enqueue(stratified_design(made.space, 8, seed=0), "stratified")
    return folder


@pytest.fixture
def ledger(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "mine")
    return Ledger(tmp_path / "mine", StudySettings.model_validate(SETTINGS))


class Stoppable:
    """An engine as far as it begins and can be stopped."""

    at_once = 1

    def __init__(self):
        self.acts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def pause(self):
        self.acts.append("pause")

    def end(self):
        self.acts.append("end")


class Engine(Stoppable):
    """Stands in for `LocalEngine`: one training at a time, whose seconds only the clock knows."""

    def __init__(self, ledger, clock, seconds):
        super().__init__()
        self.ledger, self.clock, self.seconds, self.begun = ledger, clock, seconds, []

    def run(self, next_training):
        while (job := next_training()) is not None:
            key, training = job
            taken = self.seconds(self.ledger.macs_of(key), len(self.begun))
            self.begun.append(key)
            self.clock.now += taken / 3
            yield Event("epoch", key, (EpochRecord(1, 1.0, 0.5),))
            self.clock.now += 2 * taken / 3
            self._write(key, training, taken)
            yield Event("done", key)

    def _write(self, key, training, taken):
        cost = architecture_complexity(training.architecture, 4)
        facts = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
        one = Observation(training.architecture, Fidelity(3), 0, "ok", 0.5, 1.0, seconds=taken, device="cpu", **facts)
        self.ledger.observations.mkdir(exist_ok=True)
        observation_path(self.ledger.observations, key).write_text(one.to_json())


class Notes:
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)

    def epoch(self, *_):
        pass

    done = epoch


@pytest.mark.parametrize("seed", range(2))
def test_no_training_overruns_the_hours_by_more_than_its_own_error(ledger, tmp_path, monkeypatch, seed):
    clock, notes = Clock(), Notes()
    rng = np.random.default_rng(seed)
    engine = Engine(ledger, clock, lambda macs, _: macs / 1e5 * rng.lognormal(0, 0.1))
    _use(monkeypatch, clock)
    resources = Resources(workers=1, device="cpu", hours=0.15)
    ended = coordinator_of(ledger, resources, engine, notes).run()
    counts = ledger.counts()
    assert 0 < ended == counts["ok"] < 8 and counts["waiting"] == 8 - ended
    assert clock.now <= 1000 + 540 * 1.2
    # What waits next would not have fitted: it was not stopped too early either.
    usual = ledger.waiting_work()[0] / 1e5
    assert clock.now + 1.6 * usual > 1000 + 540
    assert notes.lines[0].startswith("plan: 0.15 h") and notes.lines[-1].startswith("spent: ")


def test_without_hours_everything_is_trained_and_nothing_is_told(ledger, tmp_path, monkeypatch):
    clock, notes = Clock(), Notes()
    engine = Engine(ledger, clock, lambda *_: 1e6)
    _use(monkeypatch, clock)
    assert coordinator_of(ledger, Resources(workers=1), engine, notes).run() == 8
    assert notes.lines == []


def test_seconds_of_earlier_runs_count(ledger, tmp_path, monkeypatch):
    clock, notes = Clock(), Notes()
    engine = Engine(ledger, clock, lambda *_: 600.0)
    _use(monkeypatch, clock)
    # Of 600 s each: the first run begins one because nothing is known, the second knows that none fits.
    for done in (1, 0):
        resources = Resources(workers=1, device="cpu", hours=0.1)
        assert coordinator_of(ledger, resources, engine, notes).run() == done


@pytest.mark.parametrize("engine", [Stoppable(), None], ids=["an engine", "none yet"])
def test_the_end_of_the_hours_asks_the_engine(engine):
    told = []
    with Interruption(engine, 0.0, told.append) as interruption:
        interruption.timers[0].join()
    assert interruption.asked and not interruption.by_user
    assert told == ["the hours are over: running trainings write their checkpoints and wait for the next run"]
    assert engine is None or engine.acts == ["pause"]


def test_an_engine_that_goes_on_after_the_hours_is_ended(monkeypatch):
    monkeypatch.setattr(interruption_module, "GRACE_SECONDS", 0.0)
    engine = Stoppable()
    with Interruption(engine, 0.0, lambda _: None) as interruption:
        for timer in interruption.timers:
            timer.join()
    assert sorted(engine.acts) == ["end", "pause"]


def test_nothing_begins_after_the_hours_whatever_the_engine_does(ledger, monkeypatch):
    clock, notes = Clock(), Notes()
    engine = Engine(ledger, clock, lambda *_: 60.0)
    _use(monkeypatch, clock)
    coordinator = coordinator_of(ledger, Resources(workers=1, hours=10), engine, notes)
    monkeypatch.setattr(notes, "done", lambda *_: coordinator.interruption._over())
    assert coordinator.run() == 1 and ledger.counts()["waiting"] == 7
    assert engine.acts == ["pause"]


def test_a_training_without_a_sign_of_life_is_told_by_its_name(ledger, tmp_path, monkeypatch):
    clock, notes = Clock(), Notes()
    engine = Engine(ledger, clock, lambda *_: 60.0)
    _use(monkeypatch, clock)
    run = engine.run

    def with_silence(next_training):
        for event in run(next_training):
            if event.kind == "epoch" and event.key == 0:
                yield Event("silent", 0, text="no sign of life for 2 min")
            yield event

    engine.run = with_silence
    assert coordinator_of(ledger, Resources(workers=1), engine, notes).run() == 8
    assert notes.lines == ["trial 0: no sign of life for 2 min"]


@pytest.mark.parametrize("crowded", [0, 3, 7])
def test_seconds_of_a_crowded_machine_do_not_enter_what_waits(ledger, crowded):
    """Eight trainings of 2 to 7 s on one thread, of which some took 50 times as long beside other programs."""
    taken = {}
    while (claimed := ledger.claim()) is not None:
        number, architecture, _ = claimed
        taken[number] = ledger.macs_of(number) / 1e6
        wall = taken[number] * (50 if number < crowded else 1)
        _record(ledger, number, architecture, seconds=wall, cpu_seconds=taken[number], threads=1)
    assert ledger.timings()[1] == pytest.approx(list(taken.values()))
    situation = Situation(ledger)
    assert situation.hours_of(np.array([1e7])) == pytest.approx(10 / 3600, rel=0.01)
    assert hours_of(ledger, 1.0).pace.expected(1e7) == pytest.approx([10.0], rel=0.01)
    # What was spent is what the clock said.
    assert situation.as_dict()["spent_hours"] == pytest.approx(ledger.frame()["seconds"].sum() / 3600)


def test_a_design_that_is_none_is_refused_and_those_that_are_named(ledger):
    with pytest.raises(PlannerError, match="method 'grid' is unknown; known methods: stratified, random, sobol"):
        queue(ledger, 10, "grid")


def test_longer_trainings_and_all_images_take_longer_in_proportion(ledger):
    while (claimed := ledger.claim()) is not None:
        number, architecture, _ = claimed
        _record(ledger, number, architecture, seconds=ledger.macs_of(number) / 1e6)
    usual, holdout = ledger.settings.fidelity.epochs, ledger.settings.data.holdout
    for asks in ({"epochs": 4 * usual}, {"holdout": 0}, {"epochs": 2 * usual, "holdout": 0}):
        ledger.ask_for(architecture, "test", asks)
    macs = ledger.macs_of(number)
    expected = [4 * macs, macs / (1 - holdout), 2 * macs / (1 - holdout)]
    assert ledger.waiting_work() == pytest.approx(expected)
    hours = sum(expected) / 1e6 / 3600
    assert Situation(ledger).as_dict()["waiting_hours"] == pytest.approx(hours, rel=0.01)
    # And what they took is read in the same proportion.
    number, architecture, _ = ledger.claim()
    _record(ledger, number, architecture, seconds=4 * macs / 1e6, fidelity=Fidelity(4 * usual))
    assert ledger.timings()[0][-1] == pytest.approx(4 * macs)


def _record(ledger, number, architecture, **facts):
    cost = architecture_complexity(architecture, 4)
    costs = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
    known = {"fidelity": Fidelity(3), "seed": 0, "status": "ok", "accuracy": 0.5, "loss": 1.0, "device": "cpu"}
    ledger.record(number, Observation(architecture, **{**known, **costs, **facts}))


def coordinator_of(ledger, resources, engine, notes):
    return Coordinator(ledger, ledger.folder / "cache", resources, lambda *_: engine, notes, None)


def _use(monkeypatch, clock):
    monkeypatch.setattr(coordination.time, "monotonic", clock)
    monkeypatch.setattr(Hours.__init__, "__defaults__", (*Hours.__init__.__defaults__[:-1], clock))
