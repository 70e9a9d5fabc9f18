"""What runs a forward pass: torch as it is, torch.compile, or ONNX Runtime."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from sampler import Architecture, InputError, base
from trainer.declared.examples import Example, example_of
from trainer.declared.images import described
from trainer.network import build
from trainer.onnx_graph import check_onnx, onnx_proto, onnx_session

Runtime = Literal["torch", "compile", "onnxruntime"]
DataType = Literal["float32", "float16", "bfloat16"]
# (resolution) -> a function that does one forward pass of one batch and returns when it is done
Forward = Callable[[int], Callable[[], None]]

MOST_GRAPHS = 10_000
IMAGE_DIMENSIONS = 4  # (n, channels, r, r)


@dataclass(frozen=True)
class Setting:
    """How a forward pass is run; tensors are channels-last in torch, which is faster on CPUs and GPUs.

    Attributes:
        runtime: `torch` (eager), `compile` (torch.compile with static shapes) or `onnxruntime`.
        device: `cpu` or a CUDA device.
        threads: Threads of the CPU.
        batch: Images of one pass.
        dtype: Type of weights and images.

    Raises:
        InputError: If a value is impossible, the device is not there, or the runtime cannot have the others.
    """

    runtime: Runtime = "torch"
    device: str = "cpu"
    threads: int = 1
    batch: int = 1
    dtype: DataType = "float32"

    def __post_init__(self) -> None:
        for name, kinds in (("runtime", Runtime), ("dtype", DataType)):
            if getattr(self, name) not in get_args(kinds):
                raise InputError(f"{name} {getattr(self, name)!r} is unknown; one of: {', '.join(get_args(kinds))}")
        for name in ("threads", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_device(self.device)
        if self.runtime == "onnxruntime":
            _check_onnxruntime(self)

    @property
    def device_name(self) -> str:
        """The processor's or GPU's own name."""
        return torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else cpu_name()

    def key(self, architecture: Architecture) -> Architecture:
        """What is built for an architecture: eager modules serve every resolution, the others are made for one."""
        if self.runtime != "torch" or described(architecture.base):  # which may be built for its resolution
            return architecture
        return replace(architecture, resolution=base(architecture.base).resolution)


def find_device(wanted: str, runtime: str) -> str:
    """The device meant: `auto` is a GPU where there is one and the runtime can use it."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() and runtime != "onnxruntime" else "cpu"


def check_device(device: str) -> None:
    """Refuses what cannot be timed here.

    Raises:
        InputError: Saying what can.
    """
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise InputError(f"device {device!r}: latency is measured on cpu, cuda or cuda:N")
    if int(index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
        raise InputError(f"device {device}: {found} on this machine; use cpu")


def _check_onnxruntime(setting: Setting) -> None:
    check_onnx("runtime onnxruntime")
    if setting.device != "cpu":
        raise InputError("runtime onnxruntime is measured on the CPU; use device cpu")
    if setting.dtype == "bfloat16":
        raise InputError("runtime onnxruntime has no bfloat16 on the CPU; use float32")


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def make_forward(architecture: Architecture, setting: Setting, classes: int) -> Forward:
    """Builds an architecture, freshly initialised and in eval mode, for a runtime.

    Args:
        architecture: Network to build, as `setting.key` gives it.
        setting: How to run it.
        classes: Outputs of the classifier.

    Returns:
        What prepares a forward pass at a resolution. Weights and images have no influence on the time.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build(architecture, classes).eval()
    module.to(getattr(torch, setting.dtype))
    if setting.runtime == "onnxruntime":
        return _onnx_forward(module, architecture, setting)
    module.to(setting.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run: Callable[..., Any] = torch.compile(module, dynamic=False) if setting.runtime == "compile" else module
    # Without its argument it waits for the current device, which is the first one.
    wait = partial(torch.get_device_module(setting.device).synchronize, setting.device)

    def forward(resolution: int) -> Callable[[], None]:
        example = _example(architecture, resolution, setting)
        wait()

        def one_pass() -> None:
            example.given_to(run)
            wait()

        return one_pass

    return forward


def _onnx_forward(module: nn.Module, architecture: Architecture, setting: Setting) -> Forward:
    """A session whose graph has the resolution and the batch built in."""
    example = _example(architecture, architecture.resolution, setting)
    session = onnx_session(onnx_proto(module, example).SerializeToString(), setting.threads)
    names = (one.name for one in session.get_inputs())
    feed = {name: one.numpy() for name, one in zip(names, example.tensors, strict=True)}
    return lambda _: lambda: session.run(None, feed)


def _example(architecture: Architecture, resolution: int, setting: Setting) -> Example:
    """What a forward pass is given, on its device and of its type; images channels last where torch runs them.

    Raises:
        InputError: If a network whose input is its own is asked for another batch.
    """
    example = example_of(base(architecture.base), resolution, setting.batch)
    if setting.batch > 1 and not example.images:
        raise InputError(f"{architecture.base}: its input is its own, and no batch of images; take --batch 1")

    def placed(one: torch.Tensor) -> torch.Tensor:
        one = one.to(setting.device, getattr(torch, setting.dtype) if one.is_floating_point() else one.dtype)
        kept = setting.runtime == "onnxruntime" or one.ndim != IMAGE_DIMENSIONS
        return one if kept else one.to(memory_format=torch.channels_last)

    named = {name: placed(one) for name, one in example.named.items()}
    return Example(tuple(map(placed, example.positional)), named, example.images)


@contextmanager
def running(setting: Setting) -> Iterator[None]:
    """Inference with the setting's threads; what a runtime says of memory and missing types becomes one line.

    Raises:
        InputError: For what the user can mend; everything else passes through.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(setting.threads)
    try:
        with torch.inference_mode(), _many_graphs() if setting.runtime == "compile" else nullcontext():
            yield
    except InputError:
        raise
    except Exception as error:
        refusal = _refusal(error, setting)
        if refusal is None:
            raise
        raise InputError(refusal) from error
    finally:
        torch.set_num_threads(before)


def _many_graphs() -> AbstractContextManager[Any]:
    """Dynamo compiles a class of modules 8 times by default, then silently runs it uncompiled."""
    import torch._dynamo

    patch: AbstractContextManager[Any] = torch._dynamo.config.patch(
        recompile_limit=MOST_GRAPHS, accumulated_recompile_limit=MOST_GRAPHS, fail_on_recompile_limit_hit=True
    )
    return patch


def _refusal(error: Exception, setting: Setting) -> str | None:
    """One line that says how to mend it; None where it is a defect."""
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in text:
        return f"a batch of {setting.batch} does not fit into the memory of {setting.device_name}; lower --batch"
    if "not implemented for" in text:
        return f"{setting.runtime} cannot run {setting.dtype} on {setting.device}; use --dtype float32"
    if setting.runtime == "torch" or not type(error).__module__.startswith(("torch._", "torch.onnx", "onnxruntime")):
        return None
    return f"runtime {setting.runtime} failed ({text[:200]}); use --runtime torch"
