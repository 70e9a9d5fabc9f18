"""Networks that cannot be counted by us: each is refused in one line that says why and what to do."""

import pytest

from sampler import InputError

# For each broken file, words of the refusal: what is wrong, and where or how to mend it.
WORDS = {
    "nonzero": ("sparse", "nonzero", "data"),
    "item": ("early", "item", "data"),
    "ignores_depth": ("stubborn", "depth", "2"),
    "ignores_width": ("narrow", "width", "1"),
    "ignores_knob": ("deaf", "kernel"),
    "odd_groups": ("sevens", "width", "divisor"),
    "random_cost": ("drawn", "twice"),
    "grows": ("growing", "twice"),
    "signature": ("foreign", "size"),
    "no_module": ("layers", "list", "Module"),
    "raises": ("mistyped", "NameError", "width"),
    "wrong_channels": ("grey", "channels"),
    "no_output": ("silent", "None"),
    "endless": ("mirror", "recursion"),
    "too_large": ("huge", "large"),
    "illegal_knob": ("attending", "heads"),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_broken_network_is_refused_in_one_line_with_its_cause(trial, name):
    with pytest.raises(InputError) as refusal:
        trial.derive(trial.spec_of(trial.FOLDER / "broken" / f"{name}.py"))
    line = str(refusal.value)
    assert "\n" not in line and len(line) < 500
    missing = [word for word in WORDS[name] if word.lower() not in line.lower()]
    assert not missing, line


def test_every_broken_file_is_tried(trial):
    assert sorted(file.stem for file in (trial.FOLDER / "broken").glob("*.py")) == sorted(WORDS)
