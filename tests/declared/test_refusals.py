"""Networks that cannot be counted by us: each is refused in one line that says why and what to do."""

import pytest

from sampler import InputError
from trainer.declared.derive import derive

# For each broken file, words of the refusal: what is wrong, and where or how to mend it.
WORDS = {
    "nonzero": ("sparse", "nonzero", "follow the data"),
    "item": ("early", "item()", "follow the data"),
    "ignores_depth": ("stubborn", "ignores depth of stage 2"),
    "ignores_width": ("narrow", "ignores width of stage 1"),
    "ignores_knob": ("deaf", "ignores kernel:"),
    "odd_groups": ("sevens", "width of stage 1", "divisor="),
    "random_cost": ("drawn", "the next time", "random"),
    "grows": ("growing", "the next time"),
    "signature": ("foreign", "size"),
    "no_module": ("layers", "list", "Module"),
    "raises": ("mistyped", "NameError: name 'width'", "mend the function"),
    "wrong_channels": ("grey", "channels="),
    "no_output": ("silent", "forward gives None"),
    "endless": ("mirror", "RecursionError", "mend the function"),
    "too_large": ("huge", "too large"),
    "illegal_knob": ("attending", "heads [", "divisible by num_heads"),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_broken_network_is_refused_in_one_line_with_its_cause(trial, name):
    with pytest.raises(InputError) as refusal:
        derive(trial.spec_of(trial.FOLDER / "broken" / f"{name}.py"))
    line = str(refusal.value)
    assert "\n" not in line and len(line) < 500
    missing = [word for word in WORDS[name] if word.lower() not in line.lower()]
    assert not missing, line


def test_every_broken_file_is_tried(trial):
    assert sorted(file.stem for file in (trial.FOLDER / "broken").glob("*.py")) == sorted(WORDS)
