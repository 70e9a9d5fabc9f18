"""How `planner latency` shows a measurement."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import echo_table
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.latency.designs import Sweep
    from planner.latency.measure import Measurement
    from planner.latency.staircase import CostStaircase

BUSY = 0.15  # quartiles further apart than this share of the median: other programs run


def title(measurement: Measurement) -> str:
    """What was measured, and how, in one line."""
    architecture, setting = measurement.architectures[0], measurement.setting
    alike = len({each.resolution for each in measurement.architectures}) == 1
    what = f"{architecture.base} at {architecture.resolution} px" if alike else architecture.base
    if setting is None:
        return f"{what}, exact MACs"
    threads = f", {setting.threads} thread{'s' * (setting.threads > 1)}" if setting.device == "cpu" else ""
    return f"{what}, {setting.runtime} on {setting.device_name}{threads}, batch {setting.batch}, {setting.dtype}"


def measurement_summary(measurement: Measurement) -> dict[str, Any]:
    """What --json prints."""
    from planner.latency.measure import measurement_table

    frame = measurement_table(measurement.architectures, measurement.classes, measurement.timings, measurement.setting)
    answer = {"rows": frame.to_dict("records"), "complete": measurement.complete, "stopped": measurement.stopped}
    if measurement.sweep:
        answer |= {"sweep": measurement.sweep.axis, "macs_staircase": _stairs(measurement.counted)}
        answer |= {"latency_staircase": _stairs(measurement.measured)}
    return answer


def _stairs(stairs: CostStaircase | None) -> dict[str, Any] | None:
    return asdict(stairs) if stairs else None


def show_measurement(measurement: Measurement) -> None:
    """Prints a measurement for people."""
    click.echo(title(measurement))
    if measurement.sweep:
        _show_sweep(measurement, measurement.sweep)
    elif len(measurement.architectures) == 1:
        timing = measurement.timed[0]
        click.echo(f"  median     {timing.median_ms:.4g} ms per forward pass of {_images(measurement)}")
        click.echo(f"  quartiles  {timing.low_ms:.4g} to {timing.high_ms:.4g} ms")
        click.echo(f"  runs       {timing.runs}")
        click.echo(f"  macs       {measurement.macs[0]:,}")
    else:
        medians = [timing.median_ms for timing in measurement.timed]
        click.echo(f"  {len(medians)} architectures: {min(medians):.4g} to {max(medians):.4g} ms")
    _show_doubts(measurement)


def _images(measurement: Measurement) -> str:
    batch = measurement.setting.batch if measurement.setting else 1
    return f"{batch} image{'s' * (batch > 1)}"


def _show_sweep(measurement: Measurement, sweep: Sweep) -> None:
    unit = "px" if sweep.axis == "resolution" else "channels"
    stairs = {"MACs": measurement.counted, "latency": measurement.measured}
    jumps = {name: {jump.before: jump.rise for jump in steps.jumps} if steps else {} for name, steps in stairs.items()}
    header, rows = [unit, "MACs", "ms", "quartiles", "jump after it"], []
    timings = measurement.timings or [None] * len(sweep.sizes)
    for size, macs, timing in zip(sweep.sizes, measurement.macs, timings, strict=True):
        after = ", ".join(f"{name} +{jumps[name][size]:.0%}" for name in jumps if size in jumps[name])
        times = (f"{timing.median_ms:.4g}", f"{timing.low_ms:.4g}-{timing.high_ms:.4g}") if timing else ("", "")
        rows.append([str(size), format_count(macs), *times, after])
    if not measurement.setting:
        header, rows = _without_times(header), [_without_times(row) for row in rows]
    echo_table(header, rows)
    for name, steps in stairs.items():
        if steps:
            label = "by latency" if name == "latency" else "by MACs alone"
            click.echo(f"just before a jump, {label}: {_listed(steps.candidates)} {unit}")
            click.echo(f"  one step beside these: {_listed(steps.neighbours)} {unit}")


def _without_times(row: list[str]) -> list[str]:
    return row[:2] + row[4:]


def _listed(sizes: tuple[int, ...]) -> str:
    return " ".join(map(str, sizes)) or "none"


def _show_doubts(measurement: Measurement) -> None:
    if measurement.setting and not measurement.complete:
        done, of = len(measurement.timed), len(measurement.architectures)
        click.echo(f"only {done} of {of} architectures measured; raise --minutes, or measure fewer")
    if measurement.timed and measurement.spread > BUSY:
        click.echo(f"quartiles are {measurement.spread:.0%} apart: the machine is busy; stop other programs and repeat")
