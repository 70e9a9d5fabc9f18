"""The whole loop on a network of the user's own and real images, from a sample to a report and a graph."""

import json
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "images"
ARCHIVE = next((one for one in (SHARED / "imagenet20_128_webp80.npz",) if one.is_file()), None)
# As one writes it oneself: residual blocks with squeeze and excitation.
MINE = """
from torch import nn

import planner


class Block(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False), nn.BatchNorm2d(width),
        )
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, max(8, width // 4), 1), nn.ReLU(),
            nn.Conv2d(max(8, width // 4), width, 1), nn.Sigmoid(),
        )
        plain = stride == 1 and before == width
        self.shortcut = nn.Identity() if plain else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x):
        y = self.path(x)
        return nn.functional.relu(y * self.squeeze(y) + self.shortcut(x))


@planner.network(resolution=64, widths=(32, 64, 128), depths=(1, 2, 2))
def mine(resolution, widths, depths, classes):
    layers, before = [nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()], widths[0]
    for width, depth in zip(widths, depths):
        for i in range(depth):
            layers.append(Block(before, width, 2 if i == 0 else 1))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
"""


@pytest.mark.slow
@pytest.mark.skipif(ARCHIVE is None, reason="the shared image archives are not here")
def test_the_whole_loop_on_real_images(run, monkeypatch, tmp_path):
    from trainer.declared.loading import forget_network

    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "user-cache"))
    Path("mine.py").write_text(MINE)
    study = ("--study", "real")

    def done(*arguments):
        code, out, err = run(*arguments)
        assert code == 0, err
        forget_network("mine")
        return out, err

    data = ("--data", f"npz:{ARCHIVE}", "--epochs", 1, "--share", 0.05, "--window", "0.05", "0.6")
    _, err = done("sample", *study, "--base", "mine.py:mine", "--trials", 12, *data)
    assert "mine: closed terms, equal to 50 traces of random sizes" in err
    assert "12 trained, 0 failed" in done("train", *study)[0]
    Path("mine.py").rename("elsewhere.py")  # the study has its own copy
    assert "on the front" in done("front", *study)[0]
    done("fit", *study)
    answer = json.loads(done("predict", *study, "--flops", "3M", "--json")[0])
    assert answer["macs"] <= 3e6 and answer["base"] == "mine"
    assert "wait" in done("propose", *study)[0]
    compared = done("compare", *study, "--flops", "3M", "--methods", "formula,compound", "--seeds", 1)[0]
    assert "compound" in compared
    done("report", *study)
    assert "mine" in (Path("results") / "real" / "report.html").read_text()
    written = done("export", *study, "--flops", "3M", "--to", "onnx", "--json")[0]
    assert Path(json.loads(written)["files"][0]).stat().st_size > 10_000
