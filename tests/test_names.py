"""Names: one public name has one definition in the whole project, and attributes are described by a noun."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A contract, not a name: `planner.cli` runs what this is in the module of each command.
CONTRACTS = {"command"}
WEAK = re.compile(r"^\s+([a-z_]\w*(?:, \w+)*): (Of|As|Its|What|Whose|Likewise|The same)\b", re.M)


def sources():
    return sorted(file for package in ("sampler", "trainer", "planner") for file in (ROOT / package).rglob("*.py"))


def public_names(source):
    """The public names that a module defines itself at its top level."""
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))


def doubles(named_sources):
    where = defaultdict(set)
    for name, source in named_sources:
        for public in public_names(source):
            where[public].add(name)
    return {name: sorted(files) for name, files in where.items() if len(files) > 1 and name not in CONTRACTS}


def test_a_public_name_has_one_definition():
    found = doubles((str(file.relative_to(ROOT)), file.read_text()) for file in sources())
    assert not found, "rename one, or give it a leading underscore where only its module uses it"


def test_a_second_definition_is_seen():
    first = "LIMIT = 3\ndef load(): ...\n_own = 1"
    second = "LIMIT: int = 4\nclass load: ...\n_own = 2\nfrom first import other"
    assert doubles([("first", first), ("second", second)]) == {
        "LIMIT": ["first", "second"],
        "load": ["first", "second"],
    }


def test_every_attribute_is_described_by_a_noun():
    weak = [
        f"{file.relative_to(ROOT)}: {match.group(0).strip()}"
        for file in sources()
        for match in WEAK.finditer(file.read_text())
    ]
    assert not weak, 'what it is comes first: "seed: Random seed of the search."'
