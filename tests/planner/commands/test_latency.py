"""`planner latency`: its sweeps, tables and pictures, and one line for each of the likeliest mistakes."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from planner.latency import designs
from planner.latency.measure import Measurement, measurement_table
from sampler import architecture_complexity, base, scaled
from trainer import latency

TINY = ("--width", "0.25", "--depth", "0.3", "--rule", "inverse", "--classes", "10")
STAGES = range(1, 8)
COLUMNS = [
    *("base", "resolution", "stem", "head", "classes"),
    *(f"width_{i}" for i in STAGES),
    *(f"depth_{i}" for i in STAGES),
    *("macs", "params", "activations", "latency_ms", "latency_low_ms", "latency_high_ms", "runs"),
    *("runtime", "device", "threads", "batch", "dtype"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few and short rounds."""
    monkeypatch.setattr(latency, "PASSES", (1, 1))
    monkeypatch.setattr(latency.Stopwatch.run, "__defaults__", ((4, 4), None))


def answered(run, *arguments):
    code, out, err = run("latency", "efficientnet_b0", *arguments, "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


def test_one_architecture_is_measured(run, tmp_path):
    code, out, _ = run("latency", "efficientnet_b0", "--resolution", "32", *TINY)
    assert code == 0
    assert out.startswith("efficientnet_b0 at 32 px, torch on ")
    assert "1 thread, batch 1, float32" in out
    assert "ms per forward pass of 1 image" in out and "quartiles" in out
    assert "csv: latency-efficientnet_b0-one-torch.csv" in out
    assert not list(tmp_path.glob("*.png"))


def test_the_table_has_the_architecture_its_counts_and_how_it_was_measured(run, tmp_path):
    found = answered(run, "--resolution", "32", *TINY, "--batch", "2", "--out", "new/m.csv")
    frame = pd.read_csv(tmp_path / "new" / "m.csv")
    assert list(frame) == COLUMNS
    row = frame.iloc[0]
    expected = architecture_complexity(scaled("efficientnet_b0", 32, 0.25, 0.3, rule="inverse"), 10)
    assert (row["macs"], row["params"], row["activations"]) == (expected.macs, expected.params, expected.activations)
    assert (row["batch"], row["threads"], row["runtime"], row["dtype"]) == (2, 1, "torch", "float32")
    assert row["latency_low_ms"] <= row["latency_ms"] <= row["latency_high_ms"]
    assert (found["csv"], found["complete"], len(found["rows"])) == ("new/m.csv", True, 1)
    assert found["rows"][0]["latency_ms"] == row["latency_ms"]


def test_a_sweep_of_resolutions_is_measured_and_drawn(run, tmp_path):
    found = answered(run, *TINY, "--resolution", "40", "--sweep", "resolution", "--from", "32", "--to", "68")
    assert [row["resolution"] for row in found["rows"]] == list(range(32, 69, 4))
    assert found["macs_staircase"]["candidates"] == [64]
    assert set(found["latency_staircase"]) == {"jumps", "candidates", "neighbours"}
    assert len(pd.read_csv(tmp_path / found["csv"])) == 10
    assert (tmp_path / found["plot"]).read_bytes().startswith(b"\x89PNG")


def test_a_sweep_for_people_shows_both_curves(run):
    limits = ("--from", "32", "--to", "68", "--plot", "s.svg")
    code, out, err = run("latency", "efficientnet_b0", *TINY, "--sweep", "resolution", *limits)
    assert code == 0
    assert "measuring 10 architectures for at most 4 min" in err
    assert out.split("\n")[1].split() == ["px", "MACs", "ms", "quartiles", "jump", "after", "it"]
    assert "just before a jump, by MACs alone: 64 px" in out
    assert "just before a jump, by latency: " in out
    assert "plot: s.svg" in out


def test_macs_alone_need_no_measurement(run, tmp_path):
    limits = ("--sweep", "resolution", "--from", "224", "--to", "304", "--no-measure")
    found = answered(run, *limits)
    assert found["macs_staircase"]["candidates"] == [240, 256, 272, 288]
    assert (found["latency_staircase"], found["csv"], found["plot"]) == (None, None, None)
    assert not list(tmp_path.iterdir())
    code, out, err = run("latency", "efficientnet_b0", *limits, "--out", "s.csv", "--plot", "s.png")
    assert (code, err) == (0, "")
    assert "just before a jump, by MACs alone: 240 256 272 288 px" in out and "by latency" not in out
    assert list(pd.read_csv(tmp_path / "s.csv")) == COLUMNS[: COLUMNS.index("latency_ms")]
    assert (tmp_path / "s.png").is_file()


def test_a_sweep_of_widths_goes_channel_by_channel(run):
    sweep = ("--resolution", "32", "--depth", "0.3", "--sweep", "width", "--stage", "5")
    found = answered(run, *sweep, "--no-measure")
    assert [row["width_5"] for row in found["rows"]] == list(range(104, 121))
    assert {row["width_4"] for row in found["rows"]} == {80}
    assert found["sweep"] == "width" and not found["complete"]
    timed = answered(run, *sweep, "--from", "110", "--to", "113", "--minutes", "1")
    assert [row["width_5"] for row in timed["rows"]] == [110, 111, 112, 113]
    assert all(row["latency_ms"] > 0 for row in timed["rows"]) and timed["complete"]


def test_random_architectures_become_a_table(run, tmp_path):
    found = answered(run, "--resolution", "32", "--classes", "10", "--random", "6", "--window", "0.05", "0.5")
    frame = pd.read_csv(tmp_path / "latency-efficientnet_b0-random-torch.csv")
    assert len(frame) == len(found["rows"]) == 6
    one = architecture_complexity(scaled("efficientnet_b0", 32), 10).macs
    assert frame["macs"].between(0.05 * one, 0.5 * one).all()
    assert not frame[COLUMNS[: COLUMNS.index("macs")]].duplicated().any()


def test_ctrl_c_keeps_what_was_measured(run, tmp_path, monkeypatch):
    time_one = latency.Stopwatch._time

    def stopped(watch, row):
        if sum(watch.runs) == 3:
            raise KeyboardInterrupt
        time_one(watch, row)

    monkeypatch.setattr(latency.Stopwatch, "_time", stopped)
    arguments = (*TINY, "--sweep", "resolution", "--from", "32", "--to", "64", "--out", "m.csv")
    code, out, err = run("latency", "efficientnet_b0", *arguments)
    assert code == 130
    assert "only 3 of 9 architectures measured" in out
    assert err.endswith("planner: stopped; what was measured until then is kept\n")
    assert len(pd.read_csv(tmp_path / "m.csv")) == 3


def test_ctrl_c_before_the_first_timing_leaves_nothing(run, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(latency.Stopwatch, "_time", stopped)
    assert run("latency", "efficientnet_b0", "--resolution", "32")[0] == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50", "regnety_016", "convnext_tiny", "tinynet_c"])
def test_a_sweep_begins_and_ends_around_the_base_on_its_grid(name):
    one = base(name).architecture()
    sizes = designs.resolution_sweep(one, None, None, 4).sizes
    assert one.resolution in sizes
    assert 0.75 * one.resolution <= sizes[0] < 0.75 * one.resolution + 4
    assert 1.5 * one.resolution - 4 < sizes[-1] <= 1.5 * one.resolution


def test_a_sweep_stays_above_the_stride():
    small = scaled("efficientnet_b0", 40)
    assert designs.resolution_sweep(small, None, None, 4).sizes == (32, 36, 40, 44, 48, 52, 56, 60)


def test_widths_that_cannot_be_built_are_left_out():
    one = base("regnety_016").architecture()  # groups of 24 channels
    sizes = designs.width_sweep(one, 3, None, None).sizes
    assert 336 in sizes and len(sizes) >= 10
    assert all(size % 24 == 0 for size in sizes)
    assert designs.width_sweep(one, 3, 300, 400).sizes == (312, 336, 360, 384)


def test_timings_that_are_missing_are_left_out_of_the_table():
    architectures = [scaled("efficientnet_b0", size) for size in (32, 36)]
    from trainer.runtimes import Setting

    frame = measurement_table(architectures, 10, [None, latency.timing_of([1.0] * 4, 4)], Setting())
    assert frame["resolution"].tolist() == [36]
    assert frame["latency_ms"].tolist() == [1.0]


def test_a_staircase_needs_every_size():
    sweep = designs.resolution_sweep(scaled("efficientnet_b0", 64), 32, 64, 8)
    measurement = Measurement(sweep.architectures, sweep=sweep, timings=[None] * 5)
    assert measurement.measured is None and measurement.counted is not None


SWEEP = "efficientnet_b0 --sweep resolution"
MISTAKES = {
    "": "Missing argument 'BASE'",
    "efficientnet_b00": "base network 'efficientnet_b00' is unknown; nearest: efficientnet_b0",
    "fitt": "base network 'fitt' is unknown",
    "efficientnet_b0 --resolution 16": "16 px is below efficientnet_b0's stride of 32",
    "efficientnet_b0 --resolution 0": "resolution must be between 1 and 16384, got 0",
    "efficientnet_b0 --resolution -5": "resolution must be between 1 and 16384, got -5",
    "efficientnet_b0 --resolution 99999999999999999999": "resolution must be between 1 and 16384",
    "efficientnet_b0 --width nan": "the width multiplier must lie in (0, 1000], got nan",
    "efficientnet_b0 --depth 0": "the depth multiplier must lie in (0, 1000], got 0",
    "efficientnet_b0 --widths 1,2": "efficientnet_b0 has 7 stages, but widths gives 2",
    "efficientnet_b0 --depths 1,2,2,3,3,4,0": "depths must be between 1 and 4096, got 0",
    "efficientnet_b0 --classes 0": "classes must be between 1 and 131072, got 0",
    "efficientnet_b0 --classes 99999999999999999999": "classes must be between 1 and 131072",
    "efficientnet_b0 --rule mine": "scaling rule 'mine' is unknown",
    "efficientnet_b0 --threads 0": "0 is not in the range 1<=x<=1024",
    "efficientnet_b0 --batch 0": "0 is not in the range 1<=x<=1000000",
    "efficientnet_b0 --batch two": "'two' is not a valid whole number",
    "efficientnet_b0 --dtype int8": "'int8' is not one of 'float32'",
    "efficientnet_b0 --runtime tflite": "'tflite' is not one of 'torch', 'compile', 'onnxruntime'",
    "efficientnet_b0 --device tpu": "device 'tpu': latency is measured on cpu, cuda or cuda:N",
    "efficientnet_b0 --device cuda:99": "device cuda:99",
    "efficientnet_b0 --minutes 0": "0.0 is not in the range 0<x<=10000",
    "efficientnet_b0 --minutes nan": "'--minutes': nan is no finite number; give one",
    "efficientnet_b0 --from 100": "--from belongs to --sweep; add it, or leave --from out",
    "efficientnet_b0 --no-measure": "--no-measure belongs to --sweep",
    "efficientnet_b0 --plot a.png": "--plot belongs to --sweep",
    "efficientnet_b0 --window 1M 2M": "--window belongs to --random",
    f"{SWEEP} --stage 2": "--stage belongs to --sweep width",
    f"{SWEEP} --from 300 --to 200": "--from 300 must be below --to 200",
    f"{SWEEP} --from 0": "resolution --from must be between 1 and 16384, got 0",
    f"{SWEEP} --from 16 --to 300": "16 px is below efficientnet_b0's stride of 32",
    f"{SWEEP} --to 99999": "resolution --to must be between 1 and 16384, got 99999",
    f"{SWEEP} --step 0": "0 is not in the range 1<=x<=4096",
    f"{SWEEP} --step 100": "2 sizes are too few to find a jump; give at least 4, or a finer step",
    f"{SWEEP} --from 32 --to 16000 --step 1": "15969 sizes are too many to measure; use a larger --step",
    f"{SWEEP} --plot a.jpeg2": "--plot a.jpeg2: end its name in .png, or one of",
    f"{SWEEP} --plot .": "is a directory",
    f"{SWEEP} --out .": "is a directory",
    "efficientnet_b0 --sweep width": "--sweep width needs --stage N",
    "efficientnet_b0 --sweep width --stage 8": "--stage 8: efficientnet_b0 has stages 1 to 7",
    "efficientnet_b0 --sweep width --stage 2 --step 4": "--step belongs to --sweep resolution",
    "regnety_016 --sweep width --stage 3 --from 340 --to 350": "of regnety_016 can have no width from 340 to 350",
    "efficientnet_b0 --random 0": "0 is not in the range 1<=x<=10000",
    "efficientnet_b0 --random 5 --width 2": "--random draws widths and depths itself; leave --width out",
    "efficientnet_b0 --random 5 --window 2 1": "--window 2 1: two quantities are wanted, the lower one first",
    "efficientnet_b0 --random 5 --window 1X 2M": "'1X' is not a count",
    "efficientnet_b0 --random 5 --window nan nan": "nan",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_that_says_how_to_mend_it(run, line, tmp_path):
    code, out, err = run("latency", *line.split())
    assert (code, out) == (2, ""), err
    assert err.startswith("planner: ") and err.endswith("\n") and err.count("\n") == 1
    assert MISTAKES[line] in err
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_refused_before_anything_is_measured(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = run("latency", "efficientnet_b0", "--resolution", "32", "--out", "file/m.csv")
    assert (code, out) == (2, "")
    assert "file/m.csv: file is no folder that can be written to; choose another --out" in err


def test_a_missing_runtime_says_how_to_install_it(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, out, err = run("latency", "efficientnet_b0", "--runtime", "onnxruntime")
    assert (code, out) == (2, "")
    assert "pip install 'scaling-planner[onnx]'" in err and err.count("\n") == 1


def test_help_explains_measuring_and_fitting(run):
    code, out, err = run("latency", "--help")
    assert (code, err) == (0, "")
    for words in ("--sweep", "--random", "--no-measure", "planner latency fit --from measured.csv", "\n  fit "):
        assert words in out
    assert "Example: planner latency" in out


def test_options_may_come_before_the_base(run):
    code, out, _ = run("latency", "--sweep", "resolution", "--no-measure", "efficientnet_b0")
    assert code == 0 and "by MACs alone" in out


def test_fit_is_a_command_of_its_own(run):
    code, out, _ = run("latency", "fit", "--help")
    assert code == 0 and "planner latency fit" in out


@pytest.mark.parametrize("arguments", [["--help"], ["efficientnet_b0", "--sweep", "resolution", "--no-measure"]])
def test_torch_is_not_imported_where_nothing_is_measured(arguments):
    program = (
        "import sys; from planner.commands.latency import command\n"
        f"command({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'timm', 'sklearn', 'optuna', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
