"""The decorator: what it leaves as it was, and where a function is from."""

import hashlib
from pathlib import Path

import pytest

import planner
from planner.errors import PlannerError
from sampler.declared.description import Source
from trainer.declared.declaring import declaration_of, declares
from trainer.user_code import module_of_file

SMALL = {"resolution": 8, "widths": (16,), "depths": (2,)}


def test_a_function_of_a_file_says_its_file_its_name_and_its_digest(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "import planner\n\ndef make(resolution, widths, depths, classes):\n    return widths\n\n"
        "small = planner.network(resolution=8, widths=(16,), depths=(2,), name='small')(make)\n"
        "large = planner.network(resolution=8, widths=(32,), depths=(2,), name='large')(make)\n"
    )
    module = module_of_file(file, "--base")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for name, width in (("small", 16), ("large", 32)):
        function = getattr(module, name)
        declaration = declaration_of(function)
        assert declaration.spec.source == Source("nets.py", name if name == "large" else "make", digest)
        assert (declaration.spec.name, declaration.spec.widths) == (name, (width,))
        assert declaration.files == {"nets.py": file.read_text()} and function(1, 2, 3, 4) == 2
        assert getattr(module, declaration.spec.source.function) is function


def test_a_function_within_another_has_no_file():
    @planner.network(**SMALL)
    def inner(resolution, widths, depths, classes): ...

    declaration = declaration_of(inner)
    assert declares(inner) and not declares(len) and not declares(None)
    assert (declaration.spec.source.file, declaration.spec.source.sha256, declaration.files) == ("", "", {})
    assert declaration.spec.source.function.endswith("<locals>.inner")


def test_a_class_or_an_object_declares_as_well():
    class Network:
        def __init__(self, resolution, widths, depths, classes):
            self.widths = widths

        def __call__(self, resolution, widths, depths, classes):
            return widths

    assert planner.network(**SMALL)(Network) is Network and Network(1, 2, 3, 4).widths == 2
    assert declaration_of(Network).spec.name == "Network"
    called = planner.network(**SMALL, name="called")(Network(1, 2, 3, 4))
    assert declaration_of(called).spec.name == "called" and called(1, 2, 3, 4) == 2


def test_what_is_impossible_is_said_where_it_is_declared():
    with pytest.raises(PlannerError, match="network inner: 1 widths but 2 depths"):

        @planner.network(resolution=8, widths=(16,), depths=(2, 2))
        def inner(resolution, widths, depths, classes): ...


def test_this_file_is_one_that_others_can_import():
    assert declaration_of(at_top).spec.source.file == Path(__file__).name


@planner.network(**SMALL)
def at_top(resolution, widths, depths, classes): ...
