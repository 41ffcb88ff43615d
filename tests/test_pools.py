"""Pools: what a backend does to its process is one record, the same in every pool; no process outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import wait
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from threading import Thread

import misbehaving
import pytest
from msgspec import structs

from gradcheck.campaign.child import DEATHS, LOADS, Child, judge_in_child
from gradcheck.campaign.plan import Plan, name_of
from gradcheck.campaign.pools.local import Local
from gradcheck.campaign.results.store import Store
from gradcheck.campaign.run import run_campaign
from gradcheck.errors import BackendError, CallFailed

FILE = misbehaving.__file__
MARK = f"of the tests in process {os.getpid()}"
SPOKEN_OVER = "something else was written in the place of an answer"
HUNG = ("unresolved", "not finished within 1.5 s")
BEHAVIOUR = {
    "leaves": ("wrong", "raised SystemExit: … (misbehaving.py:…)"),
    "exits": ("wrong", "a backend ended the process: exit code 3"),
    "exits_with_zero": ("wrong", "a backend ended the process: exit code 0"),
    "crashes": ("wrong", "a backend ended the process: signal SIGSEGV"),
    "is_killed": ("wrong", "a backend ended the process: signal SIGKILL"),
    "interrupts": ("wrong", "a backend ended the process: KeyboardInterrupt"),
    "cancels": ("wrong", "raised CancelledError: without a message (misbehaving.py:…)"),
    "sleeps": HUNG,
    "spins": HUNG,
    "holds_the_lock": HUNG,
    "takes_memory": (
        "wrong",
        "raised MemoryError: Unable to allocate … EiB for an array with shape (…,) and data type float… (misbehaving.py:…)",
    ),
    "chatters": ("correct", ""),
    "reads": ("correct", ""),
    "closes": ("correct", ""),
    "clears": ("correct", ""),
    "moves": ("correct", ""),
    "closes_descriptors": ("correct", ""),
    "closes_all_descriptors": ("wrong", "a backend ended the process: exit code 1"),
    "forbids_files": ("correct", ""),
    "leaves_a_child": ("correct", ""),
    "leaves_a_daemon": ("correct", ""),
    "forks": ("correct", ""),
    "leaves_threads": ("correct", ""),
    "floods": ("correct", ""),
    "hangs_deaf": HUNG,
    "terminates_all": ("wrong", "a backend ended the process: signal SIGTERM"),
    "kills_all": ("wrong", "a backend ended the process: signal SIGKILL"),
    "kills_its_parent": ("wrong", "a backend ended the process: signal SIGKILL"),
    "ignores_signals": ("correct", ""),
    "blocks_signals": ("correct", ""),
    "sets_hooks": ("correct", ""),
    "sets_the_language": ("correct", ""),
    "patches_numpy": ("unresolved", "internal error, please report it: ValueError: broken"),
    "patches_json": ("wrong", "a backend ended the process: exit code 1: ValueError: broken"),
    "patches_system": ("wrong", "a backend ended the process: exit code 1: ValueError: broken"),
    "answers_in_its_place": ("wrong", f"a backend ended the process: exit code 0: {SPOKEN_OVER}"),
    "raises_overflows": ("correct", ""),
    "raises_odd": ("wrong", "raised Odd: without a message (misbehaving.py:…)"),
    "aborts": ("wrong", "a backend ended the process: signal SIGABRT: free(): invalid pointer"),
}
LATE = ("hangs_unwatched", "stops", "stops_all")  # what only the parent can end, some seconds after the limit
SLOW = ("opens_files", "hoards")  # which take long enough to be ended, or do not
QUICK = {"exits_with_zero", "clears", "leaves_a_daemon"}


def table(units):
    return {
        "inputs": [2],
        "layers": [{"type": "dense", "units": units}, {"type": "tanh"}, {"type": "dense", "units": 1}],
        "loss": {"type": "mse"},
        "case": {"samples": 2, "seed": units},
    }


TABLES = [table(units) for units in (1, 2, 3, 4, 5)]


def plan(attribute, limit=0.0, file=FILE):
    """With time enough, but where waiting for its end is what the test is for."""
    limit = limit or (1.5 if BEHAVIOUR.get(attribute) == HUNG or attribute in (*LATE, *SLOW) else 60.0)
    return Plan(backends=(f"{file}:{attribute}",), limit=limit)


def judged(pool, plan, tables=TABLES):
    futures = list(pool.judge(plan, tables))
    return comparable(record for future in futures for record in future.result(30))


def comparable(records):
    return sorted((structs.replace(record, seconds=0.0) for record in records), key=lambda record: record.name)


def gone(pids, seconds=8.0):
    """Whether all these processes end within so many seconds; those that wait for somebody to ask how they ended have."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pids = [pid for pid in pids if state(pid) not in ("", "Z")]
        if not pids:
            return True
        time.sleep(0.05)
    return False


def state(pid):
    return status(pid)[0]


def status(pid):
    """Its state, and the numbers of its parent, its group and its session."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [""] * 4


def slow(*values):
    """Parameters for the long run only; processes take their time to start."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in sorted(values)]


@pytest.fixture(scope="module", autouse=True)
def _mark():
    """In the environment of every child."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARK", MARK)
        yield


@pytest.fixture(scope="module")
def pool(_mark):
    with closing(Local(2, (f"{FILE}:exits",))) as pool:
        yield pool


@pytest.mark.parametrize("attribute", [*sorted(QUICK), *slow(*(BEHAVIOUR.keys() - QUICK))])
def test_what_a_backend_does_to_its_process_is_one_record_and_others_are_as_if_it_had_not_been(pool, attribute):
    records = judged(pool, plan(attribute))
    found = {record.case["case"]["seed"]: (record.verdict, record.reason) for record in records}
    assert found == dict.fromkeys((1, 2, 4, 5), ("correct", "")) | {3: BEHAVIOUR[attribute]}
    assert [record.name for record in records] == sorted(map(name_of, TABLES))
    assert records == comparable(judge_in_child(plan(attribute), TABLES))
    assert ratios(records) == ratios(harmless())
    assert left() == []


@cache
def harmless():
    return judge_in_child(plan("reads"), TABLES)


def ratios(records):
    return {record.name: [*record.ratios.values()] for record in records if record.case["case"]["seed"] != 3}


@pytest.mark.slow
@pytest.mark.parametrize("attribute", [*LATE, *SLOW])
def test_what_takes_its_time_costs_no_other_case(attribute):
    records = judge_in_child(plan(attribute), TABLES)
    assert [record.verdict for record in records if record.case["case"]["seed"] != 3] == ["correct"] * 4
    assert left() == []


def left():
    """Processes that children of this one have left behind: they are in no session that one of its children leads."""
    found = {int(name): status(name) for name in os.listdir("/proc") if name.isdigit()}
    own = {pid for pid, (_, parent, *_) in found.items() if parent == str(os.getpid())}
    return [
        pid
        for pid, (how, _, _, session, *_) in found.items()
        if how not in ("", "Z") and int(session or 0) not in own and marked(pid)
    ]


def marked(pid):
    with suppress(OSError):
        return any(MARK.encode() in Path(f"/proc/{pid}/{file}").read_bytes() for file in ("environ", "cmdline"))
    return False


class Killing(Thread):
    """Kills what judges a case, as often as it is told to, as the system does where memory runs out."""

    def __init__(self, runs, times, units="3"):
        super().__init__()
        self.runs, self.times, self.units, self.killed = runs, times, units, []
        self.start()

    def run(self):
        end = time.monotonic() + 20
        while len(self.killed) < self.times and time.monotonic() < end:
            lines = self.runs.read_text().splitlines() if self.runs.exists() else []
            for pid in [int(line.split()[1]) for line in lines if line.split()[:1] == [self.units] and line.count(" ")]:
                if pid not in self.killed:
                    os.kill(pid, signal.SIGKILL)
                    self.killed.append(pid)
            time.sleep(0.01)


@pytest.mark.parametrize(("times", "verdict"), [(DEATHS - 1, "correct"), (DEATHS, "wrong")])
def test_only_what_dies_again_and_again_is_a_finding(tmp_path, monkeypatch, times, verdict):
    runs = tmp_path / "runs"
    monkeypatch.setenv("RUNS", str(runs))
    killing = Killing(runs, times)
    with closing(Child()) as child:
        record = child.judge(plan("naps"), TABLES[2])
    killing.join()
    assert len(killing.killed) == times
    assert record.verdict == verdict
    assert [cause.cause for cause in record.causes] == ["died"] * (verdict == "wrong")


def test_what_one_case_has_left_behind_is_not_held_against_the_next():
    """Where it shows at nothing that is looked at; a mistake that the next has of its own is."""
    with closing(Child()) as child:
        verdicts = [child.judge(plan("poisons"), each).verdict for each in TABLES]
        assert verdicts == ["correct"] * 4 + ["wrong"]
        again = [child.judge(plan("poisons"), each).verdict for each in TABLES]
        assert again == verdicts


@pytest.mark.parametrize(("kills", "expected"), [(LOADS - 1, ["correct"]), (LOADS, "loading the backends ended .*SIGKILL")])
def test_a_kill_while_backends_load_is_their_fault_only_where_it_comes_again_and_again(tmp_path, kills, expected):
    file = tmp_path / "fragile.py"
    file.write_text(
        f"import os, pathlib\nruns = pathlib.Path({str(tmp_path / 'loads')!r})\n"
        f"with runs.open('a') as file:\n    file.write('.')\n"
        f"if len(runs.read_text()) <= {kills}:\n    os.kill(os.getpid(), 9)\n"
        "import gradcheck_backends.manual as mine\n"
    )
    if kills < LOADS:
        assert [record.verdict for record in judge_in_child(plan("mine", file=file), TABLES[:1])] == expected
    else:
        with pytest.raises(BackendError, match=expected):
            judge_in_child(plan("mine", file=file), TABLES[:1])


@pytest.mark.slow
def test_each_case_is_judged_once_whatever_became_of_another(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    monkeypatch.setenv("RUNS", str(runs))
    with closing(Local(2)) as pool:
        judged(pool, plan("exits"))
    once = Counter(line.split()[0] for line in runs.read_text().splitlines())
    runs.unlink()
    judge_in_child(plan("exits"), TABLES)
    assert Counter(line.split()[0] for line in runs.read_text().splitlines()) == once
    assert once["3"] == DEATHS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1/0", "raises when imported: ZeroDivisionError: division by zero"),
        pytest.param("import os; os._exit(3)", "loading the backends ended .*: exit code 3", marks=pytest.mark.slow),
        pytest.param("raise SystemExit", "raises when imported: SystemExit", marks=pytest.mark.slow),
        pytest.param(None, "backend '.*: no such file", marks=pytest.mark.slow),
    ],
)
def test_a_backend_that_cannot_be_had_is_one_line_at_once(tmp_path, source, message):
    file = tmp_path / "broken.py"
    if source:
        file.write_text(source)
    asked = plan("mine", file=file)
    with closing(Local(2)) as pool:
        for ask in (lambda: Local(2, asked.backends), lambda: judged(pool, asked), lambda: judge_in_child(asked, TABLES)):
            with pytest.raises(BackendError, match=message) as caught:
                ask()
            assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_loading_a_backend_counts_for_no_case(tmp_path):
    file = tmp_path / "slow.py"
    file.write_text("import time; time.sleep(1.5)\nfrom gradcheck_backends.manual import build")
    asked = Plan(backends=(f"{file}:function",), limit=1.0)
    file.write_text(file.read_text() + "\nimport gradcheck_backends.manual as function")
    with closing(Local(1, asked.backends)) as pool:
        assert {record.verdict for record in judged(pool, asked)} == {"correct"}
    assert {record.verdict for record in judge_in_child(asked, TABLES)} == {"correct"}


@pytest.mark.parametrize("whose", ["keeper", "child"])
def test_a_child_that_is_killed_between_two_cases_costs_none(tmp_path, monkeypatch, whose):
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    with closing(Child()) as child:
        first = child.judge(plan("exits"), TABLES[0])
        (pid,) = {child._process.pid} if whose == "keeper" else started(tmp_path / "runs", 1)
        os.kill(pid, signal.SIGKILL)
        assert [first.verdict, child.judge(plan("exits"), TABLES[1]).verdict] == ["correct", "correct"]


def test_a_function_runs_in_a_thread_and_what_it_raises_is_one_line(pool):
    assert pool.run(name_of, TABLES[0]).result(30) == name_of(TABLES[0])
    with pytest.raises(CallFailed, match="strerror: TypeError: "):
        pool.run(os.strerror).result(30)
    assert pool.run(name_of, TABLES[0]).result(30) == name_of(TABLES[0])


def test_cancelled_tasks_wake_who_waits_and_free_their_workers(pool):
    futures = list(pool.judge(plan("sleeps", limit=60.0), [TABLES[2]] * 4))
    time.sleep(0.3)
    for future in futures:
        future.cancel()
    assert wait(futures, timeout=5).not_done == set()
    assert pool.run(name_of, TABLES[0]).result(10)


def test_a_campaign_ends_when_its_time_is_over():
    start = time.monotonic()
    with Store.create(None, plan("exits"), {}) as store, closing(Local(1)) as pool:
        run_campaign(store, pool, seconds=0.5, watch=lambda _: None)
    assert time.monotonic() - start < 5


@pytest.mark.slow
def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    with closing(Local(2)) as pool:
        futures = list(pool.judge(plan("sleeps", limit=60.0), [TABLES[2], TABLES[2]]))
        pids = started(tmp_path / "runs", 2)
    assert not any(future.done() and not future.cancelled() and not future.exception() for future in futures)
    assert gone(pids)


SCRIPT = f"""
import os, sys
from contextlib import closing
sys.path.append({str(Path(__file__).parent)!r})
from gradcheck.campaign.plan import Plan
from gradcheck.campaign.pools.local import Local
print("begun", flush=True)
plan = Plan(backends=({FILE!r} + ":" + os.environ["ATTRIBUTE"],), limit=2.0)
with closing(Local(2, plan.backends)) as pool:
    print(*[record.result()[0].verdict for record in pool.judge(plan, {TABLES!r} * 3)])
"""


@pytest.mark.parametrize("way", ["script", *slow("command", "module", "input")])
def test_a_program_needs_no_guard_and_runs_once(tmp_path, way):
    (tmp_path / "mine.py").write_text(SCRIPT)
    how = {"script": ["mine.py"], "command": ["-c", SCRIPT], "module": ["-m", "mine"], "input": ["-"]}[way]
    answer = run([sys.executable, *how], SCRIPT if way == "input" else "", cwd=tmp_path, env=environment("exits"))
    assert answer == ("begun\n" + " ".join(["correct correct wrong correct correct"] * 3) + "\n", "")


def run(command, text, **options):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, **options)
    return done.stdout, done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, *slow(signal.SIGTERM, signal.SIGINT)])
@pytest.mark.parametrize("attribute", ["spins", *slow("sleeps", "holds_the_lock")])
def test_no_worker_outlives_its_parent(tmp_path, number, attribute):
    runs = tmp_path / "runs"
    command = [sys.executable, "-c", SCRIPT]
    env = environment(attribute) | {"RUNS": str(runs)}
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as parent:
        pids = started(runs, 2)
        while runs.read_text().count("3 ") < 2:
            time.sleep(0.02)
        (os.killpg if number == signal.SIGINT else os.kill)(parent.pid, number)
        assert gone(pids)
        errors = parent.stderr.read().decode()
    assert errors.count("Traceback") == (number == signal.SIGINT)


def environment(attribute):
    return os.environ | {"ATTRIBUTE": attribute}


def started(runs, count):
    """The processes of so many workers, once they have judged or begun to."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        lines = runs.read_text().splitlines() if runs.exists() else []
        pids = {int(line.split()[1]) for line in lines if " " in line}
        if len(pids) >= count:
            return pids
        time.sleep(0.02)
    raise AssertionError("the workers did not begin")
