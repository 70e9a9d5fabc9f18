"""The study of the claim (`results/studies/claim/PLAN.md`): its trainings, resumable, and its records.

Run it as `python tests/benchmarks/claim.py train --images imagenet20.npz --work DIR`; stopped at any time, the same
command goes on. Records go to `results/studies/claim`; `claim_tables.py` prints every table from them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from planner.answers.confirm import ORIGIN as CONFIRM
from planner.answers.confirm import confirm
from planner.compare.background import Background, study_background
from planner.compare.contender import DRAWN, Contender
from planner.compare.contenders import contender
from planner.compare.measuring import Trained
from planner.compare.own import middle_of
from planner.errors import PlannerError
from planner.fitting.fit import fit
from planner.study.folder import cache_of
from planner.study.reader import Records
from planner.study.trials import trained
from planner.tables.table import frame_sha256, usable
from planner.training.resources import Resources
from planner.workbench.notes import Notes
from planner.workbench.studies import create_study
from planner.workbench.study import Study
from sampler import Architecture
from sampler.moves import column_names

HERE = Path(__file__).resolve().parents[2] / "results" / "studies" / "claim"
BASE, RESOLUTION, WINDOW = "mobilenetv3_small_100", 96, ("0.5M", "4M")
BUDGETS, HELD_OUT, AWAY = (0.8e6, 1.25e6, 2e6, 3.2e6), (1.25e6, 2e6), 0.15
NEARBY = tuple(one for one in BUDGETS if one not in HELD_OUT)  # budgets that may have trainings nearby
FIRST, PROPOSED, BATCH = 30, 10, 5
SEEDS = 3
LEARNED = ["answer", "formula", "tinynet-fitted", "best", "compound-fitted", "compound-anchored"]
COPIED = ["compound", "fast", "width", "resolution", "tinynet", *DRAWN]
BUYERS = (10, 20)
FIDELITY = ("answer", "formula", "compound-anchored", "compound", "width")
LONG_BUDGET, LONG_EPOCHS, LONG_SEEDS = 1.25e6, 20, 2


def made(name: str, images: str, seed: int = 0, share: float = 0.5) -> Study:
    """A study of the plan's setting."""
    return create_study(
        name,
        load_if_exists=True,
        base=BASE,
        data=f"npz:{images}",
        resolution=RESOLUTION,
        side=128,
        window=WINDOW,
        r=(1 / 3, 102 / 96),
        d=(0.35, 1.5),
        w=(0.2, 1.5),
        epochs=5,
        share=share,
        seed=seed,
    )


def learn(study: Study, where: Resources) -> None:
    """Draws, trains and proposes until the study has its 40 architectures."""
    asked = study.ledger().asked()
    study.run(max(asked, FIRST), resources=where)
    while (asked := study.ledger().asked()) < FIRST + PROPOSED:
        study.propose(min(BATCH, FIRST + PROPOSED - asked))
        study.run(resources=where)


def taught(records: Records) -> pd.DataFrame:
    """The trainings that teach, in order; not those that confirmed an answer."""
    rows = trained(records.frame())
    return rows[rows["origin"] != CONFIRM].sort_values("trial").head(FIRST + PROPOSED).reset_index(drop=True)


def known(records: Records, rows: pd.DataFrame) -> tuple[Background, str]:
    """What methods may know who know these trainings alone; and why there is no formula, where there is none."""
    settings = records.settings
    own = usable(rows, frame_sha256(rows), str(records.folder), settings.base)
    whole = study_background(records, settings.fidelity.epochs)
    seconds, formula, why = float(rows["seconds"].sum()), None, ""
    try:
        formula = fit(own)
    except PlannerError as error:
        why = str(error)
    return replace(whole, own=own, trainings=len(rows), seconds=seconds, formula=formula), why


def learned(records: Records, rows: pd.DataFrame, budgets: Sequence[float], methods: Sequence[str]) -> list[Contender]:
    """Networks of methods that know these trainings alone; none of those that lack a formula."""
    background, why = known(records, rows)
    middle = middle_of(tuple(budgets))
    return [
        Contender(method, budget, None, notes=(why,))
        if why and method in ("answer", "formula")
        else contender(method, budget, background, middle)
        for budget in budgets
        for method in methods
    ]


def of_study(study: Study) -> dict[str, list[Contender]]:
    """Every method's networks, by what is known: `all` (held-out budgets apart), the first trainings, or `none`."""
    records = study.records
    rows = taught(records)
    near = np.array([(abs(rows["macs"] / budget - 1) <= AWAY).to_numpy() for budget in HELD_OUT]).any(axis=0)
    found = {"all": learned(records, rows, NEARBY, LEARNED) + learned(records, rows.loc[~near], HELD_OUT, LEARNED)}
    if study.settings.seed == 0:
        for count in BUYERS:
            found[str(count)] = learned(records, rows.head(count), BUDGETS, ["answer"])
        found["none"] = learned(records, rows, BUDGETS, COPIED)
    return found


def confirmed(study: Study, where: Resources) -> list[Contender]:
    """Answers after three more trainings for each budget that is not held out; the formula stays as it was before."""
    records = study.records
    background, why = known(records, taught(records))
    if background.formula is None:
        return [Contender("confirmed", budget, None, notes=(why,)) for budget in NEARBY]
    cache = cache_of(study.folder)
    for budget in NEARBY:
        confirm(study.ledger(), background.formula, budget, n=3, cache=cache, resources=where, progress=Notes())
    rows = trained(study.records.frame())
    own = usable(rows, frame_sha256(rows), str(study.folder), BASE)
    after = replace(background, own=own, trainings=len(rows))
    return [contender("confirmed", budget, after) for budget in NEARBY]


def networks(study: str, knowing: str, found: Iterable[Contender]) -> list[dict[str, object]]:
    """One row for each method and budget."""
    rows: list[dict[str, object]] = []
    for one in found:
        row = {
            "study": study,
            "knowing": knowing,
            "method": one.method,
            "budget": one.budget,
            "note": "; ".join(one.notes),
        }
        rows.append(row | {"macs": one.macs, "trainings": one.trainings, **integers(one.architecture)})
    return rows


def integers(one: Architecture | None) -> dict[str, int]:
    """Columns of a network's integers; none without one."""
    if one is None:
        return {}
    numbers = (one.resolution, one.stem, *one.widths, *one.depths, one.head)
    return dict(zip(column_names(len(one.widths)), map(int, numbers), strict=True))


def scored(
    finals: Study, found: list[Contender], where: Resources, seeds: int = SEEDS, epochs: int | None = None
) -> pd.DataFrame:
    """Trains every distinct network with every seed, never twice; one row for each."""
    asked = [one.architecture for one in found if one.architecture is not None]
    measure = Trained(finals.ledger(), cache_of(finals.folder), where, Notes(), seeds, True, epochs)
    rows = [
        {**integers(one), "seed": had.seed, "status": had.status, "accuracy": had.accuracy, "seconds": had.seconds}
        for one, scores in measure(asked).items()
        for had in scores
    ]
    return pd.DataFrame(rows)


def written(name: str, frame: pd.DataFrame) -> None:
    HERE.mkdir(parents=True, exist_ok=True)
    frame.to_csv(HERE / name, index=False)


def keep_records(study: Study) -> None:
    """What a study trained, as its CSV."""
    written(f"{study.name}-trials.csv", study.table())


def train(images: str, seeds: list[int], where: Resources) -> None:
    """The primary endpoint, study by study, then fidelity."""
    finals = made("claim-finals", images)
    every: list[Contender] = []
    rows: list[dict[str, object]] = []
    for seed in seeds:
        study = made(f"claim-{seed}", images, seed)
        learn(study, where)
        keep_records(study)
        by_knowledge = of_study(study)
        for knowing, found in by_knowledge.items():
            every += found
            rows += networks(study.name, knowing, found)
        written("networks.csv", pd.DataFrame(rows))
        written("finals.csv", scored(finals, every, where))
        found = confirmed(study, where)
        keep_records(study)
        every += found
        rows += networks(study.name, "confirmed", found)
        written("networks.csv", pd.DataFrame(rows))
        written("finals.csv", scored(finals, every, where))
    first = [one for one in every if one.budget == LONG_BUDGET and one.method in FIDELITY]
    long = made("claim-long", images, share=1.0)
    written("long.csv", scored(long, first[: len(FIDELITY)], where, seeds=LONG_SEEDS, epochs=LONG_EPOCHS))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=["train"])
    parser.add_argument("--images", required=True, help="The archive of imagenet20, seen from --work.")
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    os.chdir(given.work)
    train(given.images, [int(one) for one in given.seeds.split(",")], Resources(workers=given.workers, device="cpu"))


if __name__ == "__main__":
    main()
