"""Trainers and data sources through their conformance suites: ours, and stand-ins, of which the broken ones fail."""

from dataclasses import replace

import numpy as np
import pytest

from trainer.conformance import SMALL_NETWORK, check_source, check_task, check_trainer
from trainer.image_data import Decoded, ImagePrep, ImageSplit
from trainer.image_sources import SOURCES, register_source
from trainer.images import load_images
from trainer.images_task import ImagesTask
from trainer.observation import DataSpec, Fidelity, Training
from trainer.protocol import Stopped
from trainer.recipe import Recipe


def good(job):
    file = job.folder / "epochs.txt"
    done = int(file.read_text()) if file.exists() else 0
    for epoch in range(done + 1, job.epochs + 1):
        file.write_text(str(epoch))
        job.report(epoch, np.float32(0.1 * epoch))


def test_a_trainer_of_a_few_lines_conforms():
    check_trainer(good)


def test_a_trainer_that_only_returns_a_score_conforms():
    check_trainer(lambda job: 0.5)


def test_our_trainer_of_images_conforms():
    data = DataSpec("fractal:classes=2,train=20,validation=4", 32)
    check_task(ImagesTask(), Training(SMALL_NETWORK, Fidelity(2), Recipe(batch_size=8), data, seed=1))


def deaf(job):
    for epoch in range(1, job.epochs + 1):
        try:
            job.report(epoch, 0.5)
        except Stopped:
            pass


def hopeless(job):
    job.report(job.epochs, float("inf"))


def backwards(job):
    for epoch in (2, 1, 3):
        job.report(epoch, 0.5)


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        (deaf, "told to stop after epoch 1 and went on to epoch 3"),
        (hopeless, r"ended as diverged \(the score is inf after epoch 3\), not ok"),
        (backwards, r"epochs were reported in the order \[2, 1, 3\]"),
    ],
)
def test_a_trainer_that_breaks_its_word_fails(trainer, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_trainer(trainer)


# --- data sources ---


def squares(argument, side):
    """Light squares on dark ground, and the other way round."""
    n = int(argument or 6)

    def decode(progress):
        images = np.full((2 * n, side, side, 3), 30, np.uint8)
        images[:, side // 4 : -side // 4, side // 4 : -side // 4] = 220
        images[1::2] = 255 - images[1::2]
        split = ImageSplit(images, np.arange(2 * n) % 2)
        names = [f"square {number}" for number in range(4 * n)]
        return Decoded(split, split, ("light", "dark"), (), names, np.full((4 * n, 2), side, np.int32))

    return ImagePrep({"kind": "squares", "n": n}, {}, decode)


def test_a_source_that_is_registered_is_read_by_its_name_and_conforms(tmp_path):
    check_source(squares, "5")
    with SOURCES.temporarily("squares", squares):
        data = load_images("squares:5", 32, cache=tmp_path)
        assert (data.classes, len(data.train)) == (("light", "dark"), 10)
        assert load_images("squares:5", 32, cache=tmp_path).fingerprint == data.fingerprint
        with pytest.raises(ValueError, match=r"hf:PATH, squares:\.\.$"):
            load_images("circles:5", 32)


def test_our_generated_source_conforms():
    check_source(SOURCES["fractal"], "classes=2,train=4,validation=2")


def changing(argument, side):
    prep = squares(argument, side)
    return replace(prep, stamp={"time": np.random.default_rng().random()})


def grey(argument, side):
    prep = squares(argument, side)

    def decode(progress):
        found = prep.decode(progress)
        return replace(found, train=ImageSplit(found.train.images.astype(np.float32), found.train.labels))

    return replace(prep, decode=decode)


def mislabelled(argument, side):
    prep = squares(argument, side)

    def decode(progress):
        found = prep.decode(progress)
        return replace(found, train=ImageSplit(found.train.images, found.train.labels + 1))

    return replace(prep, decode=decode)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (changing, "identity or stamp change"),
        (grey, "train pictures are float32, not uint8"),
        (mislabelled, "a train label is no position in the classes"),
    ],
)
def test_a_source_that_breaks_its_word_fails(source, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_source(source)


def test_a_source_is_registered_by_a_decorator_and_ours_stay():
    with pytest.raises(ValueError, match="data source 'npz' is there already"):
        register_source("npz")(squares)
