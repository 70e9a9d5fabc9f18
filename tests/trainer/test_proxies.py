"""Proxies: which pictures they take, the same bytes each time, nothing left of one that failed."""

import hashlib
import io
import json
import resource

import numpy as np
import pytest
from PIL import Image

from trainer import packed, pictures
from trainer.images import DataError, load_images
from trainer.proxies import IMAGENET, Proxy, pack, select_folder, select_imagenet

NAMES = [f"n{number:08d}" for number in (7, 3, 11, 5)]
SMALL = Proxy(2, False, 3, 2)  # as imagenet1000-100: both parts out of the training pictures


@pytest.fixture
def ilsvrc(tmp_path):
    """Four classes of 8 training and 4 validation pictures, in ILSVRC's layout, each of one colour."""
    for split, count in (("train", 8), ("val", 4)):
        for label, name in enumerate(NAMES):
            folder = tmp_path / "ILSVRC" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                colour = (40 * label + 60, 12 * number + (6 if split == "val" else 0), 200)
                Image.new("RGB", (30, 20), colour).save(folder / f"{name}_{number}.JPEG", "JPEG", quality=95)
    return tmp_path / "ILSVRC"


def taken(selection, split):
    """Pictures of each class, as numbers."""
    found = {name: [] for name in selection.classes}
    for file, label, part in selection.files:
        if part == split:
            assert file.parent.name == selection.classes[label]
            found[selection.classes[label]].append(int(file.stem.split("_")[1]))
    return found


def sources(selection, split):
    return {file.parts[-3] for file, _, part in selection.files if part == split}


# --- which pictures ---


def test_all_pictures_of_the_named_classes_are_taken_in_order_of_name(ilsvrc):
    found = select_imagenet(ilsvrc, IMAGENET["imagenet100"], [NAMES[0], NAMES[1]], seed=0)
    assert found.classes == (NAMES[1], NAMES[0])
    assert taken(found, 0) == {name: list(range(8)) for name in found.classes}
    assert taken(found, 1) == {name: list(range(4)) for name in found.classes}
    assert (sources(found, 0), sources(found, 1)) == ({"train"}, {"val"})


def test_validation_out_of_training_shares_no_picture_with_it(ilsvrc):
    found = select_imagenet(ilsvrc, SMALL, 4, seed=0)
    train, held = taken(found, 0), taken(found, 1)
    for name in NAMES:
        assert (len(train[name]), len(held[name])) == (3, 2)
        assert not set(train[name]) & set(held[name])
        assert train[name] == sorted(train[name]) and held[name] == sorted(held[name])
    assert sources(found, 1) == {"train"}
    assert len({tuple(numbers) for numbers in train.values()}) > 1  # not the same places in every class
    rest = select_imagenet(ilsvrc, Proxy(2, False, None, 2), 4, seed=0)
    assert taken(rest, 1) == held
    assert all(sorted(taken(rest, 0)[name] + held[name]) == list(range(8)) for name in NAMES)


def test_a_seed_decides_classes_and_pictures(ilsvrc):
    draws = [select_imagenet(ilsvrc, SMALL, 2, seed) for seed in range(12)]
    assert draws[5] == select_imagenet(ilsvrc, SMALL, 2, 5)
    assert len({draw.classes for draw in draws}) > 3
    assert len({draw.files for draw in draws}) == 12


def test_a_class_keeps_its_pictures_whatever_others_are_there_and_more_hold_fewer(ilsvrc):
    both = taken(select_imagenet(ilsvrc, SMALL, [NAMES[0], NAMES[1]], 3), 0)
    other = taken(select_imagenet(ilsvrc, SMALL, [NAMES[1], NAMES[2]], 3), 0)
    assert both[NAMES[1]] == other[NAMES[1]]
    more = taken(select_imagenet(ilsvrc, Proxy(2, False, 6, None), [NAMES[0], NAMES[1]], 3), 0)
    fewer = taken(select_imagenet(ilsvrc, Proxy(2, False, 3, None), [NAMES[0], NAMES[1]], 3), 0)
    assert all(set(fewer[name]) < set(more[name]) for name in fewer)


def test_a_folder_is_taken_as_its_source_reads_it(ilsvrc):
    for root in (ilsvrc, ilsvrc / "train"):
        found = select_folder(root, None, seed=0)
        data = load_images(f"imagefolder:{root}", 8)
        labels = [[label for _, label, part in found.files if part == split] for split in (0, 1)]
        assert found.classes == data.classes
        assert [part for _, _, part in found.files] == sorted(part for _, _, part in found.files)
        assert labels == [data.train.labels.tolist(), data.validation.labels.tolist()]
        # The colours tell which pictures they are.
        for split, part in ((0, data.train), (1, data.validation)):
            files = [file for file, _, which in found.files if which == split]
            expected = [np.asarray(Image.open(file).crop((5, 0, 25, 20)).resize((8, 8))) for file in files]
            assert np.array_equal(part.images, np.stack(expected))
    assert len(select_folder(ilsvrc, 3, seed=0).classes) == 3


@pytest.mark.parametrize(
    "change, classes, words",
    [
        (None, ["n1", NAMES[0]], r"train lacks 1 of 2 classes, such as n1; add them, or choose others with --classes"),
        (None, 5, r"train has 4 class folders, 5 are wanted; give fewer --classes or add some"),
        ("no train", 2, r"train is not a folder; give --from the folder that holds train/CLASS/\* and val/CLASS/\*"),
        ("flat val", 2, r"val holds pictures without class folders, and label files are not read; sort them into val/"),
        ("class not in val", 4, rf"val lacks 1 of 4 classes, such as {NAMES[0]}"),
        ("empty class", 4, rf"train/{NAMES[0]} has no images \(.*\); add some or remove the folder"),
        ("few", 4, rf"train/{NAMES[0]} has 2 images, 3 are wanted; add some"),
    ],
)
def test_a_folder_that_is_not_so_is_refused(ilsvrc, change, classes, words):
    if change == "no train":
        (ilsvrc / "train").rename(ilsvrc / "training")
    elif change == "flat val":
        (ilsvrc / "val").rename(ilsvrc / "old")
        (ilsvrc / "val").mkdir()
        (ilsvrc / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    elif change == "class not in val":
        (ilsvrc / "val" / NAMES[0]).rename(ilsvrc / "val" / ".hidden")
    elif change in ("empty class", "few"):
        for file in sorted((ilsvrc / "train" / NAMES[0]).iterdir())[: 8 if change == "empty class" else 6]:
            file.unlink()
    with pytest.raises(DataError, match=words) as refusal:
        select_imagenet(ilsvrc, Proxy(2, False, 3, None), classes, seed=0)
    assert "\n" not in str(refusal.value)


# --- packing ---


def packed_at(path, ilsvrc, **options):
    return pack(select_imagenet(ilsvrc, SMALL, 3, seed=1), path, 16, {"name": "small"}, **options)


def test_an_archive_holds_the_encoded_squares_and_its_card_counts_them(ilsvrc, tmp_path):
    selection = select_imagenet(ilsvrc, SMALL, 3, seed=1)
    card = packed_at(tmp_path / "p.npz", ilsvrc)
    assert card == json.loads((tmp_path / "p.json").read_text())
    content = (tmp_path / "p.npz").read_bytes()
    assert (card["bytes"], card["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert card["images"] == {"train": 9, "validation": 6, "per_class": {name: [3, 2] for name in selection.classes}}
    assert (card["name"], card["side"], card["unreadable"]) == ("small", 16, [])
    assert card["encoding"]["format"] == "WEBP" and card["versions"]["numpy"] == np.__version__
    arrays = np.load(tmp_path / "p.npz")
    data = load_images(f"npz:{tmp_path / 'p.npz'}", 16)
    decoded = [*data.train.images, *data.validation.images]
    for index, (file, label, split) in enumerate(selection.files):
        assert (arrays["label"][index], arrays["split"][index]) == (label, split)
        square = Image.open(file).crop((5, 0, 25, 20)).resize((16, 16), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        square.save(stream, "WEBP", quality=90)
        start, end = arrays["offset"][index : index + 2]
        assert arrays["jpeg"][start:end].tobytes() == stream.getvalue()
        assert np.abs(decoded[index].astype(int) - np.asarray(square).astype(int)).max() < 16


def test_the_same_pictures_give_the_same_bytes_in_groups_of_any_size(ilsvrc, tmp_path, monkeypatch):
    packed_at(tmp_path / "a.npz", ilsvrc)
    monkeypatch.setattr(pictures, "PICTURES_AT_ONCE", 2)
    packed_at(tmp_path / "b.npz", ilsvrc)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_unreadable_pictures_are_refused_or_named_on_the_card(ilsvrc, tmp_path):
    bad = select_imagenet(ilsvrc, SMALL, 3, seed=1).files[4][0]
    bad.write_bytes(bad.read_bytes()[:200])
    with pytest.raises(DataError, match=rf"p.npz: 1 of 15 images cannot be read: {bad} \(.*\).*--skip-corrupt"):
        packed_at(tmp_path / "p.npz", ilsvrc)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ILSVRC"]
    card = packed_at(tmp_path / "p.npz", ilsvrc, skip_corrupt=True)
    assert [one["name"] for one in card["unreadable"]] == [str(bad)]
    assert (card["images"]["train"], len(load_images(f"npz:{tmp_path / 'p.npz'}", 16).train)) == (8, 8)


def test_a_class_of_which_nothing_can_be_read_is_refused(ilsvrc, tmp_path):
    name = select_imagenet(ilsvrc, SMALL, 3, seed=1).classes[1]
    for file in (ilsvrc / "train" / name).iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=f"class {name} has no readable train images; add some or drop the class"):
        packed_at(tmp_path / "p.npz", ilsvrc, skip_corrupt=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ILSVRC"]


@pytest.mark.parametrize("limit", [300, 2000])  # within the encoded pictures, within the archive
def test_a_full_disk_leaves_the_old_archive_and_nothing_else(ilsvrc, tmp_path, limit):
    packed_at(tmp_path / "p.npz", ilsvrc)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("p.*")}
    assert len(before["p.npz"]) > 2400 and set(before) == {"p.npz", "p.json"}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(DataError, match=r"cannot write .*p.npz \(File too large\); nothing was left: free space"):
            packed_at(tmp_path / "p.npz", ilsvrc)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_being_stopped_leaves_nothing(ilsvrc, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed_at(tmp_path / "p.npz", ilsvrc, progress=stop)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ILSVRC"]


@pytest.mark.parametrize("place", ["file/p.npz", "folder.npz"])
def test_a_place_that_cannot_be_written_is_refused(ilsvrc, tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(
        DataError,
        match="(cannot write .*nothing was left|a folder, device or pipe).* another --out",
    ):
        packed_at(tmp_path / place, ilsvrc)


# --- the card's checksum ---


def test_an_archive_that_its_card_does_not_know_is_refused(ilsvrc, tmp_path):
    packed_at(tmp_path / "p.npz", ilsvrc)
    arrays = dict(np.load(tmp_path / "p.npz"))
    np.savez(tmp_path / "p.npz", **arrays | {"label": arrays["label"][::-1]})  # readable, but other labels
    with pytest.raises(
        DataError, match=r"p.npz has sha256 \w{12}\.\., its card p.json says \w{12}\.\.; .*make it"
    ) as error:
        load_images(f"npz:{tmp_path / 'p.npz'}", 16)
    assert "\n" not in str(error.value)
    (tmp_path / "p.json").unlink()
    assert len(load_images(f"npz:{tmp_path / 'p.npz'}", 16).train) == 9


@pytest.mark.parametrize("card", ["{", "[]", '{"schema": "other"}', "\xff"])
def test_other_files_of_the_cards_name_are_passed_over(ilsvrc, tmp_path, card):
    packed_at(tmp_path / "p.npz", ilsvrc)
    (tmp_path / "p.json").write_text(card, encoding="latin-1")
    assert len(load_images(f"npz:{tmp_path / 'p.npz'}", 16).train) == 9


def test_many_classes_have_wider_labels(tmp_path):
    names = [f"c{number}" for number in range(2**15 + 1)]
    packed.write_packed(tmp_path / "p.npz", [(b"x", 0, 0), (b"x", 2**15, 1)], names, {})
    assert np.load(tmp_path / "p.npz")["label"].tolist() == [0, 2**15]
