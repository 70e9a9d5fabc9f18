"""What is measured of a network as a job of an engine, beside trainings: Zen-scores and utilisation."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sampler import architecture_complexity
from trainer.batches import DeviceImages
from trainer.channel_units import units_of
from trainer.device_errors import CrowdedError, first_line, is_out_of_memory
from trainer.image_data import ImageData
from trainer.observation import EpochRecord, Observation, Status, Training
from trainer.scoring import splits
from trainer.utilization import utilization
from trainer.weights import load_trained
from trainer.zero_cost import zen_score


def measured(
    training: Training, images: ImageData | None, device: str, threads: int, alone: bool = True
) -> Observation:
    """Measures what `training.measure` says, of its network or of the trained one that is its parent.

    Args:
        training: Measurement that is asked for; its recipe says nothing here.
        images: Images of the study; None where a measurement needs none.
        device: Torch device.
        threads: Threads to compute with.
        alone: Whether nothing else of the engine shares the device.

    Returns:
        An observation whose one epoch holds the numbers as its facts, those that are finite, with an `accuracy` that
        is none: the Zen-score, or the mean of the utilisations. `out_of_memory` where the device is too small.

    Raises:
        CrowdedError: If memory ran out beside others.
    """
    torch.set_num_threads(threads)
    began = time.perf_counter()
    status: Status = "ok"
    facts, message = {}, ""
    try:
        found = _zen(training, device) if images is None else _utilization(training, images, device)
        facts = {name: value for name, value in found.items() if math.isfinite(value)}
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if not alone:
            raise CrowdedError(first_line(error)) from error
        status, message = "out_of_memory", first_line(error)
    architecture = training.architecture
    cost = architecture_complexity(architecture, training.classes)
    values = [value for name, value in facts.items() if name == "zen" or name.endswith(".loss_increase")]
    mean = sum(values) / max(len(values), 1) if status == "ok" else None
    return Observation(
        architecture=architecture,
        fidelity=training.fidelity,
        seed=training.seed,
        status=status,
        accuracy=mean,
        loss=None,
        macs=cost.macs,
        params=cost.params,
        activations=cost.activations,
        seconds=time.perf_counter() - began,
        device=device,
        message=message,
        history=(EpochRecord(1, None, mean, None, facts),) if status == "ok" else (),
        memory=cost.memory,
        threads=threads,
    )


def _zen(training: Training, device: str) -> dict[str, float]:
    wanted = training.measure
    assert wanted is not None
    where = device, wanted.resolution or None
    found = zen_score(training.architecture, training.classes, wanted.repeats, wanted.batch, training.seed, *where)
    return {"zen": found.zen, "zen_std": found.zen_std, "zen_per_block": found.zen_per_block}


def _utilization(training: Training, images: ImageData, device: str) -> dict[str, float]:
    wanted = training.measure
    assert wanted is not None
    model, architecture, classes = load_trained(Path(training.parent))
    _, score = splits(training, images)
    on_device = DeviceImages(score, architecture.resolution, torch.device(device), training.recipe.crop_pct)
    model = model.to(device)
    how = wanted.base_rate, wanted.cap, wanted.repeats, training.seed
    found = utilization(model, on_device, units_of(model, architecture, classes), *how, only=wanted.units)
    return {
        f"{one.name}.{name}": float(value) for one in found for name, value in asdict(one).items() if name != "name"
    }


def units_measured(facts: Mapping[str, float], names: Sequence[str]) -> list[dict[str, Any]]:
    """The utilisation of some units, from the facts of an observation; None for what was no number.

    Args:
        facts: Facts of the observation's epoch.
        names: Names of the units that were asked for.
    """
    whole = ("stage", "channels")
    fields = ("macs_per_channel", "drop_rate", "loss_increase", "loss_increase_std", "accuracy_drop")
    return [
        {
            "name": unit,
            **{name: int(facts[f"{unit}.{name}"]) for name in whole},
            **{name: facts.get(f"{unit}.{name}") for name in fields},
            "capped": bool(facts[f"{unit}.capped"]),
        }
        for unit in names
    ]
