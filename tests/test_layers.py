"""The house: which room may import which, read from every import, those inside functions and for types included."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sampler", "trainer", "planner")
# The rooms of planner/, the ground floor first. A room imports its own floor (without a circle) and those below.
FLOORS = (
    ("errors", "text", "gaussian"),
    ("tables", "front"),
    ("surrogates", "study"),
    ("formulas",),
    ("rules", "allocation", "proposers", "latency", "exports", "scores", "training", "doctor"),
    ("searches", "answers", "fitting", "table_formulas", "finishing", "advice"),
    ("report", "compare"),
    ("workbench",),
    ("commands", "cli", "__main__", "resources"),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# Where imports of our own modules may stand inside functions: a command pays for what it uses, and what looks after
# our packages being the ones that are found imports nothing of them before it has.
LAZY = ("planner.commands", "planner.cli", "planner.doctor.own_modules")


def module_name(file, root):
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_of(root):
    return {module_name(file, root): file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))}


def imports_of(source, modules):
    """(module, line, whether inside a function) of every import of our own modules."""

    def walk(node, deferred):
        for child in ast.iter_child_nodes(node):
            inside = deferred or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, deferred) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.level == 0:
                for alias in child.names:
                    full = f"{child.module}.{alias.name}"
                    yield (full if full in modules else child.module), child.lineno, deferred
            yield from walk(child, inside)

    return [found for found in walk(ast.parse(source), False) if found[0].split(".")[0] in PACKAGES]


def edges_of(modules):
    return [
        (name, target, line, deferred)
        for name, file in modules.items()
        for target, line, deferred in imports_of(file.read_text(), modules)
        if target != name
    ]


def circle_in(pairs):
    """The first circle of a graph, or None."""
    below = defaultdict(set)
    for importer, imported in pairs:
        below[importer].add(imported)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def room_of(module):
    return ".".join(module.split(".")[:2])


def upward(edges):
    """What imports a room of a floor above its own."""
    return [
        f"{importer}:{line} imports {imported}"
        for importer, imported, line, _ in edges
        if importer.startswith("planner.")
        and imported.startswith("planner.")
        and FLOOR[imported.split(".")[1]] > FLOOR[importer.split(".")[1]]
    ]


@pytest.fixture(scope="module")
def edges():
    return edges_of(modules_of(ROOT))


def test_every_room_has_a_floor():
    rooms = {name.split(".")[1] for name in modules_of(ROOT) if name.startswith("planner.")}
    assert rooms <= set(FLOOR), f"{sorted(rooms - set(FLOOR))}: give it a floor in FLOORS"
    assert len(FLOORS) <= 9


def test_nothing_imports_a_floor_above(edges):
    assert not upward(edges)


def test_no_modules_import_each_other_in_a_circle(edges):
    assert circle_in([(importer, imported) for importer, imported, *_ in edges]) is None


def test_no_rooms_import_each_other_in_a_circle(edges):
    inside = [edge for edge in edges if edge[0].startswith("planner.") and edge[1].startswith("planner.")]
    rooms = {(room_of(importer), room_of(imported)) for importer, imported, *_ in inside}
    assert circle_in(sorted(pair for pair in rooms if pair[0] != pair[1])) is None


def test_our_own_modules_are_imported_at_the_top(edges):
    faces = {name for name, file in modules_of(ROOT).items() if file.name == "__init__.py"}
    late = [
        f"{importer}:{line} imports {imported}"
        for importer, imported, line, deferred in edges
        if deferred and importer not in faces and not importer.startswith(LAZY)
    ]
    assert not late, "inside a function only packages that are slow to import, and ours in commands"


def test_planner_itself_holds_three_files_the_door_of_python_m_and_one_old_path():
    names = {"__init__.py", "__main__.py", "cli.py", "errors.py", "resources.py"}
    assert {file.name for file in (ROOT / "planner").glob("*.py")} == names


# The checks themselves: a house made here, with one wrong door each.
def house(folder, **sources):
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("")
    for name, source in sources.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    return edges_of(modules_of(folder))


@pytest.mark.parametrize(
    "door",
    [
        "from planner.report.page import page",
        "def late():\n    from planner.report.page import page",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import planner.report.page",
    ],
)
def test_an_upward_door_is_seen_wherever_it_stands(tmp_path, door):
    assert len(upward(house(tmp_path, planner__text__markup=door, planner__report__page=""))) == 1


def test_a_circle_is_seen_though_one_of_its_doors_is_inside_a_function(tmp_path):
    first = "from planner.text import b"
    second = "def late():\n    from planner.text.a import thing"
    edges = house(tmp_path, planner__text__a=first, planner__text__b=second)
    assert set(circle_in([edge[:2] for edge in edges])) == {"planner.text.a", "planner.text.b"}
