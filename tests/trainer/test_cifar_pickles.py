"""CIFAR's Python version, as torchvision keeps it: the same data as the binary version's, and no pickle is run."""

import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from trainer import cifar
from trainer.images import DataError, load_images

KINDS = ("cifar10", "cifar100")
CLASSES = [f"class{label}" for label in range(10)]


def records(kind, file):
    """Twenty records of a file, `(20, label bytes + 3072)` uint8: all ten classes twice."""
    rng = np.random.default_rng(file)
    rows = rng.integers(0, 256, (20, cifar.FORMS[kind].label_bytes + 3072), dtype=np.uint8)
    rows[:, cifar.FORMS[kind].label_bytes - 1] = rng.permutation(np.repeat(np.arange(10), 2))
    return rows


def write_binary(root, kind):
    form = cifar.FORMS[kind]
    folder = root / form.folder
    folder.mkdir()
    for number, name in enumerate(form.wanted[:-1]):
        (folder / name).write_bytes(records(kind, number).tobytes())
    (folder / form.names).write_text("\n".join(CLASSES))
    return folder


def python2(value):
    """A pickle as Python 2 wrote them, of protocol 2: texts are its strings, and arrays are rebuilt by three names."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(key) + python2(one) for key, one in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, str | bytes):
        text = value.encode() if isinstance(value, str) else value
        return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<i", len(text)) + text
    if isinstance(value, np.ndarray):
        made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"".join(b"J" + struct.pack("<i", side) for side in value.shape) + b"\x86"
        return made + b"(K\x01" + shape + kind + b"\x89" + python2(value.tobytes()) + b"tb"
    return b"K" + bytes([value])


def batch(kind, file):
    form, rows = cifar.PYTHON_FORMS[kind], records(kind, file)
    labels = {key: rows[:, place].tolist() for place, key in enumerate(form.keys[:-1])}
    names = [f"picture_s_{number:06d}.png" for number in range(20)]
    return {"filenames": names, "batch_label": "training batch 1 of 5", **labels, "data": rows[:, form.label_bytes :]}


def write_python(root, kind, dump=lambda value: b"\x80\x02" + python2(value) + b"."):
    form = cifar.PYTHON_FORMS[kind]
    folder = root / form.folder
    folder.mkdir()
    for number, name in enumerate(form.wanted[:-1]):
        (folder / name).write_bytes(dump(batch(kind, number)))
    (folder / form.names).write_bytes(dump({form.keys[-1]: CLASSES, "num_vis": 72}))
    (folder / "file.txt~").write_text("MD5 sums")
    return folder


def tar_of(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def by_pickle_itself(value):
    return pickle.loads(b"\x80\x02" + python2(value) + b".", encoding="latin1")


def test_what_the_tests_write_is_what_torchvision_reads():
    made, found = batch("cifar100", 3), by_pickle_itself(batch("cifar100", 3))
    assert np.array_equal(found.pop("data"), made.pop("data")) and found == made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [None, 2, 4])
def test_both_versions_are_the_same_data(tmp_path, kind, protocol):
    dump = {} if protocol is None else {"dump": lambda value: pickle.dumps(value, protocol)}
    binary, python = write_binary(tmp_path, kind), write_python(tmp_path, kind, **dump)
    expected = load_images(f"{kind}:{binary}", 16)
    packed = tar_of(python, tmp_path / "python.tar.gz")
    found = [load_images(f"{kind}:{path}", 16) for path in (python, packed)]
    assert [one.fingerprint for one in found] == [expected.fingerprint] * 2
    assert len(found[0].train) == 20 * len(cifar.FORMS[kind].train) and found[0].classes == tuple(CLASSES)


def test_a_folder_around_it_is_gone_into_and_is_kept_decoded(tmp_path):
    folder = write_python(tmp_path, "cifar10")
    found = load_images(f"cifar10:{tmp_path}", 8, cache=tmp_path / "cache")
    assert found.fingerprint == load_images(f"cifar10:{folder}", 8, cache=tmp_path / "cache").fingerprint
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1
    with pytest.raises(DataError, match=r"write cifar10:.*cifar-10-batches-py; known"):
        load_images(str(folder), 8)


class Run:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_program_is_not_run_and_the_binary_version_is_named(tmp_path, kind, packed):
    folder, made = write_python(tmp_path, kind), tmp_path / "made"
    name = next(iter(cifar.PYTHON_FORMS[kind].train))
    (folder / name).write_bytes(pickle.dumps({**batch(kind, 0), "x": Run(f"touch {made}")}, 2))
    path = tar_of(folder, tmp_path / "c.tar.gz") if packed else folder
    other = {"cifar10": "cifar-10-binary", "cifar100": "cifar-100-binary"}[kind]
    words = rf"{name} is not read \((posix|os).system\), .*; take {other}.tar.gz, the binary version$"
    with pytest.raises(DataError, match=words):
        load_images(f"{kind}:{path}", 16)
    assert not made.exists()


def changed(**changes):
    return b"\x80\x02" + python2(batch("cifar10", 0) | changes) + b"."


PIXELS = records("cifar10", 0)[:, 1:]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("data_batch_1", changed()[:-500], r"data_batch_1 is not read \(no whole pickle"),
        ("data_batch_1", b"\x80\x02K\x01.", r"data_batch_1 is not read \(no dict\)"),
        ("data_batch_1", changed(data=PIXELS[:, :-1]), "data_batch_1 has no data of 3072 bytes a picture with labels"),
        ("data_batch_1", changed(data=PIXELS[:0]), "data_batch_1 has no data of 3072 bytes"),
        ("data_batch_1", changed(data=[1, 2]), "data_batch_1 has no data of 3072 bytes"),
        ("data_batch_1", changed(labels=[0] * 19), "data_batch_1 has no data of 3072 bytes a picture with labels"),
        ("data_batch_1", changed(labels=["0"] * 20), "data_batch_1 has no data of 3072 bytes"),
        ("test_batch", changed(labels=[0] * 19 + [10]), "test_batch has label 10, but batches.meta names 10 classes"),
        ("batches.meta", b"\x80\x02" + python2({"names": []}) + b".", "batches.meta has no list label_names; take"),
        ("batches.meta", b"\x80\x02" + python2({"label_names": ["a"]}) + b".", "batches.meta names 1 classes"),
        ("batches.meta", None, "lacks batches.meta; give cifar10: the folder cifar-10-batches-py or its .tar.gz"),
        ("data_batch_2", bytes(10_000 * 3173 + 2**16 + 1), r"data_batch_2 has \d+ bytes, the published one \d+"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, name, content, words):
    folder = write_python(tmp_path, "cifar10")
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as refusal:
        load_images(f"cifar10:{folder}", 16)
    assert "\n" not in str(refusal.value)


def test_a_batch_that_is_not_there_is_missed_in_an_archive_too(tmp_path):
    folder = write_python(tmp_path, "cifar10")
    (folder / "data_batch_4").unlink()
    with pytest.raises(DataError, match="lacks data_batch_4; take the archive called the binary version"):
        load_images(f"cifar10:{tar_of(folder, tmp_path / 'c.tar.gz')}", 16)
