"""How many trainings at once, and which device each has."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from sampler import Architectures, InputError
from sampler.architecture import IntArray
from sampler.complexity import count
from trainer.cores import available_bytes, cores, shared_cores
from trainer.image_data import chunk_of, kept_side, scored_side
from trainer.recipe import Recipe

# Bytes that a training under autocast keeps per element of its convolutions' outputs: input, output, batch norm's and
# activation's in 16 bits, the mask of what was cut off, and the allocator's rounding. Rather too many.
BYTES_PER_ACTIVATION = 12
# Weights, gradients, two moments and their average, in 32 bits.
BYTES_PER_PARAM = 20
# A process on a GPU: CUDA's context, cuDNN's kernels and work space.
PROCESS_BYTES = 1_500_000_000
# Of the memory that is free, what trainings together may plan with.
USABLE = 0.9
# The same on a host: torch's libraries, and what CUDA keeps there beside a process on a GPU.
HOST_PROCESS_BYTES = 600_000_000
GPU_HOST_BYTES = 2_500_000_000
# A GPU of which others have more than the rest is busy: where nothing fits beside them, nothing begins there.
IDLE = 0.8
# What a training needs of which nobody knows: a GPU for itself, unless --per-device says otherwise.
UNKNOWN_BYTES = 2**62
# More at once only wait for each other: small networks keep a GPU busy from about this many on.
MOST_PER_DEVICE = 16


_ASK = "import json, torch; print(json.dumps([torch.cuda.mem_get_info(n) for n in range(torch.cuda.device_count())]))"


@dataclass(frozen=True)
class Placement:
    """Where trainings run.

    Attributes:
        devices: The torch device of each worker.
        threads: Torch threads of each.
    """

    devices: tuple[str, ...]
    threads: int


def training_bytes(
    architectures: Architectures, classes: int, recipe: Recipe, fitted: int, scoring: int, side: int
) -> IntArray:
    """Memory on a GPU that each of some trainings needs, its process and its own images included; an estimate.

    Args:
        architectures: Networks that are trained.
        classes: Outputs of the classifier.
        recipe: Says how many images a step has, and how large they are kept.
        fitted: Images that a training fits, kept as uint8 a little larger than its network's input.
        scoring: Images that score it, kept at its network's resolution.
        side: Side of the decoded images, in pixels.

    Returns:
        `(n,)` bytes, int64.
    """
    cost = count(architectures, classes)
    network = BYTES_PER_ACTIVATION * recipe.batch_size * cost.activations + BYTES_PER_PARAM * cost.params
    resolutions = architectures.resolution.astype(np.int64)
    kept = np.array([kept_side(side, one, recipe.margin) for one in resolutions.tolist()], dtype=np.int64)
    scored = np.array([scored_side(one, recipe.crop_pct) for one in resolutions.tolist()], dtype=np.int64)
    images = 3 * (fitted * kept**2 + scoring * resolutions**2)
    # While images are loaded there is no step yet: pieces of them, as floats before and after they are resized.
    largest = np.maximum(kept, scored)
    loading = 3 * 4 * chunk_of(side) * (side**2 + largest**2)
    found: IntArray = images + np.maximum(network, loading) + PROCESS_BYTES
    return found


def per_device(free: int, total: int, need: int) -> int:
    """Trainings at once on a GPU that has so many free bytes of a total, where each needs `need`.

    None on one that others keep busy; one on one that is idle, however large the training: it may do with smaller
    micro-batches.
    """
    fitting = min(MOST_PER_DEVICE, int(USABLE * free / need))
    return fitting or int(free >= IDLE * total)


def memory_of_gpus() -> list[tuple[int, int]]:
    """Free and all bytes of each GPU, asked in a process of its own: asking takes memory there until it ends.

    Raises:
        InputError: If the driver does not answer.
    """
    asked = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=False)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"the GPUs do not answer ({reason[:200]}); see nvidia-smi, or use --device cpu")
    return [(free, total) for free, total in json.loads(asked.stdout)]


def place(device: str, workers: int, trainings_per_device: int, need: int, threads: int = 0) -> Placement:
    """Workers and their devices.

    Args:
        device: A torch device; `cuda` for all GPUs, `auto` for those or else the CPU.
        workers: Processes in all; 0 for one per core on a CPU (or for every `threads` cores) as far as memory goes, for
            as many as the memory holds on GPUs, and for one on any other device.
        trainings_per_device: Processes on each GPU; 0 for as many as its memory holds.
        need: Bytes of one training on a GPU (`training_bytes`), or `UNKNOWN_BYTES`.
        threads: Torch threads of each process; 0 for its share of the cores, and no more than OMP_NUM_THREADS says.

    Raises:
        InputError: If the device is not there, or all GPUs are busy.
    """
    if device != "cpu":  # which needs no torch
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        devices = _on_gpus(device, workers, trainings_per_device, need)
    elif device == "cpu":
        devices = ("cpu",) * (workers or _most_on_host(need, threads))
    else:
        _check_device(device)
        devices = (device,) * (workers or 1)
    return Placement(devices, threads or shared_cores(len(devices)))


def _most_on_host(need: int, threads: int) -> int:
    """Processes on the CPU: by its cores, and by the memory that trainings in 32 bits take there."""
    most, free = max(1, cores() // max(1, threads)), available_bytes()
    if free is None or need >= UNKNOWN_BYTES:
        return most
    each = HOST_PROCESS_BYTES + 2 * max(0, need - PROCESS_BYTES)
    return max(1, min(most, int(USABLE * free / each)))


def _on_gpus(device: str, workers: int, trainings_per_device: int, need: int) -> tuple[str, ...]:
    """Devices of processes on one GPU or on all of them, in turns, so that fewer workers still use all GPUs.

    Raises:
        InputError: If there is none, or all are busy.
    """
    import torch

    found = torch.cuda.device_count()
    if not found or (device != "cuda" and device not in {f"cuda:{number}" for number in range(found)}):
        raise InputError(f"--device {device}: this machine has {found or 'no'} CUDA devices; use --device cpu")
    numbers = range(found) if device == "cuda" else [int(device.partition(":")[2])]
    if trainings_per_device:
        room = dict.fromkeys(numbers, trainings_per_device)
    else:
        memory = memory_of_gpus()
        room = {number: per_device(*memory[number], need) for number in numbers}
        if not any(room.values()):
            raise InputError(_busy([memory[number] for number in numbers], need))
    spread = sorted((turn, number) for number, most in room.items() for turn in range(most))
    most = workers or (len(spread) if trainings_per_device else _fed(len(spread), sum(map(bool, room.values()))))
    return tuple(f"cuda:{number}" for _, number in spread[:most])


def _fed(processes: int, gpus: int) -> int:
    """Of so many processes those that have a core to launch their kernels from, and room on the host; one per GPU."""
    free = available_bytes()
    fitting = processes if free is None else int(USABLE * free / GPU_HOST_BYTES)
    return max(gpus, min(processes, cores(), fitting))


def _busy(memory: list[tuple[int, int]], need: int) -> str:
    free, total = max(memory)
    wanted = "" if need >= UNKNOWN_BYTES else f", a training needs about {need / 2**30:.1f}"
    return (
        f"every GPU is busy: the freest has {free / 2**30:.1f} of {total / 2**30:.1f} GiB free{wanted}; wait, or say "
        "--per-device 1 to train beside what is there"
    )


def _check_device(device: str) -> None:
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:
        raise InputError(f"--device {device}: torch has no such device; use cpu, cuda or cuda:N") from error
