"""Sources side by side: CIFAR's files, folders, archives and fractals; what cannot be read; what is there twice."""

import io
import itertools
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

from trainer import cifar, duplicates
from trainer import pictures as pictures_module
from trainer.describe import describe
from trainer.images import DataError, decode_source, load_images, skipping

FILES = ([f"data_batch_{number}.bin" for number in range(1, 6)], ["test_batch.bin"])
CLASSES = [f"class{label}" for label in range(10)]
TRAIN, VALIDATION = np.repeat(np.arange(10), 5), np.repeat(np.arange(10), 2)


def quiet(*_):
    """A progress function that nobody reads."""


def pictures(count, seed=0, side=32):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def png(picture):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


# --- the same pictures in every form ---


def write_cifar(root, kind="cifar10", train=None, labels=TRAIN):
    """Fifty training and twenty validation pictures as the binary files of CIFAR."""
    form = cifar.FORMS[kind]
    folder = root / form.folder
    folder.mkdir(parents=True)
    coarse = [[7]] * 70 if kind == "cifar100" else [[]] * 70  # a wrong label, if it were the one to be read
    planes = np.concatenate([pictures(50) if train is None else train, pictures(20, seed=1)]).transpose(0, 3, 1, 2)
    rows = [
        bytes([*first, label]) + plane.tobytes()
        for first, label, plane in zip(coarse, [*labels, *VALIDATION], planes, strict=True)
    ]
    order = np.random.default_rng(2).permutation(50).tolist() if train is None else list(range(50))
    rows = [rows[index] for index in order] + rows[50:]
    size = 50 // len(form.train)
    for number, name in enumerate(form.train):
        (folder / name).write_bytes(b"".join(rows[number * size : (number + 1) * size]))
    (folder / next(iter(form.validation))).write_bytes(b"".join(rows[50:]))
    (folder / form.names).write_text("\n".join(CLASSES) + "\n\n")  # the published file ends with an empty line too
    return folder


def write_folder(root):
    for split, labels, images in (("train", TRAIN, pictures(50)), ("val", VALIDATION, pictures(20, seed=1))):
        for number, (label, image) in enumerate(zip(labels, images, strict=True)):
            (root / split / CLASSES[label]).mkdir(parents=True, exist_ok=True)
            (root / split / CLASSES[label] / f"{number:03d}.png").write_bytes(png(image))
    return root


def write_archive(path):
    blobs = [png(image) for image in (*pictures(50), *pictures(20, seed=1))]
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(blobs), np.uint8),
        offset=np.cumsum([0, *map(len, blobs)]),
        label=np.concatenate([TRAIN, VALIDATION]),
        split=np.repeat([0, 1], [50, 20]),
        classes=np.array(CLASSES),
    )
    return path


def tar_of(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def by_content(split):
    """Pictures with their labels, in an order that does not depend on the source's."""
    return sorted((image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True))


def test_every_source_of_the_same_pictures_gives_the_same_shapes_labels_and_pixels(tmp_path):
    binary = write_cifar(tmp_path)
    fine = write_cifar(tmp_path, "cifar100")
    sources = [
        f"imagefolder:{write_folder(tmp_path / 'folder')}",
        f"npz:{write_archive(tmp_path / 'packed.npz')}",
        f"cifar10:{binary}",
        f"cifar10:{tmp_path},skip-corrupt",
        f"cifar10:{tar_of(binary, tmp_path / 'c10.tar.gz')}",
        f"cifar100:{fine}",
        f"cifar100:{tar_of(fine, tmp_path / 'c100.tar.gz')}",
        "fractal:classes=10,train=5,validation=2",
    ]
    found = [load_images(source, 32) for source in sources]
    for data in found:
        assert (data.train.images.shape, data.validation.images.shape) == ((50, 32, 32, 3), (20, 32, 32, 3))
        assert data.train.images.dtype == np.uint8 and data.train.labels.dtype == np.int64
        assert np.bincount(data.train.labels).tolist() == [5] * 10
        assert np.bincount(data.validation.labels).tolist() == [2] * 10
        assert len(data.classes) == 10
    original = sorted((image.tobytes(), label) for image, label in zip(pictures(50), TRAIN.tolist(), strict=True))
    for data in found[:-1]:  # fractals are other pictures
        assert data.classes == tuple(CLASSES)
        assert by_content(data.train) == original
        assert by_content(data.validation) == by_content(found[0].validation)


# --- CIFAR ---


def test_cifar_pixels_are_planes_of_rows(tmp_path):
    train = np.zeros((50, 32, 32, 3), np.uint8)
    train[0, 3, 5] = (10, 20, 30)  # row 3, column 5
    folder = write_cifar(tmp_path, train=train)
    record = (folder / "data_batch_1.bin").read_bytes()[:3073]
    place = 1 + 3 * 32 + 5  # "the first 32 bytes are the red channel values of the first row"
    assert [record[place], record[place + 1024], record[place + 2048]] == [10, 20, 30]
    assert load_images(f"cifar10:{folder}", 32).train.images[0, 3, 5].tolist() == [10, 20, 30]


def test_another_side_and_the_cache_work_for_cifar_too(tmp_path):
    source = f"cifar10:{write_cifar(tmp_path)}"
    first, second = (load_images(source, 16, cache=tmp_path / "cache") for _ in range(2))
    assert first.train.images.shape == (50, 16, 16, 3) and isinstance(second.train.images, np.memmap)
    assert first.fingerprint == second.fingerprint == load_images(source, 16).fingerprint


def cut(folder):
    file = folder / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-1000])


def without_a_batch(folder):
    (folder / "data_batch_4.bin").unlink()


def without_names(folder):
    (folder / "batches.meta.txt").unlink()


def empty(folder):
    (folder / "test_batch.bin").write_bytes(b"")


def label_too_large(folder):
    file = folder / "data_batch_2.bin"
    file.write_bytes(b"\x0b" + file.read_bytes()[1:])


def one_name(folder):
    (folder / "batches.meta.txt").write_text("airplane\n")


@pytest.mark.parametrize(
    "damage, words",
    [
        (cut, r"data_batch_3.bin has 29730 bytes, no whole number of 3073-byte records; it was cut short: unpack it"),
        (without_a_batch, "lacks data_batch_4.bin; give cifar10: the folder cifar-10-batches-bin or its .tar.gz"),
        (without_names, "lacks batches.meta.txt; give cifar10:"),
        (empty, "test_batch.bin has 0 bytes, no whole number"),
        (label_too_large, "data_batch_2.bin has label 11, but batches.meta.txt names 10 classes"),
        (one_name, "batches.meta.txt names 1 classes"),
    ],
)
def test_damaged_cifar_files_are_refused_by_name(tmp_path, damage, words):
    folder = write_cifar(tmp_path)
    damage(folder)
    with pytest.raises(DataError, match=words) as refusal:
        load_images(f"cifar10:{folder}", 32)
    assert "\n" not in str(refusal.value)


def test_a_published_file_cut_at_a_record_is_refused(tmp_path, monkeypatch):
    published = cifar.Form(
        "f", {f"data_batch_{n}.bin": 10 for n in range(1, 6)}, {"test_batch.bin": 20}, "batches.meta.txt", 1
    )
    monkeypatch.setitem(cifar.FORMS, "cifar10", published)
    monkeypatch.setitem(cifar.FORMS, "small", published)
    folder = write_cifar(tmp_path)
    assert len(load_images(f"cifar10:{folder}", 32).train) == 50
    file = folder / "data_batch_5.bin"
    file.write_bytes(file.read_bytes()[:-3073])
    with pytest.raises(DataError, match="data_batch_5.bin has 9 images instead of the 10 published; unpack it again"):
        load_images(f"cifar10:{folder}", 32)


@pytest.mark.parametrize("name", ["data_batch_2.bin", "batches.meta.txt"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_larger_than_published_is_not_read(tmp_path, name, packed, monkeypatch):
    """A small archive of zeros unpacks to anything."""
    folder = write_cifar(tmp_path)
    published = cifar.Form(folder.name, *(dict.fromkeys(files, 20) for files in FILES), "batches.meta.txt", 1)
    monkeypatch.setitem(cifar.FORMS, "cifar10", published)
    (folder / name).write_bytes(bytes(2**16 + 1))
    path = tar_of(folder, tmp_path / "c.tar.gz") if packed else folder
    with pytest.raises(DataError, match=rf"{name} has 65537 bytes, the published one \d+ at most; take that one"):
        load_images(f"cifar10:{path}", 32)


@pytest.mark.parametrize("keep", [0, 100, -20_000])
def test_a_truncated_cifar_archive_is_refused(tmp_path, keep):
    path = tar_of(write_cifar(tmp_path), tmp_path / "c.tar.gz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="c.tar.gz is no readable tar archive .*; download it again"):
        load_images(f"cifar10:{path}", 32)


def test_an_archive_of_something_else_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("hello")
    with pytest.raises(DataError, match="lacks batches.meta.txt, data_batch_1.bin, .*the binary version"):
        load_images(f"cifar10:{tar_of(tmp_path / 'other', tmp_path / 'c.tar.gz')}", 32)


@pytest.mark.parametrize("source", ["cifar10:", "cifar10:,skip-corrupt"])
def test_cifar_needs_a_path(source):
    with pytest.raises(DataError, match="lacks a path; write cifar10:PATH"):
        load_images(source, 32)


def test_cifar_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="/nowhere: no such file or folder; check the path after cifar100:"):
        load_images("cifar100:/nowhere", 32)


# --- pictures that cannot be read ---


def truncated(file):
    file.write_bytes(file.read_bytes()[:-300])


def zero_bytes(file):
    file.write_bytes(b"")


def text(file):
    file.write_text("<html>404</html>")


def dangling(file):
    file.unlink()
    file.symlink_to("gone.png")


@pytest.mark.parametrize(
    "damage, reason",
    [
        (truncated, "truncated"),
        (zero_bytes, "no bytes"),
        (text, "not an image"),
        (dangling, "No such file or directory"),
    ],
)
def test_an_unreadable_picture_is_named_and_left_out_only_on_demand(tmp_path, damage, reason):
    source = f"imagefolder:{write_folder(tmp_path)}"
    good = load_images(source, 16)
    bad = tmp_path / "train" / "class1" / "006.png"
    damage(bad)
    with pytest.raises(DataError, match=rf"1 of 70 images cannot be read: {bad} \(.*{reason}.*\).*--skip-corrupt"):
        load_images(source, 16)
    data = load_images(skipping(source), 16, cache=tmp_path / "cache")
    assert [one.name for one in data.unread] == [str(bad)]
    assert np.array_equal(data.train.images, np.delete(good.train.images, 6, axis=0))
    assert np.array_equal(data.train.labels, np.delete(good.train.labels, 6))
    assert load_images(skipping(source), 16, cache=tmp_path / "cache").unread == data.unread  # from the cache
    with pytest.raises(DataError, match="1 of 70"):
        load_images(source, 16, cache=tmp_path / "cache")  # which is not used where nothing was to be left out


@pytest.mark.parametrize("limit", [600, 1500])  # Pillow warns above its limit and refuses above twice that
def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch, limit):
    source = f"imagefolder:{write_folder(tmp_path)}"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    big = tmp_path / "val" / "class0" / "000.png"
    big.write_bytes(png(pictures(1, side=40)[0]))  # 1600 pixels, the others have 1024
    words = r"images cannot be read: .*more than \d+ pixels"
    with pytest.raises(DataError, match=words) as refusal:
        load_images(source, 16)
    assert str(refusal.value).count("1 of 70") == (limit == 1500)


def test_many_unreadable_pictures_are_counted_and_the_first_named(tmp_path):
    source = f"imagefolder:{write_folder(tmp_path)}"
    for label in (2, 4, 5, 7):
        text(next((tmp_path / "train" / f"class{label}").iterdir()))
    with pytest.raises(DataError, match=r"4 of 70 .*class2/.*class4/.*class5/.* and 1 more; replace") as refusal:
        load_images(source, 16)
    assert "class7" not in str(refusal.value) and "\n" not in str(refusal.value)


def test_no_more_pictures_are_begun_once_it_was_stopped(monkeypatch):
    monkeypatch.setattr(pictures_module, "PICTURES_AT_ONCE", 2000)  # two seconds of the work below
    begun = []

    def work(index):
        begun.append(index)
        if index == 0:
            raise KeyboardInterrupt
        time.sleep(0.001)

    with pytest.raises(KeyboardInterrupt):
        list(pictures_module.in_threads(work, 8000, quiet))
    assert len(begun) < 1000


def test_a_class_of_which_nothing_can_be_read_is_refused_even_then(tmp_path):
    source = skipping(f"imagefolder:{write_folder(tmp_path)}")
    for file in (tmp_path / "train" / "class3").iterdir():
        text(file)
    with pytest.raises(DataError, match="class class3 has no readable train images; add some or drop the class"):
        load_images(source, 16)


def test_an_archive_leaves_out_what_it_cannot_read(tmp_path):
    path = write_archive(tmp_path / "packed.npz")
    arrays = dict(np.load(path))
    start = arrays["offset"][60]
    arrays["jpeg"][start : start + 8] = 0
    arrays["offset"][30] = arrays["offset"][31]  # picture 30 has no bytes, 29 has a tail that PNG passes over
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"2 of 70 .*: image 30 \(no bytes\), image 60 \(not an image\);"):
        load_images(f"npz:{path}", 16)
    data = load_images(f"npz:{path},skip-corrupt", 16)
    assert (len(data.train), len(data.validation)) == (49, 19)


def test_skipping_is_written_once_and_not_for_fractals():
    assert skipping("npz:a.npz") == skipping(skipping("npz:a.npz")) == "npz:a.npz,skip-corrupt"
    assert [skipping(source) for source in ("fractal:classes=3", "npz:", "x:y")] == ["fractal:classes=3", "npz:", "x:y"]


# --- what is there twice ---


def scene(seed, side=64):
    """A smooth picture that is unlike others."""
    grid = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC))


def resaved(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).resize((96, 96)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).resize((64, 64)))


def test_equal_pictures_and_resaved_ones_are_found_and_nothing_else():
    images = np.stack([scene(seed) for seed in range(300)])
    images[250], images[251] = images[10], images[10]
    images[260], images[270] = resaved(images[20], 90), resaved(images[30], 50)
    found = duplicates.find(images, quiet)
    assert found.equal == ((10, 250, 251),)
    assert found.near == ((20, 260), (30, 270))


def test_different_pictures_of_the_same_hash_are_no_copies():
    slope = np.linspace(0, 200, 64).astype(np.uint8)[:, None]
    images = np.full((5, 64, 64, 3), 100, np.uint8)
    images[0, ..., 0] = images[1, ..., 1] = slope  # red and green get brighter downwards
    images[2:] = np.array([3, 99, 200])[:, None, None, None]  # plain
    hashes = [duplicates.difference_hash(image).tolist() for image in images]
    assert hashes[0] == hashes[1] and hashes[2] == hashes[3] == hashes[4]
    assert duplicates.find(images, quiet).near == ()


def test_blocks_of_pictures_are_compared_with_each_other(monkeypatch):
    images = np.stack([scene(seed) for seed in range(40)])
    for copy, original, quality in ((7, 2, 90), (23, 2, 60), (39, 15, 90)):
        images[copy] = resaved(images[original], quality)
    whole = duplicates.find(images, quiet)
    monkeypatch.setattr(duplicates, "ROWS_AT_ONCE", 5)
    monkeypatch.setattr(duplicates, "PAIRS_AT_ONCE", 1)
    calls = []
    assert duplicates.find(images, lambda *call: calls.append(call)) == whole
    assert set(whole.near) >= {(2, 7), (2, 23), (15, 39)} and calls[-1] == (40, 40)
    expected = [
        (one, two)
        for one, two in itertools.combinations(range(40), 2)
        if (duplicates.difference_hash(images[one]) != duplicates.difference_hash(images[two])).sum() <= 12
        and np.corrcoef(*(duplicates.colour_grid(images[index]).astype(float) for index in (one, two)))[0, 1] >= 0.97
    ]
    assert sorted(whole.near) == expected


def test_too_many_pictures_are_compared_for_equality_only(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_PICTURES", 3)
    images = np.stack([scene(seed) for seed in (1, 2, 3, 4, 1)])
    assert duplicates.find(images, quiet) == duplicates.Duplicates(((0, 4),), None)


def test_a_description_counts_by_hand(tmp_path):
    root = write_folder(tmp_path)
    twin = (root / "train" / "class0" / "000.png").read_bytes()
    for place in ("train/class0/copy.png", "train/class5/copy.png", "val/class1/copy.png"):
        (root / place).write_bytes(twin)
    (root / "val" / "class9" / "x.png").write_bytes(png(pictures(1, seed=9, side=48)[0]))
    text(root / "val" / "class9" / "zz.png")
    found = describe(decode_source(skipping(f"imagefolder:{root}"), 32), quiet)
    assert found["classes"] == CLASSES
    assert found["train"] == {"images": 52, "per_class": {"min": 5, "median": 5, "max": 6}}
    assert found["validation"] == {"images": 22, "per_class": {"min": 2, "median": 2, "max": 3}}
    assert found["stored_px"]["width"] == {"min": 32, "median": 32, "max": 48}
    pixels = np.concatenate([pictures(50), pictures(1), pictures(1)]) / 255
    assert np.allclose(found["mean"], pixels.mean((0, 1, 2))) and np.allclose(found["std"], pixels.std((0, 1, 2)))
    assert found["fingerprint"] == load_images(f"imagefolder:{root},skip-corrupt", 32).fingerprint
    equal = found["duplicates"]["equal"]
    counts = ("within_train", "within_validation", "between", "of_different_classes", "validation_images_in_train")
    assert [equal[key] for key in counts] == [2, 0, 1, 2, 1]
    first = equal["pairs"][0]
    assert first["where"] == "between" and first["classes"] == ["class0", "class1"]
    assert [name.removeprefix(f"{root}/") for name in first["names"]] == [
        "train/class0/000.png",
        "val/class1/copy.png",
    ]
    assert [one["name"] for one in found["unreadable"]] == [f"{root}/val/class9/zz.png"]
