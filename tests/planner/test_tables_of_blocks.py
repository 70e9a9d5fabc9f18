"""Tables of known blocks in the rooms of the planner: formulas, rules and searches, and the mistakes of --base."""

import math

import pytest

from planner.errors import PlannerError
from planner.formulas.branch import Branch
from planner.formulas.codec import dumps, read_formula
from planner.formulas.formula import FormulaCurves
from planner.formulas.vectors import vectors_of
from planner.gaussian.curve import power_law
from planner.searches.greedy import GreedyOptions, greedy
from planner.searches.increments import RbisOptions
from planner.searches.rbis import rbis
from planner.searches.widths import width_vector
from planner.workbench.networks import known_name
from sampler import architecture_complexity, base
from sampler.complexity import complexity, count
from sampler.families.registry import forget_base, joined_bases
from trainer.declared.loading import shipped_network
from trainer.declared.tables import know_table_text

TABLES = {
    "narrow": 'like = "mobilenetv2_100"\nactivation = "mish"\nresolution = 96\nwidths = [16, 24, 32, 48, 72, 120, 240]',
    "resnet": 'like = "resnet18"\nactivation = "silu"\nwidths = [32, 64, 128, 256]\nstem = {channels = 32}',
    "regnet": 'like = "regnetx_002"\nresolution = 128\nstrides = [1, 2, 2, 2]',
    "convnext": 'like = "convnext_atto"\nresolution = 128\nkernels = [5, 5, 7, 9]\nstages.2 = {stride = 1}',
}


@pytest.fixture(autouse=True)
def forgotten():
    yield
    for name in list(joined_bases()):
        forget_base(name)


def formula_of(network, classes=20):
    branch = Branch(network.rule, (0.1, 1.0), power_law(0.25), power_law(0.2))
    side = network.resolution - 2 * network.stride
    macs = complexity(network, side, classes=classes).macs
    return FormulaCurves(network.name, side, classes, macs, "compound", {"shrink": branch})


@pytest.mark.parametrize("name", TABLES)
def test_a_formula_answers_where_nobody_has_the_table(name):
    network = know_table_text(TABLES[name], f"{name}.toml")
    formula = formula_of(network)
    text, wanted = dumps(formula), vectors_of(formula)
    forget_base(name)
    read = read_formula(text, FormulaCurves)
    assert read.network == formula.network and vectors_of(read) == wanted
    assert shipped_network(name) is None  # its own resolution is not known
    assert know_table_text(TABLES[name], f"{name}.toml") == base(name) == network


def test_a_damaged_formula_of_a_table_leaves_nothing_known():
    network = know_table_text(TABLES["narrow"], "narrow.toml")
    text = dumps(formula_of(network))
    forget_base("narrow")
    for wrong in (text.replace('"kernel": 3', '"kernel": 4'), text.replace("Mish", "ReLU")):
        with pytest.raises(PlannerError):
            read_formula(wrong, FormulaCurves)
        assert not joined_bases()


@pytest.mark.parametrize("name", TABLES)
def test_searches_grow_a_table_as_they_grow_known_networks(name):
    start = know_table_text(TABLES[name], f"{name}.toml").architecture()
    macs = architecture_complexity(start).macs

    def scores(offered):
        return [math.log(sum(one.architecture.widths)) + sum(one.architecture.depths) / 100 for one in offered]

    found = greedy(start, 1.6 * macs, scores, GreedyOptions(iterations=2), 1000, lambda line: None)
    assert abs(architecture_complexity(found.architecture).macs / (1.6 * macs) - 1) < 0.05
    cost = lambda ones: count(ones).macs  # noqa: E731
    grown = rbis(start, 1.6 * macs, cost, scores, [start.resolution], RbisOptions())
    assert macs < architecture_complexity(grown.architecture).macs <= 1.6 * macs
    assert len(width_vector(start, 1000).initial) >= len(start.widths)


MISTAKES = [
    ("no_such.toml", None, "No such file or directory; give a TOML table"),
    ("no_such.py:net", None, "No such file or directory"),
    ("folder.toml", "", "Is a directory"),
    ("mine.toml", "def net(): ...", "not TOML .*line 1"),
    ("mine.toml", 'like = "resnet18"\nresolution = = 3', "not TOML .*line 2"),
    ("mine.toml", '{"like": "resnet18"}', "not TOML"),
    ("mine.json", '{"like": "resnet18"}', "unknown"),
    ("mine.py", "def net(): ...", "unknown"),
    ("mine.py:net", "x = 1", "has no 'net'"),
    ("mine.py:net", "net = 1", "net is no function"),
    ("mine.py:net", "def net(resolution, widths, depths, classes): ...", "planner.network"),
    ("mine.py:net", "raise ValueError('no')", "no"),
    ("mine.py:net", "x = 1\ndef net(:\n", "line 2"),
]


@pytest.mark.parametrize(("given", "content", "message"), MISTAKES)
def test_a_likely_mistake_of_base_is_one_line_that_names_the_file(given, content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / given.partition(":")[0]
    if content == "":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    with pytest.raises(PlannerError, match=message) as error:
        base(known_name(given))
    assert file.name in str(error.value) and "\n" not in str(error.value)
