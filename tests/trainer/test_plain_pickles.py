"""Pickles of plain values and arrays of bytes are read; whatever else they ask for is refused, and never run."""

import os
import pickle
import struct

import numpy as np
import pytest

from trainer.plain_pickles import RefusedPickle, plain_unpickled

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 5), dtype=np.uint8)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))  # the last has other arrays
def test_plain_values_are_those_of_pickle_itself(protocol):
    value = {"names": ["a", "b"], "labels": [0, -7, 255, 2**40], "more": (None, True, 1.5, b"\xff\x00", {"k": []})}
    assert plain_unpickled(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("array", [PIXELS, np.asfortranarray(PIXELS), PIXELS[:, 0].copy()])
def test_arrays_of_bytes_are_those_of_numpy(protocol, array):
    found = plain_unpickled(pickle.dumps({"data": array}, protocol))["data"].array
    assert found.dtype == np.uint8 and np.array_equal(found, array)


class Run:
    """Unpickled, it would run a function."""

    def __init__(self, function, *given):
        self.asked = function, given

    def __reduce__(self):
        return self.asked


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["system", "mkdir"])
def test_a_function_is_refused_by_its_name_and_not_run(tmp_path, protocol, name):
    made = tmp_path / "made"
    given = f"touch {made}" if name == "system" else str(made)
    content = pickle.dumps({"data": PIXELS.tobytes()[:4].hex(), "x": Run(getattr(os, name), given)}, protocol)
    with pytest.raises(RefusedPickle, match=rf"^(posix|os)\.{name}$"):
        plain_unpickled(content)
    assert not made.exists()
    pickle.loads(content)  # the test would see it
    assert made.exists()


NAMED = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(PIXELS.astype(np.int16), 2), "an array of 'i2' instead of bytes"),
        (pickle.dumps(np.array([{}], object), 2), "an array of 'O8' instead of bytes"),
        (pickle.dumps(os.stat_result(range(10)), 2), r"os\.stat_result|posix\.stat_result"),
        (pickle.dumps(pytest.raises, 2), "_pytest"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"ctrainer.plain_pickles\nplain_unpickled\n.", "trainer.plain_pickles.plain_unpickled"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", r"numpy\.ndarray\.dumps"),
        (b"(inumpy\ndtype\n.", "the operation INST"),
        (b"Pid\n.", "the operation PERSID"),
        (b"\x80\x02\x82\x01.", "the operation EXT1"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "the operation NEWOBJ"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "no whole pickle .TypeError"),  # a name, nothing to call
        (b"\x80\x02]r" + struct.pack("<I", 2**32 - 2) + b".", "a place 4294967294 for one of fewer values"),
        (b"\x80\x02" + NAMED + b"}X\x05\x00\x00\x00_callcos\nsystem\nsb.", "os.system"),
        (b"\x80\x02" + NAMED + b"N}X\x05\x00\x00\x00_callK\x01s\x86b.", "a function of other members"),
        (b"\x80\x02" + NAMED + b")R}b.", "a damaged array"),
        (b"\x80\x02]", "no whole pickle"),
        (b"", "no whole pickle"),
        (b"\x1f\x8bgzip", "no whole pickle"),
    ],
)
def test_all_else_is_refused(content, words):
    with pytest.raises(RefusedPickle, match=words):
        plain_unpickled(content)


@pytest.mark.parametrize("seed", range(100))
def test_a_damaged_pickle_is_read_or_refused(seed):
    rng = np.random.default_rng(seed)
    content = bytearray(pickle.dumps({"labels": [1, 2, 3], "data": PIXELS, "names": ["a", b"b"]}, 2))
    for place in rng.integers(0, len(content), 3):
        content[place] = rng.integers(256)
    try:
        plain_unpickled(bytes(content))
    except RefusedPickle as error:
        assert str(error)
