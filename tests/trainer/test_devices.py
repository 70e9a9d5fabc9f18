"""What devices can do, by pretending: Apple's without float64 and without some kernels, NVIDIA's older ones."""

import os
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sampler import Architecture, InputError
from trainer import augment, batches, devices, proxy, scoring, utilization, zero_cost
from trainer.augment import crop_and_flip
from trainer.batches import DeviceImages
from trainer.channel_units import units_of
from trainer.devices import choose_kernels, full_float32, half_type, one_device, sum_type
from trainer.fractal import fractal_images
from trainer.gpu_sharing import sharing_advice
from trainer.image_data import ImageData, ImageSplit
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Recipe, Training

CPU = torch.device("cpu")
SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)


@pytest.fixture(scope="module")
def data():
    import numpy as np

    def split(n, part):
        return ImageSplit(fractal_images(2, n, 32, 0, part), np.repeat(np.arange(2), n))

    return ImageData(split(40, "train"), split(10, "validation"), ("a", "b"), "fractal", 32, "fingerprint")


def training():
    return Training(SMALL, Fidelity(1), Recipe(batch_size=16), DataSpec("fractal", 32))


class NoFloat64(TorchDispatchMode):
    """Fails where float64 is made, or a grid is sampled beyond the edge, for which Apple's devices have no kernel."""

    ON_HOST = ("aten.lift_fresh.default", "aten.std.correction")  # of a list of numbers, wherever the network is

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        found = function(*arguments, **(named or {}))
        name = str(function)
        if "grid_sampler" in name:
            assert arguments[3] == 0, f"{name} samples beyond the edge by mode {arguments[3]}: no kernel there"
        for one in tree_leaves(found) if name not in self.ON_HOST else ():
            assert not isinstance(one, torch.Tensor) or one.dtype != torch.float64, f"{name} gives float64"
        return found


@pytest.fixture
def apple(monkeypatch):
    """Has the CPU taken for a device of Apple's."""
    monkeypatch.setattr(devices, "_NO_DOUBLE", ("mps", "cpu"))
    for module in (augment, batches):
        monkeypatch.setattr(module, "has_all_kernels", lambda _: False)


def test_a_training_and_its_scores_need_nothing_that_apples_devices_lack(apple, data):
    with NoFloat64():
        found = proxy.train(training(), data)
    assert found.status == "ok" and 0 <= found.accuracy <= 1


def test_without_the_pretence_the_same_test_fails(data):
    with pytest.raises(AssertionError, match="float64|kernel"), NoFloat64():
        proxy.train(training(), data)


def test_zen_scores_and_utilisation_need_no_float64(apple, data):
    with NoFloat64():
        score = zero_cost.zen_score(SMALL, 2, repeats=2, batch=2)
    assert score.zen == pytest.approx(zero_cost.zen_score(SMALL, 2, repeats=2, batch=2).zen, rel=1e-4)
    model = build(SMALL, 2)
    images, units = DeviceImages(data.validation, 32, CPU), units_of(model, SMALL, 2)[:2]
    with NoFloat64():
        found = utilization.utilization(model, images, units, times=2)
    assert [one.name for one in found] == [one.name for one in units]


@pytest.mark.parametrize(("kernels", "where"), [(True, "meta"), (False, "cpu")])
def test_where_a_device_cannot_resize_the_host_does(monkeypatch, data, kernels, where):
    seen, resized = [], batches.resized
    monkeypatch.setattr(
        batches, "resized", lambda images, side: seen.append(images.device.type) or resized(images, side)
    )
    monkeypatch.setattr(batches, "has_all_kernels", lambda _: kernels)
    assert DeviceImages(data.train, 24, torch.device("meta")).images.device.type == "meta"
    assert set(seen) == {where}


def test_crops_are_the_same_without_sampling_beyond_the_edge(monkeypatch):
    images = torch.randint(0, 256, (16, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def crops():
        return crop_and_flip(images, 48, 0.3, 0.5, torch.Generator().manual_seed(1))

    whole = crops()
    monkeypatch.setattr(augment, "has_all_kernels", lambda _: False)
    assert torch.allclose(crops(), whole, atol=1e-2)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((9, 0), torch.bfloat16),
        ((8, 0), torch.bfloat16),
        ((7, 5), torch.float16),
        ((7, 0), torch.float16),
        ((6, 1), None),
    ],
)
def test_16_bits_are_those_in_which_a_gpu_is_fast(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert half_type(torch.device("cuda:1")) == expected


def test_other_devices_train_in_32_bits():
    assert half_type(CPU) is None and half_type(torch.device("mps")) is None
    assert sum_type(CPU) == torch.float64 and sum_type(torch.device("mps")) == torch.float32


def test_in_float16_losses_are_scaled_and_a_training_goes_on_where_it_was(monkeypatch, data, tmp_path):
    """On the CPU, which has float16 too."""
    for module in (proxy, scoring):
        monkeypatch.setattr(module, "half_type", lambda _: torch.float16)
    seen, scaled = [], torch.amp.GradScaler.scale

    def noted(self, loss):
        seen.append(self.get_scale())
        return scaled(self, loss)

    def interrupts(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.amp.GradScaler, "scale", noted)
    asked = replace(training(), fidelity=Fidelity(2))
    whole = proxy.train(asked, data)
    assert whole.status == "ok" and min(seen) > 1
    monkeypatch.setattr(proxy, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        proxy.train(asked, data, on_epoch=interrupts, checkpoint=tmp_path / "state.pt")
    assert proxy.train(asked, data, checkpoint=tmp_path / "state.pt").history == whole.history


@pytest.mark.parametrize("name", ["nonsense", "cuda:7", "mps"])
def test_a_device_that_is_not_there_is_one_line(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"--device {name}: .*; use ") as error:
        one_device(name)
    assert "\n" not in str(error.value)


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert one_device("auto") == expected
    assert one_device("cpu") == "cpu"


@pytest.fixture
def kernels():
    """Leaves the choice of kernels as it was."""
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before
    torch.use_deterministic_algorithms(False)


def test_kernels_are_the_fastest_or_those_that_repeat(kernels, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    choose_kernels(deterministic=True)
    chosen = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    assert (*chosen, torch.are_deterministic_algorithms_enabled()) == (False, True, True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    choose_kernels(deterministic=False)
    chosen = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    assert (*chosen, torch.are_deterministic_algorithms_enabled()) == (True, False, False)


def test_an_operation_that_cannot_repeat_is_named_with_what_to_do(data, monkeypatch):
    def raises(*_, **__):
        raise RuntimeError("adaptive_pool_cuda does not have a deterministic implementation, but you set ..")

    monkeypatch.setattr(proxy, "accumulated", raises)
    with pytest.raises(InputError, match="efficientnet_b0: adaptive_pool_cuda does not .*without --deterministic"):
        proxy.train(training(), data)


def test_utilisation_is_measured_in_whole_float32_and_leaves_the_rest_as_it_was(data, monkeypatch):
    seen, cross_entropy = [], utilization.functional.cross_entropy

    def looking(*given, **named):
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return cross_entropy(*given, **named)

    monkeypatch.setattr(utilization.functional, "cross_entropy", looking)
    model, images = build(SMALL, 2), DeviceImages(data.validation, 32, CPU)
    before = torch.backends.cudnn.allow_tf32
    utilization.utilization(model, images, units_of(model, SMALL, 2)[:1], times=2)
    assert set(seen) == {(False, False)} and before and torch.backends.cudnn.allow_tf32
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert torch.backends.cudnn.allow_tf32


def test_the_multi_process_service_is_advised_where_trainings_share_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    advice = sharing_advice(["cuda:0", "cuda:1", "cuda:0"])
    assert advice.startswith("3 trainings take turns on 2 GPUs; `nvidia-cuda-mps-control -d`")
    assert not sharing_advice(["cuda:0", "cuda:1"]) and not sharing_advice(["cpu", "cpu"])
    (tmp_path / "control").touch()
    assert not sharing_advice(["cuda:0", "cuda:0"])
