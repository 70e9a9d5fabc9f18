"""What can only be seen on a GPU: run by `bash tests/gpu.sh`, skipped where there is none."""

import time
from dataclasses import replace

import pytest
import torch

from sampler import Architecture, base, stack
from trainer import proxy, scoring
from trainer.augment import Augmentation
from trainer.batches import DeviceImages
from trainer.channel_units import units_of
from trainer.device_errors import is_device_failure, is_out_of_memory
from trainer.devices import half_type
from trainer.engines.engine import observation_path
from trainer.engines.local import LocalEngine
from trainer.engines.placement import PROCESS_BYTES, memory_of_gpus, place, training_bytes
from trainer.image_data import ImageData
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Observation, Recipe, Training
from trainer.proxy import train
from trainer.runtimes import Setting, make_forward
from trainer.step_graphs import GRAPHS_SWITCH, RecordedStep
from trainer.utilization import utilization
from trainer.zero_cost import zen_score

pytestmark = pytest.mark.gpu
needs_one = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
SOURCE = "fractal:classes=2,train=80,validation=20"


@pytest.fixture(scope="module")
def data(stripes):
    return ImageData(stripes(160, 0), stripes(40, 1), ("horizontal", "vertical"), "stripes", 40, "")


def training(epochs=4, **recipe):
    return Training(SMALL, Fidelity(epochs), Recipe(batch_size=16, **recipe), DataSpec("stripes", 40))


def jobs(*trainings):
    queue = list(enumerate(trainings))
    return lambda: queue.pop(0) if queue else None


@needs_one
def test_a_training_learns_on_a_gpu_and_says_what_memory_it_took(data):
    found = train(training(16), data, "cuda:0")
    assert found.status == "ok" and found.accuracy >= 0.8
    assert found.device == torch.cuda.get_device_name(0) and found.peak_bytes > 1_000_000 and found.micro_batches == 1


@needs_one
def test_where_a_gpus_memory_runs_out_batches_are_cut_and_the_observation_says_so(data):
    asked = replace(training(1), architecture=base("efficientnet_b0").architecture())
    asked = replace(asked, recipe=replace(asked.recipe, batch_size=64), data=DataSpec("stripes", 40))
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(2.5e9 / total, 0)
        found = train(asked, data, "cuda:0")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert found.status == "ok" and found.micro_batches > 1 and found.alone and found.peak_bytes < 2.5e9


@needs_one
def test_an_interrupted_training_goes_on_on_a_gpu(data, tmp_path, monkeypatch):
    def interrupts(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(proxy, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(training(), data, "cuda:0", on_epoch=interrupts, checkpoint=tmp_path / "state.pt")
    again = train(training(), data, "cuda:0", checkpoint=tmp_path / "state.pt")
    whole = train(training(), data, "cuda:0")
    assert [one.epoch for one in again.history] == [1, 2, 3, 4] and not again.message
    # Atomic additions of a GPU come in any order: nearly the same, and not to the bit.
    assert again.history[-1].training_loss == pytest.approx(whole.history[-1].training_loss, rel=0.05)


@needs_two
def test_trainings_run_on_two_gpus_at_once(tmp_path):
    asked = [replace(training(), data=DataSpec(SOURCE, 40), seed=seed) for seed in range(4)]
    with LocalEngine(tmp_path, ("cuda:0", "cuda:1")) as engine:
        events = list(engine.run(jobs(*asked)))
    assert sorted(event.key for event in events if event.kind == "done") == [0, 1, 2, 3]
    found = [Observation.from_json(observation_path(tmp_path, key).read_text()) for key in range(4)]
    assert all(one.status == "ok" and one.alone for one in found)


@needs_two
def test_latency_on_the_second_gpu_is_that_of_the_work_and_not_of_its_launch():
    network = base("efficientnet_b0").architecture()

    def seconds(device):
        one_pass = make_forward(network, Setting("torch", device, 1, 64, "float32"), 1000)(224)
        for _ in range(3):
            one_pass()
        start = time.perf_counter()
        for _ in range(5):
            one_pass()
        return time.perf_counter() - start

    first, second = seconds("cuda:0"), seconds("cuda:1")
    assert second > first / 3  # it was the time of launching the kernels, before the right device was waited for


@needs_one
def test_utilisation_on_a_gpu_is_that_of_the_cpu(data):
    torch.manual_seed(0)
    model = build(SMALL, 2)
    units = units_of(model, SMALL, 2)[:4]
    found = {}
    for name in ("cpu", "cuda:0"):
        device = torch.device(name)
        images = DeviceImages(data.validation, 32, device)
        found[name] = [one.loss_increase for one in utilization(model.to(device), images, units, times=2)]
    assert found["cuda:0"] == pytest.approx(found["cpu"], abs=5e-3)


@needs_one
def test_zen_scores_on_a_gpu_are_those_of_the_cpu():
    on_cpu, on_gpu = (zen_score(SMALL, 2, repeats=4, batch=4, device=device) for device in ("cpu", "cuda:0"))
    assert on_gpu.zen == pytest.approx(on_cpu.zen, rel=1e-2)


@needs_one
@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18", "regnety_002"])
def test_the_memory_planned_is_enough_and_not_many_times_too_much(data, name):
    network = replace(base(name).architecture(), resolution=64)
    asked = replace(training(1), architecture=network)
    found = train(replace(asked, recipe=replace(asked.recipe, batch_size=64)), data, "cuda:0")
    (planned,) = training_bytes(stack([network]), 2, Recipe(), len(data.train), len(data.train), data.side)
    assert found.peak_bytes < planned and planned - PROCESS_BYTES < 8 * found.peak_bytes


@needs_one
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16, None])
def test_a_training_learns_in_either_16_bits_and_in_32(data, monkeypatch, half):
    if half == torch.bfloat16 and half_type(torch.device("cuda:0")) != half:
        pytest.skip("this GPU only emulates bfloat16")
    for module in (proxy, scoring):
        monkeypatch.setattr(module, "half_type", lambda _: half)
    found = train(training(16), data, "cuda:0")
    assert found.status == "ok" and found.accuracy >= 0.8


@needs_one
def test_a_gpu_that_a_kernel_broke_is_left_with_its_process_and_the_study_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breaks.py").write_text(
        "import torch\n"
        "def train(job):\n"
        "    numbers = torch.arange(4, device=job.device)\n"
        "    if job.seed == 0:\n"
        "        numbers[torch.tensor([9], device=job.device)]\n"
        "    return float(numbers.float().mean().item() / 4)\n"
    )
    common = {"trainer": f"{tmp_path}/breaks.py:train", "classes": 2}
    asked = [replace(training(1), seed=seed, **common) for seed in (0, 1)]
    with LocalEngine(tmp_path, ("cuda:0",)) as engine:
        events = [event for event in engine.run(jobs(*asked)) if event.kind != "epoch"]
    assert [(event.kind, event.key) for event in events] == [("died", 0), ("done", 1)]
    assert "its device failed" in events[0].text and "CUDA error" in events[0].text


@needs_one
def test_real_errors_of_cuda_are_known():
    with pytest.raises(torch.OutOfMemoryError) as error:
        torch.empty(2**50, dtype=torch.uint8, device="cuda:0")
    assert is_out_of_memory(error.value) and not is_device_failure(error.value)


@needs_one
def test_a_gpu_is_asked_for_its_memory_from_outside():
    before = torch.cuda.memory_reserved(0)
    memory = memory_of_gpus()
    assert len(memory) == torch.cuda.device_count() and all(0 < free <= total for free, total in memory)
    assert torch.cuda.memory_reserved(0) == before
    assert set(place("cuda:0", 0, 2, 1).devices) == {"cuda:0"}


@needs_one
@pytest.mark.parametrize("optimizer", ["adamw", "momentum", "rmsproptf"])
def test_steps_recorded_as_a_cuda_graph_train_as_plain_ones(data, monkeypatch, optimizer):
    runs = []

    class Seen(RecordedStep):
        def __init__(self, *given):
            super().__init__(*given)
            runs.append(self)

    monkeypatch.setattr(proxy, "RecordedStep", Seen)
    asked = training(6, optimizer=optimizer, learning_rate=1e-3, dropout=0.2, mixup=0.2, clip_grad=1.0)
    recorded = train(asked, data, "cuda:0")
    assert runs[0].replay is not None and not recorded.message
    monkeypatch.setenv(GRAPHS_SWITCH, "0")
    plain = train(asked, data, "cuda:0")
    assert len(runs) == 1
    losses = [one.training_loss for one in plain.history]
    assert [one.training_loss for one in recorded.history] == pytest.approx(losses, rel=0.05)


@needs_one
def test_a_deterministic_training_gives_the_same_numbers_twice(data):
    asked = training(2, deterministic=True, randaugment=9)
    first, second = (train(asked, data, "cuda:0") for _ in range(2))
    assert first.history == second.history and first.status == "ok"
    train(training(1), data, "cuda:0")
    assert not torch.are_deterministic_algorithms_enabled()


@needs_one
def test_augmentation_copies_nothing_that_has_to_be_waited_for(data):
    images = DeviceImages(data.train, 40, torch.device("cuda:0"))
    asked = Recipe(batch_size=16, randaugment=9, mixup=0.2, cutmix=1.0)
    augment = Augmentation(asked, 32, 2, torch.device("cuda:0"))
    augment(images.images[:16], images.labels[:16], 0)  # makes its constants
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(images.images[:16], images.labels[:16], 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
