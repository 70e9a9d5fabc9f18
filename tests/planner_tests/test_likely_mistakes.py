"""The likeliest mistakes, each made for real: one line that says what is wrong, where, and what to do."""

import errno
import shutil
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import planner
from planner.errors import InputError


def pictures(folder, classes=("cat", "dog")):
    """A folder of pictures, four of each class."""
    pixels = np.random.default_rng(0)
    for label in classes:
        (folder / label).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(pixels.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / label / f"{index}.png")


def study(folder, text, old="", new=""):
    """A study's folder with a changed study.toml."""
    folder.mkdir(parents=True)
    assert old in text
    (folder / "study.toml").write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def ready(tmp_path_factory, published, shipped, ten_trained):
    """A folder with everything that is wrong somewhere."""
    here = tmp_path_factory.mktemp("mistaken")
    pictures(here / "photos")
    pictures(here / "corrupt")
    (here / "corrupt" / "cat" / "1.png").write_bytes(b"no picture")
    pictures(here / "hole")
    (here / "hole" / "owl").mkdir()
    np.savez(here / "wrong.npz", images=np.zeros(3))
    (here / "cut.npz").write_bytes(b"PK no archive")
    table = pd.read_csv(published)
    table.to_csv(here / "t.csv", index=False)
    table.drop(columns="accuracy").to_csv(here / "noacc.csv", index=False)
    table.assign(accuracy=table["accuracy"] * 100).to_csv(here / "percent.csv", index=False)
    table.assign(accuracy=[np.nan, *table["accuracy"][1:]]).to_csv(here / "nan.csv", index=False)
    table.assign(macs=[-5, *table["macs"][1:]]).to_csv(here / "negative.csv", index=False)
    shipped.save(here / "f.json")
    (here / "cut.json").write_text((here / "f.json").read_text()[:5000])
    settings = (ten_trained / "study.toml").read_text()
    results = here / "results"
    shutil.copytree(ten_trained, results / "mine")
    study(results / "new", settings)
    study(results / "torn", settings, "[data]", "[data")
    study(results / "typed", settings, "side = 90", 'side = "ninety"')
    study(results / "misspelt", settings, "[space]", "[space]\nresolutoin = 3")
    study(results / "damaged", settings)
    (results / "damaged" / "ledger.db").write_bytes(b"no database" * 1000)
    return here


# The command line, and what its refusal must say: what is wrong, where, and what to do.
MISTAKES = {
    "cost efficientnet_b00": (
        "base network 'efficientnet_b00' is unknown",
        "nearest: efficientnet_b0,",
        "planner bases",
    ),
    "predict --flops 200": ("200 MACs is outside the 24.36M to 37.75G", "with its unit, as 200M"),
    "predict --flops 200MB": ("--flops", "'200MB' is not a count", "such as 200M"),
    "predict --flops 15M": ("15M MACs is outside the 24.36M to 37.75G", "a budget inside, or give --extrapolate"),
    "train --study none": ("no study in results/none", "make one with `planner run --study none`"),
    "predict --flops 2M --study mine": ("results/mine: no formula yet", "run `planner fit --study mine`"),
    "sample --study x --trials 3 --data imagefolder:none": ("/none is not a folder", "check the path"),
    "sample --study x --trials 3 --data imagefolder:corrupt": ("1 of 8 images", "corrupt/cat/1.png", "--skip-corrupt"),
    "sample --study x --trials 3 --data imagefolder:hole": ("hole/owl has no images", "add some or remove the folder"),
    "sample --study x --trials 3 --data photos": ("data source 'photos' is unknown", "imagefolder:PATH"),
    "sample --study x --trials 3 --data npz:wrong.npz": ("wrong.npz lacks the keys", "an image archive has ['jpeg'"),
    "sample --study x --trials 3 --data npz:cut.npz": (
        "cut.npz is no readable npz",
        "(not a zip file)",
        "save it again",
    ),
    "sample --study x --trials 3 --recipe fastest": ("recipe 'fastest' is unknown", "known recipes: fast, tinynet"),
    "status --study torn": ("results/torn/study.toml: not TOML", "line 5", "mend that line"),
    "status --study typed": ("results/typed/study.toml: data.side", "(given: 'ninety'); mend that value"),
    "status --study misspelt": ("misspelt/study.toml: space.resolutoin", "correct its name or remove it"),
    "status --study damaged": (
        "results/damaged/ledger.db is damaged (file is not a database)",
        "restore it from a copy",
    ),
    "train --study new --workers -1": ("'--workers': -1 is not in the range", "planner train --help"),
    "run --study new --trials 3 --epochs 9": ("new was made with --epochs 3, not 9", "leave the option out, or"),
    "fit noacc.csv": (
        "noacc.csv: no column accuracy",
        "its columns are trial, status",
        "and 10 more",
        "add it, or rename",
    ),
    "fit nan.csv": ("nan.csv: accuracy of row 1 is missing", "a number is wanted"),
    "fit negative.csv": ("negative.csv: row 1 has", "macs -5", "macs be positive"),
    "fit f.json": ("f.json: not a CSV table", "give one row per training, with a header"),
    "fit --study new": ("results/new: no finished training", "run `planner train` first"),
    "report --study new": ("results/new: no finished training to report", "run `planner sample --study new`"),
    "front t.csv --out front.xlsx": ("--out front.xlsx", "name such a file"),
    "predict --flops 200M --formula cut.json": ("cut.json: not a formula file", "write it again with `planner fit"),
    "predict --flops 200M --formula f.json --base resnet50": (
        "f.json is a formula for efficientnet_b0",
        "leave --base",
    ),
    "predict --latency 12ms": ("results/latency.json: no latency model", "measure with `planner latency BASE"),
    "latency fit --from t.csv": ("t.csv: no column latency_ms", "add it, or rename the one that holds it"),
    "propose --study mine --method best": ("'--method': 'best' is not one of 'bayes'", "planner propose --help"),
    "scale efficientnet_b0 --method best --flops 200M": ("method 'best' is unknown", "known: compound, fast"),
    "compare --study mine": ("give the budgets to compare at", "such as --flops 60M,120M"),
    "audit t.csv --target acc --proxy r": ("t.csv: no column acc", "did you mean accuracy?"),
    "audit t.csv --proxy r": ("no target given", "--target"),
    "export --study mine --to timm --trial 99": ("results/mine: there is no trial 99", "`planner front` list them"),
}


@pytest.fixture
def refused(run, ready, tmp_path):
    """A function: the one line with which a command line is refused, in a copy of that folder."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)

    def line(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), err
        assert err.startswith("planner: ") and err.endswith("\n") and err.count("\n") == 1, err
        return err

    return line


@pytest.mark.parametrize("line", MISTAKES)
def test_a_likely_mistake_is_refused_in_one_line_with_its_remedy(refused, line):
    told = refused(*line.split())
    assert [words for words in MISTAKES[line] if words not in told] == [], told
    assert "Traceback" not in told and "np." not in told


def test_a_study_that_another_process_trains_is_left_to_it(refused):
    from planner.study import open_ledger

    with open_ledger("new").coordinating():
        for command in ("train", "propose"):
            told = refused(command, "--study", "new")
            assert "results/new: another process is training this study; wait for it or stop it" in told


@pytest.mark.parametrize(
    ("device", "words"),
    [("cuda:99", "CUDA devices; use --device cpu"), ("gpu", "torch has no such device; use cpu, cuda or cuda:N")],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_trained(run, refused, device, words):
    assert run("sample", "--study", "x", "--trials", 2, "--data", "imagefolder:photos", "--resolution", 32)[0] == 0
    told = refused("train", "--study", "x", "--device", device)
    assert f"--device {device}: " in told and words in told
    assert "2 wait" in run("status", "--study", "x")[1]


@pytest.mark.parametrize(
    ("package", "line", "extra"),
    [("onnx", "export --flops 200M --to onnx", "onnx"), ("pyarrow", "front t.csv --out front.parquet", "parquet")],
)
def test_what_needs_an_extra_names_it(refused, monkeypatch, package, line, extra):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    assert f"pip install 'scaling-planner[{extra}]'" in refused(*line.split())


def test_a_disk_that_cannot_be_written_is_told_with_the_file(refused, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("trainer.files.os.replace", read_only)
    assert "f2.json: Read-only file system; choose another --out" in refused("fit", "t.csv", "--out", "f2.json")
    told = refused("sample", "--study", "x", "--trials", 2, "--data", "imagefolder:photos", "--resolution", 32)
    assert "Read-only file system" in told and "results/x" in told


def test_a_file_where_results_should_be_is_told_in_one_line(refused, tmp_path):
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "results").write_text("")
    told = refused("sample", "--study", "x", "--trials", 2, "--data", "imagefolder:photos")
    assert "results/x" in told and "Not a directory" in told


def test_accuracies_in_percent_are_understood_and_told(run, refused):
    code, _, err = run("fit", "percent.csv", "--out", "p.json", "--raw")
    assert (code, err) == (0, "percent.csv: accuracy looks like percent; divided by 100\n")
    shares = [point["accuracy"] for point in planner.Formula.load("p.json").front]
    assert shares == pytest.approx([point["accuracy"] for point in planner.fit("t.csv", raw=True).front])


def test_a_study_with_too_few_trainings_gets_its_initial_design_instead_of_proposals(run, refused):
    code, out, err = run("propose", "--study", "new", "-n", 2)
    assert (code, err) == (0, "") and "0 are trained" in out and "queued instead of proposals" in out


TABLE = pd.DataFrame({"r": [0.5, 1, 2], "macs": [1, 2, 4], "accuracy": [0.5, 0.6, 0.7]})
CALLS = {
    "fit_surrogate: input": (lambda: planner.fit_surrogate(TABLE, inputs=["res"]), "no column res; its columns are r,"),
    "fit_surrogate: target": (lambda: planner.fit_surrogate(TABLE, ["r"], "acc"), "no column acc", "mean accuracy?"),
    "fit_surrogate: a word": (lambda: planner.fit_surrogate(TABLE, inputs="r"), "'r'; a list of", "names is wanted"),
    "propose: input": (lambda: planner.propose(TABLE, TABLE, inputs=["res"]), "no column res; its columns are r,"),
    "propose: target": (lambda: planner.propose(TABLE, TABLE, inputs=["r"], target="top1"), "no column top1", "add it"),
    "propose: cost": (lambda: planner.propose(TABLE, TABLE, inputs=["r"], cost="mac"), "no column mac;", "mean macs?"),
    "propose: all tried": (lambda: planner.propose(TABLE, TABLE, inputs=["r"]), "none of 3 rows is left", "give more"),
    "fit: no accuracy": (lambda: planner.fit(TABLE[["r", "macs"]]), "the table: no column accuracy", "add it"),
    "Formula.load": (lambda: planner.Formula.load("none.json"), "none.json: No such file", "planner fit --out"),
    "base": (lambda: planner.base("b0"), "base network 'b0' is unknown; nearest: efficientnet_b0", "planner bases"),
    "complexity": (lambda: planner.complexity("efficientnet_b0", resolution=-3), "between 1 and 16384, got -3"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_mistake_in_python_says_the_same(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, *wanted = CALLS[name]
    with pytest.raises(InputError) as error:
        call()
    told = str(error.value)
    assert "\n" not in told and [words for words in wanted if words not in told] == [], told


def test_building_a_name_is_refused_with_what_to_write():
    import planner

    with pytest.raises(InputError, match=r"takes an architecture, got 'efficientnet_b0'; .* base\(name\).architecture"):
        planner.build("efficientnet_b0")


def test_a_budget_in_words_or_an_unknown_space_is_refused_in_python(shipped):
    with pytest.raises(InputError, match="a positive number of MACs, got '200M'; give one such as 200e6"):
        shipped.predict(macs="200M")
    with pytest.raises(InputError, match="space is 'stages'; uniform or stage is wanted"):
        shipped.predict(macs=200e6, space="stages")


def test_the_damaged_archive_of_these_tests_is_none(ready):
    assert not zipfile.is_zipfile(ready / "cut.npz") and zipfile.is_zipfile(ready / "wrong.npz")
