"""`planner report`: what the page holds, and that what it holds is true."""

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from planner.advice.recommend import Advice
from planner.answers.formula import Formula
from planner.cli import cli
from planner.formulas.codec import read_formula
from planner.formulas.rungs import Rung
from planner.gaussian.curve import Curve
from planner.report import plots
from planner.report.answers import answers_of
from planner.report.curves import bands_of
from planner.report.numbers import MOST_ROWS, calibration_of, numbers_of, plain, time_of
from planner.report.page import page_of
from planner.report.source import ReportSource, of_study, of_table
from planner.report.svg import Axis, Drawing
from planner.rules import at_budget, compound
from planner.tables.table import usable

HOSTILE = '</script><script>alert("{{title}}")</script><img src=x onerror=alert(1)>&amp;'
SECTIONS = ("answer", "next", "front", "curves", "parts", "trust", "time", "data")


class Elements(HTMLParser):
    """What a page is made of: elements with their attributes, their text, and texts by id."""

    def __init__(self, page):
        super().__init__()
        self.found, self.texts, self._inside = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self._inside = dict(attrs).get("id", "script")

    def handle_endtag(self, tag):
        self._inside = None if tag == "script" else self._inside

    def handle_data(self, data):
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(autouse=True)
def _few_budgets(monkeypatch):
    monkeypatch.setattr("planner.report.answers.REPORT_BUDGETS", 3)


@pytest.fixture
def _compound_alone(monkeypatch):
    monkeypatch.setattr("planner.report.answers.REPORT_RULES", ("compound",))


@pytest.fixture(scope="module")
def noisy(compound_frame, tmp_path_factory):
    """A source of 24 trainings: enough for a surrogate."""
    rng = np.random.default_rng(3)
    frame = compound_frame(0.2, 0.25, 0.05, 1.0, rows=24)
    frame["r"] *= np.exp(rng.normal(0, 0.1, 24))
    frame["d"] *= np.exp(rng.normal(0, 0.2, 24))
    frame["accuracy"] += rng.normal(0, 0.01, 24)
    path = tmp_path_factory.mktemp("noisy") / "noisy.csv"
    frame.to_csv(path, index=False)
    return of_table(path)


@pytest.fixture(scope="module")
def studied(ten_trained, tmp_path_factory):
    """A folder with the study of ten trainings, and what `planner report --json` says of it.

    The advice stands for one that took a surrogate and thousands of architectures; its reason is hostile.
    """
    advice = Advice("propose", "train 2", HOSTILE, "planner propose --study mine -n 2", 1.5)
    folder = tmp_path_factory.mktemp("studied")
    shutil.copytree(ten_trained, folder / "results" / "mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("planner.report.answers.REPORT_BUDGETS", 2)
        patch.setattr("planner.report.answers.REPORT_RULES", ("compound", "fast"))
        patch.setattr("planner.report.numbers.recommend", lambda situation: advice)
        done = CliRunner().invoke(cli, ["report", "--study", "mine", "--json"], catch_exceptions=False)
    return folder, json.loads(done.stdout)


@pytest.fixture
def reported(studied):
    """The answer, and the page."""
    folder, answer = studied
    return answer, (folder / answer["report"]).read_text()


def test_the_report_of_a_study_is_one_file_that_asks_the_network_for_nothing(reported):
    answer, page = reported
    assert answer["report"] == "results/mine/report.html" and answer["bytes"] == len(page.encode()) < 3e6
    elements = Elements(page)
    assert not [one for tag, one in elements.found if "src" in one]
    assert [one["href"] for one in elements.named("link")] == ["data:,"]
    assert not elements.named("iframe") and not elements.named("img")
    assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest|url\((?!#)", page)
    policy = next(one["content"] for one in elements.named("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'")
    assert [one["id"] for one in elements.named("section")] == list(SECTIONS)


def test_the_numbers_in_the_page_are_those_of_the_ledger(reported, mine):
    answer, page = reported
    numbers, frame = answer["numbers"], mine.frame()
    assert json.loads(Elements(page).texts["numbers"]) == numbers
    good = frame[frame["status"] == "ok"]
    assert [one["accuracy"] for one in numbers["trainings"]] == good["accuracy"].tolist()
    assert [one["widths"][2] for one in numbers["trainings"]] == good["width_3"].tolist()
    assert sum(one["seconds"] for one in numbers["time"]) == pytest.approx(frame["seconds"].sum())
    assert {(one["origin"], one["status"], one["trainings"]) for one in numbers["time"]} == {
        ("stratified", "ok", 10),
        ("stratified", "diverged", 1),
    }
    assert [one["status"] for one in numbers["lost"]] == ["diverged"]
    told = Elements(page).texts[None]
    assert numbers["next"]["why"] == HOSTILE and f"Why: {HOSTILE}. About 1.5 hours of training." in told
    assert numbers["next"]["command"] in told
    assert numbers["why"] == {"surrogate": "10 trainings are too few for a surrogate, which needs 20"}
    points = re.findall(r'<path class="mark point (?:training|selected)"[^>]*><title>(trial \d+)', page)
    assert {f"trial {trial}" for trial in good["trial"]} <= set(points)


def test_the_formula_in_the_page_is_the_file_that_fit_writes(reported, run, mine):
    inside = Elements(reported[1]).texts["formula"]
    assert "fitted for this page" in reported[1] and "planner fit --study mine" in reported[1]
    assert run("fit", "--study", "mine")[0] == 0
    assert json.loads(inside) == json.loads((mine.folder / "formula.json").read_text())
    assert read_formula(inside, Formula).base == "efficientnet_b0"
    # With that file, which is of these trainings, there is nothing to doubt.
    source = of_study("mine")
    assert source.doubts == () and source.origin == "results/mine/formula.json"
    assert source.command == "planner predict --study mine"


@pytest.mark.slow
@pytest.mark.usefixtures("_compound_alone")
def test_the_same_table_gives_the_same_page(compound_frame, tmp_path):
    compound_frame(0.2, 0.2, 0.1, 0.9, rows=10).to_csv(tmp_path / "ten.csv", index=False)
    source = of_table(tmp_path / "ten.csv")
    pages = {page_of(numbers_of(source), source.formula, source.command) for _ in range(2)}
    assert len(pages) == 1


def test_a_formula_of_other_trainings_is_shown_and_said_to_be(run, mine, shipped, tmp_path):
    shipped.save(tmp_path / "other.json")
    source = of_study("mine", "other.json")
    assert source.formula.resolution == source.table.resolution == 64
    rows = shipped.provenance["rows"]
    assert f"other.json was fitted on {rows} trainings, before or apart from the 10 shown here" in source.doubts[0]
    assert "`planner fit --study mine`" in source.doubts[0]
    assert source.command == "planner predict --formula other.json"


def test_a_study_without_finished_trainings_is_told_what_to_run(run, new):
    code, out, err = run("report", "--study", "mine")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "no finished training to report; run `planner sample --study mine`" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.csv",), "nowhere.csv: No such file"),
        (("a.csv", "--study", "b"), "not both"),
        (("--study", "absent"), "no study in results"),
        (("TABLE", "--formula", "nowhere.json"), "nowhere.json"),
        (("TABLE", "--out", "here/f.html"), "choose another --out"),
    ],
)
def test_what_the_user_can_mend_is_one_line(run, published, tmp_path, arguments, said):
    (tmp_path / "here").write_text("a file where a folder should be")
    code, out, err = run("report", *(published if one == "TABLE" else one for one in arguments))
    assert code == 2 and not out and err.count("\n") == 1 and said in err


def test_too_few_trainings_for_a_formula_give_a_page_without_a_slider_that_says_why(run, compound_frame, tmp_path):
    compound_frame(0.2, 0.2, 0.1, 0.9, rows=2).to_csv(tmp_path / "two.csv", index=False)
    code, out, err = run("report", "two.csv", "--json")
    assert code == 0, err
    numbers, page = json.loads(out)["numbers"], (tmp_path / "report.html").read_text()
    elements = Elements(page)
    assert numbers["formula"] is None and "formula" not in elements.texts
    assert numbers["why"]["formula"] in elements.texts[None] and "are too few to fit" in numbers["why"]["formula"]
    assert not [one for one in elements.named("input") if one["id"] == "slider"]
    assert {one["rule"] for one in numbers["answers"]} == {"compound", "fast", "resnet-rs", "tinynet"}


@pytest.mark.usefixtures("_compound_alone")
def test_what_others_wrote_is_text_and_never_markup(compound_frame, tmp_path):
    frame = compound_frame(0.2, 0.2, 0.1, 0.9, rows=12)
    frame = frame.assign(trial=HOSTILE, origin=HOSTILE, status="ok", message=None, seconds=3.0)
    frame.loc[3, ["status", "message"]] = [HOSTILE, HOSTILE]
    path = tmp_path / "<script>alert(2)<img src=x onerror=alert(3)>.csv"
    frame.to_csv(path, index=False)
    source = of_table(path)
    numbers = numbers_of(source)
    page = page_of(numbers, source.formula, source.command)
    elements, plain_page = Elements(page), Elements(page.replace(HOSTILE, ""))
    assert [one.get("id") for one in elements.named("script")] == ["numbers", "formula", None]
    assert not elements.named("img") and len(elements.found) == len(plain_page.found)
    assert not [one for _, one in elements.found if any(name.startswith("on") for name in one)]
    inside = json.loads(elements.texts["numbers"])
    assert inside == numbers and inside["trainings"][0]["trial"] == inside["lost"][0]["message"] == HOSTILE
    assert elements.texts[None].count(HOSTILE) >= 12  # every training in the table, and the message


def test_bands_are_the_curves_own_intervals_and_compound_scaling_has_none():
    rng = np.random.default_rng(0)
    noisy = Curve("log", "log", 0.1, 0.2, 0.04, 0.3, 0.8, 0.01, np.array([-2.0, -0.5]), rng.normal(0, 0.1, 2))
    formula = compound("efficientnet_b0")
    exact = bands_of(formula, (0.1, 4.0))
    for part in exact["r"]:
        assert part.mean == pytest.approx(part.c ** (np.log(1.15) / np.log(1.2 * 1.1**2 * 1.15**2)))
        assert np.array_equal(part.lower, part.mean) and np.array_equal(part.upper, part.mean)
    shrink = formula.branches["shrink"].__class__("inverse", (0.1, 1.0), noisy, noisy)
    bands = bands_of(formula.__class__(**{**vars(formula), "branches": {"shrink": shrink}}))
    (band,) = bands["d"]
    for i in (0, 30, 59):
        assert (band.lower[i], band.upper[i]) == pytest.approx(noisy.interval(band.c[i]))
    (width,) = bands["w"]
    spread = np.log(band.upper / band.mean)  # r and d have the same curve: var log w = (1 + 1/4) var log d
    assert np.log(width.upper / width.mean) == pytest.approx(np.sqrt(1.25) * spread)


def test_a_uniform_formulas_stages_are_the_integers_that_are_built(shipped):
    bands = bands_of(shipped)
    for budget in (60e6, 200e6):
        c = budget / shipped.base_macs
        for i in range(7):
            for part in bands[f"depth_{i + 1}"]:
                assert (part.mean == np.rint(part.mean)).all()
        nearest = min((part for part in bands["depth_4"]), key=lambda part: np.abs(np.log(part.c / c)).min())
        place = np.abs(np.log(nearest.c / c)).argmin()
        assert nearest.mean[place] == shipped.predict(nearest.c[place] * shipped.base_macs).architecture.depths[3]


def test_answers_are_the_rules_own_and_their_parts_sum_up(noisy):
    answers, missing = answers_of(noisy)
    assert not missing and len(answers) == 3 * 5
    for one in answers:
        assert sum(one["part_macs"]) == one["macs"]
        assert one["macs"] == pytest.approx(one["budget"], rel=0.01)
        assert one["accuracy"]["lower"] < one["accuracy"]["mean"] < one["accuracy"]["upper"]
    fast = next(one for one in answers if one["rule"] == "fast")
    own = at_budget("fast", "efficientnet_b0", fast["budget"])
    assert (fast["macs"], tuple(fast["widths"]), fast["d"]) == (own.macs, own.architecture.widths, own.d)
    rows = pd.DataFrame({"r": [own.r], "d": [own.d], "macs": [own.macs]})
    expected = noisy.surrogate.predict(rows).iloc[0]
    assert fast["accuracy"]["mean"] == pytest.approx(expected["mean"])
    assert fast["accuracy"]["in_range"] == expected["in_range"]
    learned = next(one for one in answers if one["rule"] == "learned")
    prediction = noisy.formula.predict(learned["budget"], extrapolate=True)
    assert learned["accuracy"]["mean"] == pytest.approx(prediction.accuracy["mean"])


@pytest.mark.usefixtures("_compound_alone")
def test_the_ladder_is_drawn_as_steps_beside_the_curves_and_listed(noisy):
    low, high = noisy.formula.macs_range
    found = [noisy.formula.predict(budget) for budget in np.geomspace(low, 0.9 * high, 6)]
    ladder = tuple(Rung(one.architecture, one.macs, 0.5 + 0.03 * i, 0.4, 0.9) for i, one in enumerate(found))
    source = replace(noisy, formula=replace(noisy.formula, ladder=ladder))
    numbers = numbers_of(source)
    assert [one["macs"] for one in numbers["ladder"]] == [rung.macs for rung in ladder]
    corners = steps_of(plots.scatter(numbers))
    assert len(corners) == 2 * len(ladder)
    across, heights = ([corner[i] for corner in corners] for i in (0, 1))
    assert across == sorted(across) and heights == sorted(heights, reverse=True)  # of a page, down is more
    assert across[1::2][:-1] == across[2::2] and heights[::2] == heights[1::2]
    shares = np.log([*(rung.macs for rung in ladder[1:]), high]) - np.log(ladder[0].macs)
    drawn = (np.array(across[1::2]) - across[0]) / (across[-1] - across[0])
    assert drawn == pytest.approx(shares / shares[-1], abs=0.003)
    depths = steps_of(plots.stage(numbers, "depth", 4))
    assert len({y for _, y in depths}) == len({rung.architecture.depths[4] for rung in ladder})
    assert steps_of(plots.multiplier(numbers, "r", "r")) and not steps_of(plots.multiplier(numbers, "d", "d"))
    text = page_of(numbers, source.formula, source.command)
    assert all(f"{rung.macs:,}</td>" in text for rung in ladder) and "the best network for every budget" in text
    assert "the best network for every budget" not in page_of(numbers_of(noisy), noisy.formula, noisy.command)


def steps_of(drawing):
    """Corners of the line of the answers in a drawing."""
    path = re.search(r'<path class="line answer" d="M([^"]+)"', drawing)
    return [tuple(map(float, corner.split())) for corner in path[1].split("L")] if path else []


def test_calibration_is_the_cross_validation_that_the_surrogates_errors_are_of(noisy):
    found, errors = calibration_of(noisy), noisy.surrogate.errors
    assert {level: found["coverage"][level] for level in ("50", "80", "90")} == {
        level: errors[f"coverage_{level}"] for level in ("50", "80", "90")
    }
    assert found["rmse"] == pytest.approx(errors["rmse"], rel=1e-9)
    assert np.mean([one["inside_90"] for one in found["rows"]]) == errors["coverage_90"]
    own = noisy.surrogate.predict(noisy.table.frame[["r", "d", "macs"]])["mean"]
    assert not np.allclose(own, [one["expected"] for one in found["rows"]])  # out of fold, not of the fit


def test_time_adds_up_by_origin_and_status_and_counts_what_nobody_timed():
    frame = pd.DataFrame({"origin": ["a", "a", "b", None], "status": ["ok", "ok", "killed", "ok"]})
    rows = time_of(frame.assign(seconds=[1.5, None, 7.0, 2.0]))
    assert [(one["origin"], one["status"], one["seconds"], one["untimed"]) for one in rows] == [
        ("b", "killed", 7.0, 0),
        ("unknown", "ok", 2.0, 0),
        ("a", "ok", 1.5, 1),
    ]
    assert time_of(frame) == []


def test_a_cell_is_a_json_value_or_nothing():
    assert [plain(one) for one in (None, float("nan"), pd.NA, np.inf, "x")] == [None, None, None, None, "x"]
    assert [plain(np.int64(3)), plain(np.float64(0.5)), plain(np.bool_(True))] == [3, 0.5, True]


@pytest.mark.usefixtures("_compound_alone")
def test_a_very_long_table_gives_a_small_page_that_says_what_it_leaves_out(shipped):
    rows = 6000
    c = np.geomspace(0.1, 0.9, rows)
    columns = {"accuracy": 0.5 + 0.1 * np.random.default_rng(0).random(rows), "macs": np.rint(c * shipped.base_macs)}
    columns |= {"resolution": 200, "r": 200 / 224, "d": 1.0, "w": c**0.5, "trial": np.arange(rows)}
    columns |= {f"{kind}_{i}": 8 * i for kind in ("width", "depth") for i in range(1, 8)}
    frame = pd.DataFrame(columns)
    table = usable(frame, "0", "long", "efficientnet_b0")
    source = ReportSource("long", table, frame, shipped, "f.json", (), None, {"surrogate": "none"}, "planner predict")
    numbers = numbers_of(source)
    page = page_of(numbers, shipped, source.command)
    assert len(page.encode()) < 3e6
    assert len(numbers["trainings"]) == MOST_ROWS and numbers["not_shown"] == rows - MOST_ROWS
    assert f"{rows - MOST_ROWS} trainings off the front are not drawn" in page


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_and_marks_have_contrast_in_light_and_dark(reported):
    style = re.search(r"<style>(.*?)</style>", reported[1], re.DOTALL)[1]
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in style.split("prefers-color-scheme")[:2]
    )
    for theme in (light, dark):
        for name in ("text", "muted", "link"):
            assert contrast(theme[name], theme["back"]) >= 4.5 and contrast(theme[name], theme["box"]) >= 4.5
        for name in ("learned", "compound", "fast", "resnet-rs", "regnet", "tinynet", "training", "answer"):
            assert contrast(theme[name], theme["back"]) >= 3, name


def test_every_rule_has_its_own_shape_and_a_colour_of_the_style_sheet(reported):
    assert len(set(plots.RULE_SHAPES.values())) == len(plots.RULE_SHAPES)
    for rule in set(plots.RULE_SHAPES) - {"learned"}:
        assert f".mark.{rule}" in reported[1] and f".line.{rule}" in reported[1]


@pytest.mark.parametrize(
    ("low", "high", "log"), [(0.017, 0.16, True), (1e6, 4e10, True), (0.3, 0.44, False), (8, 9, True)]
)
def test_ticks_are_a_few_round_numbers_inside_the_axis(low, high, log):
    ticks = Axis(low, high, 0, 100, log).ticks()
    assert 2 <= len(ticks) <= 8 and ticks == sorted(ticks)
    assert low * (1 - 1e-9) <= ticks[0] and ticks[-1] <= high * (1 + 1e-9)
    assert all(float(f"{one:.2g}") == pytest.approx(one) for one in ticks)


def test_a_drawing_places_marks_by_its_axes():
    drawing = Drawing("d", 100, 100, Axis(1, 100, 0, 100, log=True), Axis(0, 10, 100, 0), "d")
    drawing.mark(10, 2.5, "circle", "training", "<b>")
    assert "translate(50 75)" in drawing.parts[0] and "<title>&lt;b&gt;</title>" in drawing.parts[0]


def test_a_prediction_is_expected_what_its_own_multipliers_are(noisy):
    prediction = noisy.formula.predict(1.2e8)
    rows = pd.DataFrame({"r": [prediction.r], "d": [prediction.d], "macs": [prediction.macs]})
    expected = noisy.surrogate.predict(rows)
    assert prediction.accuracy["of"] == "architecture"
    assert prediction.accuracy["mean"] == pytest.approx(expected["mean"][0])
    assert prediction.accuracy["lower"] == pytest.approx(expected["lower"][0])
    assert prediction.accuracy["in_range"] == prediction.as_dict()["accuracy"]["in_range"] == expected["in_range"][0]


def test_a_table_whose_name_is_no_utf_8_is_reported(run, published, tmp_path, monkeypatch):
    monkeypatch.setattr("planner.report.answers.REPORT_BUDGETS", 2)
    monkeypatch.setattr("planner.report.answers.REPORT_RULES", ("compound",))
    name = os.fsdecode(b"caf\xe9.csv")
    shutil.copy(published, tmp_path / name)
    code, _, err = run("report", name)
    assert code == 0, err
    assert "caf\ufffd.csv" in (tmp_path / "report.html").read_text(encoding="utf-8")
