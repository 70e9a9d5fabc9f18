"""The report in a browser (Chromium, where there is one), and its slider's numbers under node."""

import csv
import io
import json
import re
import shutil
import subprocess

import pytest

from planner.formulas.codec import loads
from planner.report.numbers import numbers_of
from planner.report.page import page_of
from planner.report.source import of_table
from planner.resources import shipped_formula
from planner.table import read_csv

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
NODE = shutil.which("node")
BUDGETS = 10
OPENS_WITHIN = 2000  # ms


@pytest.fixture(scope="module")
def formula():
    return loads(shipped_formula("efficientnet_b0"))


@pytest.fixture(scope="module")
def page(published, formula, tmp_path_factory):
    """The report of the published table by the shipped formula: its file."""
    folder = tmp_path_factory.mktemp("page")
    formula.save(folder / "f.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.report.answers.BUDGETS", 3)
        patch.setattr("planner.report.answers.RULES", ("compound",))
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


def exactly_met(formula, evaluate, budgets):
    """Budgets near those given that the formula's own network costs to the unit: there is nothing to nudge."""
    for _ in range(40):
        lower = [one["macs"] for one in evaluate(budgets)]
        if lower == budgets:
            break
        budgets = lower
    low, high = formula.macs_range
    return [one for one in budgets if low <= one <= high]


def test_the_sliders_numbers_are_those_of_planner_predict(page, formula, run):
    if NODE is None:
        pytest.skip("no node")
    text = page.read_text()
    inside = re.search(r'id="formula">(.*?)</script>', text, re.DOTALL)[1]
    script = text[text.rindex("<script>") + len("<script>") : text.index("// The report's own script")]

    def evaluate(budgets):
        program = (
            f"{script}; const budgets = {json.dumps(budgets)}, formula = JSON.parse(require('fs').readFileSync(0));"
        )
        program += "console.log(JSON.stringify(budgets.map((one) => evaluate(formula, one))))"
        done = subprocess.run(
            [NODE, "-e", program], input=inside, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    low, high = formula.macs_range
    asked = [round(low * (high / low) ** ((i + 0.5) / BUDGETS)) for i in range(BUDGETS)]
    unmoved = 0
    for budget, ours in zip(asked, evaluate(asked), strict=True):
        code, out, _ = run("predict", "--formula", page.parent / "f.json", "--flops", budget, "--json")
        answer = json.loads(out)
        assert code == 0
        assert (ours["c"], ours["d"]) == pytest.approx((answer["c"], answer["d"]), rel=1e-9)
        assert ours["resolution"] == answer["resolution"] - answer["pixels_nudged"]
        assert ours["depths"] == answer["depths"] and ours["macs"] <= budget
    for budget in exactly_met(formula, evaluate, asked):
        answer = formula.predict(budget)
        (ours,) = evaluate([budget])
        assert ours["macs"] == answer.macs == budget and ours["resolution"] == answer.architecture.resolution
        assert (tuple(ours["widths"]), tuple(ours["depths"])) == (
            answer.architecture.widths,
            answer.architecture.depths,
        )
        assert (ours["stem"], ours["head"]) == (answer.architecture.stem, answer.architecture.head)
        unmoved += 1
    assert unmoved >= BUDGETS // 2


def test_a_browser_shows_the_sliders_answers_and_has_nothing_to_complain_of(page, published, tmp_path):
    script = """
      const box = document.getElementById("budget"), slider = document.getElementById("slider"), seen = [];
      for (const budget of [30e6, 50e6, 100e6, 200e6, 385814752, 500e6, 1e9, 2e9, 5e9, 2e10]) {
        box.value = String(budget);
        box.dispatchEvent(new Event("input"));
        const cells = Object.fromEntries(["resolution", "depths", "widths", "macs", "range", "accuracy"].map((name) =>
          [name, document.getElementById("out-" + name).textContent]));
        const wanted = evaluate(JSON.parse(document.getElementById("formula").textContent), budget);
        seen.push({ ...cells, wanted, budget, command: document.getElementById("command").textContent,
          moved: document.querySelector(".cursor").getAttribute("transform") });
      }
      slider.value = 1000;
      slider.dispatchEvent(new Event("input"));
      const end = document.getElementById("out-range").textContent + " " + box.value;
      box.value = "1e3"; box.dispatchEvent(new Event("input"));
      const outside = document.getElementById("out-range").textContent;
      box.value = "<b>many</b>"; box.dispatchEvent(new Event("input"));
      const wrong = !document.getElementById("wrong").hidden;
      const point = document.querySelector(".point.front");
      point.focus();
      const tip = document.getElementById("tip");
      const told = tip.hidden ? "" : tip.textContent;
      point.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      return { seen, end, outside, wrong, told, next: tip.textContent, csv: report.csv("trainings.csv"),
        answers: report.csv("answers.csv"), numbers: JSON.parse(report.csv("numbers.json")) };
    """
    found, console = in_chromium(page, script, tmp_path)
    assert console == []
    for one in found["seen"]:
        wanted = one["wanted"]
        assert one["resolution"] == f"{wanted['resolution']} px"
        assert one["depths"] == " ".join(map(str, wanted["depths"]))
        assert one["widths"].startswith(" ".join(map(str, wanted["widths"])))
        assert one["macs"].startswith(f"{wanted['macs']:,} (") and one["range"] == "inside the range of the trainings"
        assert one["accuracy"].startswith("about ") and one["command"].endswith(f"--flops {round(one['budget'])}")
    assert len({one["moved"] for one in found["seen"]}) == BUDGETS
    assert found["end"].startswith("inside") and found["outside"].startswith("OUTSIDE") and found["wrong"]
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
