"""Children that measure: what they answer, and that whatever a backend does to its process is one row.

Clocks run, and nothing is asserted of how long anything takes.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradcheck.bench import cases
from gradcheck.bench.measuring import memory
from gradcheck.bench.measuring.child import calibrated
from gradcheck.bench.measuring.environment import of_child, processor
from gradcheck.bench.measuring.job import Settings
from gradcheck.bench.measuring.measure import rounds_of
from gradcheck.bench.run import run_benchmark

OWN = """
import os, signal, sys, time
from gradcheck import Unsupported, backend

def right(network, parameters, batch):
    return backend("manual").build(network).loss_and_gradients(parameters, batch)

def wrong(network, parameters, batch):
    loss, gradients = right(network, parameters, batch)
    gradients["0.weight"][0, 0] += 1
    return loss, gradients

def named(network, parameters, batch):
    loss, gradients = right(network, parameters, batch)
    return loss, {"other": gradients["0.weight"]}

def chatters(network, parameters, batch):
    os.write(1, b"{}\\n" * 1000)
    print("ready", flush=True)
    assert not sys.stdin.read()
    return right(network, parameters, batch)

def exits(network, parameters, batch):
    os._exit(3)

def leaves(network, parameters, batch):
    raise SystemExit("bye")

def crashes(network, parameters, batch):
    os.kill(os.getpid(), signal.SIGKILL)

def knows_less(network, parameters, batch):
    raise Unsupported("no rule")

def raises(network, parameters, batch):
    raise ValueError("two\\nlines")

def hangs(network, parameters, batch):
    time.sleep(1000)

calls = []

def tires(network, parameters, batch):
    calls.append(0)
    if len(calls) > 6:
        os._exit(4)
    return right(network, parameters, batch)

def falls(network, parameters, batch):
    # Once, as if somebody else had killed it, and late: others have been measured by then.
    calls.append(0)
    if len(calls) > 6 and not os.path.exists("fallen"):
        open("fallen", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return right(network, parameters, batch)

def talks_over(network, parameters, batch):
    for number in range(3, 10):
        try:
            os.write(number, b"{}}\\n")
        except OSError:
            pass
    return right(network, parameters, batch)
"""
BROKEN = "import no_such_library\n"


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """The only case of a run on 2-3-1, and how often its watch was told."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    Path("broken.py").write_text(BROKEN)

    def run(*backends, **settings):
        points = cases.swept(["2-3-1"], cases.kind("arctan", "logistic"), cases.Grid(batches=(5,)), 0)
        settings = Settings(backends=backends, rounds=2, seconds=1e-4, **settings)
        told = []
        (case,) = run_benchmark(points, settings, lambda _, further: told.append(further)).cases
        assert sum(told) == rounds_of(settings)
        return case

    return run


def test_a_right_backend_has_every_number_and_a_wrong_one_a_large_error(measure):
    case = measure("manual", "own.py:wrong", verification=True)
    assert case.floor.seconds > 0
    assert {step.what for step in case.floor.steps} == {"forward", "activation", "weight", "input"}
    right, wrong = case.rows
    assert not right.error
    assert right.gradient.seconds > 0
    assert right.threadpools
    assert case.verification.seconds > right.gradient.seconds  # hundreds of times, in truth
    if not right.accuracy_note:
        assert right.accuracy < 1e-14
        assert wrong.accuracy > 1e-3
    if memory.CLEAR.exists():
        assert right.peak_memory is not None
        assert case.verification.peak_memory is not None


def test_whatever_a_backend_does_to_its_process_is_its_row(measure):
    names = ("exits", "leaves", "crashes", "raises", "tires", "knows_less")
    rows = {row.backend: row for row in measure("manual", "broken.py:f", *(f"own.py:{name}" for name in names)).rows}
    assert rows["manual"].gradient
    assert not rows["manual"].error
    assert rows["exits"].error == "ended its process: exit code 3"
    assert rows["leaves"].error.startswith("raised SystemExit: bye (own.py:")
    assert rows["crashes"].error == "ended its process: signal SIGKILL"
    assert rows["raises"].error.startswith("raised ValueError: two lines (own.py:")
    assert rows["tires"].error == "ended its process: exit code 4"
    assert rows["knows_less"].error == "unsupported: no rule"
    assert "No module named 'no_such_library'" in rows["f"].error
    assert not any(row.gradient for name, row in rows.items() if name != "manual")


def test_a_process_that_is_killed_once_is_started_again_and_the_case_says_so(measure):
    case = measure("own.py:falls", "own.py:tires", "own.py:talks_over")
    falls, tires, talks_over = case.rows
    assert falls.gradient
    assert not falls.error
    assert [note for note in case.warnings if "ended" in note] == [
        "falls: its process ended (signal SIGKILL) and was started again"
    ]
    assert tires.error == "ended its process: exit code 4"
    assert talks_over.error == "wrote something else in the place of an answer"


def test_a_backend_that_hangs_is_given_up_and_others_are_not(measure):
    start = time.monotonic()
    manual, hangs = measure("manual", "own.py:hangs", limit=5.0).rows
    assert hangs.error == "no answer within 5 s"
    assert manual.gradient
    assert time.monotonic() - start < 300


def test_a_device_is_told_to_the_backend_and_where_it_takes_none_that_is_its_row(measure):
    (row,) = measure("manual", device="cpu").rows
    assert row.error == "backend 'manual' takes no device, got 'cpu'"
    assert row.gradient is None


def test_what_a_backend_prints_and_reads_is_no_part_of_the_talk(measure):
    chatters, named = measure("own.py:chatters", "own.py:named").rows
    assert not chatters.error
    assert not named.error
    assert named.accuracy is None
    assert "expected an array of shape" in named.accuracy_note or "extended" in named.accuracy_note


def test_torch_has_products_of_its_own(measure):
    pytest.importorskip("torch")
    (row,) = measure("torch").rows
    assert row.products > 0
    assert row.of_products > 0


def test_blocks_are_as_long_as_they_are_meant_to_be_within_a_factor():
    calls = []
    count = calibrated(lambda: calls.append(time.sleep(1e-3)), 0.02)
    assert 1 <= count <= 20  # a sleep is never shorter than asked


def test_a_peak_of_memory_is_what_was_taken():
    value, peak = memory.peak(lambda: bytearray(b"x") * (64 << 20))
    assert len(value) == 64 << 20
    if peak is None:
        assert not memory.CLEAR.exists()
        pytest.skip("the kernel keeps no peak here")
    assert 64 << 20 <= peak < 80 << 20
    del value
    values = [bytes(1000) for _ in range(20_000)]  # free afterwards, and of sizes that no system call gives back
    del values
    _, again = memory.peak(lambda: [bytes(1000) for _ in range(20_000)])
    assert again > 19 << 20
    _, little = memory.peak(lambda: None)
    assert little < 1 << 20


def test_threads_are_set_before_libraries_load(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_mine")
    one, two = of_child(1), of_child(2)
    assert (one["OMP_NUM_THREADS"], two["OPENBLAS_NUM_THREADS"], two["NPROC"]) == ("1", "2", "2")
    assert one["XLA_FLAGS"].startswith("--xla_mine --xla")
    assert two["XLA_FLAGS"] == "--xla_mine"
    assert processor()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives processes no processors of their own")
def test_a_process_keeps_to_as_many_processors_as_threads():
    """XLA's pool takes what it finds, whatever the variables say."""
    script = (
        "import os; from gradcheck.bench.measuring.environment import keep_to; keep_to(1);"
        " print(len(os.sched_getaffinity(0)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"
