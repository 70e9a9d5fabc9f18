"""A ledger that is damaged, lost, or only to be read: one line, nothing written, nothing shifted, nothing made anew."""

import json
import os
import random
import shutil
import sqlite3
from contextlib import closing, suppress

import pytest

from planner.errors import InputError, PlannerError
from planner.study.ledger import Ledger
from planner.study.ledger_file import make
from planner.study.reader import Records
from planner.study.storage import storage_errors

DAMAGES = int(os.environ.get("PLANNER_DAMAGES", "40"))
JUNK = (None, b"\0\xff", "a word", "", -1, 3.5, 10**12, '{"a"', "[]", '"x"', "NaN", "null", "2026-02-30 99:00:00")
PAGE = 4096


def sql(folder, *statements):
    """Changes a ledger behind the planner's back; each statement with its values."""
    with closing(sqlite3.connect(folder / "ledger.db")) as database, database:
        for statement, *values in statements:
            database.execute(statement, values)


def bytes_damaged(content, draw):
    """A file cut, or with a page of zeros, random bytes, or nothing of it."""
    at = draw.randrange(0, len(content), PAGE)
    return draw.choice(
        [
            lambda: content[: draw.randrange(1, len(content))],
            lambda: content[:at] + bytes(PAGE) + content[at + PAGE :],
            lambda: content[: at + 16] + draw.randbytes(64) + content[at + 80 :],
            lambda: b"a text file\n" * 50,
            lambda: b"",
        ]
    )()


def rows_damaged(path, draw):
    """A row or a table gone, or one cell of one row with something else in it; gives what was done."""
    with closing(sqlite3.connect(path)) as database, database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = [name for name in tables if database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]
        table, what = draw.choice(filled), draw.choice(["cell"] * 6 + ["row"] * 2 + ["table"])
        if what == "table":
            database.execute(f"DROP TABLE {table}")
            return f"{table} dropped"
        row = draw.choice([rowid for (rowid,) in database.execute(f"SELECT rowid FROM {table}")])
        if what == "row":
            database.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
            return f"row {row} of {table} gone"
        column = draw.choice([one[1] for one in database.execute(f"PRAGMA table_info({table})")])
        junk = draw.choice(JUNK)
        with suppress(sqlite3.IntegrityError):  # a word for a key: SQLite itself refuses it
            database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (junk, row))
        return f"{table}.{column} of row {row} = {junk!r}"


def asked_everything(folder, settings, kind):
    """Opens a ledger and asks it whatever commands ask."""
    ledger = kind(folder, settings)
    for ask in (ledger.counts, ledger.foreign, ledger.asked, ledger.attempts, ledger.tried, ledger.timings):
        ask()
    ledger.pending_epochs(), ledger.waiting_work(), ledger.curves(1)
    return ledger.frame(), ledger.table()


def test_whatever_is_damaged_it_is_one_line_and_nothing_is_written(mine):
    path, refused = mine.folder / "ledger.db", 0
    whole = path.read_bytes()
    for seed in range(DAMAGES):
        draw = random.Random(seed)
        path.write_bytes(whole)
        if draw.random() < 0.3:
            path.write_bytes(bytes_damaged(whole, draw))
            done = "bytes"
        else:
            done = rows_damaged(path, draw)
        damaged = path.read_bytes()
        for kind in (Records, Ledger) if damaged else (Records,):
            try:
                asked_everything(mine.folder, mine.settings, kind)
            except InputError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 1000, (seed, done)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {done}") from error
            assert path.read_bytes() == damaged, (seed, done)
        assert {one.name for one in mine.folder.iterdir()} == {"study.toml", "ledger.db"}, (seed, done)
    assert refused > DAMAGES / 2


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 4 AND key = 'history'", "trial 3: attr"),
        (
            "UPDATE trial_user_attributes SET value_json = x'00' WHERE trial_id = 4 AND key = 'loss'",
            "'loss' is no JSON",
        ),
        ("UPDATE trials SET state = 'DONE' WHERE trial_id = 4", "trial 3: 'DONE' is no state"),
        ("UPDATE trial_values SET value_type = 'X' WHERE trial_id = 4 AND objective = 0", "trial 3: 0.* is no value"),
        ("UPDATE trial_values SET value = 'good' WHERE trial_id = 4 AND objective = 0", "trial 3: 'good' is no value"),
        (
            "DELETE FROM trial_values WHERE trial_id = 4 AND objective = 0",
            "trial 3: its values are .* accuracy and MACs",
        ),
        ("UPDATE trials SET number = NULL WHERE trial_id = 4", "None is no whole number"),
        ("UPDATE trials SET number = 0 WHERE trial_id = 4", "trial 0: 2 is more than one trial"),
        ("UPDATE trials SET datetime_complete = 'yesterday' WHERE trial_id = 4", "trial 3: 'yesterday' is no date"),
        ("DELETE FROM trials WHERE trial_id = 4", "belongs to a row of trials that is gone"),
        ("DELETE FROM trial_user_attributes WHERE trial_id = 4 AND key = 'architecture'", "'architecture' is gone"),
        ("DROP TABLE trial_values", "the table trial_values is gone"),
        ("DELETE FROM alembic_version", "the row of alembic_version is gone"),
    ],
)
def test_what_is_damaged_is_named(mine, statement, words):
    sql(mine.folder, (statement,))
    for kind in (Records, Ledger):
        with pytest.raises(PlannerError, match=rf"ledger.db is damaged \(.*{words}.*\): restore it from a copy$"):
            asked_everything(mine.folder, mine.settings, kind)


def without(folder, trial):
    """Takes a trial out of a ledger, with all that belongs to it."""
    tables = ("trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values", "trials")
    sql(folder, *((f"DELETE FROM {table} WHERE trial_id = ?", trial + 1) for table in tables))


def test_a_trial_that_is_missing_does_not_shift_the_others_and_nothing_is_added(mine):
    before = mine.architecture(7), mine.macs_of(7), mine.accuracy_of(7)
    without(mine.folder, 2)
    after = Records(mine.folder, mine.settings)
    assert (after.architecture(7), after.macs_of(7), after.accuracy_of(7)) == before
    assert 2 not in after.frame()["trial"].tolist()
    with pytest.raises(PlannerError, match="there is no trial 2"):
        after.architecture(2)
    with pytest.raises(PlannerError, match="trial 2 is gone"):
        Ledger(mine.folder, mine.settings)


def test_another_programs_file_stays_as_it_is(mine):
    path = mine.folder / "theirs.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE photos (name TEXT)")
    before = path.read_bytes()
    settings = mine.settings.model_copy(update={"storage": f"sqlite:///{path}"})
    for kind in (Records, Ledger):
        with pytest.raises(PlannerError, match="no ledger, but an SQLite file that holds photos; name another"):
            kind(mine.folder, settings)
    assert path.read_bytes() == before


@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_and_not_waited_for(mine, put):
    path = mine.folder / "ledger.db"
    path.unlink()
    put(path)
    for kind in (Records, Ledger):
        with pytest.raises(PlannerError, match="ledger.db: no file; move it away, or name another --study"):
            kind(mine.folder, mine.settings)


def test_two_studies_of_other_names_do_not_become_three(mine, tmp_path):
    import optuna

    optuna.create_study(study_name="theirs", storage=mine.url, directions=["maximize", "minimize"])
    moved = mine.folder.rename(tmp_path / "yours")
    before = (moved / "ledger.db").read_bytes()
    for kind in (Records, Ledger):
        with pytest.raises(PlannerError, match="holds the studies mine, theirs, and none of the folder's name"):
            kind(moved, mine.settings)
    assert (moved / "ledger.db").read_bytes() == before


@pytest.mark.parametrize("there", [None, b"", b"theirs"])
def test_a_ledger_that_is_made_takes_no_other_ones_place(tmp_path, there):
    path = tmp_path / "ledger.db"
    if there is not None:
        path.write_bytes(there)
    make(path, lambda temporary: temporary.write_bytes(b"ours"))
    assert path.read_bytes() == (there or b"ours") and list(tmp_path.iterdir()) == [path]


def test_of_two_makers_the_first_ones_ledger_stays(tmp_path):
    path = tmp_path / "ledger.db"

    def fill(temporary):
        temporary.write_bytes(b"second")
        path.write_bytes(b"first")

    make(path, fill)
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


# --- Only to be read ---


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", [("status",), ("front", "--json"), ("next",)])
def test_commands_that_read_change_nothing(run, mine, command):
    before = snapshot(mine.folder)
    code, out, err = run(*command, "--study", "mine")
    assert code == 0 and out, err
    assert snapshot(mine.folder) == before


def test_what_is_opened_to_be_read_cannot_write(mine):
    ledger = Records(mine.folder, mine.settings)
    with pytest.raises(PlannerError, match="the ledger refuses .attempt to write a readonly database"):
        with storage_errors(ledger.url):
            ledger.study.set_user_attr("a", 1)


@pytest.mark.parametrize("mode", ["journal", "wal"])
def test_what_a_killed_process_was_writing_is_read_without_mending_it(mine, mode, tmp_path):
    """A hot journal must be rolled back, and pages beside the file be taken in: in a copy."""
    path, there = mine.folder / "ledger.db", mine.frame()
    writer = sqlite3.connect(path, isolation_level=None)
    if mode == "wal":
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'a', '1')")
    else:
        writer.execute("PRAGMA cache_size = 1")  # so that pages are in the file before they are committed
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE trial_user_attributes SET value_json = '{'")
    copy = tmp_path / "results" / "copy"
    shutil.copytree(mine.folder, copy)
    writer.close()
    (copy / "ledger.db-shm").unlink(missing_ok=True)
    before = snapshot(copy)
    found = Records(copy, mine.settings)
    assert found.frame().equals(there)
    assert found.study.user_attrs == ({"a": 1} if mode == "wal" else {})
    assert snapshot(copy) == before


# --- Lost ---


def observe(ledger):
    """Writes the observation of every finished trial as a worker does, and the table as a coordinator does."""
    from trainer.engines.engine import write_observation
    from trainer.observation import EpochRecord, Fidelity, Observation

    for trial in ledger._finished():
        facts, training = trial.user_attrs, ledger.training(trial.number)
        names = ("status", "accuracy", "loss", "macs", "params", "activations", "seconds", "device")
        one = Observation(
            training.architecture, Fidelity(facts["epochs"], facts["data_share"]), training.seed,
            **{name: facts[name] for name in names}, history=tuple(EpochRecord(**one) for one in facts["history"]),
        )  # fmt: skip
        write_observation(ledger.observations, trial.number, training, one)
    return ledger.export().read_bytes()


@pytest.mark.parametrize("lost", ["gone", "empty"])
def test_a_lost_ledger_is_not_a_new_study_and_is_made_anew_of_the_observations(run, mine, lost):
    frame, table, architectures = mine.frame(), observe(mine), mine.attempts()
    kept, path = snapshot(mine.observations), mine.folder / "ledger.db"
    path.unlink() if lost == "gone" else path.write_bytes(b"")
    code, _, err = run("status", "--study", "mine")
    assert code == 2 and err.count("\n") == 1
    assert "is missing, and 11 observations in " in err and "run `planner train --study mine`" in err
    assert not path.exists() if lost == "gone" else path.read_bytes() == b""
    code, _, err = run("train", "--study", "mine")
    assert code == 0 and "ledger.db was lost: made anew of 11 observations; what waited is in none" in err
    again = Records(mine.folder, mine.settings)
    assert again.frame().equals(frame) and again.attempts() == architectures
    assert (mine.folder / "trials.csv").read_bytes() == table
    assert snapshot(mine.observations) == kept


def test_what_a_training_had_of_its_own_is_made_anew_too(new, train):
    one = new.space.network.architecture()
    recipe = "amplify,learning_rate=0.02"
    asks = {"epochs": 3, "recipe": recipe, "data": {"source": "fractal:classes=4,train=9", "side": 32}}
    new.ask_for(one, "calibrate", asks)
    train(new)
    training = new.training(0)
    assert training.recipe.learning_rate == 0.02 and training.data.source == asks["data"]["source"]
    observe(new)
    (new.folder / "ledger.db").unlink()
    again = Ledger(new.folder, new.settings)
    assert again.training(0) == training
    assert again.asks_of(0) == {name: asks[name] for name in ("recipe", "data")}  # the study's epochs are no wish
    shown = again.frame()["asks"][0]
    assert shown == "data=fractal:classes=4,train=9 recipe=amplify;learning_rate=0.02"


def test_numbers_without_an_observation_stay_free_of_others(mine):
    observe(mine)
    (mine.observations / "000002.json").unlink()
    (mine.folder / "ledger.db").unlink()
    again = Ledger(mine.folder, mine.settings)
    assert again.architecture(7) == mine.architecture(7) and again.foreign() == 0
    assert sorted(again.frame()["trial"]) == [n for n in range(11) if n != 2]
    again.repeat(7, 1)
    assert again.claim()[0] == 11


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda one: one | {"asked": {}}, "an older version's, which do not say all"),
        (lambda one: one | {"asked": one["asked"] | {"data": one["asked"]["data"] | {"side": 9}}}, "data.side"),
        (lambda one: {}, "not an observation"),
    ],
)
def test_observations_that_do_not_say_enough_make_no_ledger(run, mine, damage, words):
    observe(mine)
    path = mine.observations / "000003.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    (mine.folder / "ledger.db").unlink()
    before = snapshot(mine.folder)
    code, _, err = run("train", "--study", "mine")
    assert code == 2 and err.count("\n") == 1 and words in err and "restore" in err
    assert {name: facts for name, facts in snapshot(mine.folder).items() if name.name != "lock"} == before


def test_a_table_alone_makes_no_ledger(run, mine):
    mine.export()
    (mine.folder / "ledger.db").unlink()
    for command in ("status", "train"):
        code, _, err = run(command, "--study", "mine")
        assert code == 2 and "11 trainings in results/mine/trials.csv are there: restore it from a copy\n" in err


def test_a_study_that_was_never_trained_begins_anew_and_says_so_where_it_had_a_ledger(run, new):
    path = new.folder / "ledger.db"
    path.unlink()
    assert run("status", "--study", "mine")[0] == 0  # of a study that is new nothing is missing
    assert [one.name for one in new.folder.iterdir()] == ["study.toml"]
    path.write_bytes(b"")
    code, _, err = run("status", "--study", "mine")
    assert code == 2 and err.endswith(
        "is missing: restore it from a copy, or queue anew with `planner sample --study mine`\n"
    )
    assert path.read_bytes() == b""
    (new.folder / "trials.csv").write_text("trial\n")
    path.unlink()
    assert run("front", "--study", "mine")[0] == 2 and not path.exists()
    code, _, err = run("train", "--study", "mine")
    assert code == 0 and "ledger.db was lost: begun anew, for nothing had been trained; what waited" in err
