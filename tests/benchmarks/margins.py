"""The ablation of results/studies/margins: resolution with and without a margin at the largest r.

`python tests/benchmarks/margins.py` prints the card's tables from its CSV. `.. train npz:PATH FOLDER` trains what is
missing there, one training after the other, into FOLDER/trainings.csv.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from sampler import Architecture, architecture_complexity

RECORD = Path(__file__).resolve().parents[2] / "results" / "studies" / "margins" / "trainings.csv"
BASE, SEEDS, EPOCHS, SHARE = 64, (0, 1, 2), 4, 0.5
# Side of the decoded images: 1.4 x the base resolution, as it was; 1.25 x that, as it is. The crop's margin is 1.25.
SIDES = {"without": 90, "with": 113}
CROP_PCT = 0.875  # of a second look at the same weights
SCORES = (("accuracy", "accuracy in points", 100, 1), ("loss", "cross-entropy in nats", 1, 3))
# Of a ResNet of one basic block a stage, `resnet18` at half its depth: widths by resolution.
NETWORKS = {
    "same network": {resolution: (8, 8, 16, 32, 64) for resolution in (45, 64, 90)},
    "same MACs": {45: (16, 16, 40, 80, 136), 64: (16, 16, 16, 40, 72), 90: (8, 8, 16, 32, 64)},
}


def asked() -> Iterator[tuple[Architecture, str, int]]:
    """Networks, margins and seeds, the same network first; what both comparisons need comes once."""
    seen = set()
    for by_resolution in NETWORKS.values():
        for seed in SEEDS:
            for resolution, (stem, *widths) in by_resolution.items():
                for margin in SIDES:
                    one = Architecture("resnet18", resolution, stem, tuple(widths), (1, 1, 1, 1), 0)
                    if (one, margin, seed) not in seen:
                        seen.add((one, margin, seed))
                        yield one, margin, seed


def train_all(source: str, folder: Path) -> None:
    """Trains what `FOLDER/trainings.csv` lacks; each is scored on held-out training images, by both crops."""
    import torch

    from trainer.batches import DeviceImages
    from trainer.image_data import kept_side
    from trainer.images import load_images
    from trainer.observation import DataSpec, Fidelity, Training
    from trainer.proxy import train
    from trainer.recipe import Recipe
    from trainer.scoring import evaluate, splits
    from trainer.weights import load_trained

    path, recipe, device = folder / "trainings.csv", Recipe(), torch.device("cpu")
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["margin", "seed", "resolution", "macs"])
    known = set(done[["margin", "seed", "resolution", "macs"]].itertuples(index=False, name=None))
    for one, margin, seed in asked():
        data = load_images(source, SIDES[margin], cache=folder / "cache")
        macs = architecture_complexity(one, len(data.classes)).macs
        if (margin, seed, one.resolution, macs) in known:
            continue
        asking = Training(one, Fidelity(EPOCHS, SHARE), recipe, DataSpec(source, data.side, 0.2), seed)
        weights, checkpoint = folder / "last.safetensors", folder / f"{margin}-{seed}-{one.resolution}-{macs}.pt"
        found = train(asking, data, checkpoint=checkpoint, keep=weights)
        row = {
            **{"margin": margin, "seed": seed, "resolution": one.resolution, "macs": macs, "status": found.status},
            **{"side": data.side, "kept": kept_side(data.side, one.resolution, recipe.margin)},
            **{"accuracy": found.accuracy, "loss": found.loss, "cpu_seconds": found.cpu_seconds},
        }
        row |= {"accuracy_cropped": None, "loss_cropped": None}
        if found.accuracy is not None:
            scoring = DeviceImages(splits(asking, data)[1], one.resolution, device, CROP_PCT)
            accuracy, loss = evaluate(load_trained(weights)[0], scoring, device, 64)
            row |= {"accuracy_cropped": accuracy, "loss_cropped": loss}
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        checkpoint.unlink(missing_ok=True)
        print(row, flush=True)


def interval(values: np.ndarray, places: int) -> str:
    """Mean and 95 % t-interval."""
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):+.{places}f} ± {half:.{places}f}"


def tables(frame: pd.DataFrame) -> Iterator[str]:
    """The card's tables, as Markdown, line by line; differences are paired by seed."""
    for kind, by_resolution in NETWORKS.items():
        found, sizes = _of(frame, by_resolution), list(by_resolution)
        more = [f"{sizes[-1]} - {size} px" for size in sizes[:-1]]
        for score, unit, scale, places in SCORES:
            grid, cropped = (
                scale * found.pivot_table(index=["margin", "seed"], columns="resolution", values=name)
                for name in (score, f"{score}_cropped")
            )
            yield f"| {kind}: {unit} | {' | '.join([*(f'{size} px' for size in sizes), *more])} |"
            yield "| --- |" + " --- |" * (len(sizes) + len(more))
            for crop, one in (("", grid), (f", crop_pct {CROP_PCT:g}", cropped)):
                for margin in SIDES:
                    yield _line(f"{margin}{crop}", one.loc[margin], places, signed=False)
                yield _line(f"with minus without{crop}", one.loc["with"] - one.loc["without"], places)
            yield _line(f"crop_pct {CROP_PCT:g} minus 1, with", (cropped - grid).loc["with"], places)
            yield ""


def _line(name: str, rows: pd.DataFrame, places: int, signed: bool = True) -> str:
    """A line of a table: means at each resolution, and what the largest has more than the others."""
    *others, large = rows.columns
    at = [interval(rows[size].to_numpy(), places) for size in rows.columns]
    more = [interval((rows[large] - rows[other]).to_numpy(), places) for other in others]
    return f"| {name} | {' | '.join([*(at if signed else [one.removeprefix('+') for one in at]), *more])} |"


def _of(frame: pd.DataFrame, by_resolution: dict[int, tuple[int, ...]]) -> pd.DataFrame:
    """Rows of a comparison's networks."""
    macs = {}
    for resolution, (stem, *widths) in by_resolution.items():
        one = Architecture("resnet18", resolution, stem, tuple(widths), (1, 1, 1, 1), 0)
        macs[resolution] = architecture_complexity(one, 20).macs
    return frame[frame.macs == frame.resolution.map(macs)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train_all(sys.argv[2], Path(sys.argv[3]))
    else:
        print("\n".join(tables(pd.read_csv(RECORD))))
