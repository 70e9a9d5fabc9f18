"""Trainings on a Ray cluster: a machine may go, and every training is still recorded exactly once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planner import PlannerError
from planner.study.ledger import Ledger
from planner.study.settings import StudySettings
from planner.training.coordinator import Coordinator
from planner.training.resources import ENGINES, Resources, gpus_of
from sampler import InputError, random_design
from trainer.engines.engine import Workplace
from trainer.engines.ray import PRIVATE, RayEngine

SETTINGS = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}
SMALL = ["--data", "fractal:classes=2,train=60,validation=4", "--epochs", "1", "--window", "1M", "2M"]


def closed_form(begun, endless):
    """Work that gives a formula, but on the machine `endless` never ends; by value, for machines without tests."""

    def work(assignment, fetch, on_epoch):
        import time
        from pathlib import Path

        import ray

        from sampler import architecture_complexity
        from trainer.engines.remote import Outcome
        from trainer.observation import EpochRecord, Fidelity, Observation

        one = assignment.training.architecture
        costs = architecture_complexity(one, 4)
        facts = {name: getattr(costs, name) for name in ("macs", "params", "activations")}
        node = ray.get_runtime_context().get_node_id()
        (Path(begun) / f"{assignment.key}-{node}").touch()
        on_epoch((EpochRecord(1, 1.0, 0.5),))
        time.sleep(600 if node == endless else 0.2)
        found = Observation(one, Fidelity(3), 0, "ok", 0.5, 1.0, seconds=0.2, device="cpu", **facts)
        return Outcome("done", found.to_json())

    return work


@pytest.fixture
def ledger(tmp_path):
    """A ledger with sixteen architectures queued."""
    (tmp_path / "mine").mkdir()
    made = Ledger(tmp_path / "mine", StudySettings.model_validate(SETTINGS))
    made.enqueue(random_design(made.space, 16, seed=0), "random")
    return made


class Notes:
    """Progress that calls a function at every end."""

    def __init__(self, then):
        self.then, self.ended, self.epochs, self.notes = then, [], [], []

    def done(self, number, observation):
        self.ended.append(number)
        self.then(len(self.ended))

    def epoch(self, number, epoch, of):
        self.epochs.append(number)

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def two_machines():
    """A Ray cluster of two machines: its address, the second one's name, and a function that loses that one."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    second = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    yield cluster.address, second.node_id, lambda: cluster.remove_node(second, allow_graceful=False)
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_sixteen_trainings_are_recorded_once_each_though_a_machine_is_lost(ledger, tmp_path, two_machines, monkeypatch):
    address, second, lose = two_machines
    begun = tmp_path / "begun"
    begun.mkdir()

    def then(ended):
        """Loses the second machine in the middle, when it is at two trainings."""
        deadline = time.monotonic() + 120
        while ended == 6 and len(list(begun.glob(f"*-{second}"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        if ended == 6:
            lose()

    engine = RayEngine(ledger.observations, address=address, work=closed_form(str(begun), second))
    monkeypatch.setattr("trainer.engines.remote.Desk.assignment", assignment)
    notes = Notes(then)
    with ledger.coordinating():
        ended = Coordinator(ledger, tmp_path, Resources(engine="ray"), lambda *_: engine, notes, None).run()
    assert ended == 16
    trials = [trial for trial in ledger.study.get_trials() if trial.values]
    assert len(trials) == len({str(trial.user_attrs["architecture"]) for trial in trials}) == 16
    counts = ledger.counts()
    assert (counts["ok"], counts["running"], counts["waiting"]) == (16, 0, 0)
    lost = [path.name.split("-")[0] for path in begun.glob(f"*-{second}")]
    assert len(lost) == 2
    for key in lost:
        assert len(list(begun.glob(f"{key}-*"))) == 2  # begun again on the other machine
    assert set(notes.epochs) >= set(range(16))


def assignment(desk, key, training):
    """An assignment without images."""
    from trainer.engines.remote import Assignment
    from trainer.engines.shipping import ShippedImages

    return Assignment(key, training, ShippedImages((), (), "none", 8, "0"), b"", "", "", 1, "cpu")


def planner(folder, *arguments):
    command = [sys.executable, "-c", "from planner.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_command_trains_on_a_private_cluster_and_as_it_does_here(tmp_path):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    accuracies = []
    for engine in ("local", "ray"):
        made = planner(tmp_path, "sample", "--study", engine, "--trials", "2", "--seed", "3", *SMALL)
        assert made.returncode == 0, made.stderr
        done = planner(tmp_path, "train", "--study", engine, "--engine", engine, "--workers", "1", "--device", "cpu")
        assert done.returncode == 0, done.stderr
        assert f"results/{engine}: 2 trained, 0 failed, 0 wait" in done.stdout
        exported = planner(tmp_path, "front", "--study", engine, "--json")
        accuracies.append(exported.stdout.replace(engine, ""))
        assert not list((tmp_path / "results" / engine / "checkpoints").glob("*.pt"))
    assert accuracies[0] == accuracies[1]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "auto", "host:99999999"])
def test_a_cluster_that_is_not_there_is_one_line_at_once(tmp_path, address):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    begun = time.monotonic()
    with pytest.raises(
        InputError, match=rf"--address {address}: no Ray cluster to be reached .* leave it out"
    ) as error:
        with RayEngine(tmp_path, address=address):
            pass
    assert "\n" not in str(error.value) and time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [("ray", "ray", "ray"), ("slurm", "submitit", "slurm")], ids=["ray", "slurm"]
)
def test_an_engine_that_is_not_installed_says_how_to_install_it(ledger, monkeypatch, engine, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    asked = Resources(engine=engine)
    with pytest.raises(InputError, match=rf"not installed; pip install 'scaling-planner\[{extra}\]'"):
        with ENGINES[engine](asked, Workplace(ledger.observations, jobs=ledger.folder / "jobs")):
            pass


def test_options_of_another_engine_are_refused():
    for name, value, engine in (("address", "auto", "ray"), ("slurm_option", ("a=b",), "slurm")):
        with pytest.raises(PlannerError, match=f"--{name.replace('_', '-')} is of --engine {engine}"):
            Resources(**{name: value})
        Resources(engine=engine, **{name: value})


@pytest.mark.parametrize("name", ["dask", "", "Slurm", "LOCAL"])
def test_an_engine_that_is_none_is_refused_and_those_that_are_named(name):
    known = "local, ray, slurm, inline"
    with pytest.raises(PlannerError, match=f"--engine {name}: there is no such engine; one of: {known}$"):
        Resources(engine=name)


def test_threads_are_of_the_local_engine():
    with pytest.raises(PlannerError, match="--threads is of --engine local"):
        Resources(engine="slurm", threads=2)


class Ray:
    """As much of Ray as is needed to begin a private cluster; keeps what it was begun with."""

    def __init__(self, version):
        self.__version__, self.begun = version, []

    def is_initialized(self):
        return False

    def init(self, **options):
        self.begun.append((options, {name: os.environ.get(name) for name in PRIVATE | {"RAY_AUTH_TOKEN": ""}}))
        raise RuntimeError("begun")


def test_a_private_cluster_listens_to_this_machine_alone_and_to_those_with_its_token(tmp_path, monkeypatch):
    for name in (*PRIVATE, "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    tokens = set()
    for _ in range(2):
        monkeypatch.setitem(sys.modules, "ray", ray := Ray("2.52.0"))
        with pytest.raises(RuntimeError, match="begun"), RayEngine(tmp_path):
            pass
        ((options, environment),) = ray.begun
        assert options["address"] == "local" and options["include_dashboard"] is False
        assert environment | PRIVATE == environment
        tokens.add(environment["RAY_AUTH_TOKEN"])
    assert len(tokens) == 2 and min(map(len, tokens)) == 64
    assert os.environ["RAY_AUTH_MODE"] == "disabled" and "RAY_AUTH_TOKEN" not in os.environ


def test_the_token_of_a_private_cluster_is_not_taken_to_another(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", ray := Ray("2.60.0"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    with pytest.raises(InputError, match="no Ray cluster to be reached"), RayEngine(tmp_path, address="auto"):
        pass
    assert ray.begun[0][1]["RAY_AUTH_TOKEN"] is None


@pytest.mark.parametrize("version", ["2.40.0", "2.51.2", "1.13.0"])
def test_a_ray_without_tokens_makes_no_private_cluster(tmp_path, monkeypatch, version):
    monkeypatch.setitem(sys.modules, "ray", ray := Ray(version))
    with pytest.raises(InputError, match=rf"Ray {version} has no tokens.* pip install --upgrade 'ray>=2.52'"):
        with RayEngine(tmp_path):
            pass
    assert not ray.begun


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_nothing_of_a_private_cluster_listens_to_other_machines(tmp_path):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    program = (
        "from pathlib import Path\n"
        "from trainer.engines.ray import PRIVATE, RayEngine\n"
        "def listening():\n"
        "    lines = [line.split() for file in ('tcp', 'tcp6') for line in open(f'/proc/net/{file}')]\n"
        "    return {line[1] for line in lines if line[3] == '0A'}\n"
        "before = listening()\n"
        f"with RayEngine(Path({str(tmp_path)!r})):\n"
        "    print(*(listening() - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    ports = done.stdout.split()
    assert ports and all(port.startswith(("0100007F", "0" * 16 + "FFFF0000" + "0100007F")) for port in ports), ports


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [
        ({}, None),
        ({"device": "cpu"}, 0),
        ({"device": "cuda"}, 1),
        ({"device": "cuda", "per_device": 4}, 0.25),
        ({"gpus_per_training": 0.5, "device": "cuda"}, 0.5),
    ],
)
def test_gpus_of_a_training_follow_from_the_options(asked, gpus):
    assert gpus_of(Resources(engine="ray", **asked)) == gpus


def test_one_gpu_of_this_machine_is_no_place_in_a_cluster():
    with pytest.raises(
        PlannerError, match="--device cuda:1 is one of this machine; --engine ray places trainings itself"
    ):
        gpus_of(Resources(engine="ray", device="cuda:1"))
