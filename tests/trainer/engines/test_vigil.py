"""A training without a sign of life is told, then ended; a slow one is not."""

from trainer.engines.vigil import END_SECONDS, LOOK_SECONDS, SLOW_TIMES, TELL_SECONDS, Vigil, is_stopped


def looks(vigil, seconds, step=LOOK_SECONDS, every=None, stopped=False):
    """What is to be done at each look, by the second; with a sign of life every so many seconds."""
    acts, place = {}, 0.0
    while place < seconds:
        place += step
        act = vigil.look(int(place // every) if every else 0, step, stopped)
        if act:
            acts.setdefault(act, place)
    return acts


def test_silence_is_told_once_and_then_ended():
    found = looks(Vigil(), END_SECONDS + 60)
    assert abs(found["tell"] - TELL_SECONDS) <= 2 * LOOK_SECONDS and abs(found["end"] - END_SECONDS) <= 2 * LOOK_SECONDS
    vigil = Vigil()
    acts = [vigil.look(0, LOOK_SECONDS) for _ in range(int(END_SECONDS / LOOK_SECONDS) - 1)]
    assert acts.count("tell") == 1 and "end" not in acts


def test_a_process_that_is_known_to_be_stopped_is_told_at_once_and_ended_no_sooner():
    found = looks(Vigil(), END_SECONDS + 60, stopped=True)
    assert found["tell"] <= 20 and found["end"] >= END_SECONDS - LOOK_SECONDS


def test_a_training_of_slow_steps_is_left_alone():
    slow = END_SECONDS / 4
    vigil = Vigil()
    assert "end" not in looks(vigil, 8 * slow, every=slow)
    # Ten times its longest silence is waited now.
    later = [vigil.look(99, LOOK_SECONDS) for _ in range(int(SLOW_TIMES * slow / LOOK_SECONDS) + 3)]
    assert later.index("end") * LOOK_SECONDS >= 0.9 * SLOW_TIMES * slow


def test_time_in_which_the_coordinator_slept_is_not_counted():
    vigil = Vigil()
    assert [vigil.look(0, 36_000.0) for _ in range(4)] == ["", "", "", ""]  # a laptop that was closed
    assert vigil.silent <= 6 * LOOK_SECONDS


def test_a_process_that_is_not_there_is_not_stopped():
    assert not is_stopped(2**22 + 1)
