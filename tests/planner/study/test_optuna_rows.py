"""Reading trials fast: what Optuna's own storage reads, and nothing but that where Optuna is another."""

import pytest
from optuna.storages import RDBStorage

from planner.study.optuna_rows import read_fast
from planner.study.reader import Records
from planner.study.settings import read_settings

FACTS = ("number", "state", "values", "user_attrs", "system_attrs", "datetime_start", "datetime_complete")


@pytest.fixture
def url(ten_trained):
    return f"sqlite:///{ten_trained / 'ledger.db'}"


def facts(storage):
    (study,) = storage.get_all_studies()
    return [[getattr(one, name) for name in FACTS] for one in storage.get_all_trials(study._study_id)]


def test_what_is_read_fast_is_what_optuna_reads(url):
    ours = facts(read_fast(RDBStorage(url)))
    assert len(ours) > 10 and ours == facts(RDBStorage(url))


@pytest.mark.parametrize("change", ["arguments", "method", "tables"])
def test_an_optuna_that_is_built_otherwise_reads_by_itself(url, ten_trained, monkeypatch, change):
    class Other(RDBStorage):
        """Optuna's storage as another version may have it."""

        if change == "arguments":

            def _get_trials(self, study_id, states, included_trial_ids, trial_id_greater_than, more=None):
                return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)

    if change == "method":
        monkeypatch.setattr("planner.study.optuna_rows._METHOD", "_read_trials")
    if change == "tables":
        monkeypatch.setattr("planner.study.optuna_rows._TABLES", ("TrialModel", "NoSuchModel"))
    storage = read_fast(Other(url))
    assert "_get_trials" not in vars(storage) and facts(storage) == facts(RDBStorage(url))
    settings = read_settings(ten_trained / "study.toml")
    frame = Records(ten_trained, settings).frame()
    monkeypatch.setattr("optuna.storages.RDBStorage", Other)
    assert Records(ten_trained, settings).frame().equals(frame)
