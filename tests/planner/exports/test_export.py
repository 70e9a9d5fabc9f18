"""What is exported builds the same network where there is no planner, and its ONNX graph computes the same."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from timm.models import _registry

from planner.exports import files
from planner.exports.files import onnx_difference, write
from planner.exports.network import ExportedNetwork, name_of
from planner.exports.paths import is_timm_model
from planner.exports.source import timm_source
from sampler import LayeredArchitecture, architecture_complexity, base, base_names, rule_named
from sampler.scaling import scale_stages
from trainer.declared.examples import Example
from trainer.network import build
from trainer.onnx_graph import ONNX_PACKAGES
from trainer.weights import save_network

CLASSES = 7
# Of every family; each structure that its code can have. The slow test has all base networks.
NAMES = ("efficientnet_b0", "mobilenetv3_small_100", "resnet18", "resnet50", "resnet20_cifar", "regnety_004")
NAMES += ("ghostnet_100", "convnext_atto", "convnext_tiny", "vit_tiny_patch16")
# Run where planner, trainer and sampler cannot be imported: timm's networks beside their expected outputs.
ELSEWHERE = """
import importlib, json, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("planner", "trainer", "sampler"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refusing())
sys.path.insert(0, ".")
try:
    import sampler
except ImportError:
    pass
else:
    raise SystemExit("the planner is here after all")

import timm, torch
from torch.utils.flop_counter import FlopCounterMode
from safetensors.torch import load_file

expected, found = load_file("expected.bin"), {}
for name in sys.argv[1:]:
    importlib.import_module(name)
    model = timm.create_model(name, pretrained=True).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        logits = model(expected[name + ".images"])
    apart = (logits - expected[name + ".logits"]).abs().max().item()
    config = timm.data.resolve_data_config(model=model)
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    other = timm.create_model(name, pretrained=True, num_classes=3, in_chans=1).eval()
    with torch.inference_mode():
        adapted = list(other(expected[name + ".images"][:, :1]).shape)
    params = sum(one.numel() for one in model.parameters())
    channels = []
    if hasattr(model, "feature_info"):  # CIFAR's are no class of timm's
        features = timm.create_model(name, pretrained=True, features_only=True).eval()
        with torch.inference_mode():
            channels = [one.shape[1] for one in features(expected[name + ".images"])]
    found[name] = dict(apart=apart, shapes=shapes, input=config["input_size"], adapted=adapted, params=params)
    found[name]["channels"] = channels
    found[name]["macs"] = counter.get_total_flops() / 2 / len(logits)
print(json.dumps(found))
"""


def elsewhere(folder, names):
    program = [sys.executable, "-W", "error", "-c", ELSEWHERE, *names]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def filled(model, seed=0):
    """The model with numbers in every norm and bias that show when one is in the wrong place."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim <= 1:
            # Around 0 what is added, around 1 what multiplies: larger numbers amplify rounding from block to block.
            middle = 0.0 if name.endswith(("bias", "mean")) else 1.0
            value.copy_(middle + 0.4 * (torch.rand(value.shape, generator=generator) - 0.5))
    return model.eval()


def random_network(name, seed):
    """A small architecture whose stem and every stage have multipliers of their own."""
    network, rng = base(name), np.random.default_rng(seed)
    pixels = rng.integers(network.stride, 2 * network.stride, 1)
    d, w = rng.uniform(0.3, 1.6, (1, len(network.stages))), rng.uniform(0.2, 0.7, (1, len(network.stages)))
    rule = rule_named(network.rule)
    one = scale_stages(network, rule, pixels - pixels % rule.step, d, w)[0]
    if network.family in ("residual", "convnext") and seed % 2:  # a stem unlike the first stage, and unlike timm's
        one = replace(one, stem=int(rng.integers(5, 20)))
    return ExportedNetwork(name_of(name, f"random_{seed}"), one, CLASSES)


def check_elsewhere(folder, networks):
    expected, models = {}, {}
    for network in networks:
        (folder / f"{network.name}.py").write_text(timm_source(network, weights=True))
        model = models[network.name] = filled(build(network.architecture, CLASSES))
        save_network(folder / f"{network.name}.safetensors", model, network.architecture, CLASSES)
        images = torch.randn(2, 3, *[network.architecture.resolution] * 2)
        with torch.inference_mode():
            logits = model(images)
        assert logits.std() > 0
        expected |= {f"{network.name}.images": images, f"{network.name}.logits": logits.clone()}
    save_file(expected, folder / "expected.bin")
    found = elsewhere(folder, models)
    for network in networks:
        theirs, ours, name = found[network.name], models[network.name], network.name
        assert theirs["apart"] <= 1e-6 * max(1.0, expected[f"{name}.logits"].abs().max().item()), name
        assert theirs["shapes"] == {key: list(value.shape) for key, value in ours.state_dict().items()}, name
        counted = architecture_complexity(network.architecture, CLASSES)
        assert (theirs["macs"], theirs["params"]) == (counted.macs, counted.params), name
        assert theirs["input"] == [3, network.architecture.resolution, network.architecture.resolution]
        assert theirs["adapted"] == [2, 3]
        if network.base.variant != "cifar" and not isinstance(network.architecture, LayeredArchitecture):
            assert len(theirs["channels"]) >= (3 if network.base.family == "vit" else 4)
            assert theirs["channels"][-1] == network.architecture.widths[-1]


def test_the_code_builds_the_same_network_where_there_is_no_planner(tmp_path):
    networks = [random_network(name, seed=index) for index, name in enumerate(NAMES)]
    networks += [random_network(name, seed=1) for name in ("resnet18", "convnext_atto")]
    for number, padding in enumerate(("max", "local")):
        layers = np.random.default_rng(number).integers(3, 20, 18).tolist()
        one = LayeredArchitecture.of(base("resnet20_cifar"), layers, padding, stem=9, resolution=17)
        networks.append(ExportedNetwork(f"layered_{padding}", one, CLASSES))
        layers = np.random.default_rng(number).integers(3, 20, 16).tolist()
        one = LayeredArchitecture.of(base("resnet18"), layers, padding, stem=9, resolution=33)
        networks.append(ExportedNetwork(f"layered_18_{padding}", one, CLASSES))
    check_elsewhere(tmp_path, {network.name: network for network in networks}.values())


@pytest.mark.slow
def test_the_code_of_every_base_network_builds_the_same_network(tmp_path):
    check_elsewhere(tmp_path, [random_network(name, seed) for seed in (2, 3) for name in base_names()])


def test_code_is_written_without_importing_what_would_run_it(tmp_path):
    program = (
        "import json, sys\n"
        "sys.argv = ['planner', 'export', '--flops', '200M', '--to', 'timm', '--out', 'b0_200m.py']\n"
        "from planner.cli import main\n"
        "main()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"torch", "torchvision", "timm", "botorch", "gpytorch", "optuna", "pandas", "sklearn", "scipy", "pymoo"}
    assert not imported & heavy
    assert "planner" in imported and "efficientnet(" in (tmp_path / "b0_200m.py").read_text()


def test_timms_names_are_known_without_timm():
    assert [name for name in _registry._model_entrypoints if not is_timm_model(name)] == []
    assert [name for name in ("resnet_50", "register_model", "b0_200m", "efficientnet") if is_timm_model(name)] == []


@pytest.fixture
def kept(mine):
    """The study `mine` with the trained network of its trial 3, and that network."""
    one = mine.architecture(3)
    torch.manual_seed(1)
    model = filled(build(one, 4))
    save_network(mine.network_path(3), model, one, 4)
    return mine, one, model


def test_a_trials_weights_are_exported_as_code_and_safetensors(kept, run, tmp_path):
    ledger, one, model = kept
    code, out, _ = run("export", "--trial", 3, "--to", "torch", "--out", "best.safetensors")
    assert code == 0 and f"weights: study mine, trial 3, accuracy {ledger.accuracy_of(3):.1%}" in out
    assert {path.name for path in tmp_path.glob("best.*")} == {"best.safetensors", "best.py", "best.json"}
    written = load_file("best.safetensors")
    assert all(torch.equal(written[name], value) for name, value in model.state_dict().items())
    described = json.loads((tmp_path / "best.json").read_text())
    assert described["architecture"]["widths"] == list(one.widths) and described["classes"] == 4
    assert described["input"]["mean"] == [0.485, 0.456, 0.406] and described["macs"] > 0
    assert described["trained"] == {"study": "mine", "trial": 3, "accuracy": ledger.accuracy_of(3)}
    assert "torch.load" not in (tmp_path / "best.py").read_text()
    images = torch.rand(2, 3, one.resolution, one.resolution)
    with torch.inference_mode():
        save_file({"best.images": images, "best.logits": model(images).clone()}, tmp_path / "expected.bin")
    assert elsewhere(tmp_path, ["best"])["best"]["apart"] <= 1e-6


def test_a_trial_without_weights_is_exported_untrained_and_says_so(mine, run, tmp_path):
    code, out, _ = run("export", "--trial", 2, "--to", "timm")
    assert code == 0 and "weights: untrained: no study has kept this network's weights" in out
    assert "no trained weights" in (tmp_path / "efficientnet_b0_trial_2.py").read_text()
    assert not list(tmp_path.glob("*.safetensors"))
    code, out, err = run("export", "--trial", 2, "--to", "torch")
    assert (
        (code, out) == (2, "") and "train it by `planner finish`, or give --untrained" in err and err.count("\n") == 1
    )
    code, out, _ = run("export", "--trial", 2, "--to", "torch", "--json", "--untrained")
    assert json.loads(out)["trained"] is None
    assert "NOT trained weights" in (tmp_path / "efficientnet_b0_trial_2.py").read_text()


def test_a_budget_takes_the_weights_that_its_study_kept(kept, run, monkeypatch, tmp_path):
    from planner.answers import question
    from planner.answers.formula import Formula
    from planner.rules import compound

    ledger, one, _ = kept
    Formula.of(compound("efficientnet_b0", 64, 4)).save(tmp_path / "results" / "mine" / "formula.json")
    within = question.prediction_within
    monkeypatch.setattr(question, "prediction_within", lambda *given: replace(within(*given), architecture=one))
    code, out, err = run("export", "--flops", "8M", "--to", "timm", "--study", "mine")
    assert code == 0 and "weights: study mine, trial 3" in out, err
    assert "trial 3" in (tmp_path / "efficientnet_b0_8m.py").read_text()
    assert load_file(tmp_path / "efficientnet_b0_8m.safetensors")
    code, out, err = run("export", "--flops", "8M", "--to", "timm", "--study", "mine", "--classes", 5)
    assert code == 0 and "untrained" in out, err


def test_the_network_is_the_one_that_predict_answers_with(run):
    _, predicted, _ = run("predict", "--flops", "100M", "--classes", 10, "--json")
    _, exported, _ = run("export", "--flops", "100M", "--classes", 10, "--to", "timm", "--json")
    predicted, exported = json.loads(predicted), json.loads(exported)
    assert exported["macs"] == predicted["macs"] and exported["params"] == predicted["params"]
    assert exported["architecture"]["widths"] == predicted["widths"]
    assert exported["files"] == ["efficientnet_b0_100m.py"] and exported["classes"] == 10


def test_an_architecture_is_exported_as_predict_prints_it(kept, run, tmp_path):
    _, one, _ = kept
    facts = {**asdict(one), "widths": list(one.widths)}
    answer = {**facts, "classes": 4, "macs": 1, "formula": "results/mine/formula.json"}
    other = {**answer, "resolution": one.resolution + 1}
    documents = {
        "flat": answer,
        "stage": {"allocations": {"search": answer, "curves": other}, "preferred": "search"},
        "export": {"architecture": facts, "classes": 4},
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        code, out, err = run("export", "--architecture", f"{name}.json", "--to", "timm", "--study", "mine", "--json")
        assert code == 0, err
        found = json.loads(out)
        assert found["trained"]["trial"] == 3 and found["architecture"]["widths"] == list(one.widths)
        assert found["macs"] == architecture_complexity(one, 4).macs  # never the document's word
    # Without --study: the study whose formula gave it; other classes are another network.
    code, out, err = run("export", "--architecture", "flat.json", "--to", "timm")
    assert code == 0 and "weights: study mine, trial 3" in out, err
    for options in (["flat.json", "--classes", 5], ["export.json"]):
        code, out, err = run("export", "--to", "timm", "--architecture", *options)
        assert code == 0 and "weights: untrained" in out, err


def test_predict_pipes_into_export(run):
    _, predicted, _ = run("predict", "--flops", "100M", "--classes", 10, "--json")
    end, start = os.pipe()
    os.write(start, predicted.encode())
    os.close(start)
    kept_end = os.dup(0)
    os.dup2(end, 0)
    try:
        code, exported, err = run("export", "--architecture", "-", "--to", "timm", "--json")
    finally:
        os.dup2(kept_end, 0)
    assert code == 0, err
    found, wanted = json.loads(exported), json.loads(predicted)
    assert [found[name] for name in ("macs", "params", "classes")] == [wanted["macs"], wanted["params"], 10]


B0 = {"base": "efficientnet_b0", "resolution": 32, "stem": 8, "widths": [8] * 7, "depths": [1] * 7, "head": 16}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("not JSON", "n.json: not JSON"),
        (json.dumps([B0]), "n.json: an object with base, resolution"),
        (json.dumps({**B0, "allocations": {}, "preferred": "search"}), "n.json: an object with base, resolution"),
        (json.dumps({"base": "efficientnet_b0", "depths": []}), "n.json: no resolution or stem or widths or head in"),
        (json.dumps({**B0, "base": 3}), "n.json: base is 3; a name is wanted"),
        (json.dumps({**B0, "base": "b99"}), "b99"),
        (json.dumps({**B0, "widths": 8}), "n.json: widths is 8; a list of whole numbers is wanted"),
        (json.dumps({**B0, "widths": [8.5] * 7}), "n.json: widths is [8.5, 8.5, 8.5, 8.5, 8.5, 8.5, 8.5]; a list"),
        (json.dumps({**B0, "stem": "8"}), "n.json: stem is '8'; a whole number is wanted"),
        (json.dumps({**B0, "stem": 0}), "n.json: stem must be between 1 and"),
        (json.dumps({**B0, "head": None}), "n.json: head is None; a whole number is wanted"),
        (json.dumps({**B0, "depths": [1] * 6, "widths": [8] * 6}), "n.json: efficientnet_b0 has 7 stages"),
        (json.dumps({**B0, "classes": "4"}), "n.json: classes is '4'; a whole number is wanted"),
        (json.dumps({**B0, "classes": [4]}), "n.json: classes is [4]; a whole"),
        (json.dumps({**B0, "resolution": [32, 64]}), "n.json: resolution is [32, 64]; a whole"),
        (json.dumps({**B0, "layers": [8] * 14, "padding": "max"}), "efficientnet_b0 has no free widths per layer"),
        (json.dumps({**B0, "layers": [8] * 14}), "n.json: no padding in it"),
        ('{"base": 1, "base": 2}', "comes twice"),
    ],
)
def test_a_document_that_is_no_network_is_one_line(run, tmp_path, document, words):
    (tmp_path / "n.json").write_text(document)
    code, out, err = run("export", "--to", "timm", "--architecture", "n.json")
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1, err
    assert not list(tmp_path.glob("*.py"))


ONE_OF_EACH = ("efficientnetv2_b0", "mobilenetv3_small_100", "resnet50", "regnety_004", "ghostnet_100", "convnext_tiny")


@pytest.mark.parametrize(
    "name", ["resnet20_cifar", *(pytest.param(name, marks=pytest.mark.slow) for name in ONE_OF_EACH)]
)
def test_the_onnx_graph_computes_what_torch_computes_for_any_batch(name, tmp_path, monkeypatch):
    for package in ONNX_PACKAGES:
        pytest.importorskip(package)
    network = random_network(name, seed=4)
    path = tmp_path / "m.onnx"
    model = filled(build(network.architecture, CLASSES))
    monkeypatch.setattr(ExportedNetwork, "module", lambda _: model)
    assert write(network, "onnx", str(path)) == [path]
    images = Example((torch.randn(5, 3, *[network.architecture.resolution] * 2),))
    assert onnx_difference(path.read_bytes(), model, images) <= 1e-4
    other = filled(build(network.architecture, CLASSES), seed=1)
    assert onnx_difference(path.read_bytes(), other, images) > 1e-2
    import onnx

    props = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert json.loads(props["planner"])["classes"] == CLASSES


def test_a_graph_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    for name in ONNX_PACKAGES:
        pytest.importorskip(name)
    monkeypatch.setattr(files, "onnx_proto", lambda *_, **__: __import__("onnx").ModelProto())
    monkeypatch.setattr(files, "onnx_difference", lambda *_: float("nan"))
    with pytest.raises(RuntimeError, match="from torch's"):
        write(random_network("resnet18", 0), "onnx", str(tmp_path / "x.onnx"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--to timm", "no budget: give --flops"),
        ("--to timm --flops 200M --out x.pt", "--out x.pt: --to timm writes .py; name a .py file"),
        ("--to timm --flops 200M --out a-b.py", "'a-b' cannot be imported; letters, digits and underscores"),
        ("--to timm --flops 200M --out json.py", "json is the name of another module or of a timm model"),
        ("--to timm --flops 200M --out resnet50", "resnet50 is the name of another module or of a timm model"),
        ("--to torch --flops 200M --out .", "--out .: a folder; name the .safetensors file to write"),
        ("--to timm --trial 3", "no study in results/study"),
        ("--to timm --trial 3 --flops 200M", "--trial names the network; leave budgets and the formula's options out"),
        ("--to timm --trial 3 --classes 5", "--trial names the network"),
        ("--to timm --architecture no.json --flops 200M", "--architecture names the network"),
        ("--to timm --architecture no.json --trial 3", "--trial names the network"),
        ("--to timm --architecture no.json", "no.json: No such file or directory; give what `planner predict --json`"),
        ("--to onnx --flops 15M", "outside"),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, arguments, words):
    code, out, err = run("export", *arguments.split())
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1, err
    assert not list(tmp_path.iterdir())


def test_a_missing_trial_and_foreign_weights_are_one_line(mine, run):
    code, _, err = run("export", "--to", "timm", "--trial", 99)
    assert code == 2 and "there is no trial 99" in err and err.count("\n") == 1
    save_network(mine.network_path(2), build(mine.architecture(1), 4), mine.architecture(1), 4)
    code, _, err = run("export", "--to", "torch", "--trial", 2)
    assert code == 2 and "weights of another network than trial 2 of study mine" in err and err.count("\n") == 1
    mine.network_path(2).write_bytes(b"nothing")
    code, _, err = run("export", "--to", "torch", "--trial", 2)
    assert code == 2 and "not a saved network" in err and err.count("\n") == 1


def test_without_the_extra_onnx_says_how_to_install_it(run, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if "onnx" in name else find(name))
    code, _, err = run("export", "--to", "onnx", "--flops", "200M")
    assert code == 2 and "--to onnx needs onnx, onnxscript, onnxruntime: pip install 'scaling-planner[onnx]'" in err


def test_a_file_exported_twice_is_written_anew(run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for classes in (3, 4):
        code, _, err = run("export", "--to", "timm", "--flops", "200M", "--classes", classes, "--out", "again.py")
        assert code == 0, err
        assert f"num_classes={classes}," in (tmp_path / "again.py").read_text()
