"""Folders of pictures: splits are never classes, links are followed, what is not read is counted by kind."""

import os

import numpy as np
import pytest
from PIL import Image

from trainer.image_folders import read_folders
from trainer.images import DataError, load_images
from trainer.proxies import pack, select_folder


def pictures(folder, *classes, count=5):
    """Class folders with pictures of one colour each; without classes, the pictures themselves."""
    for name in classes or ("",):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (9, 9), (50 * number, 90, 200)).save(folder / name / f"{number}.png")
    return folder


def classes_of(folder):
    found = read_folders(folder)
    assert all(listing.keys() == found.listings[0].keys() for listing in found.listings)
    return list(found.listings[0])


# --- splits ---


@pytest.mark.parametrize(
    "train, held",
    [
        ("train", "val"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("training_set", "test_set"),
        ("train_images", "test_images"),
        ("trainset", "testset"),
        ("TrainImages", "ValidImages"),
        ("training", "testing"),
        ("train", "dev"),
        ("train2017", "val2017"),
        ("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
        ("seg_train", "seg_test"),
        ("images.train", "images.eval"),
    ],
)
def test_splits_are_told_by_their_names(tmp_path, train, held):
    for split in (train, held):
        pictures(tmp_path / split, "cat", "dog")
    found = read_folders(tmp_path)
    assert [place.name for place in found.places] == [train, held] and classes_of(tmp_path) == ["cat", "dog"]
    said = f"read as splits: {train} trains, {held} validates"
    assert found.notes == (() if (train, held) == ("train", "val") else (said,))
    assert [len(pictures) for pictures in found.listings[1].values()] == [5, 5]


def test_beside_validation_a_test_split_is_not_read_and_that_is_said(tmp_path):
    for split in ("train", "val", "test", "notes"):
        pictures(tmp_path / split, "cat", "dog")
    found = read_folders(tmp_path)
    assert [place.name for place in found.places] == ["train", "val"] and found.notes == ("not read: notes, test",)


def test_a_test_split_without_classes_cannot_validate(tmp_path):
    pictures(pictures(tmp_path / "train", "cat", "dog").parent / "test")
    found = read_folders(tmp_path)
    assert found.places == (tmp_path / "train",) and classes_of(tmp_path) == ["cat", "dog"]
    assert found.notes == ("test has no class folders and is not read; a fixed fifth of train validates",)
    data = load_images(f"imagefolder:{tmp_path}", 8)
    assert (len(data.train), len(data.validation), data.notes) == (8, 2, found.notes)


def test_folders_that_lie_alone_are_gone_through(tmp_path):
    for split in ("seg_train", "seg_test"):
        pictures(tmp_path / "archive" / split / split, "cat", "dog")
    found = read_folders(tmp_path)
    assert [str(place.relative_to(tmp_path)) for place in found.places] == [
        "archive/seg_train/seg_train",
        "archive/seg_test/seg_test",
    ]
    assert found.notes[0] == "archive is read, the only folder in it"


@pytest.mark.parametrize(
    "classes",
    [("bus", "train"), ("invalid", "valid"), ("bullet_train", "driving_test"), ("control", "test", "wild")],
)
def test_classes_that_share_a_word_with_splits_stay_classes(tmp_path, classes):
    pictures(tmp_path, *classes)
    assert classes_of(tmp_path) == sorted(classes) and read_folders(tmp_path).notes == ()


@pytest.mark.parametrize(
    "folders, words",
    [
        (
            ["Train/cat", "train/cat", "val/cat"],
            r"has \['Train', 'train', 'val'\], as splits are called; give it train and",
        ),
        (["cat_train", "cat_test", "dog_train", "dog_test"], "as splits are called; give it train and one of val"),
        (
            ["train/cat", "train/dog", "unlabelled"],
            r"has \['train'\], as splits .* that is given alone, .* a fixed fifth",
        ),
        (["fold1/cat", "fold1/dog", "fold2/cat"], r"has \['fold1', 'fold2'\], which are folds, not classes; sort them"),
        (
            ["cat/train", "cat/test", "dog/train"],
            r"/cat has \['test', 'train'\] inside; sort them as test/cat, train/cat",
        ),
        (["train/a", "train/b", "Test/a", "Test/c"], r"classes \['b', 'c'\] are in only one of \['train', 'Test'\]"),
        (["train", "test"], "train has 0 class folders; give it one folder of pictures per class"),
    ],
)
def test_unclear_splits_are_refused(tmp_path, folders, words):
    for folder in folders:
        pictures(tmp_path / folder)
    with pytest.raises(DataError, match=words) as refusal:
        read_folders(tmp_path)
    assert "\n" not in str(refusal.value)


def test_classes_that_look_like_splits_by_what_they_hold_are_doubted(tmp_path):
    for split in ("Entrenamiento", "Prueba"):
        pictures(tmp_path / split, "cat", "dog")
    (note,) = read_folders(tmp_path).notes
    assert note.startswith("Entrenamiento and Prueba both hold folders called cat and dog, as splits do;")


# --- what is passed over ---


def test_what_systems_leave_is_no_picture_and_no_class(tmp_path):
    pictures(tmp_path, "cat", "dog")
    before = load_images(f"imagefolder:{tmp_path}", 8).fingerprint
    pictures(tmp_path / "cat" / ".ipynb_checkpoints")
    pictures(tmp_path / "__MACOSX" / "cat")
    (tmp_path / "@eaDir").mkdir()
    for name in ("cat/._1.png", "cat/.DS_Store", "dog/Thumbs.db", "cat/desktop.ini"):
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    data = load_images(f"imagefolder:{tmp_path}", 8)
    assert data.fingerprint == before and data.notes == ("7 entries passed over: 7 hidden",)


def test_what_is_not_read_is_counted_by_kind(tmp_path):
    root = tmp_path / "root"
    for split in ("train", "val"):
        pictures(root / split, "cat", "dog")
    files = ("labels.csv", "train/cat/a.HEIC", "val/dog/b.heic", "train/dog/b.avif", "train/notes", "val/cat/.x.png")
    for name in (*files, "train/loose.png"):
        (root / name).write_bytes(b"x")
    note = "7 entries passed over: 2 .heic, 1 .avif, 1 .csv, 1 hidden, 1 outside class folders, 1 without a suffix"
    assert read_folders(root).notes == (note,)
    for _ in range(2):  # the second time from the cache
        assert load_images(f"imagefolder:{root}", 8, cache=tmp_path / "cache").notes == (note,)


def test_a_class_without_pictures_is_refused_with_what_it_holds(tmp_path):
    pictures(tmp_path, "cat", "dog")
    (tmp_path / "eel").mkdir()
    (tmp_path / "eel" / "1.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"eel has no images \(.*.jfif.*\); add .*; 1 entry passed over: 1 .heic"):
        read_folders(tmp_path)


def test_jfif_is_jpeg(tmp_path):
    pictures(tmp_path, "cat", "dog")
    Image.new("RGB", (9, 9)).save(tmp_path / "cat" / "x.JFIF", "JPEG")
    data = load_images(f"imagefolder:{tmp_path}", 8)
    assert len(data.train) + len(data.validation) == 11 and data.notes == ()


# --- links ---


def test_links_to_pictures_classes_and_folders_inside_are_followed(tmp_path):
    pictures(tmp_path / "elsewhere", "eel", "more")
    root = pictures(tmp_path / "root", "cat", "dog")
    (root / "eel").symlink_to("../elsewhere/eel")
    (root / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (root / "dog" / "x.png").symlink_to("0.png")
    (listing,) = read_folders(root).listings
    assert {name: len(files) for name, files in listing.items()} == {"cat": 10, "dog": 6, "eel": 5}


@pytest.mark.parametrize("place, target", [("cat/loop", ".."), ("cat/loop", "."), ("loop", "."), ("loop", "..")])
def test_a_link_without_end_is_named(tmp_path, place, target):
    root = pictures(tmp_path / "root", "cat", "dog")
    (root / place).symlink_to(target)
    with pytest.raises(DataError, match="leads back to a folder around it, by a link, without end; remove the link"):
        read_folders(root)


@pytest.mark.parametrize("target, reason", [("gone", "No such file"), ("loop", "Too many levels of symbolic links")])
def test_a_link_to_nothing_is_named(tmp_path, target, reason):
    root = pictures(tmp_path, "cat", "dog")
    (root / "cat" / "loop").symlink_to(target)
    with pytest.raises(DataError, match=rf"1 of 11 images cannot be read: .*/cat/loop \({reason}"):
        load_images(f"imagefolder:{root}", 8)
    assert len(load_images(f"imagefolder:{root},skip-corrupt", 8).unread) == 1
    (root / "eel").symlink_to(target)
    with pytest.raises(DataError, match=f"/eel is a link to {target}, which is not there; remove it"):
        read_folders(root)


# --- names ---

STRANGE = [b"caf\xe9", b"\xff\xfe", b"\x1b[31mred", "\u202egnp".encode(), b"two\nlines"]


@pytest.mark.parametrize("name", STRANGE)
def test_pictures_and_classes_of_any_name_are_read(tmp_path, name):
    root = pictures(tmp_path / "root", "cat", "dog")
    before = load_images(f"imagefolder:{root}", 8)
    os.rename(os.fsencode(root / "cat" / "0.png"), os.fsencode(root / "cat") + b"/0" + name + b".png")
    source = f"imagefolder:{root}"
    data = load_images(source, 8, cache=tmp_path / "cache")
    assert data.fingerprint == before.fingerprint
    os.rename(os.fsencode(root / "dog"), os.fsencode(root) + b"/" + name)
    first, second = (load_images(source, 8, cache=tmp_path / "cache") for _ in range(2))
    assert first.fingerprint == second.fingerprint != before.fingerprint
    assert sorted(map(os.fsencode, first.classes)) == sorted([b"cat", name])
    pack(select_folder(root, None, 0), tmp_path / "p.npz", 8, {})
    packed = load_images(f"npz:{tmp_path / 'p.npz'}", 8)
    assert packed.classes == first.classes and np.array_equal(packed.train.labels, first.train.labels)


@pytest.mark.parametrize("name", STRANGE)
def test_an_unreadable_picture_of_any_name_is_named_so_that_a_terminal_can_show_it(tmp_path, name):
    root = pictures(tmp_path, "cat", "dog")
    with open(os.fsencode(root / "cat") + b"/" + name + b".png", "wb") as file:
        file.write(b"no picture")
    with pytest.raises(
        DataError, match=r"1 of 11 images cannot be read: .*/cat/.*\\.*\.png \(not an image\)"
    ) as refusal:
        load_images(f"imagefolder:{root}", 8)
    assert str(refusal.value).isprintable()
    (unread,) = load_images(f"imagefolder:{root},skip-corrupt", 8).unread
    assert unread.name.isprintable()
