"""`planner studies`: the list, other names, removing."""

import json
import os
import shutil

import pytest

from planner.study.folder import folder_of
from planner.study.locks import FolderLock
from planner.study.opening import open_ledger


def listed(run):
    return {one["name"]: one for one in json.loads(run("studies", "--json")[1])["studies"]}


def tree(folder):
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_no_studies_are_said_and_nothing_is_made(run, tmp_path):
    assert run("studies")[:2] == (0, "no studies in results/; make one with `planner run`\n")
    assert os.listdir(tmp_path) == []


def test_the_list_says_how_each_study_stands_and_writes_nothing(mine, run, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(results / "mine", results / "torn")
    (results / "torn" / "study.toml").write_text("[data")
    shutil.copytree(results / "mine", results / "damaged")
    (results / "damaged" / "ledger.db").write_bytes(b"no database" * 1000)
    shutil.copytree(results / "mine", results / "elsewhere")
    text = (results / "mine" / "study.toml").read_text()
    (results / "elsewhere" / "study.toml").write_text(
        text.replace('storage = ""', 'storage = "postgresql://me:tiger@127.0.0.1:1/db"')
    )
    (results / "mine" / "formula.json").write_text("{}")
    (results / "no study").mkdir()
    before = tree(tmp_path)
    code, out, err = run("studies")
    assert code == 0 and "mine *" in out and "efficientnet_b0" in out and "tiger" not in out + err
    found = listed(run)
    counts = {name: (one["base"], one["trained"], one["waiting"], one["formula"]) for name, one in found.items()}
    assert counts == {
        "mine": ("efficientnet_b0", 10, 0, True),
        "torn": (None, None, None, False),
        "damaged": ("efficientnet_b0", None, None, False),
        "elsewhere": ("efficientnet_b0", None, None, False),
    }
    assert [name for name, one in found.items() if one["last"]] == ["mine"]
    assert tree(tmp_path) == before


def test_a_renamed_study_is_the_same_and_still_the_last_used(mine, run, tmp_path):
    before = mine.frame()
    assert run("studies", "rename", "mine", "ours")[:2] == (0, "mine is results/ours now\n")
    assert folder_of(None).name == "ours" and not (tmp_path / "results" / "mine").exists()
    assert open_ledger("ours").frame().equals(before) and open_ledger("ours").counts() == mine.counts()


def test_a_name_that_is_taken_or_impossible_is_refused(mine, new_folder, refused, tmp_path):
    before = tree(tmp_path)
    assert "results/other is there already; take another name" in refused("studies", "rename", "mine", "other")
    assert "letters, digits, dot, dash and underscore" in refused("studies", "rename", "mine", "../out")
    assert "no study in results/min; " in refused("studies", "rename", "min", "new")
    assert "or name another: mine" in refused("studies", "rm", "min", "--yes")
    assert "did you mean rename?" in refused("studies", "renam", "mine", "new")
    assert {name: tree(tmp_path)[name] for name in before} == before and not (tmp_path / "out").exists()


@pytest.fixture
def new_folder(tmp_path):
    """A folder that is no study, with something in it."""
    (tmp_path / "results" / "other").mkdir(parents=True)
    (tmp_path / "results" / "other" / "theirs").write_text("theirs")


@pytest.mark.parametrize("line", ["rm mine --yes", "rename mine ours"])
def test_a_study_that_is_trained_is_left_to_it(mine, refused, tmp_path, line):
    with FolderLock(tmp_path / "results" / "mine").coordinating():
        assert "results/mine: another process is training this study" in refused("studies", *line.split())
    assert open_ledger("mine").counts()["ok"] == 10


def test_a_study_is_removed_only_when_one_says_so(mine, run, refused, tmp_path):
    assert "results/mine stays; answer y, or give --yes" in refused("studies", "rm", "mine")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "theirs").write_text("theirs")
    (tmp_path / "results" / "mine" / "cache").symlink_to(tmp_path / "outside")
    assert run("studies", "rm", "mine", "--yes")[:2] == (0, "removed: results/mine\n")
    assert tree(tmp_path) == {"outside/theirs": b"theirs"} and folder_of(None).name == "study"


def test_only_a_study_s_own_folder_is_removed(mine, new_folder, refused, tmp_path):
    shutil.move(tmp_path / "results" / "mine", tmp_path / "real")
    (tmp_path / "results" / "mine").symlink_to(tmp_path / "real")
    before = tree(tmp_path)
    assert "results/mine is a link to" in refused("studies", "rm", "mine", "--yes")
    assert "no study in results/other" in refused("studies", "rm", "other", "--yes")
    for name in ("..", ".", "", "/", "mine/observations"):
        refused("studies", "rm", name, "--yes")
    assert tree(tmp_path) == before


def test_a_study_in_a_shared_storage_keeps_its_name(mine, refused, tmp_path):
    path = tmp_path / "results" / "mine" / "study.toml"
    path.write_text(path.read_text().replace('storage = ""', f'storage = "sqlite:///{tmp_path}/shared.db"'))
    assert "keeps the name mine" in refused("studies", "rename", "mine", "ours")


def test_a_study_that_is_not_there_is_said_wherever_one_is_named(mine, refused):
    for line in ("predict --flops 3M", "fit", "status", "train", "report", "front", "export --flops 3M --to timm"):
        assert "no study in results/mime" in refused(*line.split(), "--study", "mime"), line


def test_a_misspelt_command_is_named(refused):
    assert "No such command 'pedict'; did you mean predict?" in refused("pedict")
    assert "No such command 'inf'; did you mean info?" in refused("data", "inf")
    assert "No such command 'zzz'; known: bases, cost" in refused("zzz")
