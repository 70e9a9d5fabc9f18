"""The report says what searches found, and whether growing gained anything."""

from types import SimpleNamespace

from planner.report.found import searches_of, searches_section
from planner.searches.record import FOLDER, write_found
from planner.searches.scoring import Gain, SearchResult
from sampler import base

B0 = base("efficientnet_b0").architecture()


def source(folder):
    return SimpleNamespace(situation=SimpleNamespace(ledger=SimpleNamespace(folder=folder)))


def test_a_gain_and_none_over_the_control_are_told_apart(tmp_path):
    for method, found in (("greedy", 0.45), ("greedy-again", 0.35)):
        result = SearchResult(method, B0, (), (), Gain(0.2, 0.4, found))
        write_found(tmp_path / FOLDER, result, 5e6, 4, 17, 60.0, "fine-tunes", seeds=3)
    write_found(tmp_path / FOLDER, SearchResult("rbis", B0, ()), 5e6, 4, 9, 60.0, "zen")
    searches = searches_of(source(tmp_path))
    assert [one["over_control"] is None or round(one["over_control"], 3) for one in searches] == [0.05, -0.05, True]
    page = searches_section({"searches": searches})
    assert "fine-tunes (3 seeds)" in page and "Zen-scores" in page and "nothing (-0.05)" in page and ">0.05<" in page


def test_a_study_without_searches_and_a_table_have_no_such_section(tmp_path):
    assert searches_of(source(tmp_path)) == [] == searches_of(SimpleNamespace(situation=None))
    assert searches_section({}) == ""
