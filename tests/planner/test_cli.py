"""The command line: its numbers, its files, and one line for each of the likeliest mistakes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import ANY

import pandas as pd
import pytest

from sampler import Architecture, SearchSpace, random_design
from sampler.complexity import architecture_complexity, count
from trainer.score import ACCURACY, Score

# Published networks: resolution, width and depth multipliers, rule; exact MACs and params of the released models.
PUBLISHED = {
    "tinynet_a": (192, 1.0, 1.2, "tinynet", 336_867_712, 6_187_972),
    "tinynet_b": (188, 0.75, 1.1, "tinynet", 200_709_360, 3_730_562),
    "tinynet_c": (184, 0.54, 0.85, "tinynet", 99_536_432, 2_457_234),
    "tinynet_d": (152, 0.54, 0.695, "tinynet", 51_580_656, 2_338_446),
    "tinynet_e": (106, 0.51, 0.6, "tinynet", 24_356_848, 2_042_972),
    "efficientnet_b1": (240, 1.0, 1.1, "efficientnet", 686_802_832, 7_794_184),
    "efficientnet_b4": (380, 1.4, 1.8, "efficientnet", 4_393_771_024, 19_341_616),
}


def answer(run, *arguments):
    """What a command prints as JSON, and nothing else."""
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    return json.loads(out)


def refused(run, *arguments):
    """The one line with which a command line is refused, with exit code 2."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, ""), err
    assert err.startswith("planner: ") and err.endswith("\n") and err.count("\n") == 1
    return err


@pytest.fixture(scope="module")
def formula(compound_frame):
    """A formula that covers 10 to 100 % of the base network's MACs."""
    from planner.fitting.fit import fit

    return fit(compound_frame(0.2, 0.3, 0.1, 1.0, rows=8))


@pytest.fixture
def mine(formula, tmp_path):
    """A study `mine` with that formula, as the last one used."""
    (tmp_path / "results" / "mine").mkdir(parents=True)
    formula.save(tmp_path / "results" / "mine" / "formula.json")
    (tmp_path / "results" / ".last-study").write_text("mine\n")


def test_the_base_network_costs_what_its_release_costs(run):
    found = answer(run, "cost", "efficientnet_b0")
    assert (found["macs"], found["params"]) == (385_814_752, 5_288_548)
    assert found["widths"] == [16, 24, 40, 80, 112, 192, 320]
    assert found["depths"] == [1, 2, 2, 3, 3, 4, 1]
    assert (found["resolution"], found["stem"], found["head"], found["classes"]) == (224, 32, 1280, 1000)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_network_costs_what_its_release_costs(run, name):
    px, width, depth, rule, macs, params = PUBLISHED[name]
    options = ("--resolution", px, "--width", width, "--depth", depth, "--rule", rule)
    found = answer(run, "cost", "efficientnet_b0", *options)
    assert (found["macs"], found["params"]) == (macs, params)


def test_a_cost_by_stages_is_that_of_the_multipliers_that_give_them(run):
    stages = ("--widths", "16,24,32,64,88,144,240", "--depths", "1,2,2,3,3,4,1", "--rule", "tinynet")
    found = answer(run, "cost", "efficientnet_b0", "--resolution", 188, *stages)
    assert (found["macs"], found["params"]) == PUBLISHED["tinynet_b"][4:]


def test_a_cost_for_people_says_the_same(run):
    code, out, _ = run("cost", "efficientnet_b0")
    assert code == 0
    assert "385,814,752" in out and "5,288,548" in out


def test_base_networks_are_listed_with_their_cost(run):
    rows = answer(run, "bases")
    assert {"name": "efficientnet_b0", "macs": 385_814_752, "params": 5_288_548}.items() <= rows[0].items()
    assert rows[0]["stages"] == 7
    code, out, _ = run("bases")
    assert code == 0 and "385,814,752" in out


def test_a_prediction_is_an_architecture_that_costs_the_budget(run):
    found = answer(run, "predict", "--flops", "200M")
    architecture = Architecture(
        found["base"], found["resolution"], found["stem"], tuple(found["widths"]), tuple(found["depths"]), found["head"]
    )
    cost = architecture_complexity(architecture, found["classes"])
    assert (cost.macs, cost.params) == (found["macs"], found["params"])
    assert abs(found["macs"] / 200e6 - 1) <= 0.01
    assert found["budget_macs"] == 200e6
    assert found["in_range"] is True
    assert found["formula"] == "shipped with the planner, from published efficientnet_b0 networks"
    assert found["compound"]["kind"] == "compound"
    assert abs(found["compound"]["macs"] / 200e6 - 1) <= 0.01
    assert found["accuracy"]["lower"] < 0.750 < found["accuracy"]["upper"]  # TinyNet-B has 75.0 % at 201 M


def test_a_prediction_for_people_says_the_same(run):
    found = answer(run, "predict", "--flops", "200M")
    code, out, err = run("predict", "--flops", "0.2G")
    assert (code, err) == (0, "")
    assert f"{found['macs']:,}" in out and f"{found['resolution']} px" in out
    assert " ".join(map(str, found["widths"])) in out
    assert "24.36M to 37.75G MACs" in out and "OUTSIDE" not in out
    assert "why: the formula answers: no surrogate of the accuracy tells one network from another (14 trainings" in out
    assert f"  inverse compound (EfficientNet's constants): {found['compound']['macs']:,} MACs, " in out
    assert "  best training: efficientnet_b-1, 74.7% measured, 199,729,792 MACs, 192 px" in out


def test_an_extrapolation_says_so(run):
    assert answer(run, "predict", "--flops", "15M", "--extrapolate")["in_range"] is False
    assert "OUTSIDE that range: an extrapolation" in run("predict", "--flops", "15M", "--extrapolate")[1]


def test_where_compound_scaling_has_no_answer_the_prediction_stands_alone(run, monkeypatch):
    from planner.answers import question
    from sampler import InputError

    @dataclass
    class Hopeless:
        score: Score = ACCURACY
        macs_range = (1e6, 1e12)

        def predict(self, *_, **__):
            raise InputError("no width at 32 px costs that")

    monkeypatch.setattr(question, "compound", lambda *_: Hopeless())
    assert answer(run, "predict", "--flops", "200M")["compound"] is None


def test_a_prediction_for_another_task_counts_its_classes_and_resolution(run):
    found = answer(run, "predict", "--flops", "20M", "--base-resolution", "96", "--classes", "10")
    assert found["classes"] == 10
    assert found["r"] == found["resolution"] / 96
    assert found["macs"] <= 20.2e6


@pytest.mark.usefixtures("mine")
def test_the_last_studys_formula_answers_where_it_covers_the_budget(run):
    assert answer(run, "predict", "--flops", "200M")["formula"] == "results/mine/formula.json"
    assert answer(run, "predict", "--flops", "200M", "--study", "mine")["formula"] == "results/mine/formula.json"
    # Beyond what it was fitted on the shipped formula answers, unless the study is asked for by name.
    assert answer(run, "predict", "--flops", "30M")["formula"].startswith("shipped with the planner")
    assert "30M MACs is outside the 38.58M to 385.8M" in refused(run, "predict", "--flops", "30M", "--study", "mine")


@pytest.mark.usefixtures("mine")
def test_a_formula_file_answers_before_the_last_study(run, formula, tmp_path):
    formula.save(tmp_path / "other.json")
    assert answer(run, "predict", "--flops", "200M", "--formula", "other.json")["formula"] == "other.json"


def test_a_damaged_formula_of_the_last_study_is_refused_by_name(run, tmp_path):
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / ".last-study").write_text("mine\n")
    (tmp_path / "results" / "mine" / "formula.json").write_text("{")
    assert "results/mine/formula.json: not a formula file" in refused(run, "predict", "--flops", "200M")


def test_the_front_of_a_table(run, published):
    found = answer(run, "front", published)
    table = pd.read_csv(published)
    assert found["rows"] == len(table) == 14
    # By hand: TinyNet-A is better and cheaper than EfficientNet-B0; no other network is dominated.
    assert {row["trial"] for row in found["front"]} == set(table["trial"]) - {"efficientnet_b0"}
    assert [row["macs"] for row in found["front"]] == sorted(row["macs"] for row in found["front"])
    assert 0.9 < found["spearman"]["r"] <= 1
    code, out, _ = run("front", published)
    assert code == 0 and "of 14 trainings: 13 on the front, dominated by no other; 13 selected for the fit" in out


def test_a_front_is_written_with_all_columns(run, published, tmp_path):
    code, out, _ = run("front", published, "--out", "new/front.csv")
    assert code == 0 and "written: new/front.csv" in out
    written, table = pd.read_csv(tmp_path / "new" / "front.csv"), pd.read_csv(published)
    assert len(written) == 13 and set(table.columns) <= set(written.columns)
    assert set(written["trial"]) == set(table["trial"]) - {"efficientnet_b0"}
    again = answer(run, "fit", "new/front.csv")
    assert (again["points"], again["rows"]) == (13, 13)


def test_a_front_is_written_as_parquet_where_that_can_be(run, published, tmp_path):
    pytest.importorskip("pyarrow")
    assert run("front", published, "--out", "front.parquet")[0] == 0
    run("front", published, "--out", "front.csv")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "front.parquet"), pd.read_csv(tmp_path / "front.csv"), check_dtype=False
    )


def test_a_front_is_not_written_as_something_else(run, published):
    assert "written as .csv or .parquet; name such a file" in refused(run, "front", published, "--out", "front.xlsx")


@pytest.mark.parametrize(
    ("words", "index", "wanted"), [("planner ex", 1, "export"), ("planner export --to t", 3, "timm")]
)
def test_the_shell_completes_commands_and_choices(words, index, wanted, tmp_path):
    asked = {"_PLANNER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
    program = [sys.executable, "-c", "import sys; sys.argv[0] = 'planner'; from planner.cli import main; main()"]
    done = subprocess.run(
        program, cwd=tmp_path, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60
    )
    assert f"plain,{wanted}" in done.stdout.splitlines(), done.stderr


def test_a_front_without_widths_is_still_json(run, compound_frame, tmp_path):
    compound_frame(0.2, 0.3, 0.1, 1.0, rows=8).to_csv(tmp_path / "t.csv", index=False)
    found = answer(run, "front", "t.csv")
    assert found["spearman"] == {"r": pytest.approx(1), "d": pytest.approx(1), "w": None}
    assert found["front"][0]["w"] is None


def test_a_fit_writes_a_formula_that_predicts(run, published, tmp_path):
    found = answer(run, "fit", published, "--out", "new/f.json")
    assert found["formula"] == "new/f.json"
    assert (found["kind"], found["points"], found["rows"]) == ("loglinear", 13, 14)
    assert set(found["slopes"]) == {"shrink", "enlarge"}
    assert (tmp_path / "new" / "f.json").is_file()
    assert answer(run, "predict", "--flops", "200M", "--formula", "new/f.json")["kind"] == "loglinear"


def test_a_fit_for_people_says_its_range_and_error(run, compound_frame, tmp_path):
    compound_frame(0.2, 0.3, 0.1, 1.0, rows=8).to_csv(tmp_path / "t.csv", index=False)
    for kind, words in (
        ("loglinear", "shrink: r ~ c^0.200 ("),
        ("tinynet", "zero-mean Gaussian process on c"),
    ):
        code, out, _ = run("fit", "t.csv", "--kind", kind)
        assert code == 0
        assert f"fitted {kind} to 8 of 8 trainings (8 distinct budgets), 38.58M to 385.8M MACs" in out
        assert words in out and "formula: formula.json" in out


def test_an_explanation_adds_up_and_says_what_other_counters_say(run):
    code, out, _ = run("cost", "resnet50", "--width", "0.5", "--explain", "--json")
    assert code == 0
    found = json.loads(out)
    for name in ("macs", "params", "activations"):
        assert sum(part[name] for part in found["parts"]) == found[name]
    assert [part["part"] for part in found["parts"]] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert [part["side"] for part in found["parts"][:5]] == [112, 56, 28, 14, 7]
    assert found["counters"][0] == {"tool": "torch FlopCounterMode", "value": 2 * found["macs"], "why": ANY}
    code, out, _ = run("cost", "resnet50", "--width", "0.5", "--explain")
    assert code == 0 and f"{found['counters'][2]['value']:,}" in out and "stage 3" in out


def test_milliseconds_are_a_budget_where_a_latency_model_is(run):
    networks = random_design(SearchSpace("efficientnet_b0", 224), n=30, seed=0)
    cost = count(networks)
    frame = pd.DataFrame({"macs": cost.macs, "activations": cost.activations, "params": cost.params})
    frame["latency_ms"] = 1 + cost.macs / 4e7  # a device that adds a millisecond and does 40 MMACs in each
    frame.to_csv("m.csv", index=False)
    code, out, err = run("latency", "fit", "--from", "m.csv", "--out", "results/latency.json")
    assert code == 0, err
    code, out, _ = run("predict", "--latency", "6ms", "--json")
    found = json.loads(out)
    assert code == 0 and found["binding"] == "latency"
    assert 5.8 < found["costs"]["latency"] <= 6 and abs(found["macs"] - 200e6) < 10e6
    code, out, _ = run("predict", "--latency", "6ms", "--flops", "100M", "--params", "9M")
    assert code == 0 and "decided" not in out and "latency" in out
    code, out, err = run("predict", "--latency", "1.01ms")
    assert code == 2 and "at most 1.01 ms latency cannot be kept: the smallest architecture of this formula has" in err


FEW_IMAGES = ("--data", "fractal:classes=2,train=40,validation=20")


def test_nothing_is_queued_that_passes_a_budget(run):
    code, out, err = run(
        "sample", "--study", "s", *FEW_IMAGES, "--trials", "6", "--window", "0.03", "1", "--params", "1M"
    )
    assert code == 0, err
    code, out, err = run("sample", "--study", "s", "--trials", "2", "--memory", "4MB", "--flops", "3M", "--json")
    assert code == 0, err
    from planner.study.opening import open_ledger

    ledger = open_ledger("s")
    cost = count(ledger.tried(), ledger.settings.data.classes)
    assert cost.params.max() <= 1e6 and len(cost.params) == 8
    assert cost.memory[6:].max() <= 4e6 and cost.macs[6:].max() <= 3e6
    code, out, err = run("sample", "--study", "s", "--trials", "2", "--params", "10k")
    assert code == 2 and re.search(r"the least params found between them is [\d,]+, [\d.e+]+ times the 10,000", err)


def test_the_bounds_of_the_multipliers_hold_for_every_architecture_and_are_the_study_s_own(run):
    sample = ("sample", "--study", "s", *FEW_IMAGES, "--trials", "5", "--window", "0.03", "0.5", "--w", "0.2", "0.6")
    code, out, err = run(*sample, "--d", "0.4", "0.9", "--r", "0.6", "0.8")
    assert code == 0, err
    from planner.study.opening import open_ledger

    tried = open_ledger("s").tried()
    assert tried.resolution.min() >= int(0.6 * 64) and tried.resolution.max() <= 0.8 * 64
    assert tried.widths[:, -1].max() <= 0.6 * 320 + 4 and tried.widths[:, -1].min() >= 0.2 * 320 - 4
    assert tried.depths.sum(1).max() <= sum(round(0.9 * depth + 0.5) for depth in (1, 2, 2, 3, 3, 4, 1))
    code, out, err = run("sample", "--study", "s", "--trials", "1", "--w", "0.3", "0.6")
    assert code == 2 and "study s was made with --w 0.2 0.6, not 0.3 0.6" in err


MISTAKES = {
    "sample --trials 3 --w 2 1": "w must be two rising positive numbers, got 2 and 1; equal ones hold it",
    "prdict": "No such command 'prdict'",
    "--nope": "No such option '--nope'",
    "cost": "Missing argument 'BASE'. (see `planner cost --help`)",
    "cost efficientnet_b99": "base network 'efficientnet_b99' is unknown; nearest: efficientnet_b",
    "cost efficientnet_b0 --resolution big": "'big' is not a valid integer",
    "cost efficientnet_b0 --resolution 16": "16 px is below efficientnet_b0's stride of 32",
    "cost efficientnet_b0 --resolution 99999": "resolution must be between 1 and 16384, got 99999",
    "cost efficientnet_b0 --resolution 99999999999999999999": "resolution must be between 1 and 16384, got 99999999",
    "cost efficientnet_b0 --width 0": "the width multiplier must lie in (0, 1000], got 0",
    "cost efficientnet_b0 --width nan": "the width multiplier must lie in (0, 1000], got nan",
    "cost efficientnet_b0 --depth -1": "the depth multiplier must lie in (0, 1000], got -1",
    "cost efficientnet_b0 --widths 16,24": "efficientnet_b0 has 7 stages, but widths gives 2",
    "cost efficientnet_b0 --widths 16,wide": "'16,wide' is not a list of whole numbers such as 16,24,40",
    "cost efficientnet_b0 --depths 1,2,2,3,3,4,0": "depths must be between 1 and 4096, got 0",
    "cost efficientnet_b0 --rule mine": "scaling rule 'mine' is unknown; known rules: efficientnet, inverse",
    "cost efficientnet_b0 --classes 0": "classes must be between 1 and 131072, got 0",
    "predict": "no budget: give --flops, --params, --latency or --memory",
    "predict --params 0": "'0' is not between 1 and 1e18; write a count such as 200M",
    "predict --params nan": "'nan' is not a count",
    "predict --memory -8MB": "'-8MB' is not a size; write a number with kB, MB, GB, KiB, MiB or GiB, such as 8MB",
    "predict --memory 8MB --dtype float8": "'float8' is not one of 'float32', 'float16', 'bfloat16'",
    "predict --memory 0.1MB --params 1M": "at most 100 kB memory cannot be kept: the smallest architecture of this",
    "predict --flops 1G --params 1k": "has 102.3k, 102 times as much; give more, or take another base network",
    "predict --latency 12": "'12' is not a duration; write a number with us, ms or s, such as 12ms",
    "predict --latency 0ms": "'0ms' is not between 0 and 1e6 s; write a duration such as 12ms",
    "predict --latency 12ms": "no latency model for --latency; measure with `planner latency BASE --random 40",
    "predict --latency 12ms --latency-model nowhere.json": "nowhere.json: no latency model",
    "cost efficientnet_b0 --widths 16,24,40,80,112,-192,320": "widths must be between 1 and 131072, got -192",
    "cost efficientnet_b0 --resolution 1000000000000000000000000000000": "resolution must be between 1 and 16384",
    "cost efficientnet_b0 --classes 1000000000000000000000000000000": "classes must be between 1 and 131072, got 10",
    "cost efficientnet_b0 --width 1e30": "the width multiplier must lie in (0, 1000], got 1e+30",
    "predict --flops 1e30": "'1e30' is not between 1 and 1e18",
    "predict 200M": "planner predict --help",
    "predict --flops 5X": "'5X' is not a count; write a number with an optional k, M, G, B or T, such as 200M",
    "predict --flops -5M": "'-5M' is not a count",
    "predict --flops 15M": "15M MACs is outside the 1.004M to 11.51M and 24.36M to 37.75G that these formulas were",
    "predict --flops 900G": "900G MACs is outside the 1.004M to 11.51M and 24.36M to 37.75G",
    "predict --flops 1k --extrapolate": "no width at",
    "predict --flops 200M --base resnet51": "base network 'resnet51' is unknown",
    "predict --flops 200M --classes 0": "classes must be between 1 and 131072, got 0",
    "predict --flops 200M --base-resolution 0": "resolution must be between 1 and 16384, got 0",
    "predict --flops 200M --formula none.json": "none.json: No such file or directory; give a formula written by",
    "predict --flops 200M --formula .": ".: Is a directory; give a formula",
    "predict --flops 200M --formula a.json --study b": "give --formula or --study, not both",
    "predict --flops 200M --study none": "no study in results/none; make one with `planner run --study none`",
    "predict --flops 200M --study ../x": "--study '../x': letters, digits, dot, dash and underscore are wanted",
    "predict --flops 200M --study": "Option '--study' requires an argument",
    "front": "no study in results/study; make one with `planner run --study study`",
    "front none.csv": "none.csv: No such file or directory; give a CSV file of trainings",
    "front none.csv --study x": "give a table or --study, not both",
    "front none.csv --share 0": "0.0 is not in the range 0<x<=1",
    "fit": "no study in results/study; make one with `planner run --study study`",
    "fit none.csv": "none.csv: No such file or directory; give a CSV file of trainings",
    "fit none.csv --kind cubic": "'cubic' is not one of 'loglinear', 'tinynet', 'compound'",
    "fit none.csv --out .": "is a directory",
    "fit none.csv --seed -1": "-1 is not in the range 0<=x<=4294967295",
    "train --study none": "no study in results/none; make one with `planner run --study none`, or name another",
    "train --workers -1": "-1 is not in the range 0<=x<=1024",
    "train --minutes 0": "0.0 is not in the range x>0",
    "sample": "Missing option '--trials'",
    "sample --trials 0": "0 is not in the range 1<=x<=100000",
    "sample --trials 3 --method best": "'best' is not one of 'stratified', 'random', 'sobol'",
    "sample --trials 3 --window 1M": "Option '--window' requires 2 arguments",
    "sample --trials 3 --data nonsense": "nonsense",
    "sample --trials 3 --data imagefolder:none": "none",
    "sample --trials 3 --base resnet51": "base network 'resnet51' is unknown",
    "run --space both": "'both' is not one of 'uniform', 'stage'",
    "run --holdout 1": "1.0 is not in the range 0<=x<=0.9",
    "run --study a/b": "--study 'a/b': letters, digits, dot, dash and underscore are wanted",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_that_says_how_to_mend_it(run, line, tmp_path):
    assert MISTAKES[line] in refused(run, *line.split())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # a refusal leaves nothing behind


def test_a_formula_for_another_base_is_refused(run, shipped, tmp_path):
    shipped.save(tmp_path / "f.json")
    message = refused(run, "predict", "--flops", "200M", "--formula", "f.json", "--base", "efficientnet_b7")
    assert "f.json is a formula for efficientnet_b0, not for efficientnet_b7; leave --base out" in message


def test_a_table_without_enough_points_is_refused(run, compound_frame, tmp_path):
    compound_frame(0.2, 0.3, 0.1, 1.0, rows=3).to_csv(tmp_path / "t.csv", index=False)
    assert "3 trainings of 3 distinct budgets are too few to fit" in refused(run, "fit", "t.csv")
    assert not (tmp_path / "formula.json").exists()


def test_a_file_in_the_way_of_the_answer_is_refused(run, compound_frame, tmp_path):
    (tmp_path / "file").write_text("")
    compound_frame(0.2, 0.3, 0.1, 1.0, rows=4).to_csv(tmp_path / "t.csv", index=False)
    assert "choose another --out" in refused(run, "fit", "t.csv", "--out", "file/f.json")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command_with_what_it_does(run, arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "planner predict --flops 200M" in out
    for command in ("bases", "cost", "sample", "train", "front", "fit", "predict", "run"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize(
    "command", ["bases", "cost", "sample", "train", "front", "fit", "predict", "run", "export", "doctor"]
)
def test_every_command_has_help_with_an_example(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: planner {command}" in out


def test_the_version_is_the_installed_one(run):
    from importlib.metadata import version

    assert run("--version")[:2] == (0, f"planner, version {version('scaling-planner')}\n")


def test_a_defect_keeps_its_traceback(run, monkeypatch):
    import sampler

    def broken(*_, **__):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(sampler, "architecture_complexity", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run("cost", "efficientnet_b0")


def test_being_stopped_says_how_to_go_on(run, monkeypatch):
    import sampler

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sampler, "architecture_complexity", stopped)
    code, out, err = run("cost", "efficientnet_b0")
    assert (code, out, err.strip()) == (130, "", "stopped; the same command goes on from here")


def installed(*arguments, **keywords):
    """The installed program, as a user calls it."""
    program = Path(sys.executable).with_name("planner")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, **keywords)


def test_the_installed_program_answers_and_exits_with_0(tmp_path):
    done = installed("cost", "efficientnet_b0", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["macs"] == 385_814_752


def test_the_installed_program_refuses_with_2_and_one_line(tmp_path):
    done = installed("predict", "--flops", "15M", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("planner: 15M MACs is outside") and done.stderr.count("\n") == 1


def test_a_reader_that_has_had_enough_is_no_error(tmp_path):
    program = f"'{Path(sys.executable).with_name('planner')}' bases | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")  # click ends with 1 where it was cut off


def test_a_base_network_without_a_formula_gets_compound_scaling_and_is_told_so(run):
    found = answer(run, "predict", "--base", "resnet50", "--flops", "2G")
    assert found["kind"] == "compound" and found["base"] == "resnet50" and found["compound"] is None
    assert "learn its own with `planner run --base resnet50`" in found["formula"]
    integers = {name: tuple(found[name]) for name in ("widths", "depths")}
    architecture = Architecture("resnet50", found["resolution"], found["stem"], head=found["head"], **integers)
    assert found["macs"] == architecture_complexity(architecture).macs
    assert abs(found["macs"] / 2e9 - 1) <= 0.01
