"""Tables of latencies: which are read, how, and every refusal."""

import gzip
import math

import numpy as np
import pandas as pd
import pytest

from planner.latency.fit import fit_latency

COUNTS = ["macs", "activations", "params", "resolution"]


@pytest.fixture
def timms(made_up):
    """A function: a table in timm's columns and units, with its thousands separators."""

    def table(batch):
        ours = made_up(20)
        return pd.DataFrame(
            {
                "model": ours["model"],
                "infer_img_size": ours["resolution"],
                "infer_step_time": ours["latency_ms"] * batch,
                "infer_batch_size": batch,
                "param_count": (ours["params"] / 1e6).map("{:,.6f}".format),
                "infer_gmacs": ours["macs"] / 1e9,
                "infer_macts": ours["activations"] / 1e6,
            }
        )

    return table


def test_only_macs_are_enough(csv, made_up):
    table = made_up()[["macs", "latency_ms"]]
    assert fit_latency(csv(table)).features == ("macs",)


def test_a_compressed_table_says_the_same(csv, made_up):
    table = made_up(noise=0.05)
    plain = fit_latency(csv(table))
    packed = fit_latency(csv(table, "t.csv.gz"))
    assert plain.coefficients == packed.coefficients
    assert gzip.open(csv(table, "u.csv.gz")).read() == csv(table).read_bytes()


def test_depths_are_summed_to_blocks_and_an_absent_stage_is_no_gap(csv, made_up, refused):
    table = made_up(12).assign(depth_1=2, depth_2=3, base=["a", "b"] * 6)
    table["depth_3"] = np.where(table["base"] == "a", 4, np.nan)
    assert fit_latency(csv(table)).ranges["blocks"] == (5.0, 9.0)
    table.loc[0, "depth_3"] = np.nan
    assert "depth_3 of row 1 (line 2) is missing" in refused(fit_latency, csv(table))


def test_rows_of_several_files_are_fitted_together(csv, made_up):
    table = made_up(40)
    both = fit_latency([csv(table[:20], "a.csv"), csv(table[20:], "b.csv")])
    assert both.errors["rows"] == 40
    assert [one["name"] for one in both.provenance["tables"]] == ["a.csv", "b.csv"]


def test_a_feature_that_one_file_lacks_is_left_out_aloud(csv, capsys, made_up):
    table = made_up(40)
    both = fit_latency([csv(table[:20], "a.csv"), csv(table[20:].drop(columns="params"), "b.csv")])
    assert both.features == ("macs", "activations", "resolution")
    assert "not every file has params; fitted without" in capsys.readouterr().err


def test_rows_are_selected_by_a_pattern(made_up, refused):
    table = made_up(40)
    table["model"] = ["resnet50", "vit_b"] * 20
    assert fit_latency(table, "res*").errors["rows"] == 20
    assert "no model matches 'x*'; there are resnet50, vit_b .." in refused(fit_latency, table, "x*")
    assert "no column model or base" in refused(fit_latency, table.drop(columns="model"), "x*")


@pytest.mark.parametrize("column", ["device", "runtime", "threads", "batch", "dtype"])
def test_measurements_of_different_kinds_are_not_mixed(column, made_up, refused):
    table = made_up()
    table[column] = [1, 2] * 20
    assert f"{column} differs between rows (1 and 2); fit one table per {column}" in refused(fit_latency, table)


def test_a_device_that_one_file_does_not_name_is_not_mixed_with_one_it_does(csv, made_up, refused):
    table = made_up()
    paths = [csv(table, "a.csv"), csv(table.drop(columns="device"), "b.csv")]
    assert "device differs between rows (board and not given)" in refused(fit_latency, paths)


@pytest.mark.parametrize("column", ["latency_ms", *COUNTS])
@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "x", "1\n2"])
def test_an_impossible_value_is_refused_with_its_place_in_the_file(csv, column, bad, made_up, refused):
    table = made_up().astype({column: object})
    table.loc[6, column] = bad
    path = csv(table)
    message = refused(fit_latency, path, "net[4-9]*")
    assert message.startswith(f"{path}: {column} of row 7 (line 8) is ")
    assert "; a positive number is wanted" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="macs"), "no column macs; its columns are model, activations"),
        (lambda table: table.drop(columns="latency_ms"), "no column latency_ms"),
        (lambda table: table[:0], "no row in it; measure with `planner latency` first"),
        (lambda table: table[:4], "4 architectures are too few to fit; measure 5"),
        (lambda table: pd.concat([table[:4]] * 5), "4 architectures are too few to fit"),
    ],
)
def test_a_table_that_cannot_be_fitted_is_refused(csv, change, words, made_up, refused):
    path = csv(change(made_up()))
    message = refused(fit_latency, path)
    assert message.startswith(f"{path}: ") and words in message


def test_a_file_that_is_no_table_is_refused(tmp_path, refused):
    (tmp_path / "t.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").touch()
    assert "No such file or directory; give a CSV file of latencies" in refused(fit_latency, tmp_path / "none.csv")
    for name in ("t.csv.gz", "t.csv", "empty.csv", "."):
        assert refused(fit_latency, tmp_path / name).startswith(str(tmp_path))
    assert "give at least one CSV file" in refused(fit_latency, [])


def test_timms_columns_are_read_in_their_units_and_that_is_said(csv, capsys, made_up, timms):
    fitted = fit_latency(csv(timms(batch=1)))
    assert capsys.readouterr().err.count("infer_gmacs = macs") == 1
    np.testing.assert_allclose(fitted.predict(made_up(5, seed=1)), made_up(5, seed=1)["latency_ms"], rtol=1e-3)
    assert (fitted.per, fitted.measured_on) == ("pass", {"batch": 1})
    assert "timm's gmacs" in fitted.provenance["tables"][0]["counting"]


def test_timms_tables_of_varying_batch_are_fitted_per_image_and_that_is_said(csv, capsys, made_up, timms):
    fitted = fit_latency(csv(timms(batch=np.array([256, 1024] * 10))))
    assert "batch 256 to 1024; fitting the time of one image" in capsys.readouterr().err
    np.testing.assert_allclose(fitted.predict(made_up(5, seed=1)), made_up(5, seed=1)["latency_ms"], rtol=1e-3)
    assert (fitted.per, fitted.measured_on) == ("image", {"batch": "256 to 1024"})


def test_two_of_timms_tables_are_not_mixed(csv, refused, timms):
    paths = [csv(timms(1), "a.csv"), csv(timms(1), "b.csv")]
    assert "do not say on which device they were measured; fit one at a time" in refused(fit_latency, paths)
