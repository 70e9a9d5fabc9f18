"""The ledger: nothing lost, nothing twice, one coordinator, one line for what is broken."""

import math
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from types import SimpleNamespace

import pandas as pd
import pytest

from planner import PlannerError
from planner.study.ledger import MOST_TRIES, Ledger
from planner.study.settings import StudySettings
from planner.study.storage import annotate
from planner.study.trials import LearningCurve as Curve
from planner.tables.table import read_csv, usable
from planner.training.coordinator import Coordinator
from planner.training.resources import Resources
from sampler import architecture_complexity, random_design
from trainer.engines.engine import Event
from trainer.observation import EpochRecord, Fidelity, Observation

SETTINGS = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with the storage of a ledger in which three architectures are queued: half a second, made once."""
    folder = tmp_path_factory.mktemp("begun") / "mine"
    folder.mkdir()
    ledger = Ledger(folder, StudySettings.model_validate(SETTINGS))
    assert ledger.study.study_name == "mine"
    ledger.enqueue(random_design(ledger.space, 3, seed=0), "random")
    return folder


@pytest.fixture
def make(tmp_path):
    """A function: the ledger of the folder `mine`, opened anew at every call."""
    (tmp_path / "mine").mkdir()

    def ledger(**space):
        document = {**SETTINGS, "space": {**SETTINGS["space"], **space}}
        return Ledger(tmp_path / "mine", StudySettings.model_validate(document))

    return ledger


@pytest.fixture
def ledger(begun, make, tmp_path):
    """A ledger with three architectures queued."""
    shutil.copy(begun / "ledger.db", tmp_path / "mine" / "ledger.db")
    return make()


def observed(architecture, accuracy=0.5, status="ok"):
    """What a worker would report."""
    cost = architecture_complexity(architecture, 4)
    return Observation(
        architecture=architecture,
        fidelity=Fidelity(epochs=3, data_share=1.0),
        seed=0,
        status=status,
        accuracy=accuracy if status == "ok" else None,
        loss=1.25 if status == "ok" else None,
        macs=cost.macs,
        params=cost.params,
        activations=cost.activations,
        seconds=1.5,
        device="cpu",
        versions={"torch": "2"},
        message="" if status == "ok" else "loss is nan",
    )


def write(ledger, number, text):
    """Puts an observation file where a worker would."""
    ledger.observations.mkdir(exist_ok=True)
    (ledger.observations / f"{number:06d}.json").write_text(text)


def states(ledger):
    """Counts of trials: ok, failed, running, waiting."""
    return tuple(ledger.counts().values())


def everything(ledger):
    """All that the storage says of every trial."""
    return [(trial.state, trial.params, trial.user_attrs, trial.values) for trial in ledger.study.get_trials()]


def test_a_new_ledger_is_empty(make):
    ledger = make()
    assert states(ledger) == (0, 0, 0, 0)
    assert ledger.claim() is None
    assert ledger.tried() is None
    assert ledger.asked() == 0
    assert len(ledger.frame()) == 0
    with pytest.raises(PlannerError, match="mine: no finished training .* run `planner train` first"):
        ledger.table()


def test_a_folder_that_was_renamed_keeps_its_trials(ledger, tmp_path):
    ledger.claim()
    moved = (tmp_path / "mine").rename(tmp_path / "yours")
    again = Ledger(moved, ledger.settings)
    assert again.counts()["waiting"] == 2 and again.asked() == 3


def test_what_is_queued_is_claimed_in_order_and_once(ledger):
    queued = list(random_design(ledger.space, 3, seed=0))
    assert states(ledger) == (0, 0, 0, 3)
    assert [ledger.claim() for _ in range(3)] == [(number, queued[number], 0) for number in range(3)]
    assert states(ledger) == (0, 0, 3, 0)
    assert ledger.claim() is None


def test_repeats_differ_in_their_seed_and_count_as_one_architecture(make):
    ledger = make()
    drawn = random_design(ledger.space, 2, seed=0)
    ledger.enqueue(drawn, "random", seeds=3)
    claimed = [ledger.claim() for _ in range(6)]
    assert [(one[1], one[2]) for one in claimed] == [(drawn[row], seed) for row in (0, 1) for seed in (0, 1, 2)]
    assert ledger.asked() == 2 and len(ledger.tried()) == 6
    ledger.requeue(claimed[4][0], "killed")
    assert ledger.claim()[1:] == claimed[4][1:]  # with its own seed again
    for (number, architecture, _), accuracy in zip(claimed[:3], (0.3, 0.4, 0.5), strict=True):
        ledger.record(number, observed(architecture, accuracy))
    frame = ledger.frame()
    frame["seed"] = frame["trial"]  # `observed` says 0 of all
    table = usable(frame, "", "t")
    assert table.frame["accuracy"].tolist() == [pytest.approx(0.4)] and table.frame["repeats"].tolist() == [3]
    assert table.noise_variance == pytest.approx(0.01)


@pytest.mark.parametrize("own", [{"epochs": 12}, {"recipe": "amplify", "parent": 0}, {"holdout": 0.0}])
def test_a_training_asked_apart_is_not_judged_by_the_studys_curves(ledger, own):
    """Of `--stop-early`: one of twelve epochs is low after the first, beside those of three."""
    while (claimed := ledger.claim()) is not None:
        number, one, _ = claimed
        seen = replace(observed(one), history=(EpochRecord(1, 1.0, 0.3), EpochRecord(2, 1.0, 0.5)))
        ledger.record(number, seen)
    for asks in ({}, own, own):
        ledger.ask_for(one, "greedy", asks)
    numbers = [ledger.claim()[0] for _ in range(3)]
    assert [len(ledger.curves(trial)) for trial in numbers] == [number + 1, 0, 0]
    ledger.record(numbers[1], seen)
    assert len(ledger.curves(numbers[2])) == 1  # but by those that asked for the same


def test_epochs_are_recorded_and_make_curves(ledger, tmp_path):
    number, architecture, _ = ledger.claim()
    history = tuple(
        EpochRecord(epoch, 2.0 - epoch / 10, accuracy) for epoch, accuracy in ((1, 0.2), (2, None), (3, 0.5))
    )
    ledger.record(number, replace(observed(architecture), history=history))
    other, architecture, _ = ledger.claim()
    ledger.record(other, replace(observed(architecture, status="stopped"), accuracy=0.1, history=history[:1]))
    assert ledger.curves(number) == [Curve(ledger.macs_of(number), (0.2, 0.5))]  # of those that went to the end
    ledger.export()
    epochs = pd.read_csv(tmp_path / "mine" / "epochs.csv")
    assert epochs["trial"].tolist() == [number] * 3 + [other] and epochs["epoch"].tolist() == [1, 2, 3, 1]
    row = pd.read_csv(tmp_path / "mine" / "trials.csv").iloc[1]
    assert (row["status"], row["accuracy"]) == ("stopped", 0.1)
    assert ledger.table().left_out == {"stopped": 1}


def stored(ledger):
    """The trials as Optuna's own storage reads them, for its samplers and dashboard."""
    import optuna

    return optuna.load_study(study_name=None, storage=ledger.url).trials


@pytest.mark.parametrize("rule", ["inverse", "free"])
@pytest.mark.parametrize("kind", ["uniform", "stage"])
def test_parameters_are_the_integers_and_lie_in_their_distributions(make, kind, rule):
    ledger = make(kind=kind, rule=rule)
    ledger.enqueue(random_design(ledger.space, 3, seed=1), "random")
    for _ in range(3):
        number, architecture, _ = ledger.claim()
        trial = stored(ledger)[number]
        expected = {"resolution": architecture.resolution}
        expected.update({f"width_{i}": width for i, width in enumerate(architecture.widths, 1)})
        expected.update({f"depth_{i}": depth for i, depth in enumerate(architecture.depths, 1)})
        assert trial.params == expected
        assert set(trial.distributions) == set(expected)
        for name, value in trial.params.items():
            one = trial.distributions[name]
            assert one.low <= value <= one.high and (value - one.low) % one.step == 0


def test_any_optuna_sampler_sees_one_space(ledger):
    ledger.claim()
    ledger.claim()
    one, other = stored(ledger)[:2]
    assert one.distributions == other.distributions != {}


def test_an_observation_is_recorded_with_all_it_says(ledger):
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture, 0.625))
    cost = architecture_complexity(architecture, 4)
    trial = ledger.study.get_trials()[number]
    assert trial.values == [0.625, cost.macs]
    row = ledger.frame().iloc[0]
    expected = {"trial": 0, "status": "ok", "base": "efficientnet_b0", "rule": "inverse", "origin": "random"}
    expected |= {"base_resolution": 64, "classes": 4, "resolution": architecture.resolution, "stem": architecture.stem}
    expected |= {"head": architecture.head, "width_2": architecture.widths[1], "depth_7": architecture.depths[6]}
    expected |= {"macs": cost.macs, "params": cost.params, "activations": cost.activations, "accuracy": 0.625}
    expected |= {"loss": 1.25, "epochs": 3, "data_share": 1.0, "seed": 0, "seconds": 1.5, "device": "cpu"}
    assert {name: row[name] for name in expected} == expected
    assert row["r"] == architecture.resolution / 64


@pytest.mark.parametrize("status", ["ok", "diverged"])
def test_recording_twice_changes_nothing(ledger, status):
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture, status=status))
    before = everything(ledger)
    ledger.record(number, observed(architecture, 0.9))
    assert everything(ledger) == before


def test_a_diverged_training_is_a_fact_and_not_tried_again(ledger):
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture, status="diverged"))
    assert states(ledger) == (0, 1, 0, 2)
    row = ledger.frame().iloc[0]
    assert (row["status"], row["message"]) == ("diverged", "loss is nan")
    assert pd.isna(row["accuracy"])
    assert ledger.reconcile() == (0, 0)


def test_what_a_dead_coordinator_finished_is_recorded_once(ledger, make):
    number, architecture, _ = ledger.claim()
    write(ledger, number, observed(architecture, 0.75).to_json())
    again = make()
    assert again.reconcile() == (1, 0)
    assert states(again) == (1, 0, 0, 2)
    assert again.frame()["accuracy"].tolist() == [0.75]
    assert again.reconcile() == (0, 0)
    assert states(again) == (1, 0, 0, 2)


@pytest.mark.parametrize("text", [None, "", '{"architecture"', "null", '{"status": "ok"}'])
def test_what_a_dead_coordinator_left_unfinished_is_queued_again(ledger, text):
    number, architecture, _ = ledger.claim()
    if text is not None:
        write(ledger, number, text)
    assert ledger.reconcile() == (0, 1)
    assert states(ledger) == (0, 1, 0, 3)
    trials = ledger.study.get_trials()
    assert (trials[number].user_attrs["status"], trials[number].user_attrs["message"]) == (
        "killed",
        "its coordinator was killed",
    )
    again = trials[-1].user_attrs
    assert (again["retry_of"], again["tries"], again["origin"]) == (number, 1, "random")
    for name in ("architecture", "r", "d", "w", "rule"):
        assert again[name] == trials[number].user_attrs[name]
    assert ledger.asked() == 3  # a second try is not a second question


def test_an_architecture_that_kills_its_training_every_time_is_given_up(make):
    ledger = make()
    ledger.enqueue(random_design(ledger.space, 1, seed=0), "random")
    for tries in range(1, MOST_TRIES + 1):
        number, _, _ = ledger.claim()
        assert ledger.requeue(number, "its process ended with exit code -9") is (tries < MOST_TRIES)
    assert ledger.claim() is None
    assert states(ledger) == (0, MOST_TRIES, 0, 0)
    assert ledger.frame()["message"].tolist() == ["its process ended with exit code -9"] * MOST_TRIES
    assert ledger.asked() == 1


def test_the_death_of_coordinators_is_no_try_of_what_they_trained(make):
    ledger = make()
    ledger.enqueue(random_design(ledger.space, 1, seed=0), "random")
    for _ in range(2 * MOST_TRIES):
        ledger.claim()
        assert ledger.reconcile() == (0, 1)
    assert ledger.claim() is not None


def test_what_was_tried_is_everything_that_was_queued(ledger):
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture))
    queued = {str(asdict(one)) for one in random_design(ledger.space, 3, seed=0)}
    assert {str(asdict(one)) for one in ledger.tried()} == queued
    assert ledger.asked() == 3


def test_new_architectures_are_none_that_were_tried(ledger):
    more = random_design(ledger.space, 3, seed=0, seen=ledger.tried())
    assert not {str(asdict(one)) for one in more} & {str(asdict(one)) for one in ledger.tried()}


def test_a_ledger_opened_again_holds_the_same(ledger, make):
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture))
    assert everything(make()) == everything(ledger)


def test_the_columns_of_the_ledger_can_be_fitted_and_so_can_its_export(ledger):
    for accuracy in (0.25, 0.5):
        number, architecture, _ = ledger.claim()
        ledger.record(number, observed(architecture, accuracy))
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture, status="diverged"))
    table = ledger.table()
    assert (table.base, table.resolution, table.classes) == ("efficientnet_b0", 64, 4)
    assert table.left_out == {"diverged": 1}
    assert table.frame["accuracy"].tolist() == [0.25, 0.5]
    assert table.base_macs == ledger.space.base_macs
    other = read_csv(ledger.export())
    assert other.sha256 == table.sha256
    for name in ("c", "r", "d", "w", "macs", "accuracy"):
        assert other.frame[name].tolist() == pytest.approx(table.frame[name].tolist(), rel=1e-12)
    again = usable(ledger.frame().drop(columns=["r", "d", "w"]), "", "without multipliers")
    assert again.frame["r"].tolist() == table.frame["r"].tolist()


def test_the_export_is_the_same_bytes_every_time(ledger, make):
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture))
    assert ledger.export().read_bytes() == make().export().read_bytes()


def test_a_second_coordinator_is_refused_until_the_first_is_done(ledger, make):
    other = make()
    with ledger.coordinating():
        with pytest.raises(PlannerError, match="mine: another process is training this study; wait for it or stop it"):
            with other.coordinating():
                pass
    with other.coordinating():
        pass


def test_a_coordinator_of_another_process_is_refused_and_its_death_frees_the_lock(ledger):
    program = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", program, str(ledger.folder / "lock")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(PlannerError, match="another process is training this study"):
            with ledger.coordinating():
                pass
        other.kill()
    with ledger.coordinating():
        pass


@pytest.mark.parametrize("damage", ["not a database " * 200, "cut", "header"])
def test_a_damaged_ledger_is_refused_in_one_line(ledger, make, damage):
    path = ledger.folder / "ledger.db"
    whole = path.read_bytes()
    contents = {"cut": whole[:5000], "header": b"\0" * 100 + whole[100:]}
    path.write_bytes(contents.get(damage, damage.encode()))
    with pytest.raises(PlannerError, match=r"ledger.db is damaged \(.*\): restore it from a copy$") as e:
        make()
    assert "\n" not in str(e.value)


def test_a_ledger_damaged_while_it_is_used_is_refused_in_one_line(ledger):
    with pytest.raises(PlannerError, match=r"ledger.db is damaged \(.*\): restore it from a copy$") as error:
        with ledger.coordinating():
            (ledger.folder / "ledger.db").write_bytes(b"not a database " * 2000)
            ledger.claim()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////nowhere/at/all/ledger.db", "the ledger refuses .* mend the storage, then run the same command"),
        ("oracle://x", "needs a driver that is not installed .* install it with pip"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_refused_in_one_line(tmp_path, url, words):
    settings = StudySettings.model_validate({**SETTINGS, "storage": url})
    with pytest.raises(PlannerError, match=words) as error:
        Ledger(tmp_path, settings)
    assert "\n" not in str(error.value) and str(error.value).startswith(url)


def test_a_file_where_the_export_belongs_to_a_folder_is_refused(ledger):
    (ledger.folder / "trials.csv").mkdir()
    with pytest.raises(PlannerError, match="trials.csv: .*free space or rights, then run the same command again"):
        ledger.export()


@pytest.fixture(scope="module")
def claimed_once(tmp_path_factory):
    """The folder of a ledger of which forty architectures are claimed, made once, and eight like claims of them."""
    folder = tmp_path_factory.mktemp("claimed") / "mine"
    folder.mkdir()
    ledger = Ledger(folder, StudySettings.model_validate(SETTINGS))
    ledger.enqueue(random_design(ledger.space, 40, seed=0), "random")
    claims = (ledger.claim() for _ in range(40))
    return folder, sorted(claims, key=lambda one: ledger.macs_of(one[0]))[20:28]


@pytest.fixture
def judged(claimed_once, make, tmp_path):
    """A ledger with seven like curves to the end of some epochs, and a coordinator that stops early."""
    folder, claimed = claimed_once
    shutil.copy(folder / "ledger.db", tmp_path / "mine" / "ledger.db")
    ledger = make()

    def finish(asks=None, epochs=3):
        for place, (number, architecture, _) in enumerate(claimed[:7]):
            if asks is not None:
                ledger.ask_for(architecture, "test", asks)
                number, _, _ = ledger.claim()
            history = tuple(EpochRecord(epoch, 1.0, 0.4 + epoch / 20 + place / 200) for epoch in range(1, 11))
            made = replace(observed(architecture, 0.9), history=history, fidelity=Fidelity(epochs))
            ledger.record(number, made)

    return ledger, finish, coordinator_of(ledger, stop_early=True), claimed[7]


def coordinator_of(ledger, **asked):
    def no_engine(*_):
        return None

    return Coordinator(
        ledger, ledger.folder, Resources(workers=1, **asked), no_engine, SimpleNamespace(note=print), None
    )


LOW, LIKE = (tuple(EpochRecord(epoch, 1.0, at + epoch / 20) for epoch in range(1, 6)) for at in (0.1, 0.45))


def test_a_coordinator_stops_what_cannot_reach_the_front_of_its_own_ledger(judged, tmp_path):
    ledger, finish, coordinator, (number, *_) = judged
    finish()
    assert coordinator.stops(Event("epoch", number, LOW))
    assert not coordinator.stops(Event("epoch", number, LIKE))
    assert not coordinator.stops(Event("epoch", number, LOW[:2]))  # too early to tell
    assert coordinator_of(ledger).stops is None


@pytest.mark.parametrize(
    "asks",
    [{"epochs": 12}, {"holdout": 0}, {"recipe": "amplify", "parent": 3}, {"epochs": 20, "parent": 3}],
    ids=["longer", "final", "fine-tune", "long fine-tune"],
)
def test_a_training_of_its_own_kind_is_judged_by_curves_of_that_kind_only(judged, asks):
    ledger, finish, coordinator, (_, architecture, _) = judged
    finish()
    ledger.ask_for(architecture, "test", asks)
    number, *_ = ledger.claim()
    assert not coordinator.stops(Event("epoch", number, LOW))
    finish(asks, asks.get("epochs", 3))
    assert coordinator.stops(Event("epoch", number, LOW))
    assert not coordinator.stops(Event("epoch", number, LIKE))


def test_a_training_that_asks_for_what_is_usual_is_of_the_usual_kind(judged):
    ledger, finish, coordinator, (_, architecture, _) = judged
    finish()
    ledger.ask_for(architecture, "test", {"epochs": ledger.settings.fidelity.epochs, "keep": True})
    assert coordinator.stops(Event("epoch", ledger.claim()[0], LOW))


@pytest.mark.parametrize("fidelity", [Fidelity(12), Fidelity(3, 0.5)], ids=["epochs", "share"])
def test_curves_that_were_recorded_under_other_settings_judge_nothing(judged, fidelity):
    ledger, finish, coordinator, (number, architecture, _) = judged
    finish(epochs=fidelity.epochs)
    if fidelity.data_share < 1:  # the running one's own record says so
        annotate(ledger.study, ledger._frozen(number), {"data_share": fidelity.data_share})
    assert not coordinator.stops(Event("epoch", number, LOW))


def test_a_training_that_diverged_gets_one_other_seed_and_is_then_a_fact(ledger):
    number, architecture, seed = ledger.claim()
    ledger.record(number, observed(architecture, status="diverged"), again=True)
    assert states(ledger) == (0, 1, 0, 3) and ledger.asked() == 3
    ledger.record(number, observed(architecture, status="diverged"), again=True)  # a second time changes nothing
    assert states(ledger) == (0, 1, 0, 3)
    for _ in range(2):
        ledger.claim()
    second, same, other = ledger.claim()
    assert same == architecture and other != seed
    # What was asked for with the first seed is answered by the second try.
    assert ledger.attempts()[architecture, "{}"] == (second, None)
    ledger.record(second, observed(architecture, status="diverged"), again=True)
    assert states(ledger) == (0, 2, 2, 0)


def test_a_diverged_training_whose_coordinator_died_gets_its_other_seed_once(ledger, make):
    number, architecture, _ = ledger.claim()
    write(ledger, number, observed(architecture, status="diverged").to_json())
    assert make().reconcile() == (1, 0) and make().reconcile() == (0, 0)
    assert states(make()) == (0, 1, 0, 3)


def test_tries_that_got_further_are_not_counted(make):
    ledger = make()
    ledger.enqueue(random_design(ledger.space, 1, seed=0), "random")
    for epochs in range(1, 8):
        number, _, _ = ledger.claim()
        ledger.progress(number, epochs)
        assert ledger.requeue(number, "its process ended with exit code -9")
    for tries in range(2, MOST_TRIES + 1):
        number, _, _ = ledger.claim()
        assert ledger.requeue(number, "its process ended with exit code -9") is (tries < MOST_TRIES)


def test_what_is_put_back_waits_first_in_the_queue_with_its_tries(ledger):
    number, architecture, seed = ledger.claim()
    ledger.put_back(number, "interrupted")
    assert states(ledger) == (0, 0, 0, 3)
    assert ledger.claim() == (number, architecture, seed)
    ledger.record(number, observed(architecture))
    ledger.put_back(number, "too late")
    assert states(ledger) == (1, 0, 0, 2) and len(ledger.frame()) == 1


def test_a_damaged_file_of_the_queue_is_refused_in_one_line(ledger):
    (ledger.folder / "queueing.json").write_text('{"token": 1}')
    with pytest.raises(PlannerError, match="queueing.json: not what was being queued .* remove it, then queue again"):
        with ledger.coordinating():
            pass


def test_trials_are_read_as_optuna_reads_them(ledger):
    import optuna

    number, architecture, _ = ledger.claim()
    ledger.record(number, replace(observed(architecture), history=(EpochRecord(1, 1.0, 0.4),)))
    trial = ledger.study.ask()
    trial.suggest_float("rate", 1e-3, 1.0, log=True)
    trial.suggest_categorical("kind", ["a", None, 3])
    odd = ['a "quoted" \\ key', "two\nlines", "größe", "", "ends with \\"]
    for key, value in zip(odd, [math.inf, 'a"b,\nc', None, [{"x": "}, {"}], {}], strict=True):
        trial.set_user_attr(key, value)
    ledger.study.tell(trial, [float("inf"), -1.0])
    ledger.study.enqueue_trial({"rate": 0.1})
    theirs = optuna.storages.RDBStorage(ledger.url)
    study = theirs.get_study_id_from_name("mine")
    assert ledger.study.get_trials() == bare(theirs.get_all_trials(study))
    ours = ledger.study._storage._backend
    for known, after in ((set(), 2), ({1, 3}, 3), ({2}, 1), (set(), 99)):
        assert ours._get_trials(study, None, known, after) == bare(theirs._get_trials(study, None, known, after))
    finished = (optuna.trial.TrialState.COMPLETE,)
    assert ours.get_all_trials(study, states=finished) == bare(theirs.get_all_trials(study, states=finished))


def bare(trials):
    """Trials without what the ledger does not read: parameters, which their architectures hold."""
    for trial in trials:
        trial.params, trial.distributions = {}, {}
    return trials


@pytest.mark.slow
def test_a_process_that_writes_for_long_is_waited_for(ledger):
    """Longer than the five seconds that sqlite3 waits by itself: on a busy machine a command may hold it so long."""
    import sqlite3
    import threading

    other = sqlite3.connect(ledger.folder / "ledger.db", check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(7, other.rollback).start()
    number, architecture, _ = ledger.claim()
    ledger.record(number, observed(architecture))
    assert states(ledger)[0] == 1
