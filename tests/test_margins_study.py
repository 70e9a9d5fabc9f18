"""The card of results/studies/margins: its tables are printed from its CSV by the command that it names."""

import importlib.util
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
CARD = ROOT / "results" / "studies" / "margins" / "README.md"
COMMAND = "tests/benchmarks/margins.py"


def test_the_card_s_tables_are_those_of_its_trainings():
    spec = importlib.util.spec_from_file_location("margins", ROOT / COMMAND)
    margins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(margins)
    frame = pd.read_csv(margins.RECORD)
    assert (frame.status == "ok").all() and len(frame) == len(list(margins.asked())) == 30
    text = CARD.read_text()
    assert "\n".join(margins.tables(frame)).strip() in text and f"python {COMMAND}" in text
