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
from planner.cli import COMMANDS
from planner.errors import InputError, PlannerError


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
    (here / "empty.csv").write_text("")
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
    "train --study mine --hours nan": ("'--hours': nan is no finite number", "give one (see `planner train --help`)"),
    "train --study mine --minutes inf": (
        "'--minutes': inf is no finite number",
        "give one (see `planner train --help`)",
    ),
    "front t.csv --share nan": ("'--share': nan is no finite number", "give one (see `planner front --help`)"),
    "sample --study x --seed 1e3": ("'--seed': '1e3' is not a valid whole number", "planner sample --help"),
    "studies rm nosuch": ("no study in results/nosuch", "`planner studies` lists them"),
    "studies rename mine new": ("results/new", "is there already"),
    "cost efficientnet_b00": (
        "base network 'efficientnet_b00' is unknown",
        "nearest: efficientnet_b0,",
        "planner bases",
    ),
    "predict --flops 200": ("200 MACs is outside the 1.004M to 11.51M", "with its unit, as 200M"),
    "predict --flops 200MB": ("--flops", "'200MB' is not a count", "such as 200M"),
    "predict --flops 15M": ("15M MACs is outside the 1.004M to 11.51M and 24.36M to", "inside, or give --extrapolate"),
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
    "fit nan.csv": ("nan.csv: accuracy of row 1 (line 2) is missing", "leave the row out"),
    "fit negative.csv": ("negative.csv: macs of row 1 (line 2) is -5", "a number from 1 to 1e18"),
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
    "calibrate --study mine --proxy epoch=2": ("'epoch'", "epochs"),
    "audit t.csv --target acc --proxy r": ("t.csv: no column acc", "did you mean accuracy?"),
    "audit t.csv --proxy r": ("no target given", "--target"),
    "export --study mine --to timm --trial 99": ("results/mine: there is no trial 99", "`planner front` list them"),
    "pedict --flops 200M": ("No such command 'pedict'", "did you mean predict"),
    "xyz": ("No such command 'xyz'", "known: bases, cost,"),
    "predict": ("no budget", "give --flops, --params, --latency or --memory"),
    "predict --flps 200M": ("No such option", "--flops"),
    "predict --flops -200M": ("'-200M' is not a count", "write a number"),
    "predict --flops nan": ("'nan' is not a count", "write a number"),
    "predict --flops 1,500M": ("can be read in two ways", "write 1500 or 1.5"),
    "predict --flops 4Mparams": ("is not a count of MACs", "use the option for the other"),
    "predict --params 0.5": ("is not between 1 and 1e18", "write a count"),
    "predict --memory 8Mb/s": ("is not a size", "such as 8MB"),
    "predict --latency 12": ("is not a duration", "such as 12ms"),
    "predict --params 1k": ("at most 1k params cannot be kept", "give more, or take another base network"),
    "predict --flops 200M --dtype float16": ("--dtype has no effect without --memory", "leave --dtype out"),
    "predict --flops 200M --space stages": ("'stages' is not one of", "planner predict --help"),
    "predict --flops 200M --formula f.json --study mine": ("give --formula or --study", "not both"),
    "predict --flops 200M --formula absent.json": ("absent.json: No such file", "give a formula written by"),
    "predict --flops 200M --formula photos": ("photos: Is a directory", "give a formula written by"),
    "predict --flops 200M --formula t.csv": ("t.csv: not a formula file", "write it again with `planner fit"),
    "predict --flops 200M --base efficientnet-b0": (
        "base network 'efficientnet-b0' is unknown",
        "nearest: efficientnet_b0",
    ),
    "predict --flops 2M --study nosuch": ("no study in results/nosuch", "make one with `planner run --study nosuch`"),
    "predict --flops 200M --classes 0": ("classes must be between 1 and", "got 0"),
    "predict --flops 200M --base-resolution 8": ("below efficientnet_b0's stride of 32", "use at least that"),
    "cost": ("Missing argument 'BASE'", "planner cost --help"),
    "cost resnet18 --width 0": ("the width multiplier must lie in (0, 1000]", "got 0"),
    "cost resnet18 --width nan": ("the width multiplier", "got nan"),
    "cost resnet18 --widths 64,128": ("resnet18 has 4 stages, but widths gives 2",),
    "cost resnet18 --widths 64,128,wide,512": ("is not a list of whole numbers such as 16,24,40",),
    "cost resnet18 --rule efficient": ("scaling rule 'efficient' is unknown", "known rules: efficientnet"),
    "cost resnet18 --resolution 10": ("10 px is below resnet18's stride of 32", "use at least that"),
    "cost resnet18 --depths 2,2,2,2 --depth 2": ("--depth has no effect beside --depths", "leave it out"),
    "fit": ("no study in results/study", "make one with `planner run"),
    "fit t.csv --study mine": ("give a table or --study, not both",),
    "fit absent.csv": ("absent.csv: No such file", "give a CSV file of"),
    "fit photos": ("photos: Is a directory", "give a CSV file of"),
    "fit empty.csv": ("empty.csv", "not a CSV table", "with a header"),
    "fit t.csv --kind linear": ("'linear' is not one of", "planner fit --help"),
    "fit t.csv --share 0": ("--share", "planner fit --help"),
    "fit t.csv --prior nothing": (
        "--prior nothing: neither a formula file nor a study",
        "run `planner fit --study nothing`",
    ),
    "fit t.csv --out photos": ("photos", "is a directory"),
    "fit t.csv --out t.csv/f.json": ("t.csv", "choose another --out"),
    "fit t.csv --seed -1": ("--seed", "-1 is not in the range"),
    "front t.csv --share 2": ("--share", "planner front --help"),
    "front t.csv --out f.txt": ("tables are written as .csv or .parquet", "name such a file"),
    "report t.csv --study mine": ("give a table or --study, not both",),
    "report t.csv --out t.csv/r.html": ("a folder of its path is a file", "choose another --out"),
    "report t.csv --formula absent.json": ("absent.json: No such file", "planner fit --out"),
    "export --flops 200M --to timm --out model.txt": ("--to timm writes .py", "name a .py file"),
    "export --flops 200M --to onnx --out photos": ("photos: a folder", "name the .onnx file"),
    "export --flops 200M --to timm --out my-net.py": ("'my-net' cannot be imported", "letters, digits and underscores"),
    "export --flops 200M --to timm --out t.csv/net.py": ("a folder of its path is a file", "choose another --out"),
    "export --flops 200M": ("--to", "planner export --help"),
    "export --to timm --trial 1 --flops 2M": (
        "--trial names the network",
        "leave budgets and the formula's options out",
    ),
    "scale efficientnet_b0 --method fast": ("give --flops, such as 400M, or --scale", "such as 2"),
    "scale efficientnet_b0 --method fast --flops 1": ("rules are for", "take a base network or a resolution nearer"),
    "scale efficientnet_b0 --method fast --flops 200M --alpha 2": (
        "does not take alpha",
        "leave it out, or take compound",
    ),
    "scale efficientnet_b0 --method fast --flops 200M --workers 2": ("--workers has no effect", "leave it out"),
    "scale resnet18 --method greedy --flops 200M --study mine": (
        "mine is of efficientnet_b0, not of resnet18",
        "name it",
    ),
    "compare --study mine --flops 5M --methods compuond": ("method 'compuond' is unknown", "known"),
    "compare --study mine --flops 5M --plot c.doc": ("--plot c.doc",),
    "compare --study mine --curves": ("--curves draws a picture", "such as --plot curves.svg"),
    "propose --study mine -n 0": ("'-n'", "planner propose --help"),
    "propose --study mine --repeat 99": ("there is no trial 99",),
    "propose --study mine --epochs 99": ("--epochs [99]", "between 1 and the study's own 3"),
    "audit t.csv --proxy nothere --target accuracy": ("no column nothere", "add it"),
    "audit t.csv --proxy r --target accuracy --plot p.xyz": ("--plot p.xyz",),
    "score --study mine": ("no score asked for", "give --zen, --inherit EPOCHS or both"),
    "data info nosuch:photos": ("data source 'nosuch:photos' is unknown", "known"),
    "data make folder --from none": ("none is not a folder", "check the path"),
    "data make folder --from photos --out p.zip": ("does not end in .npz",),
    "latency resnet18 --stage 2": ("--stage belongs to --sweep width", "add it, or leave --stage out"),
    "latency resnet18 --sweep resolution --no-measure --threads 2": ("--threads has no effect beside", "leave it out"),
    "latency resnet18 --device cuda:77": ("cuda:77",),
    "train --study mine --slurm-option partition=gpu": ("slurm",),
    "train --study mine --engine rey": ("'rey' is not one of 'local', 'ray', 'slurm'", "planner train --help"),
    "sample --study x": ("Missing option '--trials'", "planner sample --help"),
    "sample --study a/b --trials 3": ("--study 'a/b': letters, digits, dot, dash and underscore are wanted",),
    "sample --study x --trials 3 --rule efficient": ("scaling rule 'efficient' is unknown", "known rules"),
    "status --study mine --flops 3M": ("No such option", "--flops"),
    "doctor now": ("unexpected extra argument", "planner doctor --help"),
    "ask --study none": ("no study in results/none", "planner ask --study none --base resnet18 --classes 10"),
    "ask --study mine --within 6": ("'6' is not a duration", "such as 2h"),
    "tell 0 --study mine": ("say how the training ended", "--score S, or --failed REASON"),
    "tell 0 --study mine --score 0.5": ("trial 0 is not being trained: it was told before (ok, ",),
    "finish --study mine": ("say which network", "a budget such as --flops 3M, or --trial N"),
    "finish --study mine --trial 0 --flops 3M": ("--flops has no effect beside --trial", "leave it out"),
    "finish --study mine --trial 99": ("there is no trial 99", "trials.csv"),
    "tell 99 --study mine --score 0.5": ("there is no trial 99", "trials.csv"),
    "sample --study x --trials 2 --classes 3 --command nosuch": ("--command", "the program nosuch is not there"),
    "sample --study x --trials 2 --classes 3 --command python{size}": ("{size} is unknown", "known: base resolution"),
    "train --study mine --limit 2": ("'--limit': '2' is not a duration", "such as 2h"),
    "predict --flops": ("Option '--flops' requires an argument", "planner --help"),
    "export --to timm --architecture f.json": (
        "f.json: no resolution or stem",
        "give what `planner predict --json` prints",
    ),
}


# Those that open the ledger of a study, which its database notes.
OPENING = (
    "propose --study mine --repeat 99",
    "propose --study mine --epochs 99",
    "tell 0 --study mine --score 0.5",
    "tell 99 --study mine --score 0.5",
)


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


def tree(folder):
    """Every file below a folder with its bytes; which study was used last is remembered whatever became of it."""
    paths = (path for path in folder.rglob("*") if path.name != ".last-study")
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_likely_mistake_is_refused_in_one_line_with_its_remedy_and_leaves_nothing_behind(refused, tmp_path, line):
    before = tree(tmp_path)
    told = refused(*line.split())
    assert [words for words in MISTAKES[line] if words not in told] == [], told
    assert "Traceback" not in told and "np." not in told
    assert line in OPENING or tree(tmp_path) == before


def test_at_least_45_mistakes_of_every_command_but_next_and_bases_are_among_them():
    assert len(MISTAKES) >= 45
    assert {line.split()[0] for line in MISTAKES} >= {*COMMANDS} - {"next", "bases"}


def test_a_study_that_another_process_trains_is_left_to_it(refused):
    from planner.study.opening import open_ledger

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
    assert "results: File exists; remove it" in told


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


def test_a_budget_that_is_none_or_an_unknown_space_is_refused_in_python(shipped):
    for bad in (None, True, -1, 0, float("nan"), 10**400, {}, [[2e8]], ["x"], "200 apples", np.complex128(1)):
        with pytest.raises(PlannerError, match="a positive number of MACs, got|is not a count"):
            shipped.predict(bad)
    with pytest.raises(InputError, match="space is 'stages'; uniform or stage is wanted"):
        shipped.predict(macs=200e6, space="stages")


def test_budgets_in_python_are_numbers_or_texts_one_or_many(shipped):
    wanted = [shipped.predict(macs).macs for macs in (200e6, 3e9)]
    several = (["200M", 3e9], (200_000_000, "3 GFLOPs"), np.array([200e6, 3e9]), pd.Series([200e6, 3e9]))
    for budgets in several:
        assert [one.macs for one in shipped.predict(budgets)] == wanted
    for budget in ("200,000,000", np.float32(200e6), np.array(200e6)):
        assert shipped.predict(budget).macs == wanted[0]
    assert shipped.predict([]) == []


def test_the_damaged_archive_of_these_tests_is_none(ready):
    assert not zipfile.is_zipfile(ready / "cut.npz") and zipfile.is_zipfile(ready / "wrong.npz")
