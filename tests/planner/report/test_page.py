"""The report in a browser (Chromium, where there is one), and its slider's numbers under node."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from planner.answers.formula import Formula
from planner.formulas.branch import Branch
from planner.formulas.codec import read_formula
from planner.formulas.rungs import Rung, rung_at
from planner.gaussian.curve import power_law
from planner.report.numbers import numbers_of
from planner.report.page import page_of
from planner.report.source import of_table
from planner.tables.table import read_csv
from planner.text.shipped import shipped_formula
from sampler import architecture_complexity, base
from sampler.complexity import base_macs

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
NODE = shutil.which("node")
BUDGETS = 10
OPENS_WITHIN = 2000  # ms


@pytest.fixture(scope="module")
def formula():
    return read_formula(shipped_formula("efficientnet_b0"), Formula)


@pytest.fixture(scope="module")
def page(published, formula, tmp_path_factory):
    """The report of the published table by the shipped formula: its file."""
    return reported(published, formula, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def laddered(formula):
    """The shipped formula with a ladder that begins within its range, of networks that it would give itself."""
    low, high = formula.macs_range
    found = [formula.predict(budget) for budget in np.geomspace(1.5 * low, high, 12)]
    rungs = [Rung(one.architecture, one.macs, 0.6 + 0.02 * i, 0.5, 0.9) for i, one in enumerate(found)]
    return replace(formula, ladder=tuple(rungs))


@pytest.fixture(scope="module")
def laddered_page(published, laddered, tmp_path_factory):
    """The same of that one."""
    return reported(published, laddered, tmp_path_factory.mktemp("laddered"))


def reported(published, formula, folder):
    formula.save(folder / "f.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.report.answers.REPORT_BUDGETS", 3)
        patch.setattr("planner.report.answers.REPORT_RULES", ("compound",))
        source = of_table(published, formula=str(folder / "f.json"))
        (folder / "report.html").write_text(page_of(numbers_of(source), source.formula, source.command))
    return folder / "report.html"


def in_chromium(page, script, folder, window="1280,900"):
    """What a script that is appended to a page writes as JSON, and what the console said."""
    if CHROMIUM is None:
        pytest.skip("no chromium")
    ending = (
        f"<script>(async () => {{ document.title = JSON.stringify(await (async () => {{ {script} }})()); }})()</script>"
    )
    copy = folder / "probed.html"
    copy.write_text(page.read_text().replace("</body>", f"{ending}</body>"))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={window}"]
    options += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=4000", "--dump-dom"]
    done = subprocess.run([CHROMIUM, *options, copy.as_uri()], capture_output=True, text=True, timeout=180)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1]
    told = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), told


@pytest.fixture
def predicted(page, run):
    """What `planner predict --json` says of the budgets, and its one line where it refuses."""

    def answers(*budgets):
        for budget in budgets:
            code, out, told = run(
                "predict", "--formula", page.parent / "f.json", "--flops", budget, "--extrapolate", "--json"
            )
            yield json.loads(out) if code == 0 else told

    return answers


def test_the_pages_script_gives_the_numbers_of_planner_predict(page, formula, predicted):
    if NODE is None:
        pytest.skip("no node")
    text = page.read_text()
    inside = re.search(r'id="formula">(.*?)</script>', text, re.DOTALL)[1]
    script = text[text.rindex("<script>") + len("<script>") : text.index("// The report's own script")]
    low, high = formula.macs_range
    asked = [round(low * (high / low) ** ((i + 0.5) / BUDGETS)) for i in range(BUDGETS)]
    program = f"{script}; const budgets = {json.dumps(asked)}, formula = JSON.parse(require('fs').readFileSync(0));"
    program += "console.log(JSON.stringify(budgets.map((one) => solve(formula, one))))"
    done = subprocess.run([NODE, "-e", program], input=inside, capture_output=True, text=True, timeout=60, check=True)
    for ours, answer in zip(json.loads(done.stdout), predicted(*asked), strict=True):
        for name in ("c", "r", "d", "w"):
            assert ours.pop(name) == pytest.approx(answer[name], rel=1e-9)
        assert ours == {name: answer[name] for name in ours} and len(ours) == 9


# As much of a browser as the page's box needs.
STUB = """
const made = {}, element = (id) => made[id] ??= { id, textContent: "", dataset: {}, heard: {}, value: "", max: "1000",
  setAttribute(name, value) { this[name] = value; }, addEventListener(name, act) { this.heard[name] = act; } };
const page = JSON.parse(require("fs").readFileSync(0));
for (const id of ["numbers", "formula"]) element(id).textContent = page[id];
for (const id of page.cells) element(id);
globalThis.document = { getElementById: element, querySelectorAll: (query) =>
  query === "[id^='out-']" ? Object.values(made).filter((one) => one.id.startsWith("out-")) : [] };
globalThis.location = { hash: "" };
globalThis.addEventListener = () => {};
"""


def after_typing(page, typed):
    """What is hidden, what the cells show by their names, and the command, after each of several entries."""
    if NODE is None:
        pytest.skip("no node")
    text = page.read_text()
    inside = {name: re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1] for name in ("numbers", "formula")}
    cells = re.findall(r'id="(out-[a-z-]+)"', text)
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    program = f"""{STUB}{script}
      const box = element("budget");
      console.log(JSON.stringify({json.dumps(typed)}.map((value) => {{
        box.value = value;
        box.heard.input();
        const shown = {json.dumps(cells)}.map((id) => element(id).textContent);
        return [element("wrong").hidden, shown, element("command").textContent];
      }})))"""
    done = subprocess.run(
        [NODE, "-e", program], input=json.dumps({**inside, "cells": cells}), capture_output=True, text=True, timeout=60
    )
    shown = json.loads(done.stdout or done.stderr)
    return [(hidden, dict(zip(cells, values, strict=True)), command) for hidden, values, command in shown]


@pytest.mark.parametrize("which", ["page", "laddered_page"])
def test_after_a_wrong_entry_the_page_shows_no_answer_until_a_right_one(which, request):
    typed = ["200M", "6,", "abc", "200,000,000", "-5", "0.2 GFLOPs"]
    right, _, wrong, *_ = answers = after_typing(request.getfixturevalue(which), typed)
    assert answers == [right, wrong, wrong, right, wrong, right]
    assert wrong == (False, dict.fromkeys(right[1], "-"), "")
    assert right[0] is True and right[2].endswith("--flops 200000000")
    assert "-" not in [right[1][f"out-{name}"] for name in ("resolution", "depths", "widths")]


def test_the_page_shows_the_ladders_answer_beside_the_formulas_and_the_difference(page, laddered_page, laddered):
    low, high = laddered.macs_range
    budgets = [round(one) for one in np.geomspace(1.02 * low, high, BUDGETS)]
    typed = list(map(str, budgets))
    plain, both = after_typing(page, typed), after_typing(laddered_page, typed)
    answered = 0
    for budget, (_, alone, _), (_, shown, _) in zip(budgets, plain, both, strict=True):
        assert {name: shown[name] for name in alone} == alone  # the formula's own is as it was
        rung = rung_at(laddered.ladder, budget)
        if rung is None:
            assert shown["out-answer-macs"].startswith("no answer: the cheapest answer has ")
            assert shown["out-difference"] == shown["out-answer-accuracy"] == shown["out-answer-widths"] == "-"
            continue
        one, answered = rung.architecture, answered + 1
        assert shown["out-answer-resolution"] == f"{one.resolution} px"
        assert shown["out-answer-depths"] == " ".join(map(str, one.depths))
        assert shown["out-answer-widths"] == f"{' '.join(map(str, one.widths))} (stem {one.stem}, head {one.head})"
        off = 100 * (rung.macs / budget - 1)
        assert shown["out-answer-macs"] == f"{rung.macs:,} ({off:+.2f} % of the budget)"
        assert shown["out-answer-accuracy"] == f"{100 * rung.accuracy:.3g} % (50 % to 90 %, 90 %)"
        smooth = float(re.match(r"about ([\d.]+) %", alone["out-accuracy"])[1])
        gain, word = re.match(r".* about ([\d.]+) points (more|less) than", shown["out-difference"]).groups()
        assert float(gain) * (1 if word == "more" else -1) == pytest.approx(100 * rung.accuracy - smooth, abs=0.11)
    assert 0 < answered < BUDGETS


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """The report of a network without a stem, whose widths are multiples of 64, and its formula."""
    name, folder = "vit_tiny_patch16", tmp_path_factory.mktemp("transformer")
    network, macs = base(name), base_macs(name, 224, 1000)
    branch = Branch(network.rule, (0.1, 1.0), power_law(0.25), power_law(0.2))
    formula = Formula(name, 224, 1000, macs, "compound", {"shrink": branch})
    one = network.architecture()
    ones = [replace(one, resolution=side, depths=(depth,)) for side, depth in ((224, 12), (192, 8), (160, 6), (96, 4))]
    costs = [architecture_complexity(each).macs for each in ones]
    rungs = tuple(Rung(each, cost, 0.5, 0.4, 0.6) for each, cost in reversed(list(zip(ones, costs, strict=True))))
    lines = [f"{each.resolution},192,{each.depths[0]},{cost},0.5" for each, cost in zip(ones, costs, strict=True)]
    header = "resolution,width_1,depth_1,macs,accuracy"
    (folder / "t.csv").write_text("\n".join([f"base,{header}", *(f"{name},{line}" for line in lines), ""]))
    formula = replace(formula, ladder=rungs)
    return reported(folder / "t.csv", formula, folder), formula


def test_the_page_of_a_network_with_coarse_steps_keeps_to_the_budget_and_says_who_comes_nearer(transformer):
    path, formula = transformer
    budgets = [round(one) for one in np.geomspace(*formula.macs_range, 8)[1:]]
    coarse = 0
    for budget, (_, shown, _) in zip(budgets, after_typing(path, list(map(str, budgets))), strict=True):
        macs, off = re.match(r"([\d,]+) \(([+-][\d.]+) % of the budget\)", shown["out-macs"]).groups()
        assert int(macs.replace(",", "")) <= budget
        near = "planner predict, which moves further numbers, comes nearer" in shown["out-nudged"]
        assert near == (float(off) < -1)
        coarse += near
        assert re.fullmatch(r"\d+", shown["out-widths"]) and int(shown["out-widths"]) % 64 == 0
        rung = rung_at(formula.ladder, budget)
        assert shown["out-answer-widths"] == ("192" if rung else "-")
    assert 0 < coarse < len(budgets)
    listed = re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)
    assert re.search(r"<th[^>]*>depths</th>", listed) and not re.search(r"<th[^>]*>stem</th>", listed)


def test_outside_the_range_the_page_says_that_the_formula_alone_answers(laddered_page, laddered):
    (_, shown, command), *_ = after_typing(laddered_page, [str(round(2 * laddered.macs_range[1]))])
    assert shown["out-answer-macs"] == "no answer: outside the range the formula answers"
    assert shown["out-answer-widths"] == "-" and shown["out-range"].startswith("OUTSIDE")
    assert command.endswith("--extrapolate")


def test_a_page_without_a_ladder_has_no_column_for_it(page, laddered_page):
    assert "out-answer-" not in re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)
    text = laddered_page.read_text()
    assert '<th scope="col">Answer</th><th scope="col">Formula</th>' in text and "All answers" in text


def nudges(answer):
    """In the words of `planner predict`."""
    parts = [f"resolution {answer['pixels_nudged']:+d} px"] if answer["pixels_nudged"] else []
    if answer["stage_nudged"] is not None:
        parts.append(f"stage {answer['stage_nudged'] + 1} {answer['channels_nudged']:+d} channels")
    return ", ".join(parts) or "nothing"


def test_a_browser_shows_what_planner_predict_gives_and_has_nothing_to_complain_of(
    page, published, predicted, tmp_path
):
    script = """
      const box = document.getElementById("budget"), slider = document.getElementById("slider"), seen = [];
      for (const budget of [30e6, 50e6, 100e6, 200e6, 385814752, 500e6, 1e9, 2e9, 5e9, 2e10]) {
        box.value = String(budget);
        box.dispatchEvent(new Event("input"));
        const cells = Object.fromEntries(["resolution", "depths", "widths", "macs", "nudged", "multipliers", "range",
          "accuracy"].map((name) =>
          [name, document.getElementById("out-" + name).textContent]));
        seen.push({ ...cells, budget, command: document.getElementById("command").textContent,
          moved: document.querySelector(".cursor").getAttribute("transform") });
      }
      slider.value = 1000;
      slider.dispatchEvent(new Event("input"));
      const end = document.getElementById("out-range").textContent + " " + box.value;
      box.value = "1e3"; box.dispatchEvent(new Event("input"));
      const [outside, none] = ["range", "macs"].map((name) => document.getElementById("out-" + name).textContent);
      box.value = "<b>many</b>"; box.dispatchEvent(new Event("input"));
      const wrong = !document.getElementById("wrong").hidden;
      const left = [...document.querySelectorAll("[id^='out-']")].map((one) => one.textContent).join("")
        + document.getElementById("command").textContent;
      box.value = "200,000,000"; box.dispatchEvent(new Event("input"));
      const pasted = document.getElementById("command").textContent;
      const point = document.querySelector(".point.selected");
      point.focus();
      const tip = document.getElementById("tip");
      const told = tip.hidden ? "" : tip.textContent;
      point.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      return { seen, end, outside, none, wrong, left, pasted, told, next: tip.textContent,
        csv: report.csv("trainings.csv"), answers: report.csv("answers.csv"),
        numbers: JSON.parse(report.csv("numbers.json")) };
    """
    found, console = in_chromium(page, script, tmp_path)
    assert console == []
    moved = set()
    for one, wanted in zip(found["seen"], predicted(*(round(one["budget"]) for one in found["seen"])), strict=True):
        off = 100 * (wanted["macs"] / one["budget"] - 1)
        assert one["resolution"] == f"{wanted['resolution']} px"
        assert one["depths"] == " ".join(map(str, wanted["depths"]))
        ends = f"(stem {wanted['stem']}, head {wanted['head']})"
        assert one["widths"] == f"{' '.join(map(str, wanted['widths']))} {ends}"
        assert one["macs"] == f"{wanted['macs']:,} ({off:+.2f} % of the budget)" and abs(off) <= 1
        assert one["nudged"] == nudges(wanted) and one["range"] == "inside the range of the trainings"
        shown = ", ".join(f"{name} {wanted[name]:.3f}" for name in "rdw")
        assert one["multipliers"].endswith(shown)
        moved.add(one["nudged"] != "nothing")
        assert one["accuracy"].startswith("about ") and one["command"].endswith(f"--flops {round(one['budget'])}")
    assert len({one["moved"] for one in found["seen"]}) == BUDGETS and moved == {True, False}
    (refusal,) = predicted(1000)
    assert found["none"].startswith("no answer: no width at ") and found["none"].removeprefix("no answer: ") in refusal
    assert found["end"].startswith("inside") and found["outside"].startswith("OUTSIDE") and found["wrong"]
    assert not found["left"].strip("-") and found["pasted"].endswith("--flops 200000000")
    assert "accuracy" in found["told"] and "MACs" in found["told"] and found["next"] != found["told"]
    (tmp_path / "trainings.csv").write_text(found["csv"])
    ours, theirs = read_csv(tmp_path / "trainings.csv"), read_csv(published)
    assert (ours.base, ours.resolution, ours.classes) == (theirs.base, theirs.resolution, theirs.classes)
    read = ["trial", "rule", "accuracy", "macs", "c", "r", "d", "w", "resolution", "width_7", "depth_4"]
    assert ours.frame[read].equals(theirs.frame[read])
    assert len(list(csv.DictReader(io.StringIO(found["answers"])))) == len(found["numbers"]["answers"])


def test_nothing_is_wider_than_a_phone_of_390_pixels(page, tmp_path):
    probe = """<script>for (const one of document.querySelectorAll("details")) one.open = true;
      const { clientWidth: inside, scrollWidth: needed } = document.documentElement;
      parent.postMessage({ window: innerWidth, inside, needed }, "*")</script></body>"""
    (tmp_path / "framed.html").write_text(page.read_text().replace("</body>", probe))
    frame = tmp_path / "frame.html"
    frame.write_text(
        '<title></title><body><iframe src="framed.html" style="width:390px;height:800px;border:0"></iframe></body>'
    )
    script = 'return await new Promise((done) => addEventListener("message", (event) => done(event.data)))'
    found, _ = in_chromium(frame, script, tmp_path)
    assert found["window"] == 390 and found["needed"] <= found["inside"] <= 390


@pytest.mark.slow
def test_the_page_opens_within_two_seconds(page, tmp_path):
    found, _ = in_chromium(page, "return performance.now()", tmp_path)
    assert found < OPENS_WITHIN
