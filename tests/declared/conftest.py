"""The helpers of these tests, by name; nothing of them is installed."""

import importlib.util
from pathlib import Path

import pytest


def helper(name):
    """A module that lies beside this file."""
    found = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def oracle():
    return helper("oracle")


@pytest.fixture(scope="session")
def trial():
    return helper("trial")
