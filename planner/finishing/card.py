"""The card of a finished network: what it is, what it can do, where it comes from, and what its user must fill in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from planner.exports.network import ExportedNetwork
from planner.finishing.plan import FinishPlan
from planner.text.quantities import format_bytes
from sampler import architecture_complexity
from trainer.recipe import Recipe

TO_FILL_IN = "to be filled in"
_MOST_CLASSES = 200


def model_card(
    network: ExportedNetwork, plan: FinishPlan, result: dict[str, Any], files: Sequence[str], usage: Sequence[str]
) -> str:
    """The card as Markdown.

    Args:
        network: The network, with its weights.
        plan: The plan of it.
        result: Facts of what came of it, as `planner.finishing.finish` keeps it.
        files: Names of the files beside the card.
        usage: Lines of Python that load it.
    """
    parts = (
        f"# {network.name}\n\n{network.title}, trained fully for {network.classes} classes.",
        _table("What it costs", _costs(network)),
        _table("What it reaches", _scores(plan, result)),
        f"## How it was chosen\n\n{plan.chosen}",
        _table("What it was trained on", _data(plan, result)),
        _table("How it was trained", _training(plan, result)),
        _table("Rights", {"licence of the data": TO_FILL_IN, "licence of these weights": TO_FILL_IN}),
        _table("Meant for", {"intended use": TO_FILL_IN, "known limits": TO_FILL_IN}),
        _usage(network, usage),
        _files(network, files, result),
    )
    return "\n\n".join(parts) + "\n"


def _table(title: str, rows: dict[str, str]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([f"## {title}", "", "| | |", "| --- | --- |", *lines])


def _costs(network: ExportedNetwork) -> dict[str, str]:
    cost, side = architecture_complexity(network.architecture, network.classes), network.architecture.resolution
    return {
        "multiply-accumulates (MACs) of one image": f"{cost.macs:,}",
        "parameters": f"{cost.params:,}",
        "peak memory of inference with one image, float32 (estimate)": format_bytes(cost.memory),
        "images": f"{side} x {side} pixels, of 0 to 1, less {_numbers(network.mean)}, over {_numbers(network.std)}",
    }


def _scores(plan: FinishPlan, result: dict[str, Any]) -> dict[str, str]:
    validation, training = result["validation"], result["training"]
    rows = {
        "top-1 accuracy on the validation images": f"{validation['accuracy']:.2%} of {validation['images']:,} images, "
        "looked at once, at the end",
        "cross-entropy there": f"{validation['loss']:.4f} nats",
        f"on held-out training images, best epoch ({training['best_epoch']})": (
            f"{training['best_held_out_accuracy']:.2%} of {result['images']['held_out']:,}, by which the epoch was "
            "chosen: a little too high"
        ),
        "there, last epoch": f"{training['last_held_out_accuracy']:.2%}",
    }
    if plan.proxy is not None:
        rows["as the study trains (the proxy), on its own scoring images"] = f"{plan.proxy:.2%}"
    return rows


def _data(plan: FinishPlan, result: dict[str, Any]) -> dict[str, str]:
    images = result["images"]
    classes = images["classes"]
    more = f" and {len(classes) - _MOST_CLASSES} more" if len(classes) > _MOST_CLASSES else ""
    return {
        "source": f"`{plan.training.data.source}`, decoded to {plan.training.data.side} pixels",
        "images": f"{images['fitted']:,} fitted, {images['held_out']:,} held out to choose the epoch, "
        f"{images['validation']:,} for validation",
        "fingerprint": f"sha256 {images['fingerprint']}",
        "classes, in the order of the outputs": ", ".join(classes[:_MOST_CLASSES]) + more,
        "licence": TO_FILL_IN,
    }


def _training(plan: FinishPlan, result: dict[str, Any]) -> dict[str, str]:
    training, found = plan.training, result["training"]
    usual = asdict(Recipe())
    recipe = {name: value for name, value in asdict(training.recipe).items() if value != usual[name] or name == "name"}
    return {
        "epochs": f"{training.fidelity.epochs}",
        "recipe": ", ".join(f"{name} {value}" for name, value in recipe.items()),
        "seed": f"{training.seed}",
        "time": f"{found['seconds']:.0f} s on {found['device']}",
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items())),
        "study": plan.study,
    }


def _usage(network: ExportedNetwork, usage: Sequence[str]) -> str:
    if network.shipped is not None and network.shipped.beside:
        usage = network.config()["declared"]["load"]
    code = "\n".join(usage) or "# its family has no code of timm's: see the files below"
    return f"## Use\n\n```python\n{code}\n```"


def _files(network: ExportedNetwork, files: Sequence[str], result: dict[str, Any]) -> str:
    what = {
        ".py": "builds it with timm and torch alone",
        ".safetensors": "weights of the best epoch",
        ".json": "everything that a user of the weights has to know",
        ".onnx": "graph of any batch size, compared with torch",
    }
    rows = {}
    for name in files:
        suffix = name[name.rfind(".") :]
        rows[f"`{name}`"] = "weights of the last epoch" if "_last." in name else what.get(suffix, "")
    left_out = [f"No {kind} file: {why}" for kind, why in result.get("left_out", {}).items()]
    return "\n\n".join([_table("Files", rows), *left_out])


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
