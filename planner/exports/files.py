"""What an export writes: timm code, safetensors with a JSON description (and a declared network's own file), ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.exports.network import ExportedNetwork
from planner.exports.paths import ExportKind, export_path, module_name
from planner.exports.source import timm_source
from trainer.declared.examples import Example, example_of
from trainer.files import write_named
from trainer.onnx_graph import check_onnx, onnx_proto, onnx_session, output_tensors
from trainer.weights import packed_network

if TYPE_CHECKING:
    from torch import nn

# Of ONNX Runtime's outputs from torch's, over the largest output where that is above 1.
_TOLERANCE = 1e-4
_LARGEST_GRAPH = 2_000_000_000


def write(network: ExportedNetwork, kind: ExportKind, out: str | None) -> list[Path]:
    """Writes a network.

    Args:
        network: The network to write.
        kind: `timm`: a Python file, and its weights where they are trained; `torch`: safetensors, trained or not, a
            JSON description, and the same Python file, or a declared network's own; `onnx`: a graph of any batch size,
            compared with torch.
        out: The file's path; the network's name in this folder by default. Other files stand beside it.

    Returns:
        The files written, `out` first.

    Raises:
        PlannerError: If the name cannot be one, an optional package is missing, or a file cannot be written.
    """
    path = export_path(out or network.name, kind)
    contents: Mapping[Path, str | bytes | nn.Module]
    if kind == "onnx":
        contents = {path: _onnx(network)}
    elif kind == "torch" and network.shipped is not None:
        contents = _declared(network, path)
    else:
        network = replace(network, name=module_name(path))
        contents = _timm(network, path, kind)
    try:
        for file, content in contents.items():
            if isinstance(content, bytes | str):
                write_named(file, content)
            else:
                write_named(file, packed_network(content, network.architecture, network.classes))
    except OSError as error:
        raise PlannerError(
            f"{error.filename}: {error.strerror}; free space or rights, or give another --out"
        ) from error
    return list(contents)


def _timm(network: ExportedNetwork, path: Path, kind: ExportKind) -> dict[Path, str | nn.Module]:
    """Contents by file."""
    weights = kind == "torch" or network.training is not None
    source = timm_source(network, weights)
    files: dict[Path, str | nn.Module] = {path.with_suffix(".py"): source}
    if weights:
        files[path.with_suffix(".safetensors")] = network.module()
    if kind == "torch":
        files[path.with_suffix(".json")] = _described(network)
    return dict(sorted(files.items(), key=lambda item: item[0] != path))


def _declared(network: ExportedNetwork, path: Path) -> dict[Path, str | nn.Module]:
    """Contents by file: weights, description, and the files that declare the network, by their own names.

    Raises:
        PlannerError: If the network is of no file, or another file of that name is there.
    """
    assert network.shipped is not None
    if not network.shipped.beside:
        raise PlannerError(
            f"{network.title}: declared in a program; put its function into a file of its own, or --to onnx"
        )
    sources: dict[Path, str | nn.Module] = {path.parent / name: text for name, text in network.shipped.beside}
    for file, text in sources.items():
        if file.exists() and file.read_bytes() != str(text).encode():
            raise PlannerError(f"{file}: another file of that name is there; give an --out in another folder")
    return {
        path: network.module(),
        path.with_suffix(".json"): _described(replace(network, name=path.stem)),
        **sources,
    }


def _described(network: ExportedNetwork) -> str:
    return json.dumps(network.config(), indent=2, sort_keys=True, allow_nan=False) + "\n"


def _onnx(network: ExportedNetwork) -> bytes:
    """The graph, compared with torch on one and on three images, or on a declared network's example.

    Raises:
        PlannerError: If the extra is missing, or the network is larger than an ONNX file can be.
        RuntimeError: If the two differ by more than `_TOLERANCE`.
    """
    check_onnx("--to onnx")
    module = network.module()
    if sum(value.nbytes for value in module.state_dict().values()) > _LARGEST_GRAPH:
        raise PlannerError(f"{network.title}: larger than the 2 GB of an ONNX file; use --to torch")
    example = example_of(network.base, network.architecture.resolution, batch=3)
    proto = onnx_proto(module, example, any_batch=True)
    described = proto.metadata_props.add()
    described.key, described.value = "planner", json.dumps(network.config(), sort_keys=True, allow_nan=False)
    graph: bytes = proto.SerializeToString()
    apart = onnx_difference(graph, module, example)
    if not apart <= _TOLERANCE:
        raise RuntimeError(f"ONNX Runtime's outputs of {network.name} are {apart:.1e} from torch's")
    return graph


def onnx_difference(graph: bytes, module: nn.Module, example: Example) -> float:
    """How far ONNX Runtime's outputs are from torch's, for all images at once and for the first alone."""
    import torch

    session = onnx_session(graph, torch.get_num_threads())
    worst = 0.0
    for given in (example, example.first()):
        with torch.inference_mode():
            wanted = output_tensors(given.given_to(module))
        names = [one.name for one in session.get_inputs()]
        found = session.run(None, dict(zip(names, (one.numpy() for one in given.tensors), strict=True)))
        for one, other in zip(found, wanted, strict=True):
            scale = max(1.0, other.abs().max().item())
            worst = max(worst, (torch.from_numpy(one) - other).abs().max().item() / scale)
    return worst
