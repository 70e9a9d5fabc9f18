"""A kind of formula of somebody's own: fitted, saved, read, asked and reported as ours are, and by its contract."""

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import pytest

from planner import Formula, PlannerError
from planner.fitting.fit import fit
from planner.fitting.words import fit_words
from planner.formulas.codec import read_formula, signed
from planner.formulas.conformance import check_curve, check_kind
from planner.formulas.kinds import FORMULA_KINDS, FormulaKind, register_formula_kind
from planner.formulas.protocol import LearnedCurve
from planner.gaussian.curve import power_law
from planner.rules import compound


@dataclass(frozen=True)
class Line:
    """A straight line over log c, with the same doubt everywhere."""

    at_one: float
    slope: float
    deviation: float
    output_scale = "identity"

    def __call__(self, c):
        return self.mean(c)

    def mean(self, c):
        return self.at_one + self.slope * np.log(np.atleast_1d(np.asarray(c, dtype=float)))

    def posterior_covariance(self, c):
        return np.full((len(c), len(c)), self.deviation**2)

    def interval(self, c, level=0.9):
        middle, half = float(self.mean(c)[0]), 3 * self.deviation
        return middle - half, middle + half

    def as_dict(self):
        return {"at_one": self.at_one, "slope": self.slope, "deviation": self.deviation}


def fit_lines(points):
    def line(values):
        slope, at_one = np.polyfit(np.log(points.c), values, 1)
        error = float(np.sqrt(np.mean((at_one + slope * np.log(points.c) - values) ** 2)))
        return LearnedCurve(Line(float(at_one), float(slope), error), error)

    return line(points.r), line(points.d)


STRAIGHT = FormulaKind(
    "straight",
    "straight lines over log c",
    "a straight line over log c; root mean square error",
    logs=False,
    fit=fit_lines,
    read=lambda document: Line(**document),
)


@pytest.fixture(scope="module")
def straight():
    """The kind in the table, for the tests of this file."""
    with FORMULA_KINDS.temporarily(STRAIGHT.name, STRAIGHT) as kind:
        yield kind


@pytest.fixture(scope="module")
def formula(straight, published):
    return fit(published, straight.name)


@pytest.fixture
def file(formula, tmp_path):
    formula.save(tmp_path / "f.json")
    return tmp_path / "f.json"


def test_its_curves_answer_and_are_the_ones_it_fitted(formula):
    branch = formula.branches["shrink"]
    assert isinstance(branch.r, Line) and formula.kind == "straight"
    c = 0.4
    prediction = formula.predict(c * formula.base_macs)
    assert prediction.d == pytest.approx(float(branch.d(c)[0]))
    assert prediction.r == pytest.approx(float(branch.r(c)[0]), abs=0.05)  # whole pixels
    assert formula.errors["shrink_r"] == branch.r.deviation > 0


def test_its_file_is_read_again_and_answers_the_same(formula, file):
    again = Formula.load(file)
    assert again.branches["enlarge"].d == formula.branches["enlarge"].d
    assert again.predict("200M").architecture == formula.predict("200M").architecture
    assert json.loads(file.read_text())["branches"]["shrink"]["r"]["kernel"] == "straight"
    assert again.exponents["shrink"]["r"].value == formula.exponents["shrink"]["r"].value


def test_what_is_said_of_it_is_its_own_words(formula):
    (line,) = [line for line in fit_words(formula) if line.startswith("  shrink: a straight")]
    assert line.startswith("  shrink: a straight line over log c; root mean square error r 0.")


def test_the_commands_fit_predict_and_report_know_it(run, straight, published, file, tmp_path):
    told = run("fit", str(published), "--kind", "straight", "--out", str(tmp_path / "g.json"))[1]
    assert told.startswith("fitted straight to") and (tmp_path / "g.json").read_text() == file.read_text()
    assert "EfficientNet" in run("predict", "--flops", "200M", "--formula", str(file))[1]
    page = tmp_path / "report.html"
    code, _, problem = run("report", str(published), "--formula", str(file), "--out", str(page))
    assert (code, problem) == (0, "") and '"kind": "straight"' in page.read_text()


def test_a_reader_that_does_not_know_it_says_so_in_one_line(file):
    text = file.read_text()
    with pytest.raises(PlannerError, match="kind is 'bent'; .* is wanted"):
        read_formula(json.dumps(signed({**json.loads(text), "kind": "bent"})), Formula, "f.json")
    if shutil.which("node") is None:
        pytest.skip("no node")
    script = "".join(files("planner.formulas").joinpath(f"{name}.js").read_text() for name in ("evaluator", "solver"))
    script += f"\ntry {{ solve({text}, 2e8) }} catch (error) {{ console.log(error.message) }}"
    shown = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout
    assert shown == "curves of kind straight are unknown here; ask planner predict\n"


def test_a_damaged_curve_of_it_is_refused_by_what_the_kind_reads(straight, file):
    document = json.loads(file.read_text())
    del document["branches"]["shrink"]["r"]["slope"]
    with pytest.raises(PlannerError, match="slope") as error:
        read_formula(json.dumps(signed(document)), Formula, "f.json")
    assert "\n" not in str(error.value)


def test_a_kind_is_registered_once(straight):
    with pytest.raises(PlannerError, match="straight"):
        register_formula_kind(replace(STRAIGHT, help="something else"))
    with pytest.raises(PlannerError, match="kind 'bent' is unknown; known kinds: loglinear, tinynet, compound"):
        fit("table.csv", "bent")


def test_it_keeps_to_the_contract():
    check_kind(STRAIGHT)


@pytest.mark.parametrize("name", ["loglinear", "tinynet", "compound"])
def test_our_curves_keep_to_the_contract(name, published, shipped):
    makers = {"loglinear": lambda: shipped, "tinynet": lambda: fit(published, "tinynet")}
    formula = makers.get(name, lambda: compound("efficientnet_b0"))()
    for direction, branch in formula.branches.items():
        for curve in (branch.r, branch.d):
            check_curve(curve, formula.answered(direction))
    check_curve(power_law(0.2))


@dataclass(frozen=True)
class Wrong(Line):
    """A line with one mistake."""

    mistake: str = ""

    def __call__(self, c):
        values = self.mean(c)
        return values[:1] if self.mistake == "one value" else -values if self.mistake == "negative" else values

    def posterior_covariance(self, c):
        covariance = super().posterior_covariance(c)
        return np.diag(covariance) if self.mistake == "variances" else covariance

    def interval(self, c, level=0.9):
        low, high = super().interval(c, level)
        return (high, low) if self.mistake == "interval" else (low, high)

    def as_dict(self):
        return {"line": self.mean([1.0])} if self.mistake == "arrays" else super().as_dict()


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("one value", r"shape \(1,\); \(7,\) is wanted"),
        ("negative", "not positive"),
        ("variances", r"posterior_covariance has shape \(7,\)"),
        ("interval", "does not hold the curve"),
        ("arrays", "JSON cannot hold"),
    ],
)
def test_a_broken_curve_is_told_what_is_broken(mistake, sentence):
    check_curve(Wrong(1.0, 0.2, 0.1))
    with pytest.raises(AssertionError, match=sentence):
        check_curve(Wrong(1.0, 0.2, 0.1, mistake))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"logs": True}, "logs says otherwise"),
        ({"read": lambda document: Line(**{**document, "slope": 0.0})}, "gives other values than the one written"),
        ({"fit": None}, "has no fit"),
        ({"words": "two\nlines"}, "one line each"),
    ],
)
def test_a_broken_kind_is_told_what_is_broken(change, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_kind(replace(STRAIGHT, **change))
