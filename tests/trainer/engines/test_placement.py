"""Where trainings run: a GPU's memory and the cores decide how many at once."""

import os

import pytest
import torch

import trainer.cores
from sampler import InputError, architecture_complexity, base, scaled, stack
from sampler.architecture import concatenate
from trainer.engines.placement import Placement, per_device, place, training_bytes

GIB = 2**30


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No container, and nothing said of threads."""
    monkeypatch.setattr(trainer.cores, "QUOTA", tmp_path / "none")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def gpus(monkeypatch):
    """Pretends that there are GPUs, by their free bytes."""

    def pretend(*free, cores=64):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda name: (free[int(name.split(":")[1])], 0))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))

    return pretend


def test_a_larger_network_a_larger_batch_and_more_images_need_more_memory():
    small = stack([scaled("efficientnet_b0", resolution=64, width=0.25)])
    large = stack([scaled("efficientnet_b0", resolution=64)])
    need = training_bytes(small, 20, 64, 10_000, 64)
    assert need < training_bytes(large, 20, 64, 10_000, 64)
    assert need < training_bytes(small, 20, 128, 10_000, 64)
    assert training_bytes(small, 20, 64, 20_000, 64) - need == 10_000 * 3 * 64 * 64
    assert training_bytes(large, 20, 64, 0, 64) == training_bytes(concatenate([small, large]), 20, 64, 0, 64)


def test_the_estimate_grows_with_activations_and_params_by_what_is_kept_of_them():
    whole = base("efficientnet_b0").architecture()
    cost = architecture_complexity(whole)
    need = training_bytes(stack([whole]), 1000, 64, 0, 224)
    assert need == 12 * 64 * cost.activations + 20 * cost.params + 1_500_000_000


@pytest.mark.parametrize(("free", "need", "expected"), [(140 * GIB, 3 * GIB, 16), (8 * GIB, 3 * GIB, 2), (1, GIB, 1)])
def test_as_many_trainings_share_a_gpu_as_fit_but_at_least_one(free, need, expected):
    assert per_device(free, need) == expected


def test_on_a_cpu_threads_are_divided_among_the_workers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert place("auto", 0, 0, 1) == Placement(("cpu",) * 8, 1)
    assert place("cpu", 3, 0, 1) == Placement(("cpu",) * 3, 2)
    assert place("auto", 12, 0, 1) == Placement(("cpu",) * 12, 1)


@pytest.mark.parametrize(
    ("said", "workers", "threads"),
    [("1", 1, 1), ("2,1", 1, 2), ("16", 1, 8), ("16", 4, 2), ("many", 1, 8), ("0", 2, 4)],
)
def test_threads_are_no_more_than_the_environment_says_nor_than_a_share_of_the_cores(
    monkeypatch, said, workers, threads
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert place("cpu", workers, 0, 1) == Placement(("cpu",) * workers, threads)


def test_threads_that_were_asked_for_are_taken_and_leave_cores_for_as_many_workers(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert place("cpu", 1, 0, 1, threads=3) == Placement(("cpu",), 3)
    assert place("cpu", 0, 0, 1, threads=3) == Placement(("cpu",) * 2, 3)
    assert place("cpu", 0, 0, 1, threads=16) == Placement(("cpu",), 16)


def test_threads_of_a_gpu_training_are_asked_for_likewise(gpus, monkeypatch):
    gpus(20 * GIB, cores=64)
    assert place("cuda", 2, 0, 3 * GIB, threads=4) == Placement(("cuda:0",) * 2, 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert place("cuda", 2, 0, 3 * GIB).threads == 8


@pytest.mark.parametrize(
    ("quota", "cores"), [("250000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("nonsense", 8)]
)
def test_a_container_has_the_cores_of_its_quota(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(trainer.cores, "QUOTA", tmp_path / "cpu.max")
    assert place("cpu", 0, 0, 1) == Placement(("cpu",) * cores, 1)


def test_where_the_system_does_not_say_which_cores_are_ours_all_are(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert place("cpu", 0, 0, 1) == Placement(("cpu",) * 4, 1)


def test_gpus_are_filled_in_turns_as_far_as_memory_and_cores_go(gpus):
    gpus(20 * GIB, 8 * GIB, cores=64)
    assert place("auto", 0, 0, 3 * GIB).devices == ("cuda:0", "cuda:1", "cuda:0", "cuda:1", *["cuda:0"] * 4)
    assert place("cuda:1", 0, 0, 3 * GIB) == Placement(("cuda:1",) * 2, 32)
    assert place("cuda", 3, 0, 3 * GIB).devices == ("cuda:0", "cuda:1", "cuda:0")
    assert place("cuda", 0, 2, 3 * GIB).devices == ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
    gpus(140 * GIB, cores=4)
    assert place("cuda", 0, 0, 3 * GIB) == Placement(("cuda:0",) * 4, 1)  # a core each
    assert len(place("cuda", 0, 6, 3 * GIB).devices) == 6  # unless asked for


@pytest.mark.parametrize(("free", "device", "said"), [((), "cuda", "no CUDA"), ((GIB,), "cuda:1", "1 CUDA")])
def test_a_gpu_that_is_not_there_is_refused(gpus, free, device, said):
    gpus(*free)
    with pytest.raises(InputError, match=f"--device {device}: this machine has {said} devices; use --device cpu"):
        place(device, 0, 0, GIB)
