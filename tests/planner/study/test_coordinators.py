"""Several coordinators on one ledger: in PostgreSQL they share it, in SQLite the second is refused."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from planner import PlannerError
from planner.study.asking import Asker
from planner.study.ledger import Ledger
from planner.study.locks import FolderLock, locks_of
from planner.study.settings import StudySettings, write_settings
from planner.study.urls import safe_url, with_driver
from sampler import random_design

PROGRAM = Path(__file__).with_name("closed_form_study.py")
DATA, SPACE = {"source": "fractal", "side": 90, "classes": 4}, {"resolution": 64, "r": (0.5, 1.4)}


@pytest.fixture(scope="module")
def server():
    """URL of a PostgreSQL server of our own, without its database; it refuses root, so it runs as somebody else."""
    pytest.importorskip("psycopg2", reason="needs the extra [postgres]")
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        pytest.skip("needs initdb and pg_ctl on PATH")
    home = Path(tempfile.mkdtemp(prefix="planner-postgres-"))
    who = {}
    if os.geteuid() == 0:
        shutil.chown(home, "nobody")
        who = {"user": "nobody", "cwd": home}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = ["pg_ctl", "-D", str(home / "data"), "-w", "-l", str(home / "log")]
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        initdb = ["initdb", "-D", str(home / "data"), "-A", "trust", "-U", "planner", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, **who)
        subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **who)
        yield f"postgresql://planner:secret@127.0.0.1:{port}/"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, **who)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def study(server, tmp_path, request):
    """A function: the ledger of a study, as one of several machines sees it, each with a folder of its own."""
    from sqlalchemy import create_engine, text

    name = f"d{abs(hash(request.node.name))}"
    with create_engine(with_driver(server + "postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))

    def at(machine):
        folder = tmp_path / machine / "results" / "mine"
        settings = StudySettings.model_validate({"data": DATA, "space": SPACE, "storage": server + name})
        if not folder.exists():
            folder.mkdir(parents=True)
            write_settings(folder / "study.toml", settings)
        return Ledger(folder, settings)

    return at


def coordinator(ledger, seconds):
    """A process that trains a study, one training at a time, each of so many seconds."""
    command = [sys.executable, str(PROGRAM), "train", "--study", "mine", "--device", "cpu", "--workers", "1"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "CLOSED_FORM_SECONDS": str(seconds / 3),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ledger.folder.parents[1], env=environment, **pipes)


def until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert true()


def recorded(ledger):
    """Architectures with an accuracy, as often as they have one."""
    return [str(trial.user_attrs["architecture"]) for trial in ledger.study.get_trials() if trial.values]


def reached(ledger):
    """How many trainings are ok, running, waiting; one that diverges has failed, and waits again."""
    counts = ledger.counts()
    return counts["ok"], counts["running"], counts["waiting"]


def observed(ledger):
    """Numbers of the trials that were trained in a machine's folder."""
    return {int(path.stem) for path in ledger.observations.glob("*.json")}


@pytest.mark.slow
def test_two_coordinators_share_forty_trainings_and_none_is_done_twice(study):
    one, other = study("one"), study("other")
    with one.queueing():
        one.enqueue(random_design(one.space, 40, seed=0), "random")
    processes = [coordinator(ledger, 0.1) for ledger in (one, other)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    failed = one.counts()["failed"]
    shares = [observed(ledger) for ledger in (one, other)]
    assert min(map(len, shares)) >= 5 and not shares[0] & shares[1], shares
    assert shares[0] | shares[1] == set(range(40 + failed)) and reached(one) == (40, 0, 0)
    assert len(set(recorded(one))) == len(recorded(one)) == 40


@pytest.mark.slow
def test_what_a_dead_coordinator_had_is_taken_over_at_once_and_what_a_live_one_has_is_not(study):
    one, other = study("one"), study("other")
    with one.queueing():
        one.enqueue(random_design(one.space, 6, seed=0), "random")
    first = coordinator(one, 600)
    until(lambda: other.counts()["running"] == 1)
    second = coordinator(other, 0.05)
    until(lambda: other.counts()["ok"] == 5)
    time.sleep(1.5)  # several looks at the live one's training
    assert reached(other) == (5, 1, 0)
    first.send_signal(signal.SIGKILL)
    died = datetime.now()
    error = second.communicate(timeout=120)[1]
    first.communicate()
    assert second.returncode == 0, error
    assert "1 trainings run at other coordinators; waits for them" in error
    lost = other.study.get_trials()[0]
    assert (lost.user_attrs["status"], lost.user_attrs["message"]) == ("killed", "its coordinator was killed")
    assert lost.datetime_complete > died
    assert observed(one) == set() and reached(other) == (6, 0, 0)
    assert len(set(recorded(other))) == len(recorded(other)) == 6


@pytest.mark.slow
def test_claims_are_whole_however_many_ask_at_once(study):
    from concurrent.futures import ThreadPoolExecutor

    ledgers = [study(name) for name in "abcd"]
    ledgers[0].enqueue(random_design(ledgers[0].space, 12, seed=0), "random")

    def claims(ledger):
        with ledger.coordinating():
            found = []
            while (claimed := ledger.claim()) is not None:
                found.append(claimed[0])
            assert ledger.reconcile() == (0, 0)  # the others live, and so do their trainings
            barrier.wait(timeout=30)
            return found

    from threading import Barrier

    barrier = Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        found = [number for share in pool.map(claims, ledgers) for number in share]
    assert sorted(found) == list(range(12))
    assert ledgers[0].counts() == {"ok": 0, "failed": 0, "running": 12, "waiting": 0}  # and nothing was made up
    with ledgers[0].coordinating():
        assert ledgers[0].reconcile() == (0, 12)  # all four are gone


def away(server, name, seconds=None):
    """Ends every connection to a database, and for some seconds, or until asked otherwise, lets none begin."""
    from sqlalchemy import create_engine, text

    with create_engine(with_driver(server + "postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        if seconds != 0:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        ours = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ours, {"name": name})
        if seconds:
            time.sleep(seconds)
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


def database_of(ledger):
    return ledger.url.rsplit("/", 1)[1]


@pytest.mark.slow
def test_a_server_that_drops_its_connections_is_asked_again_and_the_coordinator_lives(study, server):
    one, other = study("one"), study("other")
    one.enqueue(random_design(one.space, 4, seed=0), "random")
    with one.coordinating(), other.coordinating():
        claimed = one.claim()[0]
        away(server, database_of(one), seconds=0)
        assert one.counts()["running"] == 1 and one.claim()[0] == claimed + 1
        assert other.claim()[0] == claimed + 2
        assert other.reconcile() == (0, 0)  # the first one lives, under its old number
        assert one.locks.number in other.locks.alive()
    assert reached(study("third")) == (0, 3, 1)


@pytest.mark.slow
def test_a_coordinator_outlives_a_server_that_is_away_for_seconds(study, server):
    one = study("one")
    one.enqueue(random_design(one.space, 8, seed=0), "random")
    process = coordinator(one, 0.3)
    until(lambda: one.counts()["ok"] >= 2)
    away(server, database_of(one), seconds=3)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and "the ledger's server is away; asked again" in error, error
    assert reached(study("third")) == (8, 0, 0)
    assert len(set(recorded(one))) == len(recorded(one)) == 8


@pytest.mark.slow
def test_a_server_that_stays_away_is_one_line_without_the_password(study, server, monkeypatch):
    monkeypatch.setattr("planner.study.patience.LONGEST_AWAY", 1.5)
    one = study("one")
    with pytest.raises(PlannerError, match="the ledger refuses") as error:
        with one.coordinating():
            away(server, database_of(one))
            one.claim()
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_a_shared_storage_refuses_a_study_of_the_same_name_with_other_settings(tmp_path):
    document = {"data": DATA, "space": SPACE, "storage": f"sqlite:///{tmp_path / 'shared.db'}"}
    Ledger(tmp_path / "one" / "mine", StudySettings.model_validate(document))
    elsewhere = {**document, "data": {**DATA, "source": "npz:/another/place.npz"}}
    Ledger(tmp_path / "two" / "mine", StudySettings.model_validate(elsewhere))
    other = {**document, "fidelity": {"epochs": 9}}
    with pytest.raises(PlannerError, match="has a study mine with fidelity.epochs = 3, not 9; copy its study.toml"):
        Ledger(tmp_path / "three" / "mine", StudySettings.model_validate(other))


def test_a_password_is_not_shown():
    assert safe_url("postgresql://me:secret@host:5432/mine") == "postgresql://me:***@host:5432/mine"
    assert safe_url("sqlite:///results/mine/ledger.db") == "sqlite:///results/mine/ledger.db"


def test_only_postgresql_has_several_coordinators(tmp_path):
    for url in ("sqlite:///x.db", "mysql://host/x"):
        assert isinstance(locks_of(url, tmp_path, "x"), FolderLock)
    assert locks_of("postgresql+psycopg2://host/x", tmp_path, "x").number is None


def test_a_second_process_on_sqlite_is_refused_and_told_what_would_allow_it(tmp_path):
    folder = tmp_path / "results" / "mine"
    folder.mkdir(parents=True)
    settings = StudySettings.model_validate({"data": DATA, "space": SPACE})
    write_settings(folder / "study.toml", settings)
    ledger = Ledger(folder, settings)
    ledger.enqueue(random_design(ledger.space, 1, seed=0), "random")
    with ledger.coordinating():
        for second in (ledger.coordinating, ledger.queueing):
            with pytest.raises(PlannerError, match="another process is training .* --storage postgresql://"):
                with second():
                    pass
        refused = coordinator(ledger, 0)
        assert "another process is training this study" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2 and ledger.counts()["waiting"] == 1


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://me:se/cr?et@host/mine", "postgresql://me:***@host/mine"),
        ("postgresql://host/mine?password=secret", "postgresql://host/mine?password=***"),
        ("postgresql://host/mine?user=me&PassWord=secret", "postgresql://host/mine?PassWord=***&user=me"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("postgresql://me:se@cret@host/mine", "postgresql://***"),
        ("postgresql://me:secret@host:port/mine", "postgresql://***"),
        ("me:secret@host/mine", "***"),
        ("secret", "***"),
        ("redis://:secret@host", "redis://:***@host"),
    ],
)
def test_no_secret_of_a_url_is_shown(url, masked):
    assert safe_url(url) == masked and "cret" not in safe_url(url)


@pytest.mark.slow
def test_what_is_asked_for_on_one_machine_is_told_on_another_once(study, monkeypatch):
    one, other = study("one"), study("other")
    with one.queueing():
        one.enqueue(random_design(one.space, 4, seed=0), "random")
    facts = {"seconds": 1.0, "device": "", "loss": None}
    first, second = (Asker(ledger).ask(2, lambda _: None, within=600) for ledger in (one, other))
    assert sorted(trial.number for trial in (*first, *second)) == [0, 1, 2, 3]
    Asker(other).tell(first[0].number, 0.5, "ok", facts)
    with pytest.raises(PlannerError, match=r"it was told before \(ok, 0.5\)"):
        Asker(one).tell(first[0].number, 0.75, "ok", facts)
    with one.coordinating():
        assert one.reconcile() == (0, 0) and reached(one) == (1, 3, 0)  # what is out is nobody else's
        monkeypatch.setattr("planner.study.ledger.time", SimpleNamespace(time=lambda: time.time() + 601))
        one.reconcile()
        assert reached(one) == (1, 0, 3)
        assert one.claim()[0] == first[1].number
    Asker(one).tell(second[0].number, 0.25, "ok", facts)  # late, and nobody was at it
    with pytest.raises(PlannerError, match="trained by somebody else|told before"), other.coordinating():
        assert other.claim()[0] == second[1].number
        Asker(one).tell(second[0].number, 0.75, "ok", facts)
