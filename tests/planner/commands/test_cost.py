"""`planner cost`."""

import json
import sys


def test_no_other_counter_is_imported_to_say_what_it_gives(run):
    for module in ("thop", "ptflops"):
        sys.modules.pop(module, None)
    code, printed, _ = run("cost", "efficientnet_b0", "--explain")
    assert code == 0 and "ptflops" in printed
    assert not {"thop", "ptflops"} & set(sys.modules)


def test_a_declared_network_is_shown_without_the_parts_it_lacks(run, declared):
    code, out, err = run("cost", "mine.py:net", "--explain", "--classes", 10)
    assert (code, err) == (0, "net: closed terms, equal to 2 traces of random sizes; 4 traces, 0.5 s\n")
    assert "stem" not in out and "rule multiples:8:4" in out and "fvcore" not in out
    # 27 x 16 weights at 16 x 16 pixels; 9 x (16 + 32) x 32 at 8 x 8; 32 x 10.
    assert f"macs        {110_592 + 884_736 + 320:,}" in out
    declared()
    code, out, err = run("cost", "mine.py:net", "--width", 2, "--json")
    assert (code, err) == (0, "") and json.loads(out)["widths"] == [32, 64]
