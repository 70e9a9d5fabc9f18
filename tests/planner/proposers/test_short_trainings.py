"""What a short training is said to teach of a long one, on networks of which every epoch is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.proposers.bayes import Known
from planner.surrogates.fit import fit_surrogate

TABLE = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tables" / "naap440_curves.csv.gz"
INPUTS = ["NumParams", "NumLayers", "NumStages", "FirstLayerWidth", "LastLayerWidth", "epochs"]
COLUMNS = [*INPUTS, "NumMACs"]
SHORT, LONG = 9, 90

pytestmark = pytest.mark.skipif(not TABLE.is_file(), reason="the shared tables are not here")


def taught(table, seed):
    """For 60 networks: what a short training moved the expectation of the long one, what was said, and was before."""

    def trained(networks, epochs):
        rows = table[[*INPUTS[:-1], "NumMACs", f"e{epochs}Accuracy"]].iloc[networks]
        return rows.rename(columns={f"e{epochs}Accuracy": "accuracy"}).assign(epochs=float(epochs))

    order = np.random.default_rng(seed).permutation(len(table))
    seen = pd.concat([trained(order[:20], LONG), trained(order[10:30], SHORT)])
    surrogate = fit_surrogate(seen, INPUTS, "accuracy", "NumMACs", validate=False)
    short, long = trained(order[40:100], SHORT), trained(order[40:100], LONG)[COLUMNS].to_numpy(float)
    rows, values = short[COLUMNS].to_numpy(float), short["accuracy"].to_numpy()
    before, _ = surrogate.outcomes(long)
    given = [surrogate.believing(rows[[i]], values[[i]]) for i in range(len(rows))]
    after = np.array([one.outcomes(long[[i]])[0][0] for i, one in enumerate(given)])
    _, said = Known(surrogate, seen[COLUMNS].to_numpy(float), 0.0, {INPUTS.index("epochs"): LONG}).of(rows)
    mixture = surrogate.mixture
    x, z = mixture.features.of(rows), mixture.features.of(long)
    correlation = mixture.covariance(x, z, paired=True) / np.sqrt(mixture.at(x)[1] * mixture.at(z)[1])
    return after - before, said, surrogate.outcomes(long, 0.0)[1] * correlation


def test_a_short_training_moves_what_is_expected_of_the_long_one_by_as_much_as_was_said():
    table = pd.read_csv(TABLE)
    moved, said, once = (
        np.concatenate(parts) for parts in zip(*(taught(table, seed) for seed in range(3)), strict=True)
    )
    size, ours, theirs = (np.sqrt(np.mean(one**2)) for one in (moved, said, once))
    assert 0.6 < ours / size < 1.5
    # The deviation of the long one times the correlation, as if a short training had no noise, is much too much.
    assert theirs / size > 1.6
