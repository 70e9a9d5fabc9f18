"""A sweep as a picture: latency above, MACs below, the sizes just before a jump marked in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.latency.designs import Sweep
from planner.latency.measure import Measurement
from planner.latency.staircase import CostStaircase
from planner.text.documents import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {"resolution": "resolution (pixels)", "width": "width (channels)"}


def check_plot(path: Path, option: str = "--plot") -> None:
    """Refuses, before anything is measured, a picture that could not be drawn; `option` is the one that named it.

    Raises:
        PlannerError: If matplotlib has no such format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if path.suffix[1:].lower() not in known:
        raise PlannerError(f"{option} {path}: end its name in .png, or one of {', '.join(known)}")


def plot_sweep(path: Path, title: str, sweep: Sweep, measurement: Measurement) -> None:
    """Draws a sweep into a file.

    Args:
        path: The picture; its suffix says the format.
        title: Words for what was measured, and how.
        sweep: The sizes.
        measurement: Their MACs; and their latencies, where all of them were timed.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    timings = measurement.timed if measurement.complete else []
    figure = Figure(figsize=(9, 7 if timings else 4), dpi=120, layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes: list[Axes] = list(figure.subplots(2 if timings else 1, 1, sharex=True, squeeze=False)[:, 0])
    if timings:
        low, high = [timing.low_ms for timing in timings], [timing.high_ms for timing in timings]
        axes[0].fill_between(sweep.sizes, low, high, alpha=0.25, label="quartiles")
        _curve(axes[0], sweep.sizes, [timing.median_ms for timing in timings], measurement.measured, "latency (ms)")
    _curve(axes[-1], sweep.sizes, [macs / 1e6 for macs in measurement.macs], measurement.counted, "MACs (millions)")
    axes[-1].set_xlabel(_LABELS[sweep.axis])
    write_figure(figure, path)


def _curve(axes: Axes, sizes: Sequence[int], values: Sequence[float], stairs: CostStaircase | None, label: str) -> None:
    axes.plot(sizes, values, marker="o", markersize=3)
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    heights = dict(zip(sizes, values, strict=True))
    candidates = stairs.candidates if stairs else ()
    for size in candidates:
        axes.axvline(size, color="tab:red", linestyle=":", linewidth=1)
        axes.annotate(str(size), (size, heights[size]), (-4, 7), textcoords="offset points", fontsize=8, ha="right")
    if candidates:
        points = [heights[size] for size in candidates]
        axes.plot(candidates, points, "o", color="tab:red", markersize=6, label="just before a jump")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", fontsize=8)
