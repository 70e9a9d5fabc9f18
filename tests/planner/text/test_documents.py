"""Files of a study and documents that editors, slips and strangers made of them: read, or refused in one line."""

import codecs
import json
import random
import sys
from dataclasses import asdict
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Len, MaxLen, MinLen
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from planner import PlannerError
from planner.answers.formula import Formula
from planner.exports.given import read_given
from planner.formulas.codec import dumps, read_formula_file
from planner.study.settings import StudySettings, read_settings, write_settings
from planner.text.documents import read_as, read_text
from sampler import base

SETTINGS = {"data": {"side": 90, "classes": 4}, "space": {"resolution": 64}}


@pytest.fixture
def toml(tmp_path):
    """The path and the text of a study.toml."""
    path = tmp_path / "study.toml"
    write_settings(path, StudySettings.model_validate(SETTINGS))
    return path, path.read_text(encoding="utf-8")


def test_a_byte_order_mark_is_no_part_of_a_text(toml, shipped, tmp_path):
    path, text = toml
    path.write_text(text, encoding="utf-8-sig")
    assert read_settings(path).data.side == 90
    formula = tmp_path / "f.json"
    formula.write_text(dumps(shipped), encoding="utf-8-sig")
    assert dumps(read_formula_file(formula, Formula)) == dumps(shipped)
    network = asdict(base("resnet18").architecture())
    (tmp_path / "a.json").write_text(json.dumps(network), encoding="utf-8-sig")
    assert read_given(tmp_path / "a.json").architecture.base == "resnet18"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE])
def test_utf_16_is_named(toml, mark):
    path, text = toml
    path.write_bytes(mark + text.encode("utf-16-le"))
    with pytest.raises(PlannerError, match="study.toml: UTF-16.*save it as UTF-8"):
        read_settings(path)
    with pytest.raises(PlannerError, match="UTF-16"):
        read_text(path, 10**6, "", "")


STRANGE = {
    "deep": ("seed = 0", "seed = " + "[" * 5000 + "]" * 5000, "nested too deeply|not TOML"),
    "deep tables": ("seed = 0", "a" + ".a" * 2000 + " = 1", "nested too deeply|not TOML|study.toml: a"),
    "long": ("seed = 0", "seed = " + "9" * 5000, "not TOML .*digits"),
    "long, hexadecimal": ("seed = 0", "seed = 0x" + "f" * 5000, "seed: .*mend that value"),
    "clock": ("seed = 0", "seed = 1700000000000", "seed: .*less than or equal to 4294967295.*mend that value"),
    "nul": ('base = "efficientnet_b0"', 'base = "b0\\u0000"', "base network .* is unknown"),
    "raw nul": ("seed = 0", "seed = \0", "not TOML"),
    "port": (
        'storage = ""',
        'storage = "postgresql://me:tiger@host:99999999/db"',
        r"storage postgresql://.* is no",
    ),
    "word for a port": (
        'storage = ""',
        'storage = "postgresql://me:tiger@host:port/db"',
        r"storage postgresql://\*\*\*",
    ),
    "nul in a URL": ('storage = ""', 'storage = "sqlite:///a\\u0000b"', "storage sqlite://.* is no URL"),
    "memory": ('storage = ""', 'storage = "sqlite:///:memory:"', "in memory, and gone"),
    "memory by a URI": ('storage = ""', 'storage = "sqlite:///file::memory:?uri=true"', "in memory, and gone"),
    "batch": ("[recipe]", "[recipe]\nbatch_size = 999999999999", "batch_size: .*less than or equal"),
    "classes": ("classes = 4", "classes = 999999999999", "classes: .*less than or equal"),
    "infinite": ("holdout = 0.2", "holdout = inf", "holdout: .*less than 1"),
    "date": ("seed = 0", "seed = 1979-05-27", "seed: "),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_settings_are_one_line(toml, kind):
    path, text = toml
    before, after, words = STRANGE[kind]
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(PlannerError, match=words) as error:
        read_settings(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000 and "tiger" not in str(error.value)


def test_settings_of_random_damage_are_read_or_one_line(toml):
    path, text = toml
    draw = random.Random(0)
    values = ["nan", "-1", "[]", "{}", "''", '"\u0000"', "1e400", "true", "1979-05-27"]
    values += ["0x" + "f" * 40, "[" * 2000, "9" * 4999]
    read = 0
    for _ in range(300):
        lines = text.splitlines()
        for _ in range(draw.choice([1, 1, 2, 5])):
            at = draw.randrange(len(lines))
            name, equals, value = lines[at].partition("=")
            lines[at] = draw.choice([
                f"{name}= {draw.choice(values)}" if equals else f"[{draw.choice(values)}]",
                lines[draw.randrange(len(lines))],
                lines[at][: draw.randrange(len(lines[at]) + 1)],
                f"{name}{equals}{value}{chr(draw.randrange(sys.maxunicode // 8))}",
            ])  # fmt: skip
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        try:
            read_settings(path)
            read += 1
        except PlannerError as error:
            assert "\n" not in str(error)
    assert read < 150


class Leaf(TypedDict):
    """A document inside another."""

    b: int


class Tree(TypedDict, total=False):
    """A document with one key of every kind."""

    a: list[Leaf]
    whole: Annotated[int, Ge(1)]
    share: Annotated[float, Gt(0), Le(1)]
    word: str
    flag: bool
    kind: Literal["x", "y"]
    one: Literal["x"]
    either: int | str
    factors: list[Annotated[int, Ge(1)] | Literal["c_in", "c_out"]]
    inner: Leaf | None
    pair: Annotated[list[float], Len(2, 2)]
    few: Annotated[dict[str, float], MinLen(1), MaxLen(2)]
    digest: Annotated[str, Len(4, 4)]
    free: dict[str, Any]


TREE = TypeAdapter(Tree | None, config=ConfigDict(strict=True, extra="forbid"))


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ([], "the document is []; object is wanted"),
        ({"a": 3}, "a is 3; array is wanted"),
        ({"a": [{"b": 1}, {}]}, "a[1].b is missing"),
        ({"a": [{"b": "x" * 500}]}, f"a[0].b is '{'x' * 56}...; integer is wanted"),
        ({"a": [{"b": 1, "c\nd": 2}]}, "a[0].c\\nd is unknown"),
        ({"whole": True}, "whole is True; integer is wanted"),
        ({"whole": 1.0}, "whole is 1.0; integer is wanted"),
        ({"whole": 0}, "whole is 0; at least 1 is wanted"),
        ({"share": "1"}, "share is '1'; number is wanted"),
        ({"share": 10**400}, "share is 1"),
        ({"share": 0}, "share is 0; more than 0 is wanted"),
        ({"share": 1.5}, "share is 1.5; at most 1 is wanted"),
        ({"word": None}, "word is None; string is wanted"),
        ({"flag": 0}, "flag is 0; boolean is wanted"),
        ({"kind": "z"}, "kind is 'z'; one of x, y is wanted"),
        ({"one": "z"}, "one is 'z'; 'x' is wanted"),
        ({"either": 1.5}, "either is 1.5; integer or string is wanted"),
        ({"factors": [1, "c_in", "c"]}, "factors[2] is 'c'; integer or one of c_in, c_out is wanted"),
        ({"inner": 3}, "inner is 3; object is wanted"),
        ({"inner": {"b": None}}, "inner.b is None; integer is wanted"),
        ({"pair": [1.0]}, "pair is [1.0]; at least 2 is wanted"),
        ({"pair": [1.0, 2.0, 3.0]}, "pair is [1.0, 2.0, 3.0]; at most 2 is wanted"),
        ({"few": {}}, "few is {}; at least 1 is wanted"),
        ({"few": {"int": "x"}}, "few.int is 'x'; number is wanted"),
        ({"digest": "abc"}, "digest is 'abc'; at least 4 characters is wanted"),
        ({"free": None}, "free is None; object is wanted"),
    ],
)
def test_the_first_departure_from_a_model_is_named_in_one_line(document, line):
    with pytest.raises(PlannerError) as error:
        read_as(TREE, document)
    told = str(error.value)
    assert "\n" not in told and (told == line or line == "share is 1" and told.endswith("; number is wanted"))


def test_a_document_that_keeps_to_its_model_is_not_changed():
    good = {"share": 1, "free": {"anything": [None]}, "either": 3, "inner": None, "factors": ["c_in", 5]}
    assert read_as(TREE, good) == good
