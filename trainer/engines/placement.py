"""How many trainings at once, and which device each has."""

from __future__ import annotations

from dataclasses import dataclass

from sampler import Architectures, InputError
from sampler.complexity import count
from trainer.cores import cores, shared_cores

# Bytes that a training under autocast keeps per element of its convolutions' outputs: input, output, batch norm's and
# activation's in 16 bits, the mask of what was cut off, and the allocator's rounding. Rather too many.
BYTES_PER_ACTIVATION = 12
# Weights, gradients, two moments and their average, in 32 bits.
BYTES_PER_PARAM = 20
# A process on a GPU: CUDA's context, cuDNN's kernels and work space.
PROCESS_BYTES = 1_500_000_000
# Of the memory that is free, what trainings together may plan with.
USABLE = 0.9
# More at once only wait for each other: small networks keep a GPU busy from about this many on.
MOST_PER_DEVICE = 16


@dataclass(frozen=True)
class Placement:
    """Where trainings run.

    Attributes:
        devices: The torch device of each worker.
        threads: Torch threads of each.
    """

    devices: tuple[str, ...]
    threads: int


def training_bytes(architectures: Architectures, classes: int, batch_size: int, images: int, side: int) -> int:
    """Memory on a GPU that the largest of some trainings needs, its process and its images included; an estimate.

    Args:
        architectures: Networks that are trained.
        classes: Outputs of the classifier.
        batch_size: Images per step.
        images: Images kept on the device, uint8.
        side: Side of those images, in pixels.
    """
    cost = count(architectures, classes)
    network = BYTES_PER_ACTIVATION * batch_size * cost.activations + BYTES_PER_PARAM * cost.params
    return int(network.max()) + 3 * images * side**2 + PROCESS_BYTES


def per_device(free: int, need: int) -> int:
    """Trainings at once on a GPU with so many free bytes, where each needs `need`; at least one."""
    return max(1, min(MOST_PER_DEVICE, int(USABLE * free / need)))


def place(device: str, workers: int, trainings_per_device: int, need: int, threads: int = 0) -> Placement:
    """Workers and their devices.

    Args:
        device: A torch device; `cuda` for all GPUs, `auto` for those or else the CPU.
        workers: Processes in all; 0 for one per core on a CPU (or for every `threads` cores), and as many as the memory
            holds on GPUs.
        trainings_per_device: Processes on each GPU; 0 for as many as its memory holds.
        need: Bytes of one training (`training_bytes`).
        threads: Torch threads of each process; 0 for its share of the cores, and no more than OMP_NUM_THREADS says.

    Raises:
        InputError: If the device is not there.
    """
    if device != "cpu":  # which needs no torch
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
    if not device.startswith("cuda"):
        if device != "cpu":
            _check_device(device)
        processes = workers or max(1, cores() // max(1, threads))
        return Placement((device,) * processes, threads or shared_cores(processes))
    found = torch.cuda.device_count()
    if not found or (device != "cuda" and device not in {f"cuda:{number}" for number in range(found)}):
        raise InputError(f"--device {device}: this machine has {found or 'no'} CUDA devices; use --device cpu")
    names = [f"cuda:{number}" for number in range(found)] if device == "cuda" else [device]
    spread = [
        name
        for name in names
        for _ in range(trainings_per_device or per_device(torch.cuda.mem_get_info(name)[0], need))
    ]
    # Every process needs a core to launch its kernels from; in turns, so that fewer workers still use all GPUs.
    turns = sorted(range(len(spread)), key=lambda row: (spread[:row].count(spread[row]), row))
    most = workers or (len(spread) if trainings_per_device else max(len(names), min(len(spread), cores())))
    devices = tuple(spread[row] for row in turns)[:most]
    return Placement(devices, threads or shared_cores(len(devices)))


def _check_device(device: str) -> None:
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:
        raise InputError(f"--device {device}: torch has no such device; use cpu, cuda or cuda:N") from error
