"""Tables of what can be plugged in: names, clashes, and what installed packages offer."""

from pathlib import Path

import pytest

from sampler.errors import PlannerError
from sampler.registry import Registry


def fruit() -> Registry[object]:
    table = Registry[object]("fruit", "a_group.of_tests", "--fruit")
    table.register("apple", 1)
    return table


def test_an_unknown_name_is_one_line_that_names_the_known_ones() -> None:
    with pytest.raises(PlannerError, match=r"^--fruit fig: there is no such fruit; one of: apple$"):
        fruit()["fig"]


def test_a_second_thing_of_a_name_is_refused_and_the_first_stays() -> None:
    table = fruit()
    with pytest.raises(PlannerError, match="fruit 'apple' is there already"):
        table.register("apple", 2)
    assert table["apple"] == 1


@pytest.mark.parametrize("name", ["", "an apple", "a:b", "a/b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(PlannerError, match="a name has letters"):
        fruit().register(name, 2)


def test_a_cell_of_a_notebook_that_runs_twice_replaces_its_own_function() -> None:
    table = fruit()
    for answer in (1, 2):
        cell: dict[str, object] = {"__name__": "notebook"}
        exec(f"def pear():\n    return {answer}", cell)
        table.register("pear", cell["pear"])
    pear = table["pear"]
    assert callable(pear)
    assert pear() == 2


def test_two_functions_without_a_name_are_two() -> None:
    table = fruit()
    table.register("pear", lambda: 1)
    with pytest.raises(PlannerError, match="already"):
        table.register("pear", lambda: 2)


def test_a_temporary_thing_may_replace_another_and_goes() -> None:
    table = fruit()
    with table.temporarily("apple", 5), table.temporarily("fig", 6):
        assert (table["apple"], table["fig"], table.names()) == (5, 6, ("apple", "fig"))
    assert (table["apple"], "fig" in table) == (1, False)


@pytest.fixture
def offering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has a package installed that offers fruit."""
    folder = tmp_path / "orchard-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: orchard\nVersion: 1.0\n")
    points = (
        "[a_group.of_tests]\nfig = orchard_of_tests:FIG\napple = orchard_of_tests:FIG\nrotten = orchard_of_tests:NO"
    )
    (folder / "entry_points.txt").write_text(points)
    (tmp_path / "orchard_of_tests.py").write_text("FIG = 'a fig'\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("offering")
def test_what_an_installed_package_offers_is_there_and_never_takes_a_registered_name() -> None:
    table = fruit()
    assert table.names() == ("apple", "fig", "rotten")
    assert (table["fig"], table["apple"]) == ("a fig", 1)


@pytest.mark.usefixtures("offering")
def test_what_an_installed_package_offers_and_lacks_is_one_line_that_names_the_package() -> None:
    with pytest.raises(PlannerError, match="fruit rotten of package orchard cannot be imported"):
        fruit()["rotten"]
