"""`planner finish`: trained fully, looked at once, handed over in a folder that needs no planner; no kill loses it."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

import planner
from planner.cli import cli
from planner.finishing import finish as finishing
from planner.finishing.finish import finish
from planner.finishing.plan import plan_of
from planner.study.opening import read_ledger
from trainer.images import load_images
from trainer.weights import load_trained, network_file

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "images" / "imagenet20_128_webp80.npz"
# Run where planner, trainer and sampler cannot be imported.
ELSEWHERE = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("planner", "trainer", "sampler"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refusing())
import torch
from safetensors.torch import load_file

exec(open("usage.py").read())
expected = load_file("expected.bin")
with torch.inference_mode():
    print((model(expected["images"]) - expected["logits"]).abs().max().item())
"""


def ran(line):
    done = CliRunner().invoke(cli, line.split())
    if done.exception is not None and not isinstance(done.exception, (SystemExit, planner.PlannerError)):
        raise done.exception
    return done


def apart_elsewhere(tmp_path, told):
    """How far the folder's network is from ours, where there is no planner."""
    weights = Path(told["folder"]) / f"{told['plan']['name']}.safetensors"
    model, architecture, _ = load_trained(weights)
    images = torch.rand(3, 3, architecture.resolution, architecture.resolution)
    with torch.inference_mode():
        logits = model.eval()(images)
    save_file({"images": images, "logits": logits.clone()}, tmp_path / "expected.bin")
    usage = [line.replace(told["folder"], str(Path(told["folder"]).resolve())) for line in told["usage"]]
    (tmp_path / "usage.py").write_text("\n".join(usage))
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert logits.std() > 0
    return float(done.stdout)


def plan(epochs=3, **more):
    ledger = read_ledger("tiny")
    architecture = ledger.architecture(0)
    return plan_of(ledger, architecture, "tiny_zero", "By a test.", epochs=epochs, recipe="fast", **more)


def loader(one):
    return lambda: load_images(one.training.data.source, one.training.data.side)


def test_run_keeps_the_best_weights_and_names_the_next_command(here):
    assert "Next: `planner finish --study tiny --flops " in here.splitlines()[-1]
    table = pd.read_csv("results/tiny/trials.csv")
    best = table.sort_values(["accuracy", "macs"], ascending=[False, True])["trial"].tolist()[:2]
    assert sorted(int(file.stem) for file in Path("results/tiny/networks").iterdir()) == sorted(best)
    assert table["asks"].isna().all()  # they are the study's own trainings


def test_a_lost_ledger_of_a_study_that_keeps_weights_is_made_anew(here, tmp_path, monkeypatch):
    shutil.copytree("results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    before, kept = (pd.read_csv("results/tiny/trials.csv"), sorted(Path("results/tiny/networks").iterdir()))
    Path("results/tiny/ledger.db").unlink()
    assert ran("train --study tiny --engine inline --device cpu").exit_code == 0
    after = pd.read_csv("results/tiny/trials.csv")
    assert after["asks"].isna().all() and after["accuracy"].tolist() == before["accuracy"].tolist()
    assert sorted(Path("results/tiny/networks").iterdir()) == kept


def test_a_budget_is_finished_and_used_without_the_planner(here, tmp_path):
    done = ran("finish --study tiny --flops 1M --epochs 2 --device cpu --json")
    told = json.loads(done.stdout)
    folder = Path(told["folder"])
    assert folder == Path("results/tiny/finished/efficientnet_b0_1m")
    names = {f"efficientnet_b0_1m{end}" for end in (".py", ".safetensors", "_last.safetensors", ".json")}
    assert names | {"README.md"} <= set(told["files"])
    assert set(told["files"]) | {"finish.json", "finish.lock"} == {file.name for file in folder.iterdir()}
    assert told["validation"]["images"] == 48 and told["images"]["fitted"] + told["images"]["held_out"] == 96
    assert apart_elsewhere(tmp_path, told) < 1e-5
    card = (folder / "README.md").read_text()
    architecture = planner.Architecture(**told["plan"]["architecture"])
    cost = planner.complexity(architecture, classes=4)
    assert f"| {cost.macs:,} |" in card and f"| {cost.params:,} |" in card
    assert f"{told['validation']['accuracy']:.2%} of 48 images" in card
    assert "| licence of the data | to be filled in |" in card and "for a budget of 1M MACs" in card
    assert told["left_out"] == {"onnx": "--to onnx needs onnx: pip install 'scaling-planner[onnx]'"}
    exported = json.loads(
        ran(f"export --study tiny --flops 1M --to torch --out {tmp_path}/mine.safetensors --json").stdout
    )
    assert exported["trained"] == {"study": "tiny", "trial": None, "accuracy": told["validation"]["accuracy"]}
    ours, theirs = load_file(tmp_path / "mine.safetensors"), load_file(folder / "efficientnet_b0_1m.safetensors")
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    again = ran("finish --study tiny --flops 1M --epochs 2 --device cpu")
    assert "fill in the licence" in again.stdout and "epoch" not in again.stderr


def test_the_accuracy_is_that_of_the_best_weights_on_validation_images(here, tmp_path):
    one = plan()
    found = finish(one, tmp_path / "f", loader(one))
    images = load_images(one.training.data.source, one.training.data.side).validation
    model, architecture, _ = load_trained(tmp_path / "f")  # a folder is a network
    pixels = torch.from_numpy(np.array(images.images)).permute(0, 3, 1, 2).float() / 255
    side = architecture.resolution
    pixels = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        right = model.eval()((pixels - mean) / std).argmax(1).numpy() == images.labels
    assert right.mean() == pytest.approx(found.accuracy, abs=2.5 / len(images.labels))  # resized by another routine
    scored = [record[2] for record in found.result["training"]["history"]]
    assert found.result["training"]["best_held_out_accuracy"] == max(scored)
    assert found.result["training"]["best_epoch"] == 1 + scored.index(max(scored))
    last, best = (
        load_file(network_file(tmp_path / "f").with_name(f"tiny_zero{end}.safetensors")) for end in ("_last", "")
    )
    same = all(torch.equal(last[name], best[name]) for name in best)
    assert same == (scored.index(max(scored)) == len(scored) - 1)


class KilledError(Exception):
    """What a kill is here."""


def test_one_that_is_killed_goes_on_to_the_same_weights(here, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.proxy.CHECKPOINT_SECONDS", 0.0)
    one, epochs = plan(), []
    whole = finish(one, tmp_path / "whole", loader(one))

    def kill(history, of):
        epochs.append((len(history), of))
        if len(epochs) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        finish(one, tmp_path / "killed", loader(one), on_epoch=kill)
    assert (tmp_path / "killed" / "checkpoint.pt").is_file()
    with (
        monkeypatch.context() as patch,
        pytest.raises(KilledError),
    ):  # once more, after the look at the validation images
        patch.setattr(finishing, "_write", lambda *_: (_ for _ in ()).throw(KilledError()))
        finish(one, tmp_path / "killed", loader(one), on_epoch=kill)
    monkeypatch.setattr(finishing, "_validate", lambda *given: finish_validate(*given))
    looked = []

    def finish_validate(*given):
        looked.append("validation" in given[3])
        return None

    found = finish(one, tmp_path / "killed", loader(one), on_epoch=kill)
    assert epochs == [(1, 3), (2, 3), (3, 3)] and looked == [True]
    assert found.result["validation"] == whole.result["validation"]
    for name in ("tiny_zero.safetensors", "tiny_zero_last.safetensors"):
        ours, theirs = (load_file(tmp_path / folder / name) for folder in ("killed", "whole"))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()


def test_what_cannot_be_finished_is_refused_in_one_line(here, tmp_path):
    one = plan(epochs=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("dear")
    with pytest.raises(planner.PlannerError, match="holds other things already"):
        finish(one, tmp_path / "full", loader(one))
    finish(one, tmp_path / "one", loader(one))
    with pytest.raises(planner.PlannerError, match="was begun with another epochs; ask for the same again"):
        finish(plan(epochs=2), tmp_path / "one", loader(one))
    with pytest.raises(planner.PlannerError, match="not the images that study tiny was made with"):
        finish(one, tmp_path / "other", lambda: load_images("fractal:classes=4,train=25,validation=12", 45))
    (tmp_path / "one" / "finish.json").write_text("{")
    with pytest.raises(planner.PlannerError, match="finish.json: damaged"):
        finish(one, tmp_path / "one", loader(one))
    for line, words in {
        "finish --study tiny": "say which network: a budget such as --flops 3M, or --trial N",
        "finish --study tiny --trial 0 --flops 1M": "--flops has no effect beside --trial",
        "finish --study tiny --trial 99": "there is no trial 99",
        "finish --study nobody --flops 1M": "no study in results/nobody",
        "finish --study tiny --trial 0 --recipe slow": "recipe 'slow' is unknown",
        "finish --study tiny --trial 0 --epochs 1 --teacher results --device cpu": "no folder of `planner finish`",
    }.items():
        done = ran(line)
        assert done.exit_code and words in f"{done.output} {done.exception}", line


@pytest.mark.slow
def test_a_finished_folder_teaches_a_smaller_network(here, tmp_path):
    one = plan(epochs=1)
    finish(one, tmp_path / "teacher", loader(one))
    taught = plan(epochs=1, teacher=str(tmp_path / "teacher"))
    alone, under = (finish(each, tmp_path / name, loader(each)) for each, name in ((one, "alone"), (taught, "under")))
    losses = [each.result["training"]["history"][0][1] for each in (alone, under)]
    assert losses[0] != losses[1]


def few_images(path, classes=3, train=40, validation=12):
    """An archive of a few real images of the first classes."""
    with np.load(SHARED) as every:
        jpeg, offset, label, split, names = (every[key] for key in ("jpeg", "offset", "label", "split", "classes"))
    chosen = [
        place
        for name in range(classes)
        for side, count in ((0, train), (1, validation))
        for place in np.flatnonzero((label == name) & (split == side))[:count]
    ]
    parts = [jpeg[offset[place] : offset[place + 1]] for place in chosen]
    Image.open(io.BytesIO(parts[0].tobytes())).verify()
    ends = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    np.savez(
        path,
        jpeg=np.concatenate(parts),
        offset=ends.astype(np.int64),
        label=label[chosen],
        split=split[chosen],
        classes=names[:classes],
    )


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_file(), reason="the shared images are not here")
def test_real_images_are_finished_from_a_trial_with_its_onnx_graph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few_images(tmp_path / "few.npz")
    line = "run --study real --data npz:few.npz --resolution 48 --epochs 1 --window 0.5M 4M --trials 10"
    assert ran(f"{line} --engine inline --device cpu").exit_code == 0
    told = json.loads(ran("finish --study real --trial 3 --epochs 4 --device cpu --json").stdout)
    assert told["validation"]["images"] == 36 and told["images"]["fitted"] == 114
    assert apart_elsewhere(tmp_path, told) < 1e-5
    assert "efficientnet_b0_trial_3.onnx" in told["files"] or "onnx" in told["left_out"]
    assert "npz:few.npz" in (Path(told["folder"]) / "README.md").read_text()
    command = "finish --study real --trial 3 --epochs 4 --device cpu --out killed".split()
    running = subprocess.Popen([sys.executable, "-m", "planner", *command])
    while not Path("killed/checkpoint.pt").exists() and running.poll() is None:
        time.sleep(0.02)
    running.kill()
    assert running.wait() == -signal.SIGKILL and not Path("killed/README.md").exists()
    assert ran(" ".join(command)).exit_code == 0
    ours, theirs = (
        load_file(Path(place) / "efficientnet_b0_trial_3.safetensors") for place in ("killed", told["folder"])
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
