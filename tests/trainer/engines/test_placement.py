"""Where trainings run: a GPU's memory and the cores decide how many at once."""

import os
import subprocess
from dataclasses import replace

import pytest
import torch

import trainer.cores
from sampler import InputError, architecture_complexity, base, scaled, stack
from sampler.architecture import concatenate
from trainer.engines import placement
from trainer.engines.placement import UNKNOWN_BYTES, Placement, per_device, place, training_bytes
from trainer.image_data import chunk_of
from trainer.recipe import Recipe

GIB = 2**30
RECIPE = Recipe()  # in batches of 64


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No container, and nothing said of threads."""
    for name in ("QUOTA", "GROUP", "MEMORY"):
        monkeypatch.setattr(trainer.cores, name, tmp_path / "none")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def gpus(monkeypatch):
    """Pretends that there are GPUs, by their free bytes."""

    def pretend(*free, cores=64, total=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(placement, "memory_of_gpus", lambda: [(bytes_, total or bytes_) for bytes_ in free])
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))

    return pretend


def test_a_larger_network_a_larger_batch_and_more_images_need_more_memory():
    small = stack([scaled("efficientnet_b0", resolution=64, width=0.25)])
    large = stack([scaled("efficientnet_b0", resolution=64)])
    (need,) = training_bytes(small, 20, RECIPE, 10_000, 0, 64)
    assert need < training_bytes(large, 20, RECIPE, 10_000, 0, 64)
    assert need < training_bytes(small, 20, replace(RECIPE, batch_size=128), 10_000, 0, 64)
    assert training_bytes(small, 20, RECIPE, 20_000, 0, 64) - need == 10_000 * 3 * 64 * 64
    assert training_bytes(small, 20, RECIPE, 10_000, 500, 64) - need == 500 * 3 * 64 * 64
    both = training_bytes(concatenate([small, large]), 20, RECIPE, 9, 0, 64)
    assert both.tolist() == [*training_bytes(small, 20, RECIPE, 9, 0, 64), *training_bytes(large, 20, RECIPE, 9, 0, 64)]


def test_each_training_is_planned_with_the_images_that_it_keeps_at_its_own_resolution():
    sizes = (64, 128, 224)
    networks = stack([scaled("efficientnet_b0", resolution=size) for size in sizes])
    without, those = (training_bytes(networks, 10, RECIPE, n, 0, 180) for n in (0, 1000))
    assert (those - without).tolist() == [1000 * 3 * side**2 for side in (80, 160, 180)]  # 1.25 x, and no larger
    scoring = training_bytes(networks, 10, RECIPE, 0, 1000, 180)
    assert (scoring - without).tolist() == [1000 * 3 * size**2 for size in sizes]


def test_memory_is_planned_with_the_recipe_s_margin_and_for_the_larger_images_of_which_a_centre_is_scored():
    tiny = stack([scaled("resnet18", resolution=64, width=0.1, depth=0.5)])  # less than loading takes

    def need(fitted=0, scoring=0, **wanted):
        return training_bytes(tiny, 10, replace(RECIPE, batch_size=2, **wanted), fitted, scoring, 180).item()

    assert need(fitted=1000, margin=2.0) - need(margin=2.0) == 1000 * 3 * 128**2
    # As many are scored, each as large as before; while they are read, they are 128 px and not 80.
    assert need(scoring=1000, crop_pct=0.5) - need(crop_pct=0.5) == 1000 * 3 * 64**2
    assert need(crop_pct=0.5) - need() == 3 * 4 * chunk_of(180) * (128**2 - 80**2)


def test_the_estimate_grows_with_activations_and_params_by_what_is_kept_of_them():
    whole = base("efficientnet_b0").architecture()
    cost = architecture_complexity(whole)
    need = training_bytes(stack([whole]), 1000, RECIPE, 0, 0, 224)
    assert need == 12 * 64 * cost.activations + 20 * cost.params + 1_500_000_000


@pytest.mark.parametrize(
    ("free", "need", "expected"),
    [(140 * GIB, 3 * GIB, 16), (8 * GIB, 3 * GIB, 2), (130 * GIB, 200 * GIB, 1), (100 * GIB, 200 * GIB, 0), (0, 1, 0)],
)
def test_as_many_trainings_share_a_gpu_as_fit_and_none_one_that_others_keep_busy(free, need, expected):
    assert per_device(free, 140 * GIB, need) == expected


def test_busy_gpus_are_left_alone_and_where_all_are_it_is_said(gpus):
    gpus(1 * GIB, 20 * GIB, 5 * GIB, total=24 * GIB)
    assert place("cuda", 0, 0, 4 * GIB).devices == ("cuda:1", "cuda:2", "cuda:1", "cuda:1", "cuda:1")
    with pytest.raises(InputError, match=r"the freest has 1.0 of 24.0 GiB free, a training needs about 4.0; wait, or"):
        place("cuda:0", 0, 0, 4 * GIB)
    assert place("cuda:0", 0, 1, 4 * GIB).devices == ("cuda:0",)  # asked for all the same
    with pytest.raises(InputError, match="every GPU is busy: the freest has 5.0 of 24.0 GiB free; wait"):
        gpus(1 * GIB, 5 * GIB, total=24 * GIB)
        place("auto", 0, 0, UNKNOWN_BYTES)


def test_the_coordinator_itself_makes_no_context_on_a_gpu(monkeypatch):
    asked = []

    def answered(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "[[5, 7], [6, 7]]", "")

    monkeypatch.setattr(subprocess, "run", answered)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: pytest.fail("a context of the coordinator's"))
    assert placement.memory_of_gpus() == [(5, 7), (6, 7)] and "mem_get_info" in asked[0][-1]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 1, "", "a\nno driver\n"))
    with pytest.raises(InputError, match=r"the GPUs do not answer \(no driver\); see nvidia-smi"):
        placement.memory_of_gpus()


def test_one_training_at_a_time_on_a_device_whose_memory_nobody_plans():
    assert place("mps", 0, 0, 3 * GIB).devices == ("mps",) and place("mps", 2, 0, 3 * GIB).devices == ("mps",) * 2


MEMORY = "MemTotal: 32000000 kB\nMemFree: 1000 kB\nMemAvailable: 10000000 kB\n"


def test_on_a_cpu_as_many_trainings_begin_as_memory_has_room_for(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "meminfo").write_text(MEMORY)
    monkeypatch.setattr(trainer.cores, "MEMORY", tmp_path / "meminfo")
    need = 1_500_000_000 + 1_200_000_000  # the process on a GPU, and in 32 bits twice as much of the rest
    assert len(place("cpu", 0, 0, need).devices) == int(0.9 * 10_240_000_000 / 3_000_000_000) == 3
    assert len(place("cpu", 5, 0, need).devices) == 5  # asked for
    assert len(place("cpu", 0, 0, UNKNOWN_BYTES).devices) == 64
    (group := tmp_path / "group").mkdir()
    facts = {"memory.max": "5000000000", "memory.current": "4000000000", "memory.stat": "anon 7\ninactive_file 6000000"}
    for name, text in facts.items():
        (group / name).write_text(text)
    monkeypatch.setattr(trainer.cores, "GROUP", group)
    assert trainer.cores.available_bytes() == 1_006_000_000 and len(place("cpu", 0, 0, need).devices) == 1


def test_processes_on_gpus_take_memory_of_the_host_too(gpus, monkeypatch, tmp_path):
    gpus(140 * GIB)
    assert len(place("cuda", 0, 0, 3 * GIB).devices) == 16
    (tmp_path / "meminfo").write_text(MEMORY)
    monkeypatch.setattr(trainer.cores, "MEMORY", tmp_path / "meminfo")
    assert len(place("cuda", 0, 0, 3 * GIB).devices) == int(0.9 * 10_240_000_000 / 2_500_000_000) == 3


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
