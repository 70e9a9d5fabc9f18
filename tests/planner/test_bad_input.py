"""Whatever is in a file: it is read, or refused in one line. Random texts and bytes, and valid files with damage."""

import ast
import csv
import io
import json
import os
import shutil
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import InputError, PlannerError

ROOT = Path(__file__).resolve().parents[2]
# What a hand or a machine may put where something else belongs.
PIECES = (
    "", "nan", "NaN", "Infinity", "-1", "0", "1e999", "9" * 30, "null", "true", '"', "'", "{", "}", "[", "]", ",", "\n",
    "=", "\0", "\ufeff", "é", "ok", "x" * 300, "0.5", "efficientnet_b0", "resnet18", "[[", '{"a": 1}', "1,2,3", "#",
    "\r\n", ";", "57.3",
)  # fmt: skip
EXAMPLES = int(os.environ.get("PLANNER_FUZZ_EXAMPLES", "1000"))
QUICK = settings(
    max_examples=12, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
LONG = settings(QUICK, max_examples=EXAMPLES, derandomize=False)
FEWER = settings(LONG, max_examples=max(1, EXAMPLES // 10))


@st.composite
def damaged(draw, valid):
    """A valid text with one to four cuts, repeats or replacements; or any text at all."""
    if draw(st.integers(0, 7)) == 0:
        return draw(st.text(max_size=300))
    text = valid
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        new = draw(st.sampled_from([*PIECES, text[start:end] * 2]) | st.text(max_size=5))
        text = text[:start] + new + text[end:]
    return text


@st.composite
def changed(draw, document):
    """A JSON document with one to three of its values replaced or left out."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        place, parent, key = document, None, None
        while isinstance(place, dict | list) and place and draw(st.integers(0, 4)):
            parent, keys = place, (sorted(place) if isinstance(place, dict) else range(len(place)))
            key = draw(st.sampled_from(list(keys)))
            place = parent[key]
        if parent is None:
            continue
        if isinstance(parent, dict) and draw(st.booleans()) and draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = draw(ANYTHING)
    return json.dumps(document)


@st.composite
def retyped(draw, table):
    """A CSV table with one to four of its cells replaced, or a column or a row left out or there twice."""
    rows = list(csv.reader(io.StringIO(table)))
    for _ in range(draw(st.integers(1, 4))):
        row, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows[0]) - 1))
        what = draw(st.sampled_from(["cell"] * 6 + ["drop column", "twice column", "drop row", "twice row"]))
        if what == "cell":
            values = st.sampled_from(PIECES) | st.floats().map(str) | st.integers(-(10**20), 10**20).map(str)
            rows[row][column] = draw(values | st.sampled_from(rows[row]))
        elif what == "twice row":
            rows.insert(row, list(rows[row]))
        elif what == "drop row" and len(rows) > 2:
            del rows[row]
        elif what == "twice column" or len(rows[0]) > 2:
            for cells in rows:
                cells[column : column + 1] = [cells[column]] * (2 if what == "twice column" else 0)
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def refused_or_read(act):
    """Runs a reader; anything but an error of one line that the user can act on is a defect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            act()
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000, str(error)


# --- One valid file of each kind, and its reader ---


def settings_file(mine):
    from planner.study.settings import read_settings

    return (mine.folder / "study.toml").read_text(), lambda path: read_settings(path)


def study_table(mine):
    from planner.fitting.front import select_front
    from planner.tables.table import read_csv

    def read(path):
        table = read_csv(path)
        return select_front(table, 0.2).as_dict()

    return mine.export().read_text(), read


def outside_table(mine):
    from planner.tables.table import read_csv

    frame = mine.table().frame[["accuracy", "macs", "r", "d", "w", "base_resolution", "classes"]]
    return frame.to_csv(index=False), lambda path: read_csv(path, "efficientnet_b0")


def any_table(mine):
    from planner.surrogates.rows import as_frame, numbers_in, study_inputs

    def read(path):
        frame = as_frame(path)
        study_inputs(frame)
        numbers_in(frame, "accuracy")

    return mine.table().frame.to_csv(index=False), read


def latency_table(mine):
    from planner.latency.table import as_latency_table

    rows = [f"resnet18,{10 + i},{(i + 1) * 10**8},{(i + 1) * 10**6},{1000 + i},{64 + 8 * i},cpu,1" for i in range(12)]
    header = "base,latency_ms,macs,activations,params,resolution,device,batch"
    return "\n".join([header, *rows]) + "\n", lambda path: as_latency_table(path)


def scores_table(mine):
    from planner.scores.score import read_scores

    return "trial,macs,zen,inherited_parent\n0,1000,3.5,abc\n1,2000,4.5,\n", lambda path: read_scores(path)


def classes_list(mine):
    from planner.commands.data import _listed

    return "class,name\nn01440764,tench\nn01443537,goldfish\n", lambda path: _listed("imagefolder", path)


def queue_file(mine):
    trial = mine.study.get_trials(deepcopy=False)[0]
    facts = {name: trial.user_attrs[name] for name in ("r", "d", "w", "macs", "seed")}
    one = {"architecture": trial.user_attrs["architecture"], "facts": facts}
    document = {"token": "abc", "from": 99, "trainings": [one] * 2}

    def read(path):
        if path != mine.folder / "queueing.json":
            shutil.copy(path, mine.folder / "queueing.json")
        mine.finish_queueing()

    return json.dumps(document), read


def search_record(mine):
    from planner.searches.record import read_found

    one = mine.study.get_trials(deepcopy=False)[0].user_attrs["architecture"]
    facts = {"schema": "planner-search/1", "method": "greedy", "budget": 1e6, "classes": 4, "architecture": one}
    return json.dumps(facts | {"trainings": 3, "seconds": 5.0, "notes": ["a"]}), lambda path: read_found(path.parent)


def parent_record(mine):
    from planner.scores.heirs import read_parents

    return observation_of(mine), lambda path: read_parents(path.parent)


def observation_of(mine):
    from planner.study.trials import architecture_of
    from sampler import architecture_complexity
    from trainer.observation import EpochRecord, Fidelity, Observation

    one = architecture_of(mine.study.get_trials(deepcopy=False)[0].user_attrs)
    cost = architecture_complexity(one, 4)
    costs = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
    history = (EpochRecord(1, 1.0, 0.5, 1.0),)
    return Observation(
        one, Fidelity(1), 0, "ok", 0.5, 1.0, seconds=1.0, device="cpu", history=history, **costs
    ).to_json()


def observation_file(mine):
    """What a worker left: the ledger takes it, or trains again."""

    def read(path):
        mine.observations.mkdir(exist_ok=True)
        for other in mine.observations.glob("*.other*"):
            other.unlink()
        shutil.copy(path, mine.observations / "000000.json")
        mine.on_disk(0)

    return observation_of(mine), read


def zen_memory(mine):
    from planner.searches.zen import ZenScorer

    text = '{"architecture": {"base": "x"}, "batch": 4, "zen": 3.5}\n'
    return text * 3, lambda path: ZenScorer(memory=path)


def formula_file(mine):
    from planner.answers.formula import Formula
    from planner.formulas.codec import read_formula_file
    from planner.text.shipped import shipped_formula

    return shipped_formula("efficientnet_b0"), lambda path: read_formula_file(path, Formula)


def latency_model(mine):
    from planner.latency.fit import fit_latency
    from planner.latency.model import LatencyModel
    from sampler import base, stack

    text, _ = latency_table(mine)
    path = mine.folder / "latency.csv"
    path.write_text(text)
    one = stack([base("efficientnet_b0").architecture()])
    return fit_latency(path).dumps(), lambda path: LatencyModel.load(path).of(one, 1000)


def settings_document(mine):
    """What `study.toml` holds, as TOML is read."""
    from planner.study.settings import checked

    return mine.settings.model_dump_json(), lambda path: checked(json.loads(path.read_text()), str(path))


def network_description(mine):
    from planner.exports.given import read_given

    one = mine.study.get_trials(deepcopy=False)[0].user_attrs["architecture"]
    return json.dumps({"architecture": one, "classes": 4, "formula": "f.json"}), lambda path: read_given(path)


def utilization_record(mine):
    from planner.searches.probing import FORMAT

    units = [{"name": f"stage{i}", "loss_increase": 0.1 * i or None, "capped": False} for i in range(3)]
    return json.dumps({"schema": "utilization/1", "units": units}), lambda path: FORMAT.load(path, FORMAT.again)


def comparison_table(mine):
    from planner.compare.comparison import Comparison
    from planner.compare.rows import read_table, rows_in

    lines = (ROOT / "results" / "reference" / "comparison.csv").read_text().splitlines(keepends=True)
    return "".join(lines[:13]), lambda path: Comparison(rows_in(read_table(path))).as_dict()


def audited_table(mine):
    from planner.scores.audit import audit

    rows = [f"{0.3 + 0.01 * i},{(i * 7) % 11},{10**6 + i},{i % 5}" for i in range(20)]
    text = "\n".join(["accuracy,zen,macs,group", *rows]) + "\n"
    return text, lambda path: audit(path, ["zen"], "accuracy", resamples=100)


def fitted_table(mine):
    """A fit to whatever can be read."""
    from planner import fit

    frame = mine.table().frame[["accuracy", "macs", "r", "d"]]
    return frame.to_csv(index=False), lambda path: fit(path, base="efficientnet_b0")


def ledger_attributes(mine):
    """What the ledger holds of a trial."""
    import sqlite3

    from planner.study.ledger import Ledger

    facts = mine.study.get_trials(deepcopy=False)[0].user_attrs
    database = mine.folder / "ledger.db"

    def read(path):
        with sqlite3.connect(database) as connection:
            connection.execute("DELETE FROM trial_user_attributes WHERE trial_id = 1")
            rows = [(1, key, json.dumps(value)) for key, value in json.loads(path.read_text()).items()]
            connection.executemany(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", rows
            )
        connection.close()
        ledger = Ledger(mine.folder, mine.settings)
        for act in (ledger.table, ledger.tried, ledger.timings, ledger.attempts, ledger.asked):
            act()

    return json.dumps(facts), read


def last_study(mine):
    from planner.study.folder import LAST, folder_of

    def read(path):
        LAST.parent.mkdir(exist_ok=True)
        shutil.copy(path, LAST)
        folder_of(None)

    return "mine\n", read


TEXTS = (
    settings_file, study_table, outside_table, any_table, latency_table, scores_table, classes_list, queue_file,
    search_record, parent_record, observation_file, zen_memory, last_study, latency_model, network_description,
    utilization_record, comparison_table,
)  # fmt: skip
DOCUMENTS = (
    settings_document, queue_file, search_record, parent_record, observation_file, latency_model, network_description,
    utilization_record, ledger_attributes,
)  # fmt: skip
TABLES = (
    study_table, outside_table, any_table, latency_table, scores_table, classes_list, comparison_table, audited_table,
    fitted_table,
)  # fmt: skip
DEAR = (audited_table, fitted_table, ledger_attributes)  # a tenth of a second and more: long runs have fewer of them
# Those whose own tests fuzz them quickly: here only in the long run.
LATER = (formula_file,)


def fuzz(valid, read, path, how, strategy):
    @how
    @given(strategy(valid))
    def one(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
        refused_or_read(lambda: read(path))

    one()


@pytest.mark.parametrize("kind", TEXTS)
def test_a_damaged_file_is_read_or_refused_in_one_line(mine, tmp_path, kind):
    valid, read = kind(mine)
    (tmp_path / "box").mkdir()
    path = tmp_path / "box" / ("f.csv" if "table" in kind.__name__ else "f.json")
    path.write_text(valid)
    read(path)  # the valid one is read
    fuzz(valid, read, path, QUICK, damaged)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_of_wrong_values_is_read_or_refused_in_one_line(mine, tmp_path, kind):
    valid, read = kind(mine)
    (tmp_path / "box").mkdir()
    fuzz(json.loads(valid), read, tmp_path / "box" / "f.json", QUICK, changed)


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_wrong_cells_is_read_or_refused_in_one_line(mine, tmp_path, kind):
    valid, read = kind(mine)
    (tmp_path / "box").mkdir()
    path = tmp_path / "box" / "f.csv"
    path.write_text(valid)
    read(path)  # the valid one is read
    fuzz(valid, read, path, QUICK, retyped)


FOUND_BY_LONG_RUNS = (
    (scores_table, "trial,macs,zen\n0,1000,3.5\nInfinity"),
    (scores_table, "t\r\nmacs,zen\n0,1000,3.5,abc\n"),
    (latency_table, '"base,latency_ms\n",macs\nresnet18,2\n'),
    (parent_record, '{"architecture": {"\\n": null}}'),
)


@pytest.mark.parametrize(("kind", "content"), FOUND_BY_LONG_RUNS)
def test_what_long_runs_found_is_refused_in_one_line(mine, tmp_path, kind, content):
    (tmp_path / "box").mkdir()
    path = tmp_path / "box" / ("f.csv" if "table" in kind.__name__ else "f.json")
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        kind(mine)[1](path)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*TEXTS, *LATER])
def test_many_damaged_files_are_read_or_refused_in_one_line(mine, tmp_path, kind):
    valid, read = kind(mine)
    (tmp_path / "box").mkdir()
    fuzz(valid, read, tmp_path / "box" / "f.csv", LONG, damaged)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*DOCUMENTS, *LATER])
def test_many_documents_of_wrong_values_are_read_or_refused_in_one_line(mine, tmp_path, kind):
    valid, read = kind(mine)
    (tmp_path / "box").mkdir()
    fuzz(json.loads(valid), read, tmp_path / "box" / "f.json", FEWER if kind in DEAR else LONG, changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_many_tables_of_wrong_cells_are_read_or_refused_in_one_line(mine, tmp_path, kind):
    valid, read = kind(mine)
    (tmp_path / "box").mkdir()
    fuzz(valid, read, tmp_path / "box" / "f.csv", FEWER if kind in DEAR else LONG, retyped)


# --- The ledger ---


def test_a_foreign_optuna_study_is_refused_in_one_line(tmp_path):
    import optuna

    from planner.study.ledger import Ledger
    from planner.study.settings import StudySettings

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    optuna.create_study(study_name="theirs", storage=url, direction="minimize")
    document = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}
    with pytest.raises(PlannerError, match="theirs was not made by the planner .* name another --study"):
        Ledger(tmp_path, StudySettings.model_validate(document))


def test_a_ledger_of_another_version_of_optuna_is_refused_in_one_line(mine):
    import sqlite3

    from planner.study.ledger import Ledger

    with sqlite3.connect(mine.folder / "ledger.db") as database:
        database.execute("UPDATE version_info SET schema_version = 3")
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    database.close()
    with pytest.raises(PlannerError, match="optuna storage upgrade|another version of Optuna") as error:
        Ledger(mine.folder, mine.settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("activations", [], r"activations: Input should be a valid integer \(given: \[\]\)"),
        ("history", [{"epoch": 1}], "history.0.training_loss: Field required"),
        ("architecture", {"base": "x"}, "architecture.resolution: Field required"),
        ("asks", {"epochs": "two"}, "asks.epochs: Input should be a valid integer"),
    ],
)
def test_a_trial_that_holds_something_else_is_named(mine, key, value, words):
    import sqlite3

    from planner.study.ledger import Ledger

    with sqlite3.connect(mine.folder / "ledger.db") as database:
        database.execute("DELETE FROM trial_user_attributes WHERE trial_id = 3 AND key = ?", (key,))
        row = (3, key, json.dumps(value))
        database.execute("INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", row)
    database.close()
    with pytest.raises(PlannerError, match=rf"ledger.db is damaged \(trial 2: {words}.*\): restore it from a copy$"):
        Ledger(mine.folder, mine.settings).table()


def test_trials_that_somebody_else_queued_are_left_alone(new):
    new.study.enqueue_trial({"resolution": 64})
    assert new.claim() is None and new.pending() is None
    assert len(new.frame()) == 0


def test_a_text_that_a_spreadsheet_would_compute_is_exported_as_text():
    import pandas as pd

    from planner.tables.table import csv_text

    frame = pd.DataFrame({"base": ["=1+2", "@x", "-y", "plain", None], "r": [-1.0, 2.0, 3.0, 4.0, 5.0]})
    assert csv_text(frame).splitlines() == ["base,r", "'=1+2,-1.0", "'@x,2.0", "'-y,3.0", "plain,4.0", ",5.0"]


def test_accuracies_in_percent_and_unknown_columns_are_named(tmp_path, capsys):
    from planner.tables.table import read_csv

    path = tmp_path / "mine.csv"
    path.write_text("top1,flops\n0.5,100\n")
    with pytest.raises(PlannerError, match="no column accuracy or macs; its columns are top1, flops"):
        read_csv(path)
    path.write_text("accuracy,macs,r,d\n57.3,1e8,1,1\n61.0,2e8,1.2,1.1\n")
    assert read_csv(path, "efficientnet_b0").frame["accuracy"].tolist() == pytest.approx([0.573, 0.61])
    assert "accuracy looks like percent; divided by 100" in capsys.readouterr().err


# --- Nothing that is read may run ---


def calls_in(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_nothing_is_pickled_and_weights_are_only_weights():
    files = [path for folder in ("sampler", "trainer", "planner") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    loads = 0
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            bad = {one.split(".")[0] for one in modules} & {
                "pickle",
                "dill",
                "cloudpickle",
                "shelve",
                "marshal",
                "joblib",
            }
            # CIFAR's archives are pickles: read by stand-ins alone, after every opcode was looked at (its own tests).
            assert not bad or path.name == "plain_pickles.py", f"{path} imports {bad}"
        for call in calls_in(tree):
            name = ast.unparse(call.func)
            given = {one.arg: ast.unparse(one.value) for one in call.keywords}
            if name == "torch.load":
                loads += 1
                assert given.get("weights_only") == "True", f"{path}: {ast.unparse(call)}"
            assert name not in ("eval", "exec", "pd.read_pickle", "pandas.read_pickle", "yaml.load"), f"{path}: {name}"
            assert given.get("allow_pickle", "False") == "False", f"{path}: {ast.unparse(call)}"
    assert loads >= 1
