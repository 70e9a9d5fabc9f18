"""Declared networks are exported with their own file, or as a graph that computes the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from planner import PlannerError
from planner.exports.files import onnx_difference, write
from planner.exports.network import ExportedNetwork
from sampler import architecture_complexity, base, scaled
from trainer.declared.examples import Example, example_of
from trainer.declared.loading import load_network
from trainer.onnx_graph import onnx_proto

LOADED = """
import json, torch
described = json.load(open("it.json"))
exec("\\n".join(described["declared"]["load"]))
torch.save(model.eval()(torch.load("images.pt")), "outputs.pt")
"""


@pytest.fixture
def network(declared):
    """A scaled version of `mine.py:net`, without trained weights."""
    load_network("mine.py:net")
    return ExportedNetwork("it", scaled("net", 24, 1.5, 1.5), 7)


def test_weights_a_description_and_the_users_own_file_make_the_same_network(network):
    files = write(network, "torch", "there/it.safetensors")
    assert [str(file) for file in files] == ["there/it.safetensors", "there/it.json", "there/mine.py"]
    assert Path("there/mine.py").read_bytes() == Path("mine.py").read_bytes()
    described = json.loads(Path("there/it.json").read_text())
    sizes = {"resolution": 24, "widths": [24, 48], "depths": [2, 3], "classes": 7}
    assert (described["declared"]["function"], described["declared"]["arguments"]) == ("net", sizes)
    assert described["params"] == architecture_complexity(network.architecture, 7).params
    images = torch.randn(2, 3, 24, 24)
    torch.save(images, "there/images.pt")
    done = subprocess.run([sys.executable, "-c", LOADED], cwd="there", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert torch.equal(torch.load("there/outputs.pt"), network.module()(images))


def test_another_file_of_the_users_files_name_is_not_overwritten(network):
    Path("mine.py").write_text("# changed meanwhile\n")
    with pytest.raises(PlannerError, match=r"mine\.py: another file of that name is there; give an --out in another"):
        write(network, "torch", "it")
    assert Path("mine.py").read_text() == "# changed meanwhile\n" and not Path("it.safetensors").exists()


def test_there_is_no_code_of_timm_alone(network):
    with pytest.raises(PlannerError, match=r"which --to timm writes; export it with --to torch or --to onnx"):
        write(network, "timm", "it")


TWO = """
import torch
from torch import nn

import planner


class Two(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.words, self.places = nn.Embedding(10, width), nn.Linear(4, width)
        self.one, self.other = nn.Linear(width, classes), nn.Linear(width, 3)

    def forward(self, tokens, *, places):
        x = self.words(tokens) + self.places(places)
        return {"one": self.one(x), "other": (self.other(x.mean(1)), x)}


@planner.network(
    resolution=6,
    widths=(8,),
    depths=(1,),
    input=lambda n: {"tokens": torch.randint(10, (1, n)), "places": torch.rand(1, n, 4)},
)
def two(resolution, widths, depths, classes):
    return Two(widths[0], classes)
"""


def test_an_example_of_several_inputs_is_drawn_anew_the_same(declared):
    Path("two.py").write_text(TWO)
    network = load_network("two.py:two")
    one, same = example_of(network, 6), example_of(network, 6)
    assert list(one.named) == ["tokens", "places"] and not one.images and one.first() is one
    assert all(torch.equal(a, b) for a, b in zip(one.tensors, same.tensors, strict=True))
    assert int(one.named["tokens"].max()) > 0  # values, where it was traced without any
    assert [tuple(tensor.shape) for tensor in example_of(base("resnet18"), 16, 5).tensors] == [(5, 3, 16, 16)]


@pytest.mark.slow
def test_graphs_of_several_inputs_and_outputs_compute_what_torch_does(declared):
    Path("two.py").write_text(TWO)
    network, space = load_network("two.py:two"), {"__name__": "two"}
    exec(TWO, space)
    module = space["two"](6, (8,), (1,), 5).eval()
    example = example_of(network, 6)
    graph = onnx_proto(module, example).SerializeToString()
    assert onnx_difference(graph, module, example) <= 1e-5
    other = Example(named={**example.named, "places": example.named["places"] + 1}, images=False)
    assert onnx_difference(graph, module, other) <= 1e-5
    assert onnx_difference(graph, space["two"](6, (8,), (1,), 5).eval(), example) > 1e-2


@pytest.mark.slow
def test_a_graph_of_images_takes_any_number_of_them(network):
    (file,) = write(network, "onnx", None)
    images = Example((torch.randn(5, 3, 24, 24),))
    assert onnx_difference(file.read_bytes(), network.module(), images) <= 1e-4
