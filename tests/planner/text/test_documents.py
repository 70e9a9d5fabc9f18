"""Files of a study and documents that editors, slips and strangers made of them: read, or refused in one line."""

import codecs
import json
import random
import sys
from dataclasses import asdict

import pytest

from planner import PlannerError
from planner.exports.given import read_given
from planner.formulas.codec import dumps, load
from planner.study.settings import StudySettings, read_settings, write_settings
from planner.text.documents import read_text
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
    assert dumps(load(formula)) == dumps(shipped)
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
