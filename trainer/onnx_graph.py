"""Networks as ONNX graphs, and ONNX Runtime sessions of them; both are an optional extra."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sampler import InputError
from trainer.declared.examples import Example

if TYPE_CHECKING:
    import torch
    from torch import nn

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_INPUT, _OUTPUT = "images", "logits"


def check_onnx(what: str) -> None:
    """Refuses where the extra is not installed.

    Raises:
        InputError: Saying what needs which packages, and how to install them.
    """
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{what} needs {', '.join(missing)}: pip install 'scaling-planner[onnx]'")


def onnx_proto(module: nn.Module, example: Example, any_batch: bool = False) -> Any:
    """The graph of a module in eval mode, as an `onnx.ModelProto`.

    Args:
        module: Takes the example, gives tensors.
        example: An example, whose sizes are built in; of two or more images where any batch shall do.
        any_batch: Whether the number of images stays open; else it is built in too.
    """
    import torch

    names: dict[str, Any] = {"input_names": [_INPUT], "output_names": [_OUTPUT]} if example.images else {}
    if any_batch and example.images:
        names["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    with torch.inference_mode(False), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(one.clone() for one in example.positional),
            kwargs={name: one.clone() for name, one in example.named.items()} or None,
            dynamo=True,
            verbose=False,
            **names,
        )
    assert program is not None
    return program.model_proto


def output_tensors(outputs: Any) -> list[torch.Tensor]:
    """The tensors of what a network gives, in the order in which a graph has them."""
    import torch
    from torch.utils import _pytree

    return [one for one in _pytree.tree_leaves(outputs) if isinstance(one, torch.Tensor)]


def onnx_session(model: bytes, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU."""
    onnxruntime = import_module("onnxruntime")  # untyped, and an optional extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
