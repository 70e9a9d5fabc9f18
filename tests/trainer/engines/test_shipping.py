"""Images reach another machine: seen where they are, else sent once and kept with their checksum."""

import os
from pathlib import Path

import numpy as np
import pytest

from trainer.engines.shipping import ShippedImages, arrays_of
from trainer.image_data import fingerprint_of
from trainer.images import load_images

SOURCE = "fractal:classes=2,train=6,validation=3"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Data that the coordinator maps from its cache; the node's own cache is empty."""
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "node"))
    return load_images(SOURCE, 16, cache=tmp_path / "coordinator")


def unseen(shipped):
    """The same, on a machine that does not see the coordinator's files."""
    return ShippedImages(
        tuple(("/nowhere" + path, *facts) for path, *facts in shipped.files),
        *(shipped.classes, shipped.source, shipped.side, shipped.fingerprint),
    )


def same(found, data):
    assert found.fingerprint == data.fingerprint == fingerprint_of(found.train, found.validation, found.classes)


def test_a_machine_that_sees_the_files_maps_them_and_asks_for_nothing(data, tmp_path):
    found = ShippedImages.of(data).on_this_node(None)
    same(found, data)
    assert str(found.train.images.filename) == str(data.train.images.filename)
    assert not (tmp_path / "node").exists()


def test_a_machine_that_does_not_is_sent_them_once_and_keeps_them(data):
    shipped, sent = unseen(ShippedImages.of(data)), []

    def fetch():
        sent.append(1)
        return arrays_of(data)

    assert shipped.on_this_node(None) is None
    for _ in range(2):
        same(shipped.on_this_node(fetch), data)
    same(shipped.on_this_node(None), data)  # another process of that machine, later
    assert sent == [1]


def test_files_of_the_same_name_with_other_pictures_are_not_taken_for_them(data, tmp_path):
    shipped = ShippedImages.of(data)
    other = np.array(data.train.images)
    other[0] ^= 255
    np.save(data.train.images.filename, other)
    assert shipped.on_this_node(None) is None


def test_files_that_others_may_write_are_taken_by_their_checksum_only(data, tmp_path):
    shipped, file = ShippedImages.of(data), Path(data.train.images.filename)
    other, facts = np.array(data.train.images), file.stat()
    other[0] ^= 255
    np.save(file, other)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as somebody does who knows how
    (tmp_path / "coordinator").chmod(0o777)
    assert shipped.on_this_node(None) is None


def test_a_copy_with_another_time_is_taken_by_its_checksum(data):
    shipped = ShippedImages.of(data)
    np.save(data.train.labels.filename, np.array(data.train.labels))
    same(shipped.on_this_node(None), data)


def test_pictures_that_were_damaged_on_the_way_are_a_defect(data):
    first, *others = arrays_of(data)
    with pytest.raises(ValueError, match="the images that arrived are not those that were sent"):
        unseen(ShippedImages.of(data)).on_this_node(lambda: (first[::-1], *others))


def test_a_machine_that_cannot_keep_them_trains_from_memory(data, tmp_path):
    (tmp_path / "node").write_text("a file where the folder belongs")
    shipped = unseen(ShippedImages.of(data))
    same(shipped.on_this_node(lambda: arrays_of(data)), data)
    assert shipped.on_this_node(None) is None
