"""The formula file: there and back, and every damage refused in one line that names the file."""

import copy
import hashlib
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner import PlannerError
from planner.answers.formula import Formula
from planner.formulas.branch import Branch
from planner.formulas.codec import dumps, read_formula, signed
from planner.gaussian.curve import Curve
from planner.rules import compound
from planner.text.shipped import shipped_formula
from sampler import InputError
from sampler.complexity import base_macs


@pytest.fixture(scope="module")
def tinynet(published):
    """A formula of the other kind, with another base resolution and number of classes."""
    from planner.fitting.fit import fit

    return fit(published, "tinynet").at(96, 10)


@pytest.fixture(params=["shipped", "tinynet", "compound"])
def formula(request):
    """Formulas of every kind."""
    return (
        Formula.of(compound("efficientnet_b0"))
        if request.param == "compound"
        else request.getfixturevalue(request.param)
    )


@pytest.fixture(scope="module")
def shipped_text():
    """The shipped file."""
    return shipped_formula("efficientnet_b0")


@pytest.fixture(scope="module")
def document(shipped_text):
    """The parsed document of the shipped formula."""
    return json.loads(shipped_text)


@pytest.fixture
def refusal(tmp_path):
    """A function: the one line with which bytes are refused as a formula file."""

    def refused(content):
        path = tmp_path / "mine.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(PlannerError) as error:
            Formula.load(path)
        message = str(error.value)
        assert "\n" not in message
        assert message.startswith(f"{path}: ")
        return message.removeprefix(f"{path}: ")

    return refused


@pytest.fixture
def damaged(document, refusal):
    """A function: the one line with which the document is refused after one place of it was changed.

    The digest is made anew, unless told otherwise, so that what follows it is reached.
    """

    def with_change(place, value, sign=True):
        changed = with_value(document, place, value)
        return refusal(json.dumps(signed(changed) if sign else changed))

    return with_change


def with_value(document, place, value):
    """A copy with one place changed or, for DELETED, gone."""
    changed = copy.deepcopy(document)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is DELETED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


DELETED = object()
BRANCH = ("branches", "shrink")
R = (*BRANCH, "r")


def test_a_formula_survives_the_file_and_still_predicts_the_same(formula, tmp_path):
    formula.save(tmp_path / "f.json")
    again = Formula.load(tmp_path / "f.json")
    assert (tmp_path / "f.json").read_text() == dumps(again)
    budget = math.sqrt(math.prod(formula.macs_range))
    assert again.predict(budget).as_dict() == formula.predict(budget).as_dict()


def test_the_text_is_json_with_sorted_keys_and_says_what_it_counts(shipped):
    text = dumps(shipped)
    document = json.loads(text)
    assert list(document) == sorted(document)
    assert document["schema"] == "planner-formula/1"
    assert "multiply-accumulates" in document["counting"]
    assert not {"NaN", "Infinity"} & set(text.split())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_not_written(shipped, bad):
    from dataclasses import replace

    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(replace(shipped, errors={"shrink_r": bad}))


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("place", ["alpha", "front", "errors", "provenance"])
def test_a_value_that_is_not_finite_is_not_read_wherever_it_sits(document, refusal, bad, place):
    changed = copy.deepcopy(document)
    if place == "alpha":
        changed["branches"]["shrink"]["r"]["alpha"][0] = "HERE"
    elif place == "front":
        changed["front"][0]["w"] = "HERE"
    else:
        changed[place]["new"] = "HERE"
    assert "not a formula file" in refusal(json.dumps(changed).replace('"HERE"', bad))


@pytest.mark.parametrize("percent", range(0, 100, 5))
def test_a_truncated_file_is_refused(shipped_text, refusal, percent):
    message = refusal(shipped_text[: percent * len(shipped_text) // 100])
    assert message.startswith("not a formula file") and message.endswith("; write it again with `planner fit --out`")


def test_a_file_that_lacks_only_its_last_brace_is_refused(shipped_text, refusal):
    assert refusal(shipped_text.rstrip()[:-1]).startswith("not a formula file")


@pytest.mark.parametrize(
    ("text", "found"),
    [("{}", "None"), ("[]", "list"), ("3", "int"), ("null", "NoneType"), ('{"schema": "planner-formula/2"}', "2'")],
)
def test_another_schema_is_refused_by_name(refusal, text, found):
    message = refusal(text)
    assert found in message
    assert message.endswith("is unknown, 'planner-formula/1' is read; write it again with `planner fit --out`")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("kind",), "cubic", "kind is 'cubic'; one of loglinear, tinynet, compound"),
        (("kind",), None, "kind is None; one of loglinear"),
        (("base", "name"), "resnet51", "base network 'resnet51' is unknown to this version"),
        (("base", "network", "stem"), 31, "its table of efficientnet_b0 is not this version's"),
        (("base", "network", "resolution"), 224.5, "base.network.resolution is 224.5; integer is wanted"),
        (("base", "network", "resolution"), True, "base.network.resolution is True; integer is wanted"),
        (("base", "network", "resolution"), 16, "is below efficientnet_b0's stride of 32"),
        (("base", "network", "new"), 1, "base.network.new is unknown"),
        (("base", "macs"), 385_814_753, "macs of efficientnet_b0 is 385814753; this version counts 385814752"),
        (("base", "macs"), 0, "base.macs is 0; at least 1 is wanted"),
        (("classes",), "many", "classes is 'many'; integer is wanted"),
        (("classes",), 131_073, "classes must be between 1 and 131072"),
        (("branches",), {}, "branches is {}; at least 1 is wanted"),
        (("branches", "sideways"), 1, "branches.sideways is unknown"),
        (("branches",), ["shrink"], "branches is ['shrink']; object is wanted"),
        ((*BRANCH, "rule", "name"), "mine", "scaling rule 'mine' of shrink is not this version's"),
        ((*BRANCH, "rule", "divisor"), 4, "of shrink is not this version's"),
        ((*BRANCH, "c_range"), [2, 1], "c_range of shrink is 2 to 1; rising numbers are wanted"),
        ((*BRANCH, "c_range", 0), 0, "branches.shrink.c_range[0] is 0; more than 0 is wanted"),
        ((*BRANCH, "c_range"), [1], "branches.shrink.c_range is [1]; at least 2 is wanted"),
        ((*BRANCH, "parts"), [], "resolution or parts of shrink are not this version's"),
        ((*BRANCH, "parts", 1, "width", "base"), 17, "resolution or parts of shrink are not this version's"),
        ((*BRANCH, "resolution", "least"), 33, "resolution or parts of shrink are not this version's"),
        ((*R, "kernel"), "matern", "branches.shrink.r.kernel is 'matern'; 'rbf' is wanted"),
        ((*R, "input_scale"), "sqrt", "branches.shrink.r.input_scale is 'sqrt'; one of identity, log is wanted"),
        ((*R, "length_scale"), 0, "branches.shrink.r.length_scale is 0; more than 0 is wanted"),
        ((*R, "noise_variance"), -1e-9, "branches.shrink.r.noise_variance is -1e-09; at least 0 is wanted"),
        ((*R, "slope"), "0.2", "branches.shrink.r.slope is '0.2'; number is wanted"),
        ((*R, "slope"), True, "branches.shrink.r.slope is True; number is wanted"),
        ((*R, "slope"), 10**400, "branches.shrink.r.slope is 1000000"),
        ((*R, "slope"), 1e308, "MACs give r 0 here"),
        ((*R, "slope"), 0.3, "in its test vector"),
        ((*R, "offset"), 1e-8, "in its test vector"),
        ((*R, "alpha"), [1.0], "r of shrink holds arrays of lengths"),
        ((*R, "alpha"), [None] * 6, "branches.shrink.r.alpha[0] is None; number is wanted"),
        ((*R, "inputs"), "5", "branches.shrink.r.inputs is '5'; array is wanted"),
        ((*R, "inputs"), [], "r of shrink holds arrays of lengths"),
        ((*R, "inputs"), [0.0] * 1001, "branches.shrink.r.inputs is [0.0, 0.0"),
        ((*R, "precision"), [[1.0]], "branches.shrink.r.precision is unknown"),
        ((*R, "prior_weight"), 0.5, "prior of r of shrink is missing beside its prior_weight"),
        (("accuracy", "kernel"), "matern", "accuracy.kernel is 'matern'"),
        (("accuracy",), 3, "accuracy is 3; "),
        (("front",), 3, "front is 3; array is wanted"),
        (("front", 0, "macs"), 0.5, "front[0].macs is 0.5; integer is wanted"),
        (("errors",), [], "errors is []; object is wanted"),
        (("errors", "shrink_r"), None, "errors.shrink_r is None; number is wanted"),
        (("provenance",), None, "provenance is None; object is wanted"),
        (("provenance", "stage_varied"), [41, 40], "provenance.stage_varied is [41, 40]; two numbers of rows"),
        (("provenance", "stage_varied"), [1.5, 40], "provenance.stage_varied is [1.5, 40]; two numbers of rows"),
        (("provenance", "stage_varied"), "many", "provenance.stage_varied is 'many'; two numbers of rows"),
        (("vectors",), [], "vectors is []; at least 1 is wanted"),
        (("vectors", 3, "r"), 0.5, "in its test vector"),
        (("vectors", 3, "budget"), 10**9, "in its test vector"),
        (("vectors", 3, "answer", "macs"), "1", "vectors[3].answer"),
        (("base",), DELETED, "base is missing"),
        ((*R, "alpha"), DELETED, "branches.shrink.r.alpha is missing"),
        (("accuracy",), DELETED, "accuracy is missing"),
        (("vectors",), DELETED, "vectors is missing"),
        (("surprise",), 1, "surprise is unknown"),
        (("a\nb",), 1, "a\\nb is unknown"),
    ],
)
def test_one_damaged_place_is_refused_by_name_with_what_to_do(damaged, place, value, words):
    message = damaged(place, value)
    assert words in message
    assert message.endswith("; write it again with `planner fit --out`")


def test_an_accuracy_whose_points_repeat_without_noise_is_refused(document, damaged):
    curve = document["accuracy"]
    repeated = {**curve, "inputs": [0.0] * len(curve["inputs"]), "noise_variance": 0.0}
    assert "damaged formula (LinAlgError" in damaged(("accuracy",), repeated)


@pytest.mark.parametrize("place", [(*R, "offset"), ("provenance", "seed"), ("front", 0, "accuracy"), ("errors", "new")])
def test_a_changed_file_is_refused_even_where_nothing_else_could_tell(damaged, place):
    assert damaged(place, 7, sign=False).startswith("it was changed after it was written (its sha256 is another)")


def test_a_file_without_its_digest_or_with_anothers_is_refused(document, refusal, damaged):
    assert damaged(("sha256",), DELETED, sign=False).startswith("sha256 is missing")
    assert damaged(("sha256",), "0" * 64, sign=False).startswith("it was changed after it was written")
    assert damaged(("sha256",), "0" * 63, sign=False).startswith("sha256 is '000")


def test_the_digest_is_of_the_text_without_its_line(shipped_text):
    lines = shipped_text.splitlines(keepends=True)
    mine = [line for line in lines if line.startswith(' "sha256": ')]
    rest = "".join(line for line in lines if line not in mine)
    assert mine == [f' "sha256": "{hashlib.sha256(rest.encode()).hexdigest()}",\n']


def test_a_file_set_otherwise_reads_the_same(document, shipped_text):
    for text in (json.dumps(document), json.dumps(document, indent=4), shipped_text.replace("\n", "\r\n")):
        read = read_formula(text, Formula)
    assert dumps(read) == shipped_text


def test_random_edits_of_one_character_are_refused_or_mean_nothing(shipped_text, refusal):
    rng, harmless = np.random.default_rng(11), 0
    for _ in range(200):
        at = int(rng.integers(len(shipped_text)))
        kept, new = rng.integers(2), rng.choice(list('0123456789.-+eE"{}[],: \nabz\\/N'))  # instead of, or before
        edited = shipped_text[:at] + new + shipped_text[at + int(1 - kept) :]
        try:
            read_formula(edited, Formula)
        except PlannerError as error:
            assert "\n" not in str(error)
        else:
            assert json.loads(edited) == json.loads(shipped_text)
            harmless += 1
    assert harmless < 40  # most edits change something


@pytest.fixture(scope="module")
def small():
    """The document of a small network's formula of one direction, every kind of value in it."""
    curve = Curve("log", "log", 0.01, 0.25, 0.1, 0.3, 0.9, 0.01, np.array([-2.0, -0.5]), np.array([0.1, 0.2]))
    macs = base_macs("resnet20_cifar", 32, 10)
    front = ({"c": 0.5, "r": 0.9, "d": 0.8, "w": 1.0, "macs": macs // 2, "accuracy": 0.7, "trial": 3},)
    branches = {"shrink": Branch("inverse", (0.2, 1.0), curve, curve)}
    formula = Formula(
        "resnet20_cifar", 32, 10, macs, "loglinear", branches, curve, front, {"shrink_r": 0.1}, {"rows": 1}
    )
    return json.loads(dumps(formula))


WRONG = {dict: [], list: {}, str: 3, int: "x", float: "x", bool: 3, type(None): "x"}


def test_a_value_of_another_type_is_refused_wherever_it_sits(small):
    """Every single place, but what `provenance` holds, which is anybody's; a trial may have a number or a name."""
    tried = [place for place in places(small, every=True) if len(place) == 1 or place[0] != "provenance"]
    assert len(tried) > 500
    for place in tried:
        if place[-1] == "trial":
            continue
        changed = with_value(small, place, WRONG[type(value_at(small, place))])
        refused_in_one_line(json.dumps(changed if place == ("sha256",) else signed(changed)))
        if place[-1] not in ("accuracy", "answer", "sha256") or place[0] == "front":
            refused_in_one_line(json.dumps(signed(with_value(small, place, None))))


def test_a_missing_value_is_refused_wherever_it_was(small):
    tried = [place for place in places(small, every=True) if isinstance(place[-1], str)]
    for place in tried:
        if len(place) > 1 and place[0] in ("front", "errors", "provenance"):
            continue
        without = with_value(small, place, DELETED)
        message = refused_in_one_line(json.dumps(without if place == ("sha256",) else signed(without)))
        assert "is missing" in message or "schema None" in message or place[:-1] == ("branches",)


def refused_in_one_line(text):
    with pytest.raises(PlannerError) as error:
        read_formula(text, Formula, "mine.json")
    message = str(error.value)
    assert message.startswith("mine.json: ") and "\n" not in message
    assert message.endswith(("; write it again with `planner fit --out`", "; fit the formula again"))
    return message


def value_at(document, place):
    for key in place:
        document = document[key]
    return document


@pytest.mark.parametrize("bytes_", [100_000_000, 20_000_000_000])
def test_a_huge_file_is_refused_unread(tmp_path, bytes_, monkeypatch):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(bytes_)  # sparse: nothing is written
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(PlannerError, match="huge.json: larger than 16,000,000 bytes, so no formula; give a"):
        Formula.load(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_file_without_end_is_refused():
    with pytest.raises(PlannerError, match="/dev/zero: larger than 16,000,000 bytes, so no formula"):
        Formula.load("/dev/zero")


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_refused_and_never_run(refusal, protocol):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("it was run",)

    message = refusal(pickle.dumps(Bomb(), protocol))
    assert message.startswith(("not text", "not a formula file"))


def test_one_key_twice_is_refused(shipped_text, refusal):
    twice = shipped_text.replace(' "kind": ', ' "kind": "tinynet",\n "kind": ', 1)
    assert "key 'kind' comes twice" in refusal(twice)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(PlannerError, match="none.json: No such file or directory; give a formula written by"):
        Formula.load(tmp_path / "none.json")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PlannerError, match="Is a directory; give a formula written by `planner fit --out`"):
        Formula.load(tmp_path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\xff", b"\x80\x04\x95", bytes(range(256))])
def test_a_binary_file_is_refused(refusal, content):
    assert refusal(content) == "not text; give a formula written by `planner fit --out`"


@pytest.mark.parametrize("depth", [50, 70, 500, 900, 940, 960, 980, 1000, 100_000])
@pytest.mark.parametrize("place", ["HERE", '{"schema": HERE}', '{"schema": "planner-formula/1", "base": HERE}', "kind"])
def test_deep_nesting_is_refused(document, refusal, place, depth):
    nested = "[" * depth + "]" * depth
    text = json.dumps({**document, "kind": "HERE"}).replace('"HERE"', "HERE") if place == "kind" else place
    refusal(text.replace("HERE", nested))


@pytest.mark.parametrize("depth", [50, 300, 900, 100_000])
def test_deep_nesting_where_anything_may_stand_is_refused(document, refusal, depth):
    text = json.dumps({**document, "provenance": {"new": "HERE"}}).replace('"HERE"', "[" * depth + "]" * depth)
    refusal(text)
    text = json.dumps(document).replace('"kernel"', '"prior_weight": 1, "prior": ' + '{"prior": ' * depth, 1)
    refusal(text)


def test_a_number_of_too_many_digits_is_refused(refusal, document):
    assert "not a formula file" in refusal(json.dumps(document).replace("385814752", "9" * 5000))


def places(value, path=(), every=False):
    """Every place in a parsed document, from the outside in; two of a list, or numbers would outweigh the rest."""
    listed = value if every or not isinstance(value, list) else value[:2]
    inner = value.items() if isinstance(value, dict) else enumerate(listed) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key), every)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**400, 1e308, -1e308, 5e-324, "", "rbf", "log", "shrink", [], {}, [[]], "a\nb"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)  # the fixture is never changed, and a run in a checkout leaves no files behind
@given(changes=st.lists(st.tuples(st.integers(0, 2**20), st.booleans(), LEAVES), min_size=1, max_size=2))
def test_any_damage_is_refused_or_harmless(document, changes):
    changed = copy.deepcopy(document)
    for number, replaced, leaf in changes:
        listed = list(places(changed))
        place = listed[number % len(listed)]
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if replaced:
            inner[place[-1]] = copy.deepcopy(leaf)  # a second change may go into it
        elif isinstance(inner, dict):
            inner.pop(place[-1], None)
        else:
            del inner[place[-1]]
    if changed != document:
        with pytest.raises(PlannerError):
            read_formula(json.dumps(changed), Formula)
    try:
        formula = read_formula(json.dumps(signed(changed)), Formula, "mine.json")
    except PlannerError as error:
        assert str(error).startswith("mine.json: ") and "\n" not in str(error)
        return
    try:
        with np.errstate(all="ignore"):  # a damaged curve may overflow; infinity is then refused as a multiplier
            json.dumps(formula.predict(200e6, extrapolate=True).as_dict(), allow_nan=False)
    except InputError as error:
        assert "\n" not in str(error)
