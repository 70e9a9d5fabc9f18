"""npz archives of others: read where it is clear what they hold, else refused by what they hold; never a bomb."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from trainer import image_archives
from trainer.images import DataError, load_images

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def saved(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return f"npz:{folder / 'a.npz'}"


def encoded(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def packed(**changes):
    blobs = [encoded(picture) for picture in PIXELS]
    arrays = {
        "jpeg": np.frombuffer(b"".join(blobs), np.uint8),
        "offset": np.cumsum([0, *map(len, blobs)]),
        "label": LABELS,
        "split": np.arange(30) // 20,
        "classes": np.array(["a", "b", "c"]),
    }
    return arrays | changes


def parts(train, labels, held, held_labels, names):
    return dict(zip(names.split(), (train, labels, held, held_labels), strict=True))


MEDICAL = "train_images train_labels val_images val_labels"
KERAS = "x_train y_train x_test y_test"


@pytest.mark.parametrize(
    "names, shape", [(MEDICAL, (-1, 1)), (KERAS, (-1,)), ("images_train labels_train X_dev Y_dev", (-1,))]
)
def test_arrays_of_pixels_are_the_pictures_that_they_hold(tmp_path, names, shape):
    labels = LABELS.reshape(shape) + 4
    data = load_images(saved(tmp_path, **parts(PIXELS[:20], labels[:20], PIXELS[20:], labels[20:], names)), 12)
    assert np.array_equal(data.train.images, PIXELS[:20]) and np.array_equal(data.validation.images, PIXELS[20:])
    assert (
        data.train.labels.tolist() == LABELS[:20].tolist() and data.validation.labels.tolist() == LABELS[20:].tolist()
    )
    assert data.classes == ("4", "5", "6")
    first, second, third, fourth = names.split()
    assert data.notes == (f"{first} and {second} train, {third} and {fourth} validate",)


def test_beside_validation_a_test_part_is_not_read_and_that_is_said(tmp_path):
    arrays = parts(PIXELS, LABELS, PIXELS[:6], LABELS[:6], MEDICAL)
    data = load_images(saved(tmp_path, **arrays, test_images=PIXELS[:9], test_labels=LABELS[:9]), 12)
    assert len(data.validation) == 6 and data.notes[1] == "not read: test_images, test_labels"


@pytest.mark.parametrize("kind", ["U", "S"])
def test_one_undivided_grey_part_with_names_is_divided(tmp_path, kind):
    names = np.array(["eel", "cat"], kind)
    data = load_images(saved(tmp_path, images=PIXELS[..., 0], labels=names[LABELS % 2]), 12)
    assert data.classes == ("cat", "eel") and (len(data.train), len(data.validation)) == (24, 6)
    assert (data.train.images[..., 0] == data.train.images[..., 2]).all()
    assert data.notes == ("images and labels train, a fixed fifth of them validate",)


@pytest.mark.parametrize(
    "arrays, words",
    [
        (
            {"features": PIXELS, "target": LABELS},
            r"lacks the keys .*; this one has \['features', 'target'\]: rename them",
        ),
        (
            {"train_images": PIXELS / 255, "train_labels": LABELS},
            r"is float64 \(30, 12, 12, 3\); save uint8 \(n, height",
        ),
        ({"images": PIXELS.transpose(0, 3, 1, 2), "labels": LABELS}, r"images is uint8 \(30, 3, 12, 12\); save uint8"),
        ({"images": PIXELS[:, :0], "labels": LABELS}, r"images is uint8 \(30, 0, 12, 3\); save uint8"),
        (
            {"images": PIXELS, "labels": np.eye(3, dtype=int)[LABELS]},
            r"labels is int64 \(30, 3\) for 30 images; save one",
        ),
        ({"images": PIXELS, "labels": LABELS[:4]}, r"labels is int64 \(4,\) for 30 images"),
        ({"images": PIXELS, "labels": LABELS * 0}, "has train images of 1 classes; give it at least 2"),
        (parts(PIXELS, LABELS, PIXELS, LABELS + 1, MEDICAL), "class 3 has no train images; drop its validation images"),
        (
            parts(PIXELS, LABELS, PIXELS, LABELS.astype(str), MEDICAL),
            "labels of train are int64, others <U21; save both",
        ),
        (
            parts(PIXELS, LABELS.astype("S"), PIXELS, LABELS.astype("U"), MEDICAL),
            "labels of train are |S21, others <U21",
        ),
        (packed(classes=np.array(["a", "b", "c"], object)), "Object arrays .*; save classes with dtype=str"),
        ({"images": PIXELS, "labels": LABELS.astype(object)}, "Object arrays .* the others as plain integers"),
        (packed(classes=np.array(["a"] * 31)), "has 31 classes and 30 images; drop the classes that have none"),
    ],
)
def test_what_an_archive_holds_is_said_where_it_is_refused(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words) as refusal:
        load_images(saved(tmp_path, **arrays), 12)
    assert "\n" not in str(refusal.value)


def test_class_names_of_bytes_are_decoded(tmp_path):
    names = np.array([b"cat", "h\xe9ron".encode(), b"bad\xff"])
    assert load_images(saved(tmp_path, **packed(classes=names)), 12).classes == ("cat", "h\xe9ron", r"bad\xff")


def test_members_that_are_no_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key in packed():
            archive.writestr(key, b"hello")
    with pytest.raises(DataError, match="jpeg must be 1-D uint8"):
        load_images(f"npz:{tmp_path / 'a.npz'}", 12)


# --- archives that would not fit into memory ---


@pytest.mark.parametrize(
    "arrays",
    [packed(jpeg=np.zeros(10**6, np.uint8)), {"images": np.zeros((4, 500, 500), np.uint8), "labels": LABELS[:4]}],
)
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_not_unpacked(tmp_path, monkeypatch, arrays):
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    monkeypatch.setattr(image_archives, "ALWAYS_FREE", 10**5)
    monkeypatch.setattr(np.lib.format, "read_array", None)  # what numpy would unpack with
    with pytest.raises(DataError, match=r"has 0.0 MB and would unpack to 1 MB, which pictures do not; save it again"):
        load_images(f"npz:{tmp_path / 'a.npz'}", 12)


@pytest.mark.parametrize(
    "arrays",
    [
        packed(offset=np.zeros(10**6 + 1, np.uint8), label=np.zeros(10**6, np.uint8), split=np.zeros(10**6, np.uint8)),
        {"images": np.zeros((10**6, 1, 1), np.uint8), "labels": np.zeros(10**6, np.uint8)},
    ],
)
def test_more_pictures_than_bytes_are_refused(tmp_path, arrays):
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"has fewer bytes than pictures \(1000000\), which no pictures have"):
        load_images(f"npz:{tmp_path / 'a.npz'}", 12)
