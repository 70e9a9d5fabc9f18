"""The files that a network is made of are found by reading."""

import hashlib

import pytest

from sampler.errors import PlannerError
from trainer.declared.own_files import digest_of_files, own_files, root_of


@pytest.fixture
def folder(tmp_path):
    texts = {
        "net.py": "import torch\nfrom blocks import Block\nimport pieces.small as small\nimport planner, sampler",
        "blocks.py": "import numpy\ndef late():\n    import helpers",
        "helpers.py": "import net",
        "pieces/__init__.py": "",
        "pieces/small.py": "from . import large",
        "pieces/large.py": "from .deep.end import x",
        "pieces/deep/end.py": "x = 1",
        "other.py": "",
        "planner.py": "",
        "sampler/__init__.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_a_file_imports_from_beside_it_is_its_own_and_what_is_ours_or_installed_is_not(folder):
    found = own_files(folder / "net.py", folder)
    assert list(found) == [
        *("net.py", "blocks.py", "helpers.py", "pieces/__init__.py", "pieces/deep/end.py"),
        *("pieces/large.py", "pieces/small.py"),
    ]
    assert found["helpers.py"] == "import net"


def test_a_module_of_a_package_owns_what_it_imports_of_that_package_alone(folder):
    (folder / "pieces" / "small.py").write_text("import blocks\nfrom pieces.large import x")
    path = folder / "pieces" / "small.py"
    assert root_of(path, "pieces.small") == folder
    assert list(own_files(path, folder)) == [
        *("pieces/small.py", "pieces/__init__.py", "pieces/deep/end.py", "pieces/large.py"),
    ]


def test_a_module_among_installed_ones_owns_itself(folder):
    site = folder.rename(folder.with_name("site-packages"))
    assert list(own_files(site / "net.py", site)) == ["net.py"]


def test_a_digest_changes_with_every_text_and_name(folder):
    files = own_files(folder / "net.py", folder)
    digests = {digest_of_files(files)}
    for name in files:
        digests.add(digest_of_files({**files, name: files[name] + " "}))
    digests.add(digest_of_files({name.replace("blocks", "block"): text for name, text in files.items()}))
    assert len(digests) == len(files) + 2
    assert digest_of_files({"net.py": "x"}) == hashlib.sha256(b"x").hexdigest()


def test_a_file_with_a_mistake_is_its_own_alone_and_one_that_is_no_text_is_refused(folder):
    (folder / "net.py").write_text("import blocks\ndef")
    assert list(own_files(folder / "net.py", folder)) == ["net.py"]
    (folder / "net.py").write_bytes(b"\xff\xfe")
    with pytest.raises(PlannerError, match="net.py: it is no UTF-8; give a Python file that can be read"):
        own_files(folder / "net.py", folder)
