"""Cheap scores of a study's architectures, beside their accuracies: Zen-score, and inherited weights fine-tuned.

The table that comes of it has a row per architecture of the study and a column per score; `planner audit` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.scores.heirs import Heirs, HeirScore, read_parents, with_shares
from planner.study.reader import Records
from planner.tables.scored import outward_frame
from planner.tables.table import csv_text
from planner.text.documents import write_own
from sampler import Architecture
from sampler.moves import stage_columns
from trainer.devices import one_device
from trainer.zero_cost import zen_score

if TYPE_CHECKING:
    import pandas as pd

_Tell = Callable[[str], None]
# Columns of an earlier call's file that are words.
_WORDS = ("inherited_parent",)
# Not told with each architecture: a share changes until the last of a parent's children is scored.
UNTOLD = (*_WORDS, "inherited_parent_seconds")


def score(ledger: Records, cache: Path, zen: bool, inherit: int, device: str, tell: _Tell) -> pd.DataFrame:
    """Scores every architecture that a study has trained; goes on where it was stopped.

    Args:
        ledger: The study's ledger.
        cache: Folder of decoded images.
        zen: Whether to compute Zen-scores.
        inherit: Epochs of the fine-tune of inherited weights; 0 for none.
        device: A torch device; `auto` for a GPU where there is one.
        tell: Told what is done.

    Returns:
        The study's rows with the columns `zen`, `zen_std`, `zen_per_block`, and `inherited` (accuracy after the
        fine-tune) with `inherited_seconds` (of the fine-tune), `inherited_parent` (whose weights: a file's name in the
        study's folder `parents`) and `inherited_parent_seconds` (of the parent's training, divided by the rows that
        share it: both columns of seconds add up to what the scores cost), those asked for; also written to
        `scores.csv`.

    Raises:
        PlannerError: If nothing was trained, or the images or the device are not there.
    """
    device = one_device(device)
    frame = outward_frame(ledger.table().frame, ledger.settings.score)
    architectures = [_architecture_of(row, ledger.space.base, len(ledger.space.network.stages)) for row in rows(frame)]
    path = ledger.folder / "scores.csv"
    known = read_scores(path)
    waiting = [
        one for trial, one in zip(frame["trial"], architectures, strict=True) if "inherited" not in known.get(trial, {})
    ]
    heirs = Heirs(ledger, cache, waiting, inherit, device, tell) if inherit and waiting else None
    for place, (trial, architecture) in enumerate(zip(frame["trial"], architectures, strict=True), start=1):
        scores = known.setdefault(int(trial), {})
        if zen and "zen" not in scores:
            scores.update(_zen(architecture, ledger, device))
        if heirs and "inherited" not in scores:
            scores.update(heirs.score(architecture))
        known = with_shares(known, heirs.parents if heirs else read_parents(ledger.folder / "parents"))
        _write(path, frame, known)
        numbers = ((name, value) for name, value in scores.items() if name not in UNTOLD)
        tell(f"[{place}/{len(frame)}] trial {trial}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers))
    return _joined(frame, known)


def cost_of_inheritance(scores: pd.DataFrame, parents: Mapping[str, Any]) -> str:
    """What inherited scores cost beside the trainings that they stand for, parents included, in one line."""
    done = scores[scores["inherited"].notna()]
    tuned, raised = done["inherited_seconds"].sum(), sum(parent.seconds for parent in parents.values())
    trained = done["seconds"].sum()
    return (
        f"{len(done)} of {len(scores)} inherited; {len(parents)} parents trained in {raised:.0f} s, fine-tunes "
        f"{tuned:.0f} s: together {(raised + tuned) / trained:.0%} of these architectures' trainings ({trained:.0f} s)"
    )


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows, in order."""
    return [dict(row) for _, row in frame.iterrows()]


def _architecture_of(row: dict[str, Any], base: str, stages: int) -> Architecture:
    """The architecture of a row of a study's table."""
    widths, depths = (tuple(int(row[name]) for name in stage_columns(kind, stages)) for kind in ("width", "depth"))
    return Architecture(base, int(row["resolution"]), int(row["stem"]), widths, depths, int(row["head"]))


def read_scores(path: Path) -> dict[int, HeirScore]:
    """Scores by trial, of a file that an earlier call wrote.

    Raises:
        PlannerError: If it is not such a file.
    """
    import pandas as pd

    if not path.is_file():
        return {}
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(_WORDS, str))
        columns = [str(column) for column in frame if str(column).startswith(("zen", "inherited"))]
        return {
            int(row["trial"]): {
                name: row[name] if name in _WORDS else float(row[name]) for name in columns if not pd.isna(row[name])
            }
            for row in rows(frame)
        }
    except (ValueError, KeyError, OverflowError) as error:
        raise PlannerError(f"{path}: not a table of scores ({error}); remove it and score again") from error


def _zen(architecture: Architecture, ledger: Records, device: str) -> HeirScore:

    found = zen_score(architecture, ledger.settings.data.classes, seed=ledger.settings.seed, device=device)
    return {"zen": found.zen, "zen_std": found.zen_std, "zen_per_block": found.zen_per_block}


def _joined(frame: pd.DataFrame, known: dict[int, HeirScore]) -> pd.DataFrame:
    import pandas as pd

    scores = pd.DataFrame.from_dict(known, orient="index").rename_axis("trial").reset_index()
    return frame.merge(scores, on="trial", how="left") if len(scores.columns) > 1 else frame


def _write(path: Path, frame: pd.DataFrame, known: dict[int, HeirScore]) -> None:
    write_own(path, csv_text(_joined(frame, known)))
