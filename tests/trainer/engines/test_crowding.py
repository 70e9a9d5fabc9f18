"""Trainings whose memory ran out beside others wait for their device, which then takes fewer at once."""

from trainer.engines.crowding import Crowding


def test_a_device_takes_as_many_as_it_has_workers_until_memory_runs_out():
    crowding = Crowding(("cuda:0", "cuda:0", "cuda:0", "cuda:1"))
    assert crowding.admits("cuda:0", 2) and not crowding.admits("cuda:0", 3)
    assert crowding.admits("cuda:1", 0) and not crowding.admits("cuda:1", 1)


def test_what_waits_to_be_alone_keeps_others_away_and_goes_first():
    crowding, first, second = Crowding(("cuda:0",) * 3 + ("cuda:1",)), (4, "four"), (5, "five")
    crowding.add("cuda:0", first, 3)
    crowding.add("cuda:0", second, 2)
    assert crowding.waits("cuda:0") and not crowding.admits("cuda:0", 0)
    assert crowding.admits("cuda:1", 0) and not crowding.waits("cuda:1")
    for job in (first, second):
        assert crowding.taken("cuda:0") == job and crowding.is_alone("cuda:0") and not crowding.admits("cuda:0", 0)
        crowding.ended("cuda:0")
    assert not crowding.waits("cuda:0") and not crowding.is_alone("cuda:0")
    assert crowding.admits("cuda:0", 0) and not crowding.admits("cuda:0", 1)  # one fewer than the two that ran last


def test_a_device_takes_one_training_at_least():
    crowding = Crowding(("cuda:0",))
    crowding.add("cuda:0", (1, "one"), 1)
    crowding.taken("cuda:0")
    crowding.ended("cuda:0")
    assert crowding.admits("cuda:0", 0)
