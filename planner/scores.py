"""Cheap scores of a study's architectures, beside their accuracies: Zen-score, and inherited weights fine-tuned.

The table that comes of it has a row per architecture of the study and a column per score; `planner audit` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.store import Ledger
from planner.table import csv_text
from sampler import Architecture, InputError
from trainer.files import write_atomically
from trainer.observation import Fidelity, Training
from trainer.recipe import recipe_named

if TYPE_CHECKING:
    import pandas as pd

    from trainer.images import ImageData

Tell = Callable[[str], None]
# Of the weights that lead to or from a repeated channel: without it equal channels stay equal under fine-tuning.
NOISE = 0.1
# Of the study's epochs: what a fine-tune may cost beside a training.
FINE_TUNE = "amplify"


def score(ledger: Ledger, cache: Path, zen: bool, inherit: int, device: str, tell: Tell) -> pd.DataFrame:
    """Scores every architecture that a study has trained; goes on where it was stopped.

    Args:
        ledger: The study's ledger.
        cache: Folder of decoded images.
        zen: Whether to compute Zen-scores.
        inherit: Epochs of the fine-tune of inherited weights; 0 for none.
        device: A torch device.
        tell: Told what is done.

    Returns:
        The study's rows with the columns `zen`, `zen_std`, `zen_per_block`, and `inherited` (accuracy after the
        fine-tune) with `inherited_seconds`, those asked for; also written to `scores.csv`.

    Raises:
        PlannerError: If nothing was trained, or the images are not there.
    """
    frame = ledger.table().frame
    architectures = [architecture_of(row, ledger.space.base, len(ledger.space.network.stages)) for row in rows(frame)]
    path = ledger.folder / "scores.csv"
    known = read_scores(path)
    heir = _Heir(ledger, cache, architectures, inherit, device, tell) if inherit else None
    for place, (trial, architecture) in enumerate(zip(frame["trial"], architectures, strict=True), start=1):
        scores = known.setdefault(int(trial), {})
        if zen and "zen" not in scores:
            scores.update(_zen(architecture, ledger, device))
        if heir and "inherited" not in scores:
            scores.update(heir.score(architecture))
        _write(path, frame, known)
        tell(f"[{place}/{len(frame)}] trial {trial}: " + ", ".join(f"{k} {v:.4g}" for k, v in scores.items()))
    return _joined(frame, known)


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows, in order."""
    return [dict(row) for _, row in frame.iterrows()]


def architecture_of(row: dict[str, Any], base: str, stages: int) -> Architecture:
    """The architecture of a row of a study's table."""
    numbers = range(1, stages + 1)
    return Architecture(
        base,
        int(row["resolution"]),
        int(row["stem"]),
        tuple(int(row[f"width_{i}"]) for i in numbers),
        tuple(int(row[f"depth_{i}"]) for i in numbers),
        int(row["head"]),
    )


def common_parent(architectures: Sequence[Architecture]) -> Architecture:
    """The largest network that every one of these can inherit from, at the middle one's resolution.

    Example:
        >>> from sampler import base, scaled
        >>> half = scaled("efficientnet_b0", width=0.5)
        >>> common_parent([base("efficientnet_b0").architecture(), half]).widths == half.widths
        True
    """
    by_pixels = sorted(architectures, key=lambda one: one.resolution)
    return replace(
        by_pixels[len(by_pixels) // 2],
        stem=min(one.stem for one in architectures),
        widths=tuple(map(min, zip(*(one.widths for one in architectures), strict=True))),
        depths=tuple(map(min, zip(*(one.depths for one in architectures), strict=True))),
        head=min(one.head for one in architectures),
    )


def read_scores(path: Path) -> dict[int, dict[str, float]]:
    """Scores by trial, of a file that an earlier call wrote.

    Raises:
        PlannerError: If it is not such a file.
    """
    import pandas as pd

    if not path.is_file():
        return {}
    try:
        frame = pd.read_csv(path)
        columns = [str(column) for column in frame if str(column).startswith(("zen", "inherited"))]
        return {
            int(row["trial"]): {name: float(row[name]) for name in columns if not pd.isna(row[name])}
            for row in rows(frame)
        }
    except (ValueError, KeyError) as error:
        raise PlannerError(f"{path}: not a table of scores ({error}); remove it and score again") from error


def _zen(architecture: Architecture, ledger: Ledger, device: str) -> dict[str, float]:
    from trainer.zero_cost import zen_score

    found = zen_score(architecture, ledger.settings.data.classes, seed=ledger.settings.seed, device=device)
    return {"zen": found.zen, "zen_std": found.zen_std, "zen_per_block": found.zen_per_block}


class _Heir:
    """Fine-tunes architectures from the weights of one trained parent."""

    def __init__(
        self, ledger: Ledger, cache: Path, architectures: Sequence[Architecture], epochs: int, device: str, tell: Tell
    ) -> None:
        from trainer.images import load_images
        from trainer.weights import load_network

        settings = ledger.settings
        self.device, self.tell = device, tell
        self.data: ImageData = load_images(settings.data.source, settings.data.side, cache=cache)
        fidelity = settings.training_fidelity()
        self.training = Training(
            common_parent(architectures),
            fidelity,
            settings.training_recipe(),
            settings.data_spec(cache),
            settings.seed,
        )
        kept = ledger.folder / "parent.safetensors"
        if not kept.is_file():
            self._train_parent(kept)
        self.parent, self.parent_architecture, self.classes = load_network(kept)
        self.fine_tune = Fidelity(epochs, fidelity.data_share)

    def _train_parent(self, kept: Path) -> None:
        from trainer.proxy import train

        found = train(self.training, self.data, self.device, checkpoint=kept.with_suffix(".pt"), keep=kept)
        kept.with_suffix(".pt").unlink(missing_ok=True)
        if found.accuracy is None:
            raise PlannerError(f"the parent to inherit from ended as {found.status}: {found.message}")
        self.tell(f"parent: {found.macs:,} MACs, accuracy {found.accuracy:.1%}, {found.seconds:.0f} s")

    def score(self, architecture: Architecture) -> dict[str, float]:
        """Accuracy after the fine-tune; nothing where the family cannot inherit exactly."""
        from trainer.inherit import inherit
        from trainer.proxy import train

        seed = self.training.seed
        try:
            child = inherit(self.parent, self.parent_architecture, architecture, self.classes, seed, NOISE)
        except InputError as error:
            self.tell(f"not inherited: {error}")
            return {}
        asked = replace(
            self.training, architecture=architecture, fidelity=self.fine_tune, recipe=recipe_named(FINE_TUNE)
        )
        found = train(asked, self.data, self.device, weights=child.state_dict())
        return {} if found.accuracy is None else {"inherited": found.accuracy, "inherited_seconds": found.seconds}


def _joined(frame: pd.DataFrame, known: dict[int, dict[str, float]]) -> pd.DataFrame:
    import pandas as pd

    scores = pd.DataFrame.from_dict(known, orient="index").rename_axis("trial").reset_index()
    return frame.merge(scores, on="trial", how="left") if len(scores.columns) > 1 else frame


def _write(path: Path, frame: pd.DataFrame, known: dict[int, dict[str, float]]) -> None:
    try:
        write_atomically(path, csv_text(_joined(frame, known)))
    except OSError as error:
        raise PlannerError(f"{path}: {error.strerror or error}; free space, then run again") from error
