"""A Dask cluster as a pool: the same records as of the local one, whatever becomes of backends, workers, the scheduler."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from test_pools import BEHAVIOUR, FILE, TABLES, gone, judged, plan, run, started

from gradcheck.campaign.plan import Plan, name_of
from gradcheck.campaign.pools import cluster as module
from gradcheck.campaign.pools.cluster import Cluster
from gradcheck.campaign.pools.local import Local
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.run import run_campaign
from gradcheck.errors import BackendError, CallFailed, LibraryNotInstalled

MIXED = Plan(seed=1, layers=("tanh",), backends=(f"{FILE}:exits",), limit=20.0)


def test_without_distributed_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LibraryNotInstalled, match=r"pip install 'gradcheck\[cluster\]'"):
        Cluster("tcp://127.0.0.1:8786")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The file in which backends write that they are asked."""
    path = tmp_path_factory.mktemp("cluster") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNS", str(path))
        yield path


@pytest.fixture(scope="module")
def cluster(runs):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}  # any free port
    with distributed.LocalCluster(**options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def pool(cluster):
    with closing(Cluster(cluster.scheduler_address, (f"{FILE}:exits",))) as pool:
        yield pool


@pytest.fixture(scope="module")
def local(runs):
    with closing(Local(2, (f"{FILE}:exits",))) as pool:
        yield pool


def campaign(pool, examples=60, plan=MIXED):
    with Store.create(None, plan, {}) as store:
        run_campaign(store, pool, examples=examples, watch=lambda _: None)
        return sorted((record.name, record.verdict, record.reason) for record in store.records())


@pytest.mark.slow
@pytest.mark.parametrize("attribute", BEHAVIOUR)
def test_what_a_backend_does_to_its_process_is_the_same_record_everywhere(pool, local, cluster, runs, attribute):
    workers = {worker.pid for worker in cluster.workers.values()}
    expected = judged(local, plan(attribute))
    asked = runs.read_text().count("3 ")
    assert judged(pool, plan(attribute)) == expected
    again = runs.read_text().count("3 ") - asked
    runs.unlink()
    assert again <= asked + 1  # the scheduler asked nobody again; a worker asks twice about a hang that it has not met
    assert {worker.pid for worker in cluster.workers.values()} == workers


@pytest.mark.slow
def test_a_campaign_has_the_same_cases_and_verdicts_everywhere(pool, local):
    found = campaign(pool)
    assert found == campaign(local)
    assert {verdict for _, verdict, _ in found} > {"correct", "wrong"}
    assert len(found) > 40


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_nothing(pool, local, cluster, runs):
    runs.unlink(missing_ok=True)

    def kill():
        started(runs, 1)  # it judges
        time.sleep(0.2)
        for worker in cluster.workers.values():
            os.kill(worker.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    found = campaign(pool, examples=300)
    thread.join()
    assert found == campaign(local, examples=300)
    assert len({name for name, _, _ in found}) == len(found) > 200


@pytest.mark.slow
def test_children_end_with_the_worker(pool, cluster, runs):
    runs.unlink(missing_ok=True)
    list(pool.judge(plan("sleeps", limit=60.0), [TABLES[2]]))
    children = started(runs, 1)
    for worker in list(cluster.workers.values()):
        os.kill(worker.pid, signal.SIGKILL)
    assert gone(children)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "message"), [("nobody", "unknown backend 'nobody'"), ("sys:path", "got list")])
def test_a_backend_that_cannot_be_had_is_one_line_at_once(cluster, pool, name, message):
    with pytest.raises(BackendError, match=message):
        Cluster(cluster.scheduler_address, (name,))
    with pytest.raises(BackendError, match=message):
        judged(pool, Plan(backends=(name,)))


@pytest.mark.slow
def test_functions_run_on_a_worker_and_their_errors_are_one_line(pool):
    assert pool.run(name_of, TABLES[0]).result(30) == name_of(TABLES[0])
    with pytest.raises(CallFailed, match=r"^--scheduler tcp://.*: TypeError: ") as caught:
        pool.run(name_of).result(30)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_other_versions_on_the_cluster_end_nothing(cluster, monkeypatch):
    from distributed import scheduler

    monkeypatch.setattr(
        scheduler.version_module, "error_message", lambda *_: {"warning": "Mismatched versions", "error": ""}
    )
    with closing(Cluster(cluster.scheduler_address)) as pool:
        assert pool.jobs == 2


@pytest.mark.slow
def test_a_cluster_without_workers_is_one_line(monkeypatch):
    monkeypatch.setattr(module, "ARRIVING", 1.0)
    with (
        pytest.importorskip("distributed").LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        pytest.raises(CallFailed, match="no worker within 1 s"),
    ):
        Cluster(cluster.scheduler_address, ("manual",))


CLIENT = """
import sys
from contextlib import closing
from gradcheck.campaign.pools.cluster import Cluster
from gradcheck.campaign.run import run_campaign
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.store import Store
from gradcheck.errors import CallFailed
from pathlib import Path
try:
    with Store.create(Path("kept.db"), Plan(backends=("manual",)), {}) as store, closing(Cluster(sys.argv[1])) as pool:
        run_campaign(store, pool, examples=100_000, watch=lambda told: print(len(told.records), flush=True))
except CallFailed as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "message", "seconds"),
    [
        ("tcp://127.0.0.1:1", "OSError: Timed out trying to connect to tcp://127.0.0.1:1 after 10 s", 15),
        ("tcp://127.0.0.1", "ValueError: missing port number in address '127.0.0.1'", 5),
        ("carrier://pigeon:1", "ValueError: unknown address scheme 'carrier'", 5),
    ],
)
def test_a_scheduler_that_is_none_is_one_line(tmp_path, address, message, seconds):
    start = time.monotonic()
    output, errors = run([sys.executable, "-c", CLIENT, address], "", cwd=tmp_path)
    assert errors == ""
    assert output.startswith(f"--scheduler {address}: {message}")
    assert output.count("\n") == 1
    assert time.monotonic() - start < seconds


@pytest.mark.slow
def test_a_scheduler_that_dies_leaves_what_was_kept_and_one_line(tmp_path):
    where = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    options = ["--scheduler-file", str(where), "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *options]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *options]
    with subprocess.Popen(command, **quiet) as first, subprocess.Popen(worker, **quiet) as second:
        try:
            output, errors = told(tmp_path, address(where), first)
        finally:
            first.kill()
            second.kill()
    assert errors == ""
    assert output[-1].endswith(": the connection to the scheduler was lost")
    with Store.read(tmp_path / "kept.db") as store:
        assert len(store.names()) == sum(map(int, output[:-1])) > 0


def address(where):
    while not where.exists():
        time.sleep(0.05)
    return json.loads(where.read_text())["address"]


def told(folder: Path, address, scheduler):
    """What a client prints whose scheduler is killed once something was kept."""
    command, pipe = [sys.executable, "-c", CLIENT, address], subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as client:
        lines = []
        while not sum(map(int, lines)):
            lines.append(client.stdout.readline())
        scheduler.kill()
        output, errors = client.communicate(timeout=60)
    return "".join([*lines, output]).splitlines(), errors
