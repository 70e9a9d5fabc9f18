"""What the page about tables alone shows, runs: its code and its commands, in their order, in one folder."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli import cli

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tables_only.md").read_text()
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What each command printed, by its line; and the names of all Python."""
    names, printed = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for language, block in BLOCKS:
            if language == "python":
                exec(block, names)
                continue
            for line in block.splitlines():
                program, *arguments = line.split()
                assert program == "planner"
                done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
                assert done.exit_code == 0, done.output
                printed[line] = done.output
    return names, printed


def test_commands_and_python_give_the_same_answers(ran):
    names, printed = ran
    assert len(printed) == 4
    (told,) = [output for line, output in printed.items() if "5,10,20" in line]
    answers = json.loads(told)["answers"]
    assert [one["dims"] for one in answers] == [one.dims for one in names["several"]]
    assert answers[1]["dims"] == names["answer"].dims and names["answer"].row.within <= 10


def test_the_page_names_every_option(ran):
    from planner.commands.fit import command

    (table,) = re.findall(r"\| option of `fit` \|.*?\n\n", PAGE, re.DOTALL)
    ours = {"--dims", "--score", "--cost", "--lower", "--where", "--pool", "--out"}
    assert set(re.findall(r"--[a-z]+", table)) == ours
    assert ours <= {name for one in command.params for name in one.opts}


def test_the_page_names_every_key_of_the_file():
    from planner.table_formulas.document import CurvesDocument

    keys = set(CurvesDocument.__annotations__) - {"schema"}
    assert keys <= set(re.findall(r"`(\w+)`", PAGE.partition("## The file")[2]))
