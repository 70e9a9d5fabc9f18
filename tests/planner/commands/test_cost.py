"""`planner cost`."""

import sys


def test_no_other_counter_is_imported_to_say_what_it_gives(run):
    for module in ("thop", "ptflops"):
        sys.modules.pop(module, None)
    code, printed, _ = run("cost", "efficientnet_b0", "--explain")
    assert code == 0 and "ptflops" in printed
    assert not {"thop", "ptflops"} & set(sys.modules)
