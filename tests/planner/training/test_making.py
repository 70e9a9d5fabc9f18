"""Making a study: by one process, once there is something to queue; what failed leaves nothing behind."""

import errno
import os
import shutil
import stat
import threading

import pandas as pd
import pytest

import planner
from planner import PlannerError
from planner.errors import InputError
from planner.study.folder import folder_of
from planner.study.locks import alone
from planner.study.opening import open_ledger
from planner.study.options import StudyOptions, settings_of
from planner.study.settings import read_settings
from planner.training.making import Wanted, queue_in

DATA = ("--data", "fractal:classes=2,train=40,validation=4", "--resolution", "32")
SAMPLE = ("sample", "--study", "s", "--trials", "2", *DATA)
OPTIONS = {"data": DATA[1], "resolution": 32, "window": ("0.1M", "5M")}


def files(folder):
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


FAILING = {
    "--window 500M 600M": "too few distinct architectures between 500,000,000 and 600,000,000 MACs",
    "--window 2M 1M": "--window 2M 1M: two quantities are wanted, the lower one first",
    "--window 5 0.1": "--window 5 0.1: two quantities",
    "--params 10": "too few distinct architectures",
    "--seed 1700000000000": "not in the range 0<=x<=4294967295",
    "--storage sqlite://": "storage sqlite:// is in memory",
    "--storage sqlite:///:memory:": "is in memory, and gone when the command ends",
    "--storage sqlite:///no/such/folder/l.db": "unable to open database file",
    "--storage me:tig/er@host/db": "storage *** is no URL",
    "--storage postgresql://me:tig@er@host/db": "storage postgresql://*** is no URL",
    "--holdout 0.9 --data fractal:classes=2,train=1,validation=1": "leaves none of class 0",
    "--rule nosuch": "nosuch",
}


@pytest.mark.parametrize("wrong", FAILING)
def test_a_study_that_cannot_be_made_leaves_nothing_behind(refused, tmp_path, wrong):
    told = refused(*SAMPLE, *wrong.split())
    assert FAILING[wrong] in told and "tig" not in told
    assert files(tmp_path) == []


def test_a_run_that_cannot_begin_leaves_nothing_behind(refused, tmp_path):
    refused("run", "--study", "s", "--trials", "2", *DATA, "--window", "500M", "600M")
    assert files(tmp_path) == []


def test_a_corrected_command_makes_the_study(refused, run, tmp_path):
    assert run("sample", "--study", "before", *SAMPLE[3:], "--window", "0.1M", "5M")[0] == 0
    refused(*SAMPLE, "--window", "500M", "600M")
    assert folder_of(None).name == "before"
    code, out, err = run(*SAMPLE, "--window", "0.1M", "5M")
    assert code == 0 and "2 architectures queued between 100k and 5M MACs" in out
    assert folder_of(None).name == "s"


CHANGES = {
    "--window 2M 3M": "made with --window 100k 5M, not 2M 3M;",
    "--window 0.1 0.5": "made with --window 0.01181 0.5907, not 0.1 0.5;",
    "--window 3M 2M": "--window 3M 2M: two quantities are wanted",
    "--r 0.5 0.9": "made with --r 0.35 1.40625, not 0.5 0.9;",
    "--recipe fastest": "recipe 'fastest' is unknown; known recipes: fast,",
    "--recipe tinynet": "made with --recipe fast, not tinynet;",
    "--base resnet19": "base network 'resnet19' is unknown",
    "--rule nosuch": "'nosuch'",
    "--share 0.5": "made with --share 1, not 0.5;",
    "--storage postgresql://me:secret@host/db": "made with --storage '', not postgresql://me:***@host/db;",
}


@pytest.fixture(scope="module")
def two_waiting(tmp_path_factory):
    """A folder in which a study of two architectures waits."""
    here = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        queue_in("s", StudyOptions(**OPTIONS), Wanted(2))
    return here


@pytest.fixture
def made(two_waiting, run, tmp_path):
    """That study, in the folder where `run` runs."""
    shutil.copytree(two_waiting, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize("line", CHANGES)
def test_what_would_change_a_study_is_said_as_it_was_typed(made, refused, line):
    assert CHANGES[line] in refused("sample", "--study", "s", "--trials", "1", *line.split())


def test_the_same_options_are_no_change(made, run):
    for window in (("0.1M", "5M"), ("100k", "5000000")):
        code, out, err = run(*SAMPLE, "--window", *window)
        assert code == 0, err
    assert "6 wait" in out


def test_a_study_in_which_nothing_was_queued_says_how_to_be_rid_of_it(new, run, refused):
    assert "nothing was queued in it: `planner studies rm mine`" in refused("sample", "--trials", "1", "--epochs", "9")
    assert run("studies", "rm", "mine", "--yes")[0] == 0
    assert run("sample", "--trials", "1", "--study", "mine", *DATA, "--epochs", "9")[0] == 0


def test_of_two_makers_one_waits_and_changes_nothing(run, tmp_path):
    """The second begins while the first one makes the study."""
    ended = []

    def second():
        try:
            queue_in("s", StudyOptions(**OPTIONS, epochs=7), Wanted(2))
        except PlannerError as error:
            ended.append(str(error))

    with alone(folder_of("s")):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.5)
        assert other.is_alive() and files(tmp_path) == ["results", "results/.s.making"]
        (tmp_path / "results" / "s").mkdir()
        from planner.training.making import _made, _queued

        ledger, design = _made(folder_of("s"), StudyOptions(**OPTIONS, epochs=1), Wanted(2), None)
        _queued(ledger, Wanted(2), design)
    other.join(60)
    assert ended == ["study s was made with --epochs 1, not 7; leave the option out, or take another --study"]
    assert (
        open_ledger("s").counts()["waiting"] == 2 and read_settings(folder_of("s") / "study.toml").fidelity.epochs == 1
    )
    assert not (tmp_path / "results" / ".s.making").exists()


def test_many_makers_one_after_the_other_hold_the_lock_alone(run, tmp_path):
    """Each removes the lock's file: nobody may hold one that is not there any more."""
    inside, most, folder = [], [], tmp_path / "s"

    def maker():
        for _ in range(20):
            with alone(folder):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=maker) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(most) == 80 and set(most) == {1} and files(tmp_path) == []


def test_a_ledger_without_its_settings_is_not_taken_for_a_new_study(made, refused, tmp_path):
    (tmp_path / "results" / "s" / "study.toml").unlink()
    before = (tmp_path / "results" / "s" / "ledger.db").read_bytes()
    assert "a ledger without its study.toml; put that back" in refused(*SAMPLE, "--window", "0.1M", "5M")
    assert (tmp_path / "results" / "s" / "ledger.db").read_bytes() == before


@pytest.mark.parametrize("name", ["lock", "study.toml"])
def test_a_link_in_a_study_s_folder_is_not_written_through(run, tmp_path, name):
    (tmp_path / "outside").write_text("theirs")
    (tmp_path / "results" / "s").mkdir(parents=True)
    (tmp_path / "results" / "s" / name).symlink_to(
        tmp_path / "nothing" if name == "study.toml" else tmp_path / "outside"
    )
    run(*SAMPLE, "--window", "0.1M", "5M")
    assert (tmp_path / "outside").read_text() == "theirs" and not (tmp_path / "nothing").exists()


def test_the_last_study_is_not_written_through_a_link(made, run, tmp_path):
    last = tmp_path / "results" / ".last-study"
    (tmp_path / "outside").write_text("s")
    last.unlink()
    last.symlink_to(tmp_path / "outside")
    assert run("sample", "--study", "t", *SAMPLE[3:], "--window", "0.1M", "5M")[0] == 0
    assert (tmp_path / "outside").read_text() == "s" and last.read_text() == "t\n"


def test_a_study_with_a_password_is_for_its_owner_alone(run, refused, tmp_path):
    """SQLite takes a password and does nothing with it: no server is needed."""
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/shared.db?password=secret"
    from planner.study.settings import StudySettings, write_settings

    for name, storage, mode in (("s", url, 0o600), ("t", url.partition("?")[0], 0o644)):
        facts = {"data": {"side": 90, "classes": 4}, "space": {"resolution": 64}, "storage": storage}
        write_settings(tmp_path / f"{name}.toml", StudySettings.model_validate(facts))
        assert stat.S_IMODE((tmp_path / f"{name}.toml").stat().st_mode) & 0o077 == mode & 0o077 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_new_password_is_not_shown_beside_the_old_one(made, refused, tmp_path):
    path = tmp_path / "results" / "s" / "study.toml"
    path.write_text(
        path.read_text().replace('storage = ""', f'storage = "sqlite:///{tmp_path}/x.db?password=tigerone"')
    )
    line = refused(
        "sample", "--study", "s", "--trials", "1", "--storage", f"sqlite:///{tmp_path}/x.db?password=tigertwo"
    )
    assert "?password=***, not another one" in line and "tiger" not in line


@pytest.mark.parametrize(
    ("options", "images"),
    [({"data": "fractal:classes=2,train=10,validation=4"}, 16), ({"share": 0.5}, 32), ({"recipe": "adjust"}, 64)],
)
def test_few_images_are_told_when_the_study_is_made(tmp_path, options, images):
    settings, doubts = settings_of(tmp_path, StudyOptions(**{**OPTIONS, "r": (1.0, 1.4), **options}))
    batch = settings.recipe.batch_size
    assert f"warning: {images} images to train on make no batch of {batch}, and no training will begin" in doubts[0]
    assert "batch_size in [recipe] of study.toml" in doubts[0]


@pytest.mark.parametrize(
    ("bounds", "said"), [(None, True), ((0.5, 1.4), True), ((1.0, 1.0), False), ((1.0, 1.4), False)]
)
def test_that_no_network_is_smaller_than_its_stride_is_told(tmp_path, bounds, said):
    _, doubts = settings_of(tmp_path, StudyOptions(**OPTIONS, r=bounds))
    told = "warning: r below 1 is not possible: nothing is smaller than 32 px"
    assert doubts == ([told] if said else [])


def test_a_working_folder_that_was_deleted_is_one_line(refused, monkeypatch):
    def gone():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("os.getcwd", gone)
    for command in ("doctor", "bases", "predict"):
        assert "the working folder is not there any more" in refused(command)


@pytest.mark.parametrize("seed", [-1, 2**32, 1_700_000_000_000, 0.5])
def test_no_function_takes_a_seed_out_of_range(published, seed):
    frame = pd.DataFrame({"width": [8, 16, 24, 32], "macs": [1, 4, 9, 16], "accuracy": [0.5, 0.6, 0.7, 0.8]})
    for call in (
        lambda: planner.fit(published, seed=seed),
        lambda: planner.fit_surrogate(frame, ["width"], seed=seed),
        lambda: planner.propose(frame, frame.drop(columns="accuracy"), inputs=["width"], seed=seed),
        lambda: planner.ExactCostSampler(lambda _: 1.0, seed=seed),
    ):
        with pytest.raises(InputError, match="seed (is|must be)"):
            call()
