"""What a module does in one forward pass, traced without numbers: what multiplies, what is stored, what is alive.

Everything is on torch's meta device, which knows shapes alone: a trace costs what Python needs to build the module and
to run it once, whatever its sizes. MACs are half of what `torch.utils.flop_counter` counts; each is a product of whole
numbers (`Item.dims`), which is what expressions are found for.

Memory: feature maps are tensors' storages other than the module's own, each alive from the operation that makes it
until nothing refers to it, as Python frees them; the input lives from the start. Elements that have eight bytes
whatever the network's own type is (indices) are told from others, and two of four bytes (int32) are one of those. All
others count as one element of the network's own type each: numbers with a point, two for a complex one, and, rounded
up, booleans and the shorter whole numbers. Vectors (one side above 1 at most: squeeze-excite's, scores) are not
counted, as in `sampler.complexity`. The peak is a network's in float32; its eight-byte elements are those alive then.
"""

from __future__ import annotations

import gc
import math
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sampler.declared.spec import NetworkSpec
from sampler.errors import InputError
from trainer.declared.shapes import Shapes

Point = Mapping[str, int]  # values of the variables of expressions, by name
EIGHT = "int64s"  # in kinds of storages: its elements have eight bytes
_aten = torch.ops.aten
_shapes = Shapes()
_CONVOLUTIONS = (_aten.convolution, _aten._convolution)
_DRAWS = frozenset(
    "normal_ uniform_ trunc_normal_ kaiming_normal_ kaiming_uniform_ xavier_uniform_ orthogonal_".split()
)
_FILLS = frozenset("erfinv_ mul_ add_ sub_ div_ clamp_ clamp_min_ clamp_max_ fill_ zero_ copy_".split())


class Item(NamedTuple):
    """One operation that multiplies, one parameter or one storage.

    Attributes:
        path: Name of the module that it is in.
        kind: Name of what it is.
        dims: Whole numbers whose product is its MACs, or its elements.
        result: Shape of what a multiplying operation gives.
    """

    path: str
    kind: str
    dims: tuple[int, ...]
    result: tuple[int, ...] = ()


@dataclass(eq=False)
class Trace:
    """What happened in one forward pass.

    Attributes:
        ops: Operations that multiply, in order.
        params: The module's parameters, shared ones once, and with them its buffers.
        storages: Storages made, the input's first, in order.
        moments: For each storage, which are alive when the operation that made it is done; () where it made more.
        result: Shapes of what the module gives.
    """

    ops: list[Item] = field(default_factory=list)
    params: list[Item] = field(default_factory=list)
    storages: list[Item] = field(default_factory=list)
    moments: list[tuple[int, ...]] = field(default_factory=list)
    result: tuple[tuple[int, ...], ...] = ()

    def counts(self) -> tuple[int, int, int, int, int]:
        """MACs, params, activations, elements of its own type and of eight bytes alive at once, buffers included."""
        sizes = [math.prod(one.dims) * is_map(one) for one in self.storages]
        eights = [size * one.kind.endswith(EIGHT) for size, one in zip(sizes, self.storages, strict=True)]
        peaks = ((sum(sizes[at] + eights[at] for at in now), sum(eights[at] for at in now)) for now in self.moments)
        most, int64s = max(peaks, default=(0, 0))
        of = {
            kind: sum(math.prod(one.dims) for one in self.params if one.kind == kind)
            for kind in ("param", "buffer", EIGHT)
        }
        macs = sum(math.prod(one.dims) for one in self.ops)
        activations = sum(math.prod(one.result) for one in self.ops)
        return macs, of["param"], activations, most - 2 * int64s + of["buffer"], int64s + of[EIGHT]


def is_map(storage: Item) -> bool:
    """Whether a storage counts: one with one side above 1 at most is a vector, and does not."""
    return sum(side > 1 for side in storage.dims) > 1


class IllegalError(Exception):
    """A configuration that cannot be built or run; says why in one line.

    Attributes:
        runs: Whether it could be built, and fails as it runs.
    """

    runs = False


class _Undrawn(TorchFunctionMode):
    """Leaves parameters undrawn: nobody looks at them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = args[0] if args else (kwargs or {}).get("tensor")
        if isinstance(given, torch.Tensor):
            if func.__name__ in _DRAWS or (func.__name__ in _FILLS and given.is_meta):
                return given
        return func(*args, **(kwargs or {}))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes a trace."""

    def __init__(self, trace: Trace, paths: Sequence[str], own: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace, self.paths, self.own = trace, paths, own
        self.alive: dict[int, tuple[int, StorageWeakRef]] = {}  # by the storage's key: its number and itself

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = _shapes(func, args, kwargs)
        counted = flop_registry.get(func._overloadpacket)
        path = self.paths[-1] if self.paths else ""
        if counted is not None:
            macs = int(counted(*args, **kwargs, out_val=out)) // 2
            self.trace.ops += _multiplied(func._overloadpacket, args, out, macs, path)
        self.made(path, func._overloadpacket.__name__, out)
        return out

    def made(self, path: str, kind: str, out: Any) -> None:
        """Notes the storages of an operation's results that are new, and all that are alive with them."""
        first = len(self.trace.storages)
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            key = storage._cdata
            known = self.alive.get(key)
            if key in self.own or (known is not None and not _gone(known[1])):
                continue
            self.alive[key] = len(self.trace.storages), StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            elements = storage.nbytes() // tensor.element_size()
            dims = tuple(tensor.shape) if tensor.numel() == elements else (elements,)
            eights, dims = _as_elements(dims or (1,), tensor.dtype)
            self.trace.storages.append(Item(path, f"{kind}.{EIGHT}" if eights else kind, dims))
        if new := len(self.trace.storages) - first:
            self.alive = {key: one for key, one in self.alive.items() if not _gone(one[1])}
            self.trace.moments += [()] * (new - 1)
            self.trace.moments.append(tuple(sorted(number for number, _ in self.alive.values())))


def _gone(storage: StorageWeakRef) -> bool:
    return bool(storage.expired())  # type: ignore[no-untyped-call]


def _as_elements(dims: tuple[int, ...], dtype: torch.dtype) -> tuple[bool, tuple[int, ...]]:
    """Whether a tensor's elements have eight bytes each, else they are of the network's own type; and their numbers."""
    *others, last = dims
    size, whole = dtype.itemsize, not (dtype.is_floating_point or dtype.is_complex)
    if dtype.is_complex:
        size, last = size // 2, 2 * last
    elif whole and size == 4:  # two are one of eight bytes; a side of two stays a side
        size, last = 8, max(-(-last // 2), min(last, 2))
    return size == 8, (*others, last)


def _tensors(out: Any) -> Iterator[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        yield out
    elif isinstance(out, list | tuple):
        for one in out:
            yield from _tensors(one)
    elif isinstance(out, Mapping):
        for one in out.values():
            yield from _tensors(one)


def _multiplied(packet: Any, args: Sequence[Any], out: Any, macs: int, path: str) -> list[Item]:
    """A multiplying operation as products of whole numbers."""
    first = next(_tensors(out))
    result = tuple(first.shape)
    events: list[tuple[str, tuple[int, ...]]] = []
    if packet in _CONVOLUTIONS:
        pixels = args[0].shape[2:] if args[6] else result[2:]
        events = [("conv", (args[0].shape[0], *pixels, *args[1].shape))]
    elif packet in (_aten.mm, _aten.bmm):
        events = [("product", (*args[0].shape, args[1].shape[-1]))]
    elif packet in (_aten.addmm, _aten.baddbmm):
        events = [("product", (*args[1].shape, args[2].shape[-1]))]
    elif "scaled_dot_product" in packet.__name__:
        q, k, v = (tensor.shape for tensor in args[:3])
        events = [("scores", (*q[:-1], k[-2], q[-1])), ("mix", (*q[:-1], k[-2], v[-1]))]
    if sum(math.prod(dims) for _, dims in events) != macs:  # another operation of torch's: what it is worth, at least
        events = [(packet.__name__, (macs,))]
    if macs == 0:
        raise IllegalError(f"{packet.__name__} in {path or 'the network'} multiplies nothing: a size is 0 there")
    return [Item(path, kind, dims, result if at == 0 else (0,)) for at, (kind, dims) in enumerate(events)]


def arguments(spec: NetworkSpec, point: Point) -> dict[str, Any]:
    """What the factory is called with: a knob is a whole number, or a tuple of one for each stage."""
    stages = range(1, len(spec.widths) + 1)
    knobs = {
        name: point[f"{name}_1"] if len(knob.base) == 1 else tuple(point[f"{name}_{i}"] for i in stages)
        for name, knob in spec.knobs.items()
    }
    sizes = {"widths": tuple(point[f"width_{i}"] for i in stages), "depths": tuple(point[f"depth_{i}"] for i in stages)}
    return {"resolution": point["resolution"], **sizes, "classes": point["classes"], **knobs}


def trace(spec: NetworkSpec, point: Point) -> Trace:
    """What the network does at a point.

    Raises:
        IllegalError: If it cannot be built or run there.
        InputError: If what the factory gives is no module.
    """
    enabled = gc.isenabled()
    gc.disable()  # what is alive is not to depend on when cycles are looked for, and it is quicker
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _traced(spec, point)
    except (InputError, IllegalError):
        raise
    except Exception as error:
        illegal = IllegalError(_reason(error))
        illegal.runs = any(frame.name == "_ran" for frame in traceback.extract_tb(error.__traceback__))
        raise illegal from error
    finally:
        if enabled:
            gc.enable()


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {' '.join(lines[0].split())[:200] if lines else ''}".rstrip(": ")


def _traced(spec: NetworkSpec, point: Point) -> Trace:
    model = _built(spec, point).eval()
    found = Trace(params=_parameters(model))
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    paths: list[str] = []
    with torch.no_grad(), torch.device("meta"), _named(model, paths):
        given = example_input(spec, point["resolution"])
        with _Recorder(found, paths, own) as recorder:
            recorder.made("", "input", given)
            out = _ran(model, given)
    found.result = tuple(tuple(one.shape) for one in _tensors(out))
    if out is None:
        raise InputError(f"network {spec.name}: its forward gives None; return what it computes")
    return found


def _ran(model: nn.Module, given: Any) -> Any:
    """What a module gives for its example input."""
    if isinstance(given, Mapping):
        return model(**given)
    return model(*given) if isinstance(given, tuple) else model(given)


def example_input(spec: NetworkSpec, resolution: int) -> Any:
    """The network's input at a resolution, on the device that is set."""
    if spec.input is None:
        return torch.empty(1, spec.channels, resolution, resolution)
    return spec.input(resolution)


def _built(spec: NetworkSpec, point: Point) -> nn.Module:
    """The module, without numbers; on the CPU first where its factory looks at some (`.item()` of a linspace)."""
    given = arguments(spec, point)
    try:
        with torch.device("meta"), _Undrawn():
            model = spec.factory(**given)
    except Exception as first:
        try:
            with _Undrawn():
                model = spec.factory(**given)
        except Exception:
            raise first from None
    if not isinstance(model, nn.Module):
        raise InputError(
            f"network {spec.name}: the function gives {type(model).__name__}, not a torch.nn.Module; return the module"
        )
    return _on_meta(model)


def _on_meta(model: nn.Module) -> nn.Module:
    """The module with its parameters and buffers on the meta device; moving them undoes sharing, which is kept."""
    if all(one.is_meta for one in (*model.parameters(), *model.buffers())):
        return model
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, one in (*module._parameters.items(), *module._buffers.items()):
            if one is not None:
                places.setdefault(id(one), []).append((module, name))
    model = model.to("meta")
    for (module, name), *others in places.values():
        for other, its in others:
            setattr(other, its, getattr(module, name))
    return model


def _parameters(model: nn.Module) -> list[Item]:
    found = [Item(name, "param", tuple(one.shape) or (1,)) for name, one in model.named_parameters()]
    for name, one in model.named_buffers():
        eights, dims = _as_elements(tuple(one.shape) or (1,), one.dtype)
        found.append(Item(name, EIGHT if eights else "buffer", dims))
    return found


@contextmanager
def _named(model: nn.Module, paths: list[str]) -> Iterator[None]:
    """Within it, `paths` ends with the name of the module that runs."""
    names = {id(module): name for name, module in model.named_modules()}
    called: Callable[..., Any] = nn.Module.__call__

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        paths.append(names.get(id(self), paths[-1] if paths else ""))
        try:
            return called(self, *args, **kwargs)
        finally:
            paths.pop()

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = called  # type: ignore[method-assign]
