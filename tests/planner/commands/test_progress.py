"""Progress: a long step is not silent, a short one is."""

import re
import threading
from contextlib import redirect_stderr

import pytest

from planner.commands.progress import patience


class Written(list):
    """A stream that says when it was written to."""

    def __init__(self):
        super().__init__()
        self.there = threading.Event()

    def write(self, text):
        self.append(text)
        self.there.set()

    def flush(self):
        pass


def test_a_long_step_says_what_it_does():
    errors = Written()
    with redirect_stderr(errors), patience("choosing among 200,000 architectures", first=0.01):
        assert errors.there.wait(30)
    assert re.match(r"choosing among 200,000 architectures: \d+ s so far\n", "".join(errors))


def test_a_short_step_says_nothing_and_leaves_no_thread_even_where_it_fails():
    errors, before = Written(), threading.active_count()
    with pytest.raises(KeyError), redirect_stderr(errors), patience("choosing", first=600):
        raise KeyError
    assert errors == [] and threading.active_count() == before
