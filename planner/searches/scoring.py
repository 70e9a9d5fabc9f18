"""What a search asks and is told, so that any search runs on a ledger, on a table, or on a formula.

A search is a function of its scorer: asked the same again, a scorer answers the same, and a search that was killed
and is started anew replays what is known in seconds and goes on where it was. Nothing of a search is kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from sampler import Architecture

Tell = Callable[[str], None]
# Trainings from scratch, fine-tunes of inherited weights, or Zen-scores of untrained networks; "" where nobody knows.
ChosenBy = Literal["trainings", "fine-tunes", "zen", "zen-per-block", ""]


@dataclass(frozen=True)
class Candidate:
    """An architecture that a search wants scored.

    Attributes:
        architecture: Network to score.
        parent: The architecture, scored before, whose weights it inherits and fine-tunes; None trains from scratch.
            Itself where it is trained on, unchanged: the control of those that grow from it.
        label: Place of it in the search, such as `iteration 2: stage 3 +1 block`.
    """

    architecture: Architecture
    parent: Architecture | None = None
    label: str = ""


class Scorer(Protocol):
    """Scores candidates, the same ones always alike."""

    def __call__(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """Accuracy of each, in [0, 1]; None where there is none, because a training diverged or nothing is known."""


@dataclass(frozen=True)
class Step:
    """One iteration of a search.

    Attributes:
        iteration: From 1.
        target: Cost that the iteration aims at, in the search's unit (MACs, or milliseconds).
        candidates: Distinct candidates that were considered.
        scored: Those of them that were scored.
        move: The move that was chosen, in words.
        architecture: Network that it gave.
        accuracy: Score of that; None where it has none.
        macs: Exact MACs of it.
        cost: Cost of it in the search's unit.
        control: Score of the network that it grew from, unchanged and trained on as long; None where none was trained.
    """

    iteration: int
    target: float
    candidates: int
    scored: int
    move: str
    architecture: Architecture
    accuracy: float | None
    macs: int
    cost: float
    control: float | None = None

    def as_row(self) -> dict[str, Any]:
        """In JSON's types, the architecture's integers as columns of their own."""
        facts = asdict(self)
        facts.update(facts.pop("architecture"))
        return facts


@dataclass(frozen=True)
class Gain:
    """What growing gave, and what training longer would have given without it.

    Attributes:
        start: First score of the network that was grown.
        control: Score of the same network, unchanged, once it was trained as long as what was found.
        found: Score of what was found.
    """

    start: float
    control: float
    found: float

    @property
    def over_control(self) -> float:
        """What the growth itself gave; 0 or less where it gave nothing."""
        return self.found - self.control

    def __str__(self) -> str:
        start, control, found = (f"{one:.4g}" for one in (self.start, self.control, self.found))
        begun = f"the start, unchanged and trained as long, goes from {start} to {control}"
        if self.over_control <= 0:
            return f"growing gained nothing: {begun}, the network found reaches {found}"
        return f"{begun}, the network found reaches {found}: growing itself gained {self.over_control:.4g}"


@dataclass(frozen=True)
class SearchResult:
    """What a search gives.

    Attributes:
        method: The search's name.
        architecture: The network it ends with.
        steps: Iterations of it, in order.
        notes: Lines that the user should know.
        gain: Gain of the growth beside a control; None where no control was scored.
    """

    method: str
    architecture: Architecture
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    gain: Gain | None = None
