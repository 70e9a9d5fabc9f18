"""The comparison with log latency = a + b log MACs, fitted on one half of a family's published architectures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.latency.fit import fit_latency

TABLES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tables"
PUBLISHED = {"cpu": "timm_infer_cpu_i9_10940x.csv.gz", "gpu": "timm_infer_rtx4090.csv.gz"}
COUNTS = ["macs", "activations", "params", "resolution"]
needs_tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the shared tables are not here")


def published(device):
    """timm's table in our columns: milliseconds of one image. Rows without a count are left out."""
    table = pd.read_csv(TABLES / PUBLISHED[device]).dropna()
    return pd.DataFrame(
        {
            "family": table["model"].str.extract(r"^((?:tf_)?[a-z]+)")[0],
            "macs": table["infer_gmacs"] * 1e9,
            "activations": table["infer_macts"] * 1e6,
            "params": table["param_count"] * 1e6,
            "resolution": table["infer_img_size"],
            "latency_ms": table["infer_step_time"] / table["infer_batch_size"],
        }
    )


def compared(family, by, seeds):
    """Relative errors of the line over MACs and of ours, and whether the interval held, of all left-out rows."""
    group = family.groupby(by).ngroup().to_numpy()
    line, ours, held = [], [], []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(group.max() + 1)
        mask = np.isin(group, order[: len(order) // 2])
        known, new = family[mask], family[~mask]
        slope, intercept = np.polyfit(np.log(known["macs"]), np.log(known["latency_ms"]), 1)
        fitted, measured = fit_latency(known), new["latency_ms"].to_numpy()
        low, high = fitted.interval(new)
        line.append(np.abs(np.exp(intercept) * new["macs"].to_numpy() ** slope / measured - 1))
        ours.append(np.abs(fitted.predict(new) / measured - 1))
        held.append((low <= measured) & (measured <= high))
    return np.concatenate(line), np.concatenate(ours), np.concatenate(held)


@needs_tables
@pytest.mark.parametrize("device", PUBLISHED)
def test_the_error_over_resnets_is_less_than_half_of_the_lines(device):
    table = published(device)
    line, ours, held = compared(table[table["family"] == "resnet"], COUNTS, seeds=3)
    assert np.median(ours) < 0.5 * np.median(line)
    assert held.mean() > 0.85


@needs_tables
@pytest.mark.slow
@pytest.mark.parametrize("by", ["architecture", "network"])
@pytest.mark.parametrize("device", PUBLISHED)
def test_the_error_over_all_families_is_less_than_half_of_the_lines(device, by):
    # By network: all resolutions of one network (equal params) fall into one half, which is harder.
    columns = COUNTS if by == "architecture" else ["params"]
    table = published(device)
    parts = []
    print(f"\n{device}, split by {by}\nfamily            rows  line %  ours %  ratio  covered")
    for name, family in table.groupby("family"):
        if len(family.drop_duplicates(COUNTS)) < 12:
            continue
        parts.append(compared(family, columns, seeds=20))
        line, ours, held = parts[-1]
        before, after = 100 * np.median(line), 100 * np.median(ours)
        print(f"{name:16s} {len(family):5d} {before:7.1f} {after:7.1f} {after / before:6.2f} {held.mean():8.2f}")
    line, ours, held = (np.concatenate(part) for part in zip(*parts, strict=True))
    before, after = 100 * np.median(line), 100 * np.median(ours)
    print(f"{'all':16s} {len(ours):5d} {before:7.1f} {after:7.1f} {after / before:6.2f} {held.mean():8.2f}")
    assert after <= 0.5 * before
    # Halves of small families hold 4 to 6 networks: their resolutions are no independent sample, and the interval
    # covers less than the 90 % it aims at where the network itself is new.
    assert held.mean() > (0.87 if by == "architecture" else 0.82)
