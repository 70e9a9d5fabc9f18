"""Data sets of Hugging Face's library: columns and splits found, pictures as from files, refusals in one line."""

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from trainer import hub_datasets
from trainer.conformance import check_source
from trainer.images import SOURCES, DataError, load_images

ROOT = Path(__file__).resolve().parents[2]
# Our folder of that name is no module with a file.
FOUND = getattr(importlib.util.find_spec("datasets"), "origin", None)
needs_library = pytest.mark.skipif(FOUND is None, reason="the extra [hf] is not installed")
CLASSES = ["ant", "bee", "cow"]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The library, which keeps what it makes in a folder of the test."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    datasets.disable_progress_bars()
    return datasets


def picture(number, mode="RGB"):
    pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def rows(hub, numbers, image="image", label="label", classes=CLASSES, **columns):
    """Pictures by their numbers; a picture's class is its number modulo their count."""
    made = {image: [picture(number) for number in numbers], label: [number % len(classes) for number in numbers]}
    features = {image: hub.Image(), label: hub.ClassLabel(names=classes)}
    values = {name: hub.Value("string") for name in columns}
    return hub.Dataset.from_dict(made | columns, features=hub.Features(features | values))


def saved(hub, folder, **splits):
    hub.DatasetDict(splits).save_to_disk(folder)
    return f"hf:{folder}"


def write_folder(root, train, held):
    for split, numbers in (("train", train), ("val", held)):
        for number in numbers:
            folder = root / split / CLASSES[number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            picture(number).save(folder / f"{number:03d}.png")
    return f"imagefolder:{root}"


def by_content(split):
    return sorted((image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True))


@needs_library
@pytest.mark.parametrize("held", ["test", "validation", "valid"])
def test_it_gives_the_pictures_and_classes_that_files_give(hub, tmp_path, held):
    train, validation = range(12), range(20, 26)
    expected = load_images(write_folder(tmp_path / "files", train, validation), 16)
    source = saved(hub, tmp_path / "saved", train=rows(hub, train), **{held: rows(hub, validation)})
    found = load_images(source, 16)
    assert found.classes == ("ant", "bee", "cow") and found.notes == (
        f"train trains, {held} validates; pictures are image, classes label",
    )
    assert by_content(found.train) == by_content(expected.train)
    assert by_content(found.validation) == by_content(expected.validation)


@needs_library
@pytest.mark.parametrize("form", ["folder", "parquet"])
def test_forms_that_the_library_reads_itself(hub, tmp_path, form):
    train, held = range(12), range(20, 26)
    expected = load_images(write_folder(tmp_path / "files", train, held), 16)
    place = tmp_path / "files"
    if form == "parquet":
        place = tmp_path / "tables"
        for split, numbers in (("train", train), ("test", held)):
            rows(hub, numbers).to_parquet(str(place / f"{split}-00000-of-00001.parquet"))
    found = load_images(f"hf:{place}", 16)
    assert by_content(found.train) == by_content(expected.train)
    assert by_content(found.validation) == by_content(expected.validation)


@needs_library
def test_one_split_is_divided_as_every_source_is(hub, tmp_path):
    rows(hub, range(30)).save_to_disk(tmp_path / "one")
    found = load_images(f"hf:{tmp_path / 'one'}", 8)
    assert (len(found.train), len(found.validation)) == (24, 6)
    assert found.notes == ("all trains, a fixed fifth of all validates; pictures are image, classes label",)


@needs_library
def test_columns_and_splits_can_be_named(hub, tmp_path):
    first = rows(hub, range(12), "photo", "kind", note=["x"] * 12).add_column("count", [5, 7] * 6)
    second = rows(hub, range(12, 18), "photo", "kind", note=["y"] * 6).add_column("count", [7, 5] * 3)
    source = saved(hub, tmp_path / "saved", big=first, small=second, test=second)
    with pytest.raises(DataError, match="has the splits big, small, test; say which: train=..,validation=.."):
        load_images(source, 8)
    found = load_images(f"{source},train=big,validation=small", 8)
    assert found.classes == ("ant", "bee", "cow") and len(found.train) == 12
    assert found.notes[1] == "not read: test"
    found = load_images(f"{source},train=big,label=count", 8)
    assert found.classes == ("5", "7") and found.train.labels.tolist() == [0, 1] * 6
    assert found.validation.labels.tolist() == [1, 0] * 3


@needs_library
def test_of_several_columns_that_fit_the_usual_name_is_taken_or_one_must_be_said(hub, tmp_path):
    others = rows(hub, range(50, 62), "other").select_columns(["other"])
    made = hub.concatenate_datasets([rows(hub, range(12)), others], axis=1)
    found = load_images(saved(hub, tmp_path / "usual", train=made), 8)
    assert by_content(found.train) != by_content(load_images(f"hf:{tmp_path / 'usual'},image=other", 8).train)
    source = saved(hub, tmp_path / "unclear", train=made.rename_column("image", "left"))
    words = r"has the columns left \(Image\), label \(ClassLabel\), other \(Image\); say which is meant: image=..$"
    with pytest.raises(DataError, match=words):
        load_images(source, 8)


@needs_library
def test_it_is_decoded_once_and_again_when_its_files_change(hub, tmp_path, monkeypatch):
    decoded, decode = [], hub_datasets.decode_pictures
    monkeypatch.setattr(hub_datasets, "decode_pictures", lambda *given: decoded.append(1) or decode(*given))
    source, cache = saved(hub, tmp_path / "saved", train=rows(hub, range(12))), tmp_path / "cache"
    first = load_images(source, 8, cache=cache)
    again = load_images(source, 8, cache=cache)
    assert len(decoded) == 1 and again.fingerprint == first.fingerprint and isinstance(again.train.images, np.memmap)
    saved(hub, tmp_path / "saved", train=rows(hub, range(3, 18)))
    assert load_images(source, 8, cache=cache).fingerprint != first.fingerprint and len(decoded) == 2


@needs_library
def test_unreadable_pictures_are_named_or_left_out(hub, tmp_path):
    stream = io.BytesIO()
    picture(0).save(stream, "PNG")
    blobs = [stream.getvalue()] * 12
    blobs[4], blobs[7] = b"no picture", None
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["a", "b"])})
    made = {"image": [blob and {"bytes": blob, "path": None} for blob in blobs], "label": [0, 1] * 6}
    source = saved(hub, tmp_path / "saved", train=hub.Dataset.from_dict(made, features=features))
    words = r"2 of 12 images cannot be read: train row 4 \(not an image\), train row 7 \(no picture\)"
    with pytest.raises(DataError, match=words):
        load_images(source, 8)
    assert len(load_images(f"{source},skip-corrupt", 8).train) == 8


@needs_library
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (",colour=red", "hf option colour='red' is unknown or empty; known options: config, revision, image, label"),
        (",label=", "hf option label='' is unknown or empty"),
        (",train=big", "has no split 'big'; it has train, test: give train=.."),
        (",train=test", "has the splits train, test; say which"),
        (",label=image", "label=image is none of ClassLabel, whole numbers or names; the columns are image"),
        (",image=label", "image=label is none of Image; the columns are image .Image., label .ClassLabel., n"),
        (",label=nothing", "label=nothing is none of"),
        (",label=note", "note has 1 classes; name another column"),
    ],
)
def test_what_is_not_there_is_one_line(hub, tmp_path, options, words):
    made = [rows(hub, numbers, note=["x"] * len(numbers)) for numbers in (range(9), range(9, 12))]
    with pytest.raises(DataError, match=words) as refusal:
        load_images(saved(hub, tmp_path / "saved", train=made[0], test=made[1]) + options, 8)
    assert "\n" not in str(refusal.value)


@needs_library
def test_rows_without_a_class_and_classes_without_rows_are_refused(hub, tmp_path):
    hidden = rows(hub, range(3)).map(lambda row: {"label": -1})
    source = saved(hub, tmp_path / "hidden", train=rows(hub, range(9)), test=hidden)
    with pytest.raises(DataError, match=r"split test: 3 of 3 rows have no known class \(first: row 0, -1\); name"):
        load_images(source, 8)
    source = saved(hub, tmp_path / "lost", train=rows(hub, [0, 1, 3, 4]), test=rows(hub, [2]))
    with pytest.raises(DataError, match="class cow has no picture in train; name another split"):
        load_images(source, 8)


@needs_library
def test_a_name_that_the_hub_does_not_give_is_one_line(hub, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"hf:no/such-birds cannot be loaded \(.+\); check the name or path") as refusal:
        load_images("hf:no/such-birds", 8)
    assert "\n" not in str(refusal.value)


@needs_library
def test_it_is_a_source_as_others(hub, tmp_path):
    source = saved(hub, tmp_path / "saved", train=rows(hub, range(30)))
    check_source(SOURCES["hf"], source.removeprefix("hf:"))


@needs_library
def test_the_library_is_found_beside_our_folder_of_that_name():
    code = "import datasets, trainer.hub_datasets as ours; assert ours._library() is datasets; print(datasets.__file__)"
    for flags in (["-c", code], ["-m", "timeit", "-n", "1", "-r", "1", code]):
        done = subprocess.run([sys.executable, *flags], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and str(ROOT / "datasets") not in done.stdout, done.stderr


def test_without_the_library_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"hf: needs the library datasets \(.*\): pip install 'scaling-planner\[hf\]'$"):
        load_images(f"hf:{tmp_path}", 8)
    monkeypatch.setitem(sys.modules, "datasets", ModuleType("datasets"))  # as our folder is one, from the repository
    with pytest.raises(DataError, match=r"needs the library datasets: pip install 'scaling-planner\[hf\]'$"):
        load_images(f"hf:{tmp_path}", 8)
    with pytest.raises(DataError, match="lacks a path; write hf:PATH"):
        load_images("hf:", 8)
