"""Image sources: decoded as Pillow shows them, bad input named, the cache used or rebuilt."""

import hashlib
import io
import json
import os
import re
import resource
import secrets
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer import fractal, image_sources
from trainer.image_data import fingerprint_of
from trainer.images import DataError, ImageSplit, hold_out, load_images, stratified_share

SHARED_IMAGES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "images"


def encoded(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def random_picture(rng, width, height):
    """A smooth random picture; colours differ from corner to corner."""
    return Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)).resize((width, height))


def archive_arrays(count=12, classes=3, seed=0):
    """The arrays of a good archive: labels 0 1 2 0 1 2 .., the last third validates."""
    rng = np.random.default_rng(seed)
    blobs = [encoded(random_picture(rng, 20 + i, 30), ["PNG", "JPEG", "WEBP"][i % 3]) for i in range(count)]
    return {
        "jpeg": np.frombuffer(b"".join(blobs), np.uint8),
        "offset": np.cumsum([0, *map(len, blobs)]),
        "label": (np.arange(count) % classes).astype(np.int16),
        "split": (np.arange(count) >= count * 2 // 3).astype(np.uint8),
        "classes": np.array(["cat", "dog", "eel"][:classes]),
    }


def saved(folder, **changes):
    path = folder / "pictures.npz"
    arrays = {key: value for key, value in (archive_arrays() | changes).items() if value is not None}
    np.savez(path, **arrays)
    return path


def image_folder(root, splits=("train", "val"), classes=("ant", "bee"), count=3, size=(24, 16)):
    rng = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                random_picture(rng, *size).save(root / split / name / f"{number}.png")
    return root


@pytest.fixture
def decodes(monkeypatch):
    """Sizes of the picture lists that were decoded."""
    calls, decode = [], image_sources.decode_pictures

    def counted(pictures, *rest):
        calls.append(len(pictures))
        return decode(pictures, *rest)

    monkeypatch.setattr(image_sources, "decode_pictures", counted)
    return calls


def same(one, other):
    return (
        one.fingerprint == other.fingerprint
        and one.classes == other.classes
        and np.array_equal(one.train.images, other.train.images)
        and np.array_equal(one.validation.labels, other.validation.labels)
    )


# --- npz ---


def test_an_archive_decodes_as_by_hand(tmp_path):
    arrays = archive_arrays()
    data = load_images(f"npz:{saved(tmp_path)}", 16)
    assert data.classes == ("cat", "dog", "eel")
    assert data.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert data.validation.labels.tolist() == [2, 0, 1, 2]
    assert (data.train.labels.dtype, data.train.images.dtype, data.side) == (np.int64, np.uint8, 16)
    for row in range(12):
        blob = bytes(arrays["jpeg"][arrays["offset"][row] : arrays["offset"][row + 1]])
        picture = Image.open(io.BytesIO(blob)).convert("RGB")
        assert picture.size == (20 + row, 30)
        # The central square of 20..31 x 30 pixels: rows are cut, but for the last picture, one column.
        top, short = max(0, (10 - row) // 2), min(20 + row, 30)
        box = (0, top, short, top + short)
        expected = np.asarray(picture.crop(box).resize((16, 16), Image.Resampling.BICUBIC))
        decoded = data.train.images[row] if row < 8 else data.validation.images[row - 8]
        assert np.array_equal(decoded, expected)


def test_the_fingerprint_covers_names_labels_and_pixels(tmp_path):
    base = load_images(f"npz:{saved(tmp_path)}", 16).fingerprint
    assert len(base) == 64
    assert load_images(f"npz:{saved(tmp_path)}", 16).fingerprint == base
    changes = [
        {"classes": np.array(["cat", "dog", "fox"])},
        {"label": np.array([1, 0, 2] * 4)},
        {"split": np.array([0] * 9 + [1] * 3)},
        archive_arrays(seed=1),
    ]
    assert len({base, *(load_images(f"npz:{saved(tmp_path, **change)}", 16).fingerprint for change in changes)}) == 5


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"split": None, "label": None}, r"lacks the keys \['label', 'split'\]; an image archive has"),
        ({"offset": archive_arrays()["offset"][:-1]}, r"got \(12,\) offsets for 12 labels"),
        (
            {"offset": archive_arrays()["offset"] + 10**6 * (np.arange(13) == 12)},
            r"1 of 12 images have an offset outside the \d+ bytes of jpeg.*first: image 11",
        ),
        ({"offset": -archive_arrays()["offset"]}, "12 of 12 images have an offset outside"),
        (
            {"label": np.arange(12) % 4},
            r"3 of 12 images have a label outside 0\.\.2 \(first: image 3, 3\); add",
        ),
        (
            {"label": np.arange(12) % 3 - 1},
            r"4 of 12 images have a label outside 0\.\.2 \(first: image 0, -1\)",
        ),
        ({"label": np.arange(12) / 4}, "must be integers"),
        (
            {"split": np.arange(12) % 3},
            r"a split that is neither 0 \(train\) nor 1 \(validation\) \(first: image 2, 2\)",
        ),
        ({"split": np.zeros(12, int)}, "has no validation images; set split to 1 for some"),
        ({"split": np.ones(12, int)}, "has no train images"),
        ({"classes": np.array(["cat", "dog", "eel", "yak"])}, "class yak has no train images"),
        ({"classes": np.array(["cat", "dog", "eel"], object)}, "is no readable npz archive"),
        ({"jpeg": archive_arrays()["jpeg"].astype(int)}, "jpeg must be 1-D uint8"),
    ],
)
def test_a_wrong_archive_is_refused_by_name(tmp_path, changes, words):
    path = saved(tmp_path, **changes)
    with pytest.raises(DataError, match=words) as refusal:
        load_images(f"npz:{path}", 16)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("damage", ["zeroed", "truncated"])
def test_unreadable_bytes_are_refused_with_the_image_index(tmp_path, damage):
    arrays = archive_arrays()
    blobs = [bytes(arrays["jpeg"][a:b]) for a, b in zip(arrays["offset"][:-1], arrays["offset"][1:], strict=True)]
    blobs[4] = bytes(len(blobs[4])) if damage == "zeroed" else blobs[4][: len(blobs[4]) // 2]
    path = saved(tmp_path, jpeg=np.frombuffer(b"".join(blobs), np.uint8), offset=np.cumsum([0, *map(len, blobs)]))
    words = r"1 of 12 images cannot be read: image 4 \(.*\); replace or remove them, or .* --skip-corrupt"
    with pytest.raises(DataError, match=words) as refusal:
        load_images(f"npz:{path}", 16)
    assert "0x" not in str(refusal.value)


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_truncated_archive_is_refused(tmp_path, keep):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="is no readable npz archive .*; save it again"):
        load_images(f"npz:{path}", 16)


def test_an_array_that_is_no_archive_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match="is no readable npz archive"):
        load_images(f"npz:{tmp_path / 'a.npy'}", 16)


@pytest.mark.parametrize(
    "source, side, words",
    [
        ("npz:/nowhere/at/all.npz", 16, "/nowhere/at/all.npz is not a file; check the path after npz:"),
        ("imagefolder:/nowhere", 16, "/nowhere is not a folder; check the path"),
        ("npz:", 16, "lacks a path; write npz:PATH"),
        (
            "imagenet",
            16,
            "data source 'imagenet' is unknown; known: fractal, .*npz:PATH, .*, cifar10:PATH, cifar100:PATH",
        ),
        ("fractal", 7, "side=7 px is too small for image data; give at least 8"),
        (
            "fractal:clases=3",
            16,
            r"option 'clases' is unknown; known options: \['classes', 'seed', 'train', 'val",
        ),
        ("fractal:classes=1", 16, "classes='1' must be a whole number of at least 2"),
        ("fractal:train=0", 16, "train='0' must be a whole number of at least 1"),
        ("fractal:seed=-1", 16, "seed='-1' must be a whole number of at least 0"),
        ("fractal:seed", 16, "seed='' must be a whole number"),
    ],
)
def test_a_wrong_source_is_refused_by_its_words(source, side, words):
    with pytest.raises(DataError, match=words):
        load_images(source, side)


def test_a_path_alone_is_answered_with_the_source_that_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(image_folder(tmp_path))
    saved(tmp_path)
    (tmp_path / "cifar-100-binary").mkdir()
    for given, meant in (("train", "imagefolder:"), ("pictures.npz", "npz:"), ("cifar-100-binary", "cifar100:")):
        with pytest.raises(
            DataError, match=f"data source '{given}' is unknown; write {meant}{given}; known: fractal, "
        ):
            load_images(given, 8)


# --- colour modes ---


def pixel(picture, folder, kind="PNG", **options):
    """The colour that a one-coloured picture decodes to."""
    for split in ("train", "val"):
        for name in ("a", "b"):
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / f"x.{kind.lower()}").write_bytes(encoded(picture, kind, **options))
    images = load_images(f"imagefolder:{folder}", 8).train.images
    assert (images == images[0, 0, 0]).all()
    return images[0, 0, 0].tolist()


def test_grey_becomes_rgb(tmp_path):
    assert pixel(Image.new("L", (9, 9), 77), tmp_path) == [77, 77, 77]


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path):
    assert pixel(Image.fromarray(np.full((9, 9), 0x4D00, np.uint16)), tmp_path) == [77, 77, 77]


def test_a_palette_becomes_rgb(tmp_path):
    picture = Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4)
    assert pixel(picture, tmp_path) == [10, 200, 30]


def test_a_palette_with_transparency_becomes_rgb(tmp_path):
    picture = Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4)
    assert pixel(picture, tmp_path, transparency=bytes([255, 0])) == [10, 200, 30]


def test_transparency_is_dropped(tmp_path):
    assert pixel(Image.new("RGBA", (9, 9), (10, 200, 30, 99)), tmp_path) == [10, 200, 30]


def test_cmyk_becomes_rgb(tmp_path):
    # No cyan, no magenta, no black, all yellow: red and green remain.
    red, green, blue = pixel(Image.new("CMYK", (9, 9), (0, 0, 255, 0)), tmp_path, "JPEG", quality=100)
    assert red > 250 and green > 250 and blue < 5


# --- folders ---


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folders_are_read_in_order_of_name(tmp_path, validation):
    root = image_folder(tmp_path, ("train", validation))
    data = load_images(f"imagefolder:{root}", 8)
    assert data.classes == ("ant", "bee")
    assert data.train.labels.tolist() == data.validation.labels.tolist() == [0, 0, 0, 1, 1, 1]
    picture = Image.open(root / validation / "bee" / "1.png").crop((4, 0, 20, 16))
    assert np.array_equal(data.validation.images[4], np.asarray(picture.resize((8, 8), Image.Resampling.BICUBIC)))


def test_a_folder_of_classes_is_split_80_to_20_always_alike(tmp_path):
    root = image_folder(tmp_path, ("",), count=10)
    data = load_images(f"imagefolder:{root}", 8)
    assert np.bincount(data.train.labels).tolist() == [8, 8]
    assert np.bincount(data.validation.labels).tolist() == [2, 2]
    assert same(data, load_images(f"imagefolder:{root}", 8))


def test_files_that_are_no_pictures_are_passed_over(tmp_path):
    root = image_folder(tmp_path)
    (root / "train" / "ant" / "notes.txt").write_text("not a picture")
    (root / "train" / ".cache").mkdir()
    assert len(load_images(f"imagefolder:{root}", 8).train) == 6


def test_an_empty_class_folder_is_refused(tmp_path):
    (image_folder(tmp_path) / "val" / "cow").mkdir()
    with pytest.raises(DataError, match=r"val/cow has no images \(.*\.jpg.*\); add some or remove the folder"):
        load_images(f"imagefolder:{tmp_path}", 8)


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match="has 0 class folders; give it one folder of pictures per class"):
        load_images(f"imagefolder:{tmp_path}", 8)


def test_classes_that_differ_between_train_and_val_are_refused(tmp_path):
    image_folder(tmp_path, ("train",), ("ant", "bee"))
    image_folder(tmp_path, ("val",), ("ant", "cow"))
    with pytest.raises(DataError, match=r"classes \['bee', 'cow'\] are in only one of \['train', 'val'\]"):
        load_images(f"imagefolder:{tmp_path}", 8)


@pytest.mark.parametrize("splits", [("train",), ("val",), ("train", "val", "validation")])
def test_half_a_pair_of_splits_is_refused(tmp_path, splits):
    image_folder(tmp_path, splits)
    with pytest.raises(DataError, match="give it train and one of val, validation, or none of them"):
        load_images(f"imagefolder:{tmp_path}", 8)


def test_an_unreadable_file_is_named(tmp_path):
    bad = image_folder(tmp_path) / "val" / "bee" / "1.png"
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(DataError, match=r"1 of 12 images cannot be read: .*val/bee/1.png \("):
        load_images(f"imagefolder:{tmp_path}", 8)


def test_a_class_of_one_picture_cannot_be_split(tmp_path):
    root = image_folder(tmp_path, ("",), count=1)
    with pytest.raises(DataError, match=r"leaves none of class 0 \(1 images\) to fit on"):
        load_images(f"imagefolder:{root}", 8)


# --- fractals ---


def test_fractal_counts_are_per_class():
    data = load_images("fractal:classes=3,train=4,validation=2,seed=5", 16)
    assert data.train.images.shape == (12, 16, 16, 3)
    assert data.validation.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(data.classes)) == 3
    other = load_images("fractal:classes=3,train=4,validation=2,seed=6", 16)
    assert data.fingerprint != other.fingerprint


def test_progress_says_what_is_done():
    calls = []
    load_images("fractal:classes=2,train=1,validation=1", 8, progress=lambda *call: calls.append(call))
    assert calls == [(f"drawing {part} classes", done, 2) for part in ("train", "validation") for done in (1, 2)]


# --- the cache ---


def test_a_second_call_maps_what_the_first_decoded(tmp_path, decodes):
    path, cache = saved(tmp_path), tmp_path / "cache"
    plain = load_images(f"npz:{path}", 16)
    first, second = (load_images(f"npz:{path}", 16, cache=cache) for _ in range(2))
    assert decodes == [8, 4, 8, 4]  # once without the cache, once into it
    assert same(plain, first) and same(plain, second)
    assert isinstance(second.train.images, np.memmap) and not second.train.images.flags.writeable
    assert not list(cache.glob("*.tmp")) and not list(cache.glob(".*"))


def test_each_side_has_its_own_entry(tmp_path, decodes):
    path, cache = saved(tmp_path), tmp_path / "cache"
    assert [load_images(f"npz:{path}", side, cache=cache).train.images.shape[1] for side in (16, 8, 16)] == [
        16,
        8,
        16,
    ]
    assert decodes == [8, 4] * 2


def test_a_changed_archive_is_decoded_again(tmp_path, decodes):
    path, cache = saved(tmp_path), tmp_path / "cache"
    before = load_images(f"npz:{path}", 16, cache=cache)
    path = saved(tmp_path, **archive_arrays(seed=1))
    after = load_images(f"npz:{path}", 16, cache=cache)
    assert before.fingerprint != after.fingerprint
    assert same(after, load_images(f"npz:{path}", 16))
    assert len(list(cache.glob("*.json"))) == 1


def test_a_changed_folder_is_decoded_again(tmp_path, decodes):
    root, cache = image_folder(tmp_path / "data"), tmp_path / "cache"
    assert len(load_images(f"imagefolder:{root}", 8, cache=cache).train) == 6
    Image.new("RGB", (9, 9)).save(root / "train" / "ant" / "new.png")
    assert len(load_images(f"imagefolder:{root}", 8, cache=cache).train) == 7


def test_changed_fractal_constants_draw_again(tmp_path, monkeypatch):
    source = "fractal:classes=2,train=2,validation=1"
    before = load_images(source, 16, cache=tmp_path)
    monkeypatch.setattr(fractal, "PIXEL_NOISE", 0.9)
    assert load_images(source, 16, cache=tmp_path).fingerprint != before.fingerprint


def cut_short(cache):
    file = next(cache.glob("*train-images.npy"))
    file.write_bytes(file.read_bytes()[:-1])


def emptied(cache):
    next(cache.glob("*validation-images.npy")).write_bytes(b"")


def removed(cache):
    next(cache.glob("*train-labels.npy")).unlink()


def flipped(cache):
    file = next(cache.glob("*train-images.npy"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def card_garbled(cache):
    next(cache.glob("*.json")).write_text("{")


def card_emptied(cache):
    next(cache.glob("*.json")).write_text("[]")


def card_of_another_version(cache):
    file = next(cache.glob("*.json"))
    card = json.loads(file.read_text())
    card["key"]["version"] += 1
    file.write_text(json.dumps(card))


DAMAGES = {
    cut_short: "mmap length is greater than",
    emptied: "No data left in file",
    removed: "train-labels.npy is missing",
    flipped: r"checksum \w{12}\.\. instead of \w{12}\.\.",
    card_garbled: "Expecting property name",
    card_emptied: "list indices",
    card_of_another_version: None,  # old, not damaged
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_rebuilt_and_one_line_says_so(tmp_path, decodes, damage, caplog):
    path, cache = saved(tmp_path), tmp_path / "cache"
    good = load_images(f"npz:{path}", 16, cache=cache)
    pixels = good.train.images.tobytes()
    del good
    damage(cache)
    rebuilt = load_images(f"npz:{path}", 16, cache=cache)
    assert decodes == [8, 4] * 2
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (DAMAGES[damage] is not None) and not any("\n" in line for line in told)
    if told:
        assert re.search(rf"the image cache is damaged \(.*{DAMAGES[damage]}.*\); the source is decoded", told[0])
    assert rebuilt.train.images.tobytes() == pixels
    load_images(f"npz:{path}", 16, cache=cache)
    assert decodes == [8, 4] * 2


def test_a_copied_cache_is_checked_and_used(tmp_path, decodes):
    path, cache = saved(tmp_path), tmp_path / "cache"
    load_images(f"npz:{path}", 16, cache=cache)
    for file in cache.glob("*.npy"):
        os.utime(file, (1, 1))
    load_images(f"npz:{path}", 16, cache=cache)
    assert decodes == [8, 4]


def poisoned(cache):
    """Other pixels under the same name, size and time, as somebody puts there who knows how."""
    file = next(cache.glob("*train-images.npy"))
    facts, data = file.stat(), bytearray(file.read_bytes())
    data[-100:] = bytes(100)
    file.write_bytes(data)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("place, mode", [(".", 0o777), (".", 0o770), ("*-labels.npy", 0o666), ("*.json", 0o664)])
def test_a_cache_that_others_may_write_is_taken_by_its_checksum(tmp_path, decodes, place, mode, caplog):
    path, cache = saved(tmp_path), tmp_path / "cache"
    good = load_images(f"npz:{path}", 16, cache=cache).fingerprint
    for file in [cache] if place == "." else cache.glob(place):
        file.chmod(mode)
    assert load_images(f"npz:{path}", 16, cache=cache).fingerprint == good and decodes == [8, 4]
    poisoned(cache)
    data = load_images(f"npz:{path}", 16, cache=cache)
    assert decodes == [8, 4] * 2 and "checksum" in caplog.text
    assert data.fingerprint == good == fingerprint_of(data.train, data.validation, data.classes)


def test_a_cache_of_another_user_is_taken_by_its_checksum(tmp_path, decodes, monkeypatch):
    path, cache = saved(tmp_path), tmp_path / "cache"
    load_images(f"npz:{path}", 16, cache=cache)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    poisoned(cache)
    load_images(f"npz:{path}", 16, cache=cache)
    assert decodes == [8, 4] * 2


def test_a_link_that_lies_where_the_cache_writes_is_not_followed(tmp_path, monkeypatch):
    path, cache, victim = saved(tmp_path), tmp_path / "cache", tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    load_images(f"npz:{path}", 16, cache=cache)
    (name,) = (file.name for file in cache.glob("*train-images.npy"))
    (cache / f"{name}.guessed.part").symlink_to(victim)
    path = saved(tmp_path, **archive_arrays(seed=1))
    with pytest.raises(DataError, match="cannot write the image cache"):
        load_images(f"npz:{path}", 16, cache=cache)
    assert victim.read_text() == "mine"


def test_a_full_disk_leaves_no_half_file(tmp_path):
    path, cache = saved(tmp_path), tmp_path / "cache"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))  # 8 images of 16 px take 6 KB
    try:
        with pytest.raises(DataError, match=r"cannot write the image cache in .*; it takes 0 MB: free space there"):
            load_images(f"npz:{path}", 16, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(cache.iterdir()) == []
    assert len(load_images(f"npz:{path}", 16, cache=cache).train) == 8


def test_a_cache_that_is_a_file_is_refused(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(DataError, match="cannot write the image cache in .*give another cache folder"):
        load_images(f"npz:{path}", 16, cache=path)
    assert path.exists()


# --- shares ---

LABELS = np.repeat([0, 1, 2], [10, 40, 3])


def test_a_share_takes_the_same_part_of_every_class():
    chosen = stratified_share(LABELS, 0.5, seed=0)
    assert np.bincount(LABELS[chosen]).tolist() == [5, 20, 2]
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_the_smallest_share_keeps_one_of_each_class():
    assert LABELS[stratified_share(LABELS, 0.001, seed=0)].tolist() == [0, 1, 2]


def test_a_share_depends_on_its_seed_and_larger_ones_hold_smaller_ones():
    chosen = [set(stratified_share(LABELS, share, seed=1).tolist()) for share in (0.1, 0.4, 1)]
    assert chosen[0] < chosen[1] < chosen[2] == set(range(53))
    assert chosen[1] == set(stratified_share(LABELS, 0.4, seed=1).tolist())
    assert chosen[1] != set(stratified_share(LABELS, 0.4, seed=2).tolist())


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match=r"of the images must be in \(0, 1\]"):
        stratified_share(LABELS, share, seed=0)


def test_holding_out_divides_every_class():
    numbered = np.zeros((53, 8, 8, 3), np.uint8)
    numbered[:, 0, 0, 0] = np.arange(53)
    fit, held = hold_out(ImageSplit(numbered, LABELS), 0.2, seed=0)
    assert np.bincount(held.labels).tolist() == [2, 8, 1]
    ids = [part.images[:, 0, 0, 0].tolist() for part in (fit, held)]
    assert sorted(ids[0] + ids[1]) == list(range(53))
    assert LABELS[ids[0]].tolist() == fit.labels.tolist()


def test_holding_out_a_whole_class_is_refused():
    split = ImageSplit(np.zeros((3, 8, 8, 3), np.uint8), np.array([0, 0, 4]))
    with pytest.raises(DataError, match=r"holding out 0.5 of the images leaves none of class 4 \(1 images\)"):
        hold_out(split, 0.5, seed=0)


def test_images_and_labels_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"got \(3, 8, 8, 3\) and \(2,\)"):
        ImageSplit(np.zeros((3, 8, 8, 3), np.uint8), np.zeros(2, np.int64))


# --- real data ---


@pytest.mark.skipif(not SHARED_IMAGES.is_dir(), reason="the shared image archives are not here")
def test_real_archive_images_decode_as_by_hand(tmp_path):
    source = np.load(SHARED_IMAGES / "imagenet20_128_webp80.npz")
    by_class = np.argsort(source["label"], kind="stable")
    rows = by_class[:: len(by_class) // 108][:108]
    stream, offset = source["jpeg"], source["offset"]
    blobs = [stream[offset[row] : offset[row + 1]].tobytes() for row in rows]
    names, label = np.unique(source["label"][rows], return_inverse=True)
    split = np.arange(len(rows)) % 2  # five or six pictures of each class, so both splits have every class
    np.savez(
        tmp_path / "few.npz",
        jpeg=np.frombuffer(b"".join(blobs), np.uint8),
        offset=np.cumsum([0, *map(len, blobs)]),
        label=label,
        split=split,
        classes=source["classes"][names],
    )
    data = load_images(f"npz:{tmp_path / 'few.npz'}", 96)
    expected = [
        Image.open(io.BytesIO(blob)).convert("RGB").resize((96, 96), Image.Resampling.BICUBIC) for blob in blobs
    ]
    assert np.array_equal(data.train.images, np.stack(expected[::2]))
    assert hashlib.sha256(data.validation.images).digest() == hashlib.sha256(np.stack(expected[1::2])).digest()
