"""Loading declared networks: from files, functions and content; what is kept, and what takes another's place."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import planner
import sampler
from planner.errors import PlannerError
from sampler.declared.family import declared_family
from trainer.declared.loading import know_shipped, load_network, shipped_network
from trainer.network import build

ROOT = Path(__file__).resolve().parents[3]


def sized(network, resolution=8, width=16, depth=2):
    return replace(network.architecture(), resolution=resolution, widths=(width,), depths=(depth,))


def test_a_function_of_a_file_is_a_base_network_that_is_counted_and_built(plain, derived):
    network = load_network(f"{plain}:plain")
    assert (network.name, network.widths, network.depths, network.resolution) == ("plain", (16,), (2,), 8)
    other = sized(network, resolution=10, width=24, depth=4)
    model = build(other, classes=7)
    assert model(torch.zeros(3, 1, 10, 10)).shape == (3, 7)
    wanted = 100 * 24 + 24 + 3 * (24 * 24 + 24) + 24 * 7 + 7
    assert sum(one.numel() for one in model.parameters()) == wanted
    assert sampler.architecture_complexity(other, classes=7).params == wanted
    assert sampler.architecture_complexity(other, classes=7).macs == 100 * 24 + 3 * 24 * 24 + 24 * 7
    assert sampler.base("plain") is network and load_network("plain") is network and load_network(network) is network
    assert derived == ["plain"]


def test_a_network_is_derived_once_per_file_and_the_file_is_not_imported_to_count_it_again(plain, derived, new_process):
    plain.write_text(plain.read_text() + "\nimport pathlib\npathlib.Path(__file__).with_name('imported').touch()\n")
    load_network(f"{plain}:plain")
    (mark := plain.with_name("imported")).unlink()
    new_process()
    again = load_network(f"{plain}:plain")
    assert derived == ["plain"] and not mark.exists()
    assert planner.complexity(again, classes=10).params == 64 * 16 + 16 + 16 * 16 + 16 + 160 + 10 and not mark.exists()
    build(again.architecture())
    assert mark.exists()


def test_a_network_that_was_counted_before_is_counted_without_torch(plain, derived):
    load_network(f"{plain}:plain")
    program = (
        "import sys; from trainer.declared.loading import load_network; import sampler; "
        f"load_network({f'{plain}:plain'!r}); print(sampler.complexity.complexity('plain').params); "
        "sys.exit(bool({'torch', 'timm', 'pandas', 'sklearn'} & sys.modules.keys()))"
    ).replace("import sampler;", "import sampler.complexity;")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == planner.complexity("plain").params


@pytest.mark.parametrize("damage", ["", "{}", '{"sha256": "", "description": {}}', "a number", "not JSON"])
def test_a_damaged_cache_is_derived_again(plain, derived, new_process, tmp_path, damage):
    wanted = planner.complexity(load_network(f"{plain}:plain")).macs
    (file,) = (tmp_path / "cache" / "networks").iterdir()
    kept = json.loads(file.read_text())
    if damage == "a number":
        kept["description"]["counts"]["parts"][1]["macs"] = 1
        damage = json.dumps(kept)
    file.write_text(damage)
    new_process()
    assert planner.complexity(load_network(f"{plain}:plain")).macs == wanted
    assert derived == ["plain"] * 2
    assert json.loads(file.read_text())["description"]["counts"]["parts"][1]["macs"] != 1


def test_a_cache_where_others_may_write_is_not_trusted(plain, derived, new_process, tmp_path):
    load_network(f"{plain}:plain")
    (tmp_path / "cache" / "networks").chmod(0o777)
    new_process()
    load_network(f"{plain}:plain")
    assert derived == ["plain"] * 2


def test_a_cache_that_cannot_be_written_does_not_matter(plain, derived, monkeypatch, tmp_path):
    (tmp_path / "no folder").write_text("")
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "no folder"))
    assert load_network(f"{plain}:plain").name == "plain"


def test_a_changed_file_is_derived_again_and_takes_the_place_of_the_old_one(plain, derived):
    load_network(f"{plain}:plain")
    plain.write_text(plain.read_text().replace("widths=(16,)", "widths=(32,)"))
    network = load_network(f"{plain}:plain")
    assert network.widths == (32,) and sampler.base("plain") is network and derived == ["plain"] * 2
    assert build(network.architecture(), classes=3)[1].out_features == 32


def test_files_beside_it_are_a_part_of_the_network(plain, derived, new_process):
    first = plain.read_text().replace("nn.Linear(width, width)", "layer(width)")
    plain.write_text(first.replace("import planner\n", "import planner\nfrom beside_it import layer\n"))
    beside = plain.with_name("beside_it.py")
    beside.write_text("from torch import nn\ndef layer(width):\n    return nn.Linear(width, width)\n")
    network = load_network(f"{plain}:plain")
    digest = declared_family("plain").description.source.sha256
    beside.write_text(beside.read_text() + "\n\nCHANGED = True\n")
    assert load_network(f"{plain}:plain") == network and derived == ["plain"] * 2
    assert declared_family("plain").description.source.sha256 != digest
    build(network.architecture())
    assert sys.modules["beside_it"].CHANGED
    del sys.modules["beside_it"]


def test_another_network_of_the_same_name_is_refused(plain, derived):
    load_network(f"{plain}:plain")
    other = plain.with_name("other.py")
    other.write_text(plain.read_text().replace("widths=(16,)", "widths=(32,)"))
    with pytest.raises(PlannerError, match="network 'plain' is known already, and another; give one of them another"):
        load_network(f"{other}:plain")
    assert sampler.base("plain").widths == (16,)


def test_the_name_of_a_network_of_ours_is_taken_and_nothing_is_derived(derived):
    declared = planner.network(resolution=8, widths=(16,), depths=(2,), name="resnet18")
    with pytest.raises(PlannerError, match="'resnet18': a base network has that name already; give yours another"):
        load_network(declared(lambda resolution, widths, depths, classes: None))
    assert derived == [] and sampler.base("resnet18").family == "residual"


def test_a_function_that_is_declared_again_takes_the_place_of_the_old_one(derived):
    def declared(width):
        @planner.network(resolution=8, widths=(width,), depths=(2,), channels=1)
        def plain(resolution, widths, depths, classes):
            return nn.Linear(resolution, classes)

        return plain

    first, second = declared(16), declared(24)
    assert load_network(first).widths == (16,) and load_network(first).widths == (16,)
    assert derived == ["plain"]
    assert load_network(second).widths == (24,) and sampler.base("plain").widths == (24,)


def test_a_decorated_function_is_called_as_before(derived):
    @planner.network(resolution=8, widths=(16,), depths=(2,))
    def plain(resolution, widths, depths, classes):
        """What it says."""
        return resolution, widths, depths, classes

    assert plain(1, 2, 3, classes=4) == (1, 2, 3, 4) and plain.__doc__ == "What it says."


def test_a_network_goes_to_another_process_by_content(plain, derived, new_process):
    network = load_network(f"{plain}:plain")
    shipped = pickle.loads(pickle.dumps(shipped_network("plain")))
    assert (shipped.file, shipped.function, shipped.content) == ("plain_net.py", "plain", plain.read_text())
    assert shipped_network("resnet18") is None
    plain.unlink()
    new_process()
    know_shipped(shipped)
    assert sampler.base("plain") == network and derived == ["plain"]
    assert build(sized(network, width=24)).__len__() == 4
    assert shipped_network("plain") == shipped


def test_a_package_goes_to_another_process_with_what_it_imports(plain, derived, new_process, monkeypatch):
    folder = plain.parent / "my_nets"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "unused.py"):
        (folder / name).write_text("")
    (folder / "inner" / "layers.py").write_text("from torch import nn\nlinear = nn.Linear\n")
    text = plain.read_text().replace("import planner\n", "import planner\nfrom .inner.layers import linear\n")
    (folder / "plain_net.py").write_text(text.replace("nn.Linear(width, width)", "linear(width, width)"))
    monkeypatch.syspath_prepend(plain.parent)
    load_network("my_nets.plain_net:plain")
    shipped = shipped_network("plain")
    assert [name for name, _ in shipped.beside] == [
        *("my_nets/plain_net.py", "my_nets/__init__.py", "my_nets/inner/__init__.py", "my_nets/inner/layers.py"),
    ]
    sys.path.remove(str(plain.parent))
    new_process()
    for title in [title for title in sys.modules if title.startswith("my_nets")]:
        del sys.modules[title]
    know_shipped(shipped)
    assert len(build(sampler.base("plain").architecture())) == 4
    assert str(plain.parent) not in sys.modules["my_nets"].__file__
    for title in [title for title in sys.modules if title.startswith("my_nets")]:
        del sys.modules[title]


def test_what_was_declared_in_a_program_is_counted_elsewhere_and_not_built(derived, new_process):
    @planner.network(resolution=8, widths=(16,), depths=(2,), channels=1)
    def plain(resolution, widths, depths, classes):
        return nn.Linear(resolution, classes)

    load_network(plain)
    shipped = shipped_network("plain")
    assert (shipped.file, shipped.content, shipped.beside) == ("", "", ())
    new_process()
    know_shipped(shipped)
    assert planner.complexity("plain").macs == 64 * 16 + 16 * 16 + 16 * 1000
    with pytest.raises(PlannerError, match="plain was declared in a program or notebook, .*--engine inline"):
        build(sampler.base("plain").architecture())


@pytest.mark.parametrize(
    "text, function, sentence",
    [
        ("x = 1", "plain", "--base .*has no 'plain'; name a function that @planner.network decorates"),
        ("plain = 1", "plain", "--base .*plain is no function; name a function that"),
        ("def plain(): ...", "plain", r"--base .*: <function.* write @planner.network\(resolution="),
        ("1 / 0", "plain", "--base .*cannot be imported .ZeroDivisionError: division by zero.; mend it"),
        ("def", "plain", "--base .*cannot be imported .SyntaxError"),
    ],
)
def test_a_file_without_a_network_is_refused_in_one_line(plain, text, function, sentence):
    plain.write_text(text)
    with pytest.raises(PlannerError, match=sentence) as caught:
        load_network(f"{plain}:{function}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ("none.py:net", "none.py: No such file or directory; give the path of a Python file"),
        ("no_such_module:net", "there is no module no_such_module; give FILE.py:NAME or package.module:NAME"),
        ("no_such_net", "base network 'no_such_net' is unknown; nearest"),
        (len, "<built-in function len> is no network of the planner's: write @planner.network"),
        (3, "3 is no network of the planner's: write"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(given, sentence):
    with pytest.raises(PlannerError, match=sentence):
        load_network(given)


def test_an_installed_package_offers_a_network(plain, derived, monkeypatch):
    package = plain.parent / "offers-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[scaling_planner.networks]\noffered = plain_net:plain\n")
    monkeypatch.syspath_prepend(plain.parent)
    assert load_network("offered").name == "plain"
    assert shipped_network("plain").file == "plain_net.py"
