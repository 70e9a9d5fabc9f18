"""Images per second on a device, and trainings per hour packed and one by one; writes one JSON.

    python tests/gpu/throughput.py --out gpu.json

`ours` is `trainer.proxy.train` on images that lie on the device. `plain` is what a script made of timm's parts does
after its loader: the same network, optimiser, average of weights, loss, precision, batch and augmentation of crops and
flips, on batches that are there already: all that timm's own script does but for decoding, so what it can reach at
most. `busy` is the share of the time in which the GPU had something to do, as nvidia-smi says.
"""

import argparse
import json
import subprocess
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from statistics import mean
from time import perf_counter

import numpy as np
import timm
import torch
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3

from sampler import Architecture, base
from trainer.augment import crop_and_flip
from trainer.batches import normalised
from trainer.engines.engine import observation_path
from trainer.engines.local import LocalEngine
from trainer.image_data import ImageData, ImageSplit
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.proxy import train
from trainer.recipe import Recipe
from trainer.scoring import precision

CLASSES = 20
NETWORKS = {"efficientnet_b0": 224, "resnet20_cifar": 32}


class Busy:
    """How busy a GPU is while it is entered, in percent; None on other devices."""

    def __init__(self, device):
        self.device, self.seen, self.over = device, [], threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _look(self):
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while self.device.startswith("cuda") and not self.over.wait(0.5):
            asked = subprocess.run(command, capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                self.seen.append(int(asked.stdout.split()[int(self.device.partition(":")[2] or 0)]))

    @property
    def percent(self):
        return round(mean(self.seen), 1) if self.seen else None


def images_of(n, side):
    """Random pictures: their content costs nothing and changes no time."""
    rng = np.random.default_rng(0)
    splits = [
        ImageSplit(rng.integers(0, 256, (m, side, side, 3), np.uint8), np.arange(m) % CLASSES) for m in (n, n // 4)
    ]
    return ImageData(*splits, tuple(map(str, range(CLASSES))), "random", side, "random")


def synchronise(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def ours(network, data, recipe, epochs, device):
    """Images per second of a training of ours, its first epoch left out."""
    times = []
    asked = Training(network, Fidelity(epochs + 1), recipe, DataSpec("random", data.side, holdout=0.0))
    found = train(asked, data, device, on_epoch=lambda _: times.append(perf_counter()))
    assert found.status == "ok", found.message
    return epochs * len(data.train) / (times[-1] - times[0]), found.peak_bytes


def plain(network, data, recipe, epochs, device):
    """Images per second of a plain loop."""
    torch.manual_seed(0)
    model = build(network, CLASSES).to(device, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=recipe.weight_decay)
    ema, loss_function = ModelEmaV3(model, decay=0.99), LabelSmoothingCrossEntropy(recipe.label_smoothing)
    generator = torch.Generator().manual_seed(0)
    batch = torch.from_numpy(data.train.images[: recipe.batch_size]).permute(0, 3, 1, 2).contiguous().to(device)
    labels = torch.from_numpy(data.train.labels[: recipe.batch_size]).to(device)
    steps = len(data.train) // recipe.batch_size

    def epoch():
        for _ in range(steps):
            with precision(torch.device(device)):
                images = normalised(crop_and_flip(batch, network.resolution, recipe.crop, recipe.flip, generator))
                loss = loss_function(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ema.update(model)
            loss.item()  # as timm's script does for its log
        synchronise(device)

    epoch()
    start = perf_counter()
    for _ in range(epochs):
        epoch()
    return epochs * steps * recipe.batch_size / (perf_counter() - start)


def packed(count, device, images, epochs):
    """Trainings per hour of small networks on one device, by processes at once, the first of each left out."""
    network = Architecture("efficientnet_b0", 64, 16, (16, 16, 24, 40, 56, 96, 160), (1, 1, 1, 2, 2, 2, 1), 640)
    spec = DataSpec(f"fractal:classes=4,train={images // 4},validation=8", 64)
    asked = Training(network, Fidelity(epochs), Recipe(batch_size=16), spec)
    with tempfile.TemporaryDirectory() as folder:
        spec = replace(spec, cache=f"{folder}/cache")
        queue = [(key, replace(asked, data=spec, seed=key)) for key in range(3 * count)]
        ends = []
        with LocalEngine(Path(folder), (device,) * count) as engine, Busy(device) as busy:
            for event in engine.run(lambda: queue.pop(0) if queue else None):
                if event.kind == "done":
                    assert Observation.from_json(observation_path(Path(folder), event.key).read_text()).status == "ok"
                    ends.append(perf_counter())
    assert len(ends) == 3 * count, "a training did not end"
    return 3600 * (len(ends) - count) / (ends[-1] - ends[count - 1]), busy.percent


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--packed", type=int, nargs="+", default=[1, 2, 4, 8])
    asked = parser.parse_args()
    rows = []
    for name in asked.networks:
        network, data = (
            replace(base(name).architecture(), resolution=NETWORKS[name]),
            images_of(asked.images, round(1.25 * NETWORKS[name])),
        )
        for batch in asked.batch:
            recipe = replace(Recipe(), batch_size=batch)
            with Busy(asked.device) as busy:
                speed, peak = ours(network, data, recipe, asked.epochs, asked.device)
            theirs = plain(network, data, recipe, asked.epochs, asked.device)
            rows.append(
                {
                    **{"network": name, "resolution_px": NETWORKS[name], "batch": batch, "peak_bytes": peak},
                    **{"images_per_s": round(speed), "plain_images_per_s": round(theirs)},
                    **{"ratio": round(speed / theirs, 2), "busy_percent": busy.percent},
                }
            )
    trainings = {}
    for count in asked.packed:
        per_hour, busy_percent = packed(count, asked.device, min(asked.images, 512), asked.epochs)
        trainings[str(count)] = {"trainings_per_hour": round(per_hour), "busy_percent": busy_percent}
    cuda = asked.device.startswith("cuda")
    facts = {
        "what": "device_throughput",
        "device": torch.cuda.get_device_name(asked.device) if cuda else asked.device,
        "throughput": rows,
        "packed": trainings,
        **{"images": asked.images, "epochs": asked.epochs, "torch": torch.__version__, "timm": timm.__version__},
    }
    asked.out.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
