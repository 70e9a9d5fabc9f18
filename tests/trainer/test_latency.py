"""Timings of tiny networks: rounds, settings, refusals. Nothing here depends on how fast the machine is."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sampler import Architecture, InputError
from trainer import latency, runtimes
from trainer.latency import Stopwatch, timing_of
from trainer.onnx_graph import ONNX_PACKAGES
from trainer.runtimes import Setting, cpu_name, find_device

TINY = Architecture("efficientnet_b0", 32, 8, (8,) * 7, (1,) * 7, 16)


def timed(architectures, setting=None, rounds=(2, 2), **keywords):
    watch = Stopwatch(architectures, setting or Setting(), classes=10, **keywords)
    watch.run(3600, rounds)  # the rounds end it, however busy the machine is
    return watch.timings()


@pytest.fixture
def built(monkeypatch):
    """Architectures that were built, in order."""
    seen = []
    build = runtimes.build
    monkeypatch.setattr(runtimes, "build", lambda one, classes: seen.append(one) or build(one, classes))
    return seen


@pytest.fixture
def no_warm_up(monkeypatch):
    """One pass per round, and none before it."""
    monkeypatch.setattr(latency, "_warm_up", lambda run: None)
    monkeypatch.setattr(latency, "PASSES", (1, 1))


def test_a_timing_has_quartiles_around_its_median():
    (one,) = timed([TINY], rounds=(4, 4))
    assert 0 < one.low_ms <= one.median_ms <= one.high_ms
    assert one.runs >= 4 * latency.PASSES[0]
    assert math.isfinite(one.error_ms)


def test_a_larger_image_takes_longer():
    small, large = timed([TINY, replace(TINY, resolution=512)], rounds=(3, 3))
    assert large.median_ms > 2 * small.median_ms  # 256 times the pixels


def test_the_median_is_over_rounds():
    one = timing_of([1.0, 2.0, 3.0, 4.0, 100.0], runs=15)
    assert (one.median_ms, one.low_ms, one.high_ms, one.runs) == (3.0, 2.0, 4.0, 15)


def test_the_error_is_that_of_a_normal_median():
    rng = np.random.default_rng(0)
    medians = [np.median(draws) for draws in rng.normal(10, 1, (4000, 50))]
    errors = [timing_of(draws, 50).error_ms for draws in rng.normal(10, 1, (400, 50))]
    assert np.mean(errors) == pytest.approx(np.std(medians), rel=0.05)


def test_the_error_of_few_rounds_is_unknown():
    assert timing_of([1.0, 1.0, 1.0], runs=9).error_ms == math.inf
    assert timing_of([1.0] * 4, runs=12).error_ms == 0


def test_interference_hardly_moves_the_error_of_the_first_quartile():
    rng = np.random.default_rng(0)
    quiet = rng.normal(10, 0.1, 40)
    busy = np.where(rng.random(40) < 0.5, quiet, 3 * quiet)
    assert timing_of(busy, 40).low_error_ms < 0.1 < timing_of(busy, 40).error_ms


def test_the_threads_are_those_asked_for_and_then_those_of_before(monkeypatch):
    before = torch.get_num_threads()
    seen = []
    monkeypatch.setattr(latency, "_passes", lambda run: seen.append(torch.get_num_threads()) or [1.0])
    timed([TINY], Setting(threads=before + 1), rounds=(1, 1))
    assert (seen, torch.get_num_threads()) == ([before + 1], before)


def test_the_threads_are_restored_after_an_error(monkeypatch):
    before = torch.get_num_threads()

    def broken(run):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(latency, "_passes", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        timed([TINY], Setting(threads=before + 1))
    assert torch.get_num_threads() == before


def test_measuring_leaves_torchs_random_numbers_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    timed([TINY], rounds=(1, 1))
    assert torch.rand(1) == expected


def test_every_round_times_everything_in_another_order(monkeypatch, no_warm_up):
    architectures = [replace(TINY, resolution=32 + 2 * i) for i in range(8)]
    orders = []
    for _ in range(2):
        order = []
        watch = Stopwatch(architectures, Setting(), 10, seed=3)
        inner = watch._time
        monkeypatch.setattr(watch, "_time", lambda row, order=order, inner=inner: order.append(row) or inner(row))
        watch.run(60, (3, 3))
        orders.append(order)
    first = [orders[0][i : i + 8] for i in (0, 8, 16)]
    assert all(sorted(one) == list(range(8)) for one in first)
    assert first[0] != first[1] != first[2]
    assert orders[0] == orders[1]  # the same seed, the same orders


def test_resolutions_share_one_module(built, no_warm_up):
    timed([replace(TINY, resolution=size) for size in (32, 48, 64)])
    assert len(built) == 1


def test_other_weights_are_built_once_each_while_they_fit(built, no_warm_up):
    timed([replace(TINY, head=size) for size in (16, 17, 18)])
    assert sorted(one.head for one in built) == [16, 17, 18]


def test_few_modules_are_held_at_once(built, monkeypatch, no_warm_up):
    monkeypatch.setattr(latency, "HELD_PARAMS", 0)
    watch = Stopwatch([replace(TINY, head=size) for size in (16, 17, 18)], Setting(), 10)
    watch.run(60, (2, 2))
    assert len(watch.held) == 1
    assert len(built) >= 5  # six, but for one that may end a round and begin the next


def test_the_time_limit_leaves_the_rest_untimed(no_warm_up):
    watch = Stopwatch([replace(TINY, resolution=32 + i) for i in range(5)], Setting(), 10)
    watch.run(1e-9)
    assert [one is None for one in watch.timings()].count(False) == 1


def test_rounds_end_when_all_medians_are_precise(monkeypatch):
    monkeypatch.setattr(latency, "_passes", lambda run: [2.0])
    watch = Stopwatch([TINY, replace(TINY, resolution=48)], Setting(), 10)
    watch.run(60, (5, 40))
    assert watch.runs == [5, 5]


def test_what_was_timed_survives_an_interruption(no_warm_up):
    watch = Stopwatch([replace(TINY, resolution=32 + i) for i in range(4)], Setting(), 10)

    def stop(number, done):
        if (number, done) == (2, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch.run(60, on_timed=stop)
    assert sorted(watch.runs) == [1, 1, 1, 2]
    assert None not in watch.timings()


def test_warming_up_ends_where_passes_get_no_faster(monkeypatch):
    passes = iter([100.0, 50.0, 20.0, 20.5, 1.0])
    monkeypatch.setattr(latency, "_timed", lambda run: next(passes))
    latency._warm_up(lambda: None)
    assert next(passes) == 1.0


def test_warming_up_is_bounded(monkeypatch):
    ever_faster = iter(2.0**-i for i in range(1000))
    monkeypatch.setattr(latency, "_timed", lambda run: next(ever_faster))
    latency._warm_up(lambda: None)
    assert next(ever_faster) == 2.0**-latency.WARM_UPS


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_types_and_batches_run(dtype):
    (one,) = timed([TINY], Setting(batch=3, dtype=dtype), rounds=(1, 1))
    assert one.median_ms > 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"runtime": "tensorrt"}, "runtime 'tensorrt' is unknown; one of: torch, compile, onnxruntime"),
        ({"dtype": "int8"}, "dtype 'int8' is unknown; one of: float32"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"batch": -1}, "batch must be at least 1, got -1"),
        ({"device": "tpu"}, "device 'tpu': latency is measured on cpu, cuda or cuda:N"),
        ({"device": "cuda:x"}, "device 'cuda:x': latency is measured"),
        ({"device": "cuda:99"}, "device cuda:99: .* on this machine; use cpu"),
    ],
)
def test_an_impossible_setting_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        Setting(**values)


def test_a_missing_runtime_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx, onnxscript, onnxruntime: pip install 'scaling-planner\[onnx\]'"):
        Setting("onnxruntime")


def test_onnxruntime_refuses_what_it_has_not_on_the_cpu(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with pytest.raises(InputError, match="no bfloat16 on the CPU; use float32"):
        Setting("onnxruntime", dtype="bfloat16")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "a batch of 7 does not fit into the memory of .*; lower --batch"),
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into the memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "does not fit into the memory"),
        (NotImplementedError("\"x\" not implemented for 'Half'"), "torch cannot run float16 on cpu; use --dtype float"),
    ],
)
def test_what_a_runtime_cannot_do_is_one_line(error, words, monkeypatch):
    def broken(run):
        raise error

    monkeypatch.setattr(latency, "_passes", broken)
    with pytest.raises(InputError, match=words):
        timed([TINY], Setting(batch=7, dtype="float16"))


def test_an_impossible_architecture_is_refused_before_it_is_built():
    with pytest.raises(InputError, match="16 px is below efficientnet_b0's stride of 32"):
        Stopwatch([replace(TINY, resolution=16)], Setting())


def test_auto_is_a_device_that_is_there():
    assert find_device("auto", "onnxruntime") == "cpu"
    assert find_device("auto", "torch") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert find_device("cuda:3", "torch") == "cuda:3"


def test_the_processor_has_a_name():
    assert cpu_name() and Setting().device_name == cpu_name()


@pytest.mark.slow
def test_compiled_networks_of_many_resolutions_run():
    timings = timed([replace(TINY, resolution=size) for size in range(32, 32 + 9 * 8, 8)], Setting("compile"), (1, 1))
    assert len([one for one in timings if one and one.median_ms > 0]) == 9  # one more than dynamo compiles by default


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnxruntime_runs(dtype):
    for name in ONNX_PACKAGES:
        pytest.importorskip(name)
    small, large = timed([TINY, replace(TINY, resolution=256)], Setting("onnxruntime", dtype=dtype), rounds=(4, 4))
    assert large.median_ms > small.median_ms


@pytest.mark.gpu
def test_a_gpu_is_timed_to_the_end_of_its_work():
    small, large = timed([TINY, replace(TINY, resolution=512)], Setting(device="cuda", batch=64), rounds=(4, 4))
    assert large.median_ms > 2 * small.median_ms


def test_the_device_that_computes_is_waited_for_and_not_the_current_one(monkeypatch):
    waited = []
    module = SimpleNamespace(synchronize=lambda device=None: waited.append(device))
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    one = Architecture("efficientnet_b0", 32, 8, (8,) * 7, (1,) * 7, 16)
    with runtimes.running(setting := Setting()):
        runtimes.make_forward(one, setting, 10)(32)()
    assert waited == ["cpu"] * 2  # before the first pass, and at its end
