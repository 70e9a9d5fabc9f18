"""A study judged by an error, of which less is better: shown as such, and believed as its mirror image is."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import optuna
import pytest

import planner
from planner.errors import PlannerError
from planner.study.options import StudyOptions
from planner.study.settings import read_settings
from planner.training.loop import queue
from planner.training.resources import Resources

SMALL = {"base": "resnet18", "classes": 10, "resolution": 32, "window": ("1M", "40M"), "epochs": 2}
RMSE = {"name": "rmse", "lower": True, "unit": "K"}


def left(job):
    """An error that falls as MACs grow, and differs a little between networks of equal MACs."""
    one = job.architecture
    macs = planner.complexity(one, classes=job.classes).macs
    return 0.2 + (macs / 1e6) ** -0.4 * (1 + 0.1 * abs(math.log(sum(one.depths) / 6)))


def error_of(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, left(job) / epoch * job.epochs, energy_j=2.0 * epoch)


def skill_of(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, -left(job) / epoch * job.epochs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scores")


def fitted(folder, name, trainer, score):
    """A study of 24 trainings and its formula, made in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = planner.create_study(name, trainer=trainer, score=score, **SMALL).run(trials=24)
        study.fit()


@pytest.fixture(scope="module")
def errors_made(folder):
    fitted(folder, "errors", error_of, RMSE)


@pytest.fixture(scope="module")
def skills_made(folder):
    fitted(folder, "skills", skill_of, planner.Score("skill", limit=0))


@pytest.fixture
def errors(errors_made, folder, monkeypatch):
    """A study of errors; it is only read."""
    monkeypatch.chdir(folder)
    return planner.load_study("errors", trainer=error_of)


@pytest.fixture
def skills(skills_made, folder, monkeypatch):
    """The same trainings judged by the errors' negatives, which are better the higher they are."""
    monkeypatch.chdir(folder)
    return planner.load_study("skills", trainer=skill_of)


@pytest.fixture
def copied(errors, tmp_path, monkeypatch):
    """A function of names of studies: copies of them, which may be changed."""

    def copy(*names):
        for name in names:
            shutil.copytree(f"results/{name}", tmp_path / "results" / name)
        monkeypatch.chdir(tmp_path)

    return copy


@pytest.fixture
def say(monkeypatch):
    """A function: what `planner ARGS` prints."""
    from planner.cli import main

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["planner", *map(str, arguments)])
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                assert not ended.code, err.getvalue()
        return out.getvalue() + err.getvalue()

    return said


def rows_of(study):
    with (study.folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_hold_what_was_reported_under_its_name_and_further_numbers_beside(errors):
    table, rows = errors.table(), rows_of(errors)
    assert "accuracy" not in table and "accuracy" not in rows[0]
    assert [float(row["rmse"]) for row in rows] == table["rmse"].tolist()
    assert table["rmse"].between(0.2, 1.3).all() and set(table["energy_j"]) == {4.0}
    epochs = list(csv.DictReader((errors.folder / "epochs.csv").open(newline="")))
    assert [float(row["rmse"]) for row in epochs[:2]] == [2 * table["rmse"][0], table["rmse"][0]]
    assert [row["energy_j"] for row in epochs[:2]] == ["2.0", "4.0"]


def test_the_ledger_is_an_optuna_study_that_minimises_both(errors):
    found = optuna.load_study(study_name="errors", storage=f"sqlite:///{errors.folder / 'ledger.db'}")
    assert [one.name for one in found.directions] == ["MINIMIZE", "MINIMIZE"]
    assert [trial.values for trial in found.trials] == [
        [float(row["rmse"]), int(row["macs"])] for row in rows_of(errors)
    ]


def test_the_front_is_what_no_other_beats_in_both(errors):
    points = [(int(row["macs"]), float(row["rmse"]), int(row["trial"])) for row in rows_of(errors)]
    expected = [
        trial
        for macs, rmse, trial in sorted(points)
        if not any(a <= macs and b <= rmse and (a, b) != (macs, rmse) for a, b, _ in points)
    ]
    front = errors.front()
    assert front["trial"].tolist() == expected and 1 < len(expected)
    assert front["rmse"].is_monotonic_decreasing and front["macs"].is_monotonic_increasing
    assert front["macs"].dtype == "int64"


@pytest.mark.slow
def test_every_answer_is_that_of_the_mirror_image(errors, skills):
    for budget in ("5M", "12M", "30M"):
        one, other = errors.predict(budget), skills.predict(budget)
        assert (one.architecture, one.by) == (other.architecture, other.by)
        assert one.score["mean"] == -other.score["mean"] > 0
        assert (one.score["lower"], one.score["upper"]) == (-other.score["upper"], -other.score["lower"])
        best = min(float(row["rmse"]) for row in rows_of(errors) if int(row["macs"]) <= one.prediction.budget)
        assert one.score["mean"] == pytest.approx(best, rel=0.15)  # a small table, smooth by construction


def test_predict_tells_errors_for_people_and_programs(errors, say):
    text = say("predict", "--study", "errors", "--flops", "12M")
    mean, low, high = map(float, re.search(r"expected rmse: (\S+) K \((\S+) K to (\S+) K, 90 %\)", text).groups())
    assert 0 < low < mean < high < 1.3 and "accuracy" not in text and "%expected" not in text
    found = json.loads(say("predict", "--study", "errors", "--flops", "12M", "--json"))
    assert found["score"] == {"name": "rmse", "lower": True, "limit": 0.0, "unit": "K"}
    assert found["rmse"]["mean"] == pytest.approx(mean, abs=1e-4) and found["rmse"]["lower"] < found["rmse"]["upper"]
    assert "accuracy" not in json.dumps(found)
    assert found["best_training"]["rmse"] in errors.table()["rmse"].tolist()


def test_front_status_propose_and_fit_print_errors(errors, say):
    best = errors.table()["rmse"].min()
    assert f"the best has {best:.4g} K" in say("fit", "--study", "errors")
    lines = say("front", "--study", "errors").splitlines()
    assert "rmse" in lines[0] and f"{best:.4g} K" in lines[errors.front().shape[0]]
    assert "best rmse" in say("status", "--study", "errors") and f"{best:.4g} K" in say("status", "--study", "errors")
    rows = json.loads(say("front", "--study", "errors", "--json"))["front"]
    assert [row["rmse"] for row in rows] == errors.front()["rmse"].tolist()
    assert all("accuracy" not in say(name, "--study", "errors") for name in ("front", "status", "next"))


def test_the_formula_s_file_says_what_its_merits_are(errors):
    path = errors.folder / "formula.json"
    document = json.loads(path.read_text())
    assert document["score"] == {"name": "rmse", "lower": True, "limit": 0.0, "unit": "K"}
    assert {-one["accuracy"] for one in document["non_dominated"]} <= set(errors.table()["rmse"])
    assert planner.load_formula(path).score.name == "rmse"
    changed = path.read_text().replace('"lower": true', '"lower": 1', 1)
    (errors.folder / "other.json").write_text(changed)
    with pytest.raises(PlannerError, match=r"other\.json.*lower"):
        planner.load_formula(errors.folder / "other.json")


def test_a_study_of_accuracies_says_nothing_of_a_score(here):
    folder = planner.create_study("plain", trainer=error_of, **SMALL).folder
    assert "score" not in (folder / "study.toml").read_text()
    assert read_settings(folder / "study.toml").score == planner.Score()


def test_the_report_draws_errors(errors):
    page = errors.report().read_text()
    assert "rmse (K, lower is better)" in page and "Rmse over MACs" in page
    assert "top-1" not in page and "Accuracy" not in page
    shown = re.findall(r"trial \d+[^:<]*: rmse ([\d.]+) K", page)
    assert {f"{value:.4g}" for value in errors.table()["rmse"]} <= set(shown)


# As much of a browser as the page's box needs.
STUB = """
const made = {}, element = (id) => made[id] ??= { id, textContent: "", dataset: {}, heard: {}, value: "", max: "1000",
  setAttribute(name, value) { this[name] = value; }, addEventListener(name, act) { this.heard[name] = act; } };
const page = JSON.parse(require("fs").readFileSync(0));
for (const id of ["numbers", "formula"]) element(id).textContent = page[id];
globalThis.document = { getElementById: element, querySelectorAll: () => [] };
globalThis.location = { hash: "" };
globalThis.addEventListener = () => {};
"""


def test_the_page_s_script_answers_and_downloads_errors(errors):
    if (node := shutil.which("node")) is None:
        pytest.skip("no node")
    text = errors.report().read_text()
    inside = {name: re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1] for name in ("numbers", "formula")}
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    program = f"""{STUB}{script}
      element("budget").value = "12M";
      element("budget").heard.input();
      console.log(JSON.stringify([element("out-answer-accuracy").textContent, element("out-difference").textContent,
        report.csv("trainings.csv")]))"""
    done = subprocess.run([node, "-e", program], input=json.dumps(inside), capture_output=True, text=True, timeout=60)
    answer, difference, rows = json.loads(done.stdout or done.stderr)
    expected = errors.predict("12M").score
    mean, low, high = map(float, re.fullmatch(r"([\d.]+) K \(([\d.]+) K to ([\d.]+) K, 90 %\)", answer).groups())
    assert (mean, low, high) == pytest.approx([expected[name] for name in ("mean", "lower", "upper")], rel=0.02)
    assert re.search(r"expected to be about [\d.e-]+ K (better|worse) than the formula's network", difference)
    table = list(csv.DictReader(rows.splitlines()))
    assert [float(row["rmse"]) for row in table] == errors.table()["rmse"].tolist() and "accuracy" not in table[0]


def test_pictures_have_errors_on_their_axes(errors):
    axes = planner.plot.front(errors)
    assert axes.get_ylabel() == "rmse (K, lower is better)"
    line = next(one for one in axes.get_lines() if one.get_label() == "front")
    assert list(line.get_ydata()) == errors.front()["rmse"].tolist()


@pytest.mark.slow
def test_proposals_are_those_of_the_mirror_image_and_expect_errors(errors, skills, copied, say):
    copied("errors", "skills")
    found = json.loads(say("propose", "--study", "errors", "-n", "2", "--json"))
    other = json.loads(say("propose", "--study", "skills", "-n", "2", "--json"))
    assert [one["widths"] for one in found["queued"]] == [one["widths"] for one in other["queued"]]
    for one, mirrored in zip(found["queued"], other["queued"], strict=True):
        assert one["rmse"]["mean"] == -mirrored["skill"]["mean"] and one["gain"] == mirrored["gain"]


def test_methods_are_compared_by_errors(errors, copied, say):
    copied("errors")
    found = planner.load_study("errors", trainer=error_of).compare("10M", ["compound", "answer"], seeds=1)
    compound, answer = found.as_dict()["budgets"][0]["methods"]
    gap = answer["rmse"]["mean"] - compound["rmse"]["mean"]
    assert answer["difference_to_compound"]["mean"] == pytest.approx(gap) and compound["rmse"]["mean"] > 0
    text = say("compare", "--table", "results/errors/comparison.csv")
    assert "rmse K" in text and f"{compound['rmse']['mean']:.4g}" in text and f"{gap:+.4g}" in text
    assert "accuracy" not in text.replace("accuracies", "")


@pytest.mark.slow
def test_a_hopeless_training_is_stopped_and_a_good_one_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = set()

    def early(job):
        worse = 9.0 if job.architecture in bad else 1.0
        for epoch in range(1, job.epochs + 1):
            job.report(epoch, worse * left(job) * (1 + 1 / epoch))

    study = planner.create_study("early", trainer=early, score=RMSE, **{**SMALL, "epochs": 4, "window": ("9M", "14M")})
    ledger = study.run(trials=12).ledger()
    with ledger.queueing():
        queue(ledger, ledger.asked() + 2)
    good, worse = ledger.pending()
    bad.add(worse)
    study.run(resources=Resources(engine="inline", device="cpu", stop_early=True))
    status = study.table().set_index("trial")["status"]
    assert (status[12], status[13]) == ("ok", "stopped")
    assert good != worse


def test_another_score_than_the_study_s_is_refused(errors):
    with pytest.raises(PlannerError, match="made with --score rmse --lower --unit 'K', not rmse --lower"):
        planner.create_study(
            "errors", load_if_exists=True, trainer=error_of, score=planner.Score("rmse", lower=True), **SMALL
        )
    with pytest.raises(PlannerError, match="--score is another trainer's"):
        planner.create_study("images", score=RMSE)
    assert StudyOptions().score is None and not Path("results/images").exists()


PROGRAM = """
import json, sys
for epoch in range(1, int(sys.argv[2]) + 1):
    error = 900 / int(sys.argv[1]) / epoch
    print(json.dumps({"rmse": error, "epoch": epoch, "energy_j": 2.5 * epoch, "macs": 3, "note": "warm"}), flush=True)
"""


def test_a_program_tells_the_error_by_its_name_and_further_numbers_beside(here):
    Path("fit.py").write_text(PROGRAM)
    command = f"{sys.executable} fit.py {{resolution}} {{epochs}}"
    study = planner.create_study("program", command=command, score=RMSE, **SMALL)
    study.run(trials=2, resources=Resources(engine="inline", device="cpu"))
    table = study.table()
    assert table["rmse"].tolist() == [900 / pixels / 2 for pixels in table["resolution"]]
    assert table["energy_j"].tolist() == [5.0, 5.0] and table["macs"].gt(3).all() and "note" not in table


def test_what_was_asked_for_is_told_in_the_score_s_own_numbers(here):
    study = planner.create_study("asked", score=RMSE, **SMALL)
    first, second = study.ask(2)
    study.tell(first, 812.5)
    second.report(second.epochs, 3.25, energy_j=1.5)
    study.tell(second)
    assert study.table()["rmse"].tolist() == [812.5, 3.25]
    assert study.front().shape[0] in (1, 2)
    with pytest.raises(PlannerError, match="is better than its limit, 0"):
        limited = planner.create_study("limited", score={**RMSE, "limit": 0}, **SMALL)
        limited.tell(limited.ask(), -1.0)
