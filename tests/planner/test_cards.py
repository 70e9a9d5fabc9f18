"""What notebooks and the prompt show of studies, formulas and answers."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from planner.allocation.allocate import Allocation, Option
from planner.surrogates.fit import fit_surrogate
from planner.text.markup import MOST_POINTS

HOSTILE = '<script>alert("x")</script><b>&amp;'


class Cells(HTMLParser):
    """The cells of a piece of HTML; refuses elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.captions, self.tags, self._open = [], [], set(), []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        assert not [name for name, _ in attrs if name.startswith("on")]
        self._open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "caption":
            self.captions.append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self._open and self._open[-1] == "caption":
            self.captions[-1] += data

    def facts(self):
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


def test_a_formula_shows_what_it_covers_and_its_front(shipped):
    found = Cells(shipped._repr_html_())
    assert found.facts()["budgets"] == "24.36M to 37.75G MACs"
    law = shipped.exponents["shrink"]["r"]
    assert found.facts()["to shrink"].startswith(f"r ~ c^{law.value:.3f} ({law.lower:.2f} to {law.upper:.2f}), d ~ c^")
    assert "for twice the MACs: pixels x1.17, blocks x1.20, channels x1.13" in found.facts()["to enlarge"]
    points = [row for row in found.rows if len(row) == 6 and row[0] != "trial"]
    assert len(points) == 2 * MOST_POINTS and found.captions[2] == f"Front ({MOST_POINTS} of 13)"
    assert found.captions[1] == f"Selected for the fit ({MOST_POINTS} of 13)"
    assert points[0][0] == "tinynet_e" and points[-1] == [
        "efficientnet_b7",
        "2.679",
        "3.100",
        "2.000",
        "37.75G",
        "84.3%",
    ]
    assert found.tags <= {"div", "style", "table", "caption", "thead", "tbody", "tr", "th", "td"}


def test_a_formula_without_accuracies_promises_none(shipped):
    assert "accuracy" in Cells(shipped._repr_html_()).facts()
    assert "accuracy" not in Cells(replace(shipped, accuracy=None, surrogate=None)._repr_html_()).facts()


def test_a_prediction_shows_the_network_part_by_part(shipped):
    prediction = shipped.predict(macs=200e6)
    found = Cells(prediction._repr_html_())
    one = prediction.architecture
    parts = [row for row in found.rows if len(row) == 3][1:]
    assert parts[0] == ["stem", "-", str(one.stem)] and parts[-1] == ["head", "-", str(one.head)]
    assert [row[1:] for row in parts[1:-1]] == [
        [str(depth), str(width)] for depth, width in zip(one.depths, one.widths, strict=True)
    ]
    assert found.facts()["MACs"].startswith(f"{prediction.macs:,} (") and "outside" not in found.facts()["budget"]
    assert found.facts()["expected accuracy"].startswith(f"{prediction.accuracy['mean']:.1%} (")
    assert "an extrapolation" in shipped.predict(macs=15e6, extrapolate=True)._repr_html_()


def test_a_network_without_a_head_has_no_such_row(run):
    from planner.rules import compound

    found = Cells(compound("resnet50", None, 1000).predict(macs=2e9, extrapolate=True)._repr_html_())
    assert "head" not in [row[0] for row in found.rows] and "expected accuracy" not in found.facts()


def test_limits_are_shown_with_what_is_spent_of_them(shipped):
    limited = replace(shipped.predict(macs=200e6), costs={"latency": 11.5}, limits={"latency": 12.0})
    assert Cells(limited._repr_html_()).facts()["limit of latency"] == "11.5 ms of 12 ms"


class Sure:
    """A surrogate that expects the same of every network, inside what was trained."""

    inputs, cost = ("resolution",), None

    def intervals_of(self, inputs, cost, level=0.9):
        return np.full(len(inputs), 0.75), np.full(len(inputs), 0.734), np.full(len(inputs), 0.766)

    def in_range_of(self, inputs, cost):
        return np.ones(len(inputs), dtype=bool)


def test_an_allocation_shows_both_ways_and_what_each_part_gets(shipped):
    parts = ["stem", *map(str, range(1, 8)), "head"]
    curves = Option(shipped.predict(macs=200e6), dict.fromkeys(parts, 1 / 9))
    believed = replace(shipped, surrogate=Sure())
    search = Option(believed.predict(macs=199e6), {**dict.fromkeys(parts, 0.1), "7": 0.2}, 0.75, 0.01)
    both = Allocation(200e6, {"curves": curves, "search": search}, {}, "search", "its mean is higher", False)
    found = Cells(both._repr_html_())
    rows = {row[0]: row[1:] for row in found.rows if len(row) == 3}
    ours, theirs = curves.prediction.architecture, search.prediction.architecture
    assert rows["stage 7"] == [
        f"{one.depths[6]} x {one.widths[6]}, {share}" for one, share in ((ours, "11.1%"), (theirs, "20.0%"))
    ]
    assert rows["stem"] == [f"{ours.stem} channels, 11.1%", f"{theirs.stem} channels, 10.0%"]
    assert rows["expected accuracy"] == ["-", "75.0% (73.4% to 76.6%, 90%)"]
    assert found.facts()["preferred"] == "search; its mean is higher"
    assert repr(both) == "Allocation(200M MACs: search of curves, search)"
    alone = replace(both, options={"search": search}, missing={"curves": HOSTILE})
    assert Cells(alone._repr_html_()).facts()["no answer: curves"] == HOSTILE and "<b>" not in alone._repr_html_()


def test_a_surrogate_shows_its_errors_beside_a_linear_models(published):
    surrogate = fit_surrogate(pd.read_csv(published), ["r", "d"], "accuracy", "macs")
    found = Cells(surrogate._repr_html_())
    errors = {row[0]: row[1:] for row in found.rows if len(row) == 3}
    assert errors["rmse"] == [f"{surrogate.errors[name]:.3g}" for name in ("rmse", "linear_rmse")]
    assert found.facts()["from"] == "r, d, macs"
    assert repr(surrogate) == f"Surrogate(accuracy from r, d, macs: 14 rows, RMSE {errors['rmse'][0]} on rows held out)"
    bare = replace(surrogate, errors={})
    assert len(Cells(bare._repr_html_()).captions) == 1 and repr(bare).endswith(": 14 rows)")


def test_a_study_shows_what_became_of_its_trials(mine):
    found = Cells(mine._repr_html_())
    assert found.facts()["trials"] == "10 ok, 1 failed, 0 running, 0 waiting"
    assert repr(mine) == "Ledger(results/mine, efficientnet_b0: 10 ok, 1 failed, 0 running, 0 waiting)"
    assert found.captions == ["Study"] and found.facts()["folder"] == "results/mine"


def test_a_study_without_trainings_shows_its_settings_alone(new):
    found = Cells(new._repr_html_())
    assert found.captions == ["Study"] and found.facts()["images"] == "fractal"


def test_whatever_comes_from_files_is_escaped(shipped, new):
    front = ({**shipped.front[0], "trial": HOSTILE},)
    told = {"front": front, "non_dominated": front, "warnings": (HOSTILE,)}
    text = replace(shipped, **told, provenance={"rows": HOSTILE})._repr_html_()
    assert [row[0] for row in Cells(text).rows].count(HOSTILE) == 2 and Cells(text).facts()["warning"] == HOSTILE
    assert "<script" not in text and "<b>" not in text
    new.settings.data.__dict__["source"] = HOSTILE
    assert Cells(new._repr_html_()).facts()["images"] == HOSTILE and "<script" not in new._repr_html_()


def test_colours_are_the_pages_own(shipped):
    style = shipped._repr_html_().partition("<style>")[2].partition("</style>")[0]
    assert "#" not in style and style.count("color:inherit") == 3
