"""Room for decoded pictures: in a nameless file where a folder is given, and never more of the disk than there is."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from trainer import scratch
from trainer.image_data import DataError
from trainer.images import load_images
from trainer.scratch import room_for, scratch_in


@pytest.fixture
def mapped(monkeypatch):
    """Has arrays of any size in files."""
    monkeypatch.setattr(scratch, "LEAST_BYTES", 1)


def pictures(folder, n=12):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(n):
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / label / f"{number}.png")
    return folder


def test_without_a_folder_and_for_little_it_is_memory(tmp_path):
    assert type(room_for((4, 8, 8, 3))) is np.ndarray
    with scratch_in(tmp_path / "cache"):
        assert type(room_for((4, 8, 8, 3))) is np.ndarray
    assert not (tmp_path / "cache").exists()


def test_large_arrays_lie_in_a_file_that_has_no_name(mapped, tmp_path):
    with scratch_in(tmp_path / "cache"):
        room = room_for((4, 8, 8, 3))
    assert isinstance(room, np.memmap) and room.shape == (4, 8, 8, 3) and room.dtype == np.uint8
    room[:] = 7
    assert room.sum() == 7 * room.size and os.listdir(tmp_path / "cache") == []


def test_images_decoded_into_a_map_are_the_same_and_nothing_is_left(mapped, tmp_path, monkeypatch):
    source, made = f"imagefolder:{pictures(tmp_path / 'images')}", []
    monkeypatch.setattr("trainer.pictures.room_for", lambda shape: made.append(room_for(shape)) or made[-1])
    kept = load_images(source, 16, cache=tmp_path / "cache")
    assert made and all(isinstance(one, np.memmap) for one in made)
    whole = load_images(source, 16)
    assert kept.fingerprint == whole.fingerprint
    for one, other in ((kept.train, whole.train), (kept.validation, whole.validation)):
        assert np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)
    names = os.listdir(tmp_path / "cache")
    assert len(names) == 5 and all(name.endswith((".npy", ".json")) for name in names)


def test_pictures_that_cannot_be_read_leave_no_gap_in_a_map(mapped, tmp_path):
    (pictures(tmp_path / "images") / "cat" / "3.png").write_bytes(b"no picture")
    source = f"imagefolder:{tmp_path / 'images'},skip-corrupt"
    kept, whole = load_images(source, 16, cache=tmp_path / "cache"), load_images(source, 16)
    assert len(kept.unread) == 1 and kept.fingerprint == whole.fingerprint


def test_a_full_disk_is_one_line_and_nothing_else_happens(mapped, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"cannot decode images in .*cache .*No space left.*0 MB, and as much again"):
        load_images(f"imagefolder:{pictures(tmp_path / 'images')}", 16, cache=tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


def test_where_the_system_cannot_take_room_at_once_it_is_written(mapped, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(scratch, "_BLOCK", 100)
    with scratch_in(tmp_path):
        assert not room_for((4, 8, 8, 3)).any()
