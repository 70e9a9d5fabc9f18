"""`planner latency fit`: the file that it writes, and what it says of it."""

import json

import pytest

from planner.latency.model import LatencyModel


@pytest.fixture
def fit_command(monkeypatch, capsys, tmp_path):
    """A function: `planner latency fit ARGS` in an empty folder, as stdout."""
    from planner.commands.latency_fit import command

    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        capsys.readouterr()
        command.main([*map(str, arguments)], standalone_mode=False)
        return capsys.readouterr().out

    return called


def test_the_command_writes_the_file_and_says_how_good_it_is(fit_command, csv, tmp_path, made_up):
    out = fit_command("--from", csv(made_up(noise=0.05)))
    assert "fitted the time of one forward pass to 40 rows, 40 architectures" in out
    assert "measured on: device board, batch 1" in out
    assert "cross-validated median error" in out and "a straight line of log latency over log MACs" in out
    assert "90% of the left-out measurements lie within -" in out
    assert out.endswith("latency model: results/latency.json\n")
    assert LatencyModel.load(tmp_path / "results" / "latency.json").errors["rows"] == 40


def test_the_command_prints_json(fit_command, csv, made_up):
    table = made_up(noise=0.05)
    found = json.loads(
        fit_command("--from", csv(table[:20], "a.csv"), "--from", csv(table[20:], "b.csv"), "--out", "l.json", "--json")
    )
    assert found["latency_model"] == "l.json"
    assert found["errors"]["median_relative_error"] < found["errors"]["macs_only_median_relative_error"]
    assert found["interval"]["level"] == 0.9 and found["interval"]["factor"] > 1


def test_the_command_has_help_with_an_example(fit_command):
    assert "Example: planner latency fit --from latency.csv --out board.json" in fit_command("--help")


def test_the_command_refuses_a_file_in_the_way(fit_command, csv, tmp_path, made_up, refused):
    (tmp_path / "results").write_text("")
    assert "choose another --out" in refused(fit_command, "--from", csv(made_up()))
