"""Whatever bytes are in a file that the trainer reads: it is read, ignored with a reason, or refused in one line."""

import hashlib
import io
import os
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sampler import InputError, base, scale
from sampler.scaling import rule_named
from trainer.checkpoint import DIGEST_BYTES, read_checkpoint, write_checkpoint
from trainer.images import load_images
from trainer.network import build
from trainer.weights import load_trained, save_network

EXAMPLES = int(os.environ.get("PLANNER_FUZZ_EXAMPLES", "1000"))
QUICK = settings(
    max_examples=12, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
LONG = settings(QUICK, max_examples=EXAMPLES, derandomize=False)
SIDE = 16


@st.composite
def damaged(draw, valid):
    """Valid bytes with one to four cuts, repeats, flipped bits or replacements; or any bytes at all."""
    if draw(st.integers(0, 7)) == 0:
        return draw(st.binary(max_size=300))
    content = valid
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 1, 4, 40, 4000])))
        flipped = bytes(byte ^ draw(st.sampled_from([1, 128, 255])) for byte in content[start : min(end, start + 4)])
        pieces = [b"", b"\0" * 8, b"\xff" * 8, content[start:end] * 2, flipped]
        new = draw(st.sampled_from(pieces) | st.binary(max_size=8))
        content = content[:start] + new + content[end:]
    return content


def a_picture(format="JPEG"):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(stream, format)
    return stream.getvalue()


def a_network():
    b0 = base("efficientnet_b0")
    return scale(b0, rule_named("inverse"), 32, 0.1, 0.1)[0]


# --- One valid file of each kind, and its reader ---


def checkpoint(folder):
    """With a right checksum over whatever the payload is: torch itself has to refuse it."""
    path = folder / "valid.ckpt"
    write_checkpoint(path, '{"a": 1}', {"epoch": 3, "weights": {"x": torch.ones(3)}})

    def read(content):
        path.write_bytes(hashlib.sha256(content).digest() + content)
        state, why = read_checkpoint(path, '{"a": 1}', torch.device("cpu"))
        assert (state is None) == bool(why) and "\n" not in why

    return path.read_bytes()[DIGEST_BYTES:], read


def saved_network(folder):
    path = folder / "valid.safetensors"
    save_network(path, build(a_network(), 3), a_network(), 3)

    def read(content):
        path.write_bytes(content)
        load_trained(path)

    return path.read_bytes(), read


def archive(folder):
    path, pictures = folder / "valid.npz", [a_picture() for _ in range(6)]
    offset = np.cumsum([0, *map(len, pictures)])
    arrays = {"jpeg": np.frombuffer(b"".join(pictures), np.uint8), "offset": offset, "label": np.arange(6) % 2}
    np.savez(path, split=np.arange(6) % 3 // 2, classes=np.array(["a", "b"]), **arrays)

    def read(content):
        path.write_bytes(content)
        load_images(f"npz:{path}", SIDE)

    return path.read_bytes(), read


def folder_picture(suffix, format):
    def kind(folder):
        for name in ("cat", "dog"):
            (folder / "pictures" / name).mkdir(parents=True)
            for number in range(5):
                (folder / "pictures" / name / f"{number}.{suffix}").write_bytes(a_picture(format))

        def read(content):
            (folder / "pictures" / "cat" / f"3.{suffix}").write_bytes(content)
            load_images(f"imagefolder:{folder / 'pictures'}", SIDE)

        return a_picture(format), read

    kind.__name__ = f"{format}_picture"
    return kind


def cached(part):
    """A damaged cache is never trusted: what comes back is what the source decodes to."""

    def kind(folder):
        source, where = f"npz:{folder / 'valid.npz'}", folder / "cache"
        archive(folder)
        right = load_images(source, SIDE, cache=where).fingerprint
        path = next(where.glob(f"*{part}"))
        valid = path.read_bytes()

        def read(content):
            path.write_bytes(content)
            assert load_images(source, SIDE, cache=where).fingerprint == right

        return valid, read

    kind.__name__ = f"cached_{part}"
    return kind


KINDS = (
    checkpoint, saved_network, archive, folder_picture("jpg", "JPEG"), folder_picture("webp", "WEBP"),
    folder_picture("png", "PNG"), folder_picture("gif", "GIF"), folder_picture("tif", "TIFF"),
    cached("train-images.npy"), cached("validation-labels.npy"), cached(".json"),
)  # fmt: skip


def fuzz(kind, folder, how):
    valid, read = kind(folder)
    read(valid)  # the valid one is read

    @how
    @given(damaged(valid))
    def one(content):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(content)
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 2000, str(error)

    one()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damaged_bytes_are_read_or_refused_in_one_line(tmp_path, kind):
    fuzz(kind, tmp_path, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_many_damaged_bytes_are_read_or_refused_in_one_line(tmp_path, kind):
    fuzz(kind, tmp_path, LONG)


def test_an_archive_whose_header_is_no_python_is_refused_in_one_line(tmp_path):
    """Long runs found it: numpy reads a header as Python, so a bracket that stays open is an error of its tokenizer."""
    _, read = archive(tmp_path)
    with zipfile.ZipFile(tmp_path / "valid.npz") as whole, zipfile.ZipFile(tmp_path / "open.npz", "w") as opened:
        for name in whole.namelist():
            opened.writestr(name, whole.read(name).replace(b"(6,), }", b"(6,), ("))
    with pytest.raises(InputError, match="is no readable npz archive .*; save it again with numpy.savez") as refused:
        read((tmp_path / "open.npz").read_bytes())
    assert "\n" not in str(refused.value)
