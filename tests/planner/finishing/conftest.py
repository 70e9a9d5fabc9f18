"""A small study of generated images, trained once, in a folder of its own."""

import pytest
from click.testing import CliRunner

from planner.cli import cli
from planner.exports import files
from sampler import InputError

RUN = (
    "run --study tiny --data fractal:classes=4,train=24,validation=12 --resolution 32 --epochs 1 --window 0.3M 3M "
    "--trials 12 --keep 2 --engine inline --device cpu"
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder with the study `tiny`, of 12 trainings that kept the weights of their best two; what `run` said."""
    place = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done = CliRunner().invoke(cli, RUN.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return place, done.output


@pytest.fixture
def here(tiny, monkeypatch):
    """What `run` said, in that folder; without the extra [onnx], whose graphs take seconds each."""

    def lacking(what):
        raise InputError(f"{what} needs onnx: pip install 'scaling-planner[onnx]'")

    monkeypatch.setattr(files, "check_onnx", lacking)
    monkeypatch.chdir(tiny[0])
    return tiny[1]
