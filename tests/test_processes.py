"""Child processes: whole lines both ways, and whatever ends one is said in words."""

import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from gradcheck.foundation.processes import GRACE, KEPT, Ended, Group, Process, Stopped, exit_in_words

CHILD = """
import ctypes, os, signal, sys, time
from gradcheck.foundation.processes import Parent

parent = Parent()
print("printed")
os.write(1, b"written")
os.kill(os.getpid(), signal.SIGINT)
while True:
    word = parent.receive().decode()
    print(3 * "many words", "last words", sep="\\n", flush=True)
    with parent.time_limit(0.3 if word in ("spins", "holds") else 60):
        if word == "spins":
            while True:
                pass
        if word == "holds":
            ctypes.PyDLL(None).sleep(1000)
        if word == "sleeps":
            parent.send(word.encode())
            time.sleep(1000)
        if word == "floods":
            for _ in range(1000):
                os.write(2, b"x" * (1 << 16))
        if word == "half":
            os.write(parent._answers.fileno(), b"half a line")
            os._exit(0)
        if word == "exits":
            os._exit(3)
        if word == "crashes":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = {"reads": sys.stdin.read(), "path": os.environ["PYTHONPATH"], "variable": os.environ.get("VARIABLE")}
        parent.send(str(answer.get(word, word)).encode())
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A child, found through the path of this process."""
    (tmp_path / "answering.py").write_text(CHILD)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda **options: closing(Process("answering", **options))


def asked(process, word):
    process.send(word)
    return process.receive()


def test_lines_go_both_ways_and_prints_and_interrupts_are_no_part_of_them(start):
    with start() as process:
        assert [asked(process, word) for word in (b"one", b"reads", b"two")] == [b"one", b"", b"two"]
    assert process.close() == 0  # once more changes nothing


def test_a_child_has_the_modules_of_its_parent_and_the_variables_that_it_is_given(start):
    with start(environment={**os.environ, "VARIABLE": "value"}) as process:
        assert asked(process, b"variable") == b"value"
        assert set(asked(process, b"path").decode().split(os.pathsep)) <= set(sys.path)


def test_a_module_where_it_works_is_not_found(tmp_path):
    (tmp_path / "hidden.py").write_text("print('found')")
    with (
        closing(Process("hidden", folder=tmp_path)) as process,
        pytest.raises(Ended, match="No module named hidden"),
    ):
        process.receive()


@pytest.mark.parametrize(
    ("word", "ending"), [("half", "exit code 0"), ("exits", "exit code 3"), ("crashes", "signal SIGKILL")]
)
def test_whatever_ends_a_child_is_said_in_words(start, word, ending):
    with start() as process, pytest.raises(Ended, match=f"^{ending}: last words$") as caught:
        asked(process, word.encode())
    assert not caught.value.timed_out


@pytest.mark.parametrize("word", ["spins", "holds"])
def test_a_limit_ends_a_child_in_which_nothing_else_runs(start, word):
    with start() as process, pytest.raises(Ended) as caught:
        asked(process, word.encode())
    assert caught.value.timed_out


def test_a_child_ends_with_its_lines_whatever_it_does(start):
    with start() as process:
        asked(process, b"sleeps")
        begun = time.monotonic()
    assert time.monotonic() - begun < 5


def test_a_child_that_is_closed_ends_at_once_whatever_it_does(tmp_path, monkeypatch):
    (tmp_path / "stubborn.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(1000)")
    monkeypatch.syspath_prepend(str(tmp_path))
    process, begun = Process("stubborn"), time.monotonic()
    assert process.receive() == b"begun"
    assert process.close() == 0  # as it was asked to
    assert time.monotonic() - begun < GRACE


def test_a_child_that_answers_too_late_is_ended_by_its_parent(start):
    with start() as process:
        asked(process, b"sleeps")
        with pytest.raises(Ended) as caught:
            process.receive(0.1)
    assert caught.value.timed_out


def test_what_a_child_prints_costs_no_memory_and_holds_nobody_up(start):
    with start() as process:
        assert asked(process, b"floods") == b"floods"
        assert len(process.said) <= KEPT


LEAVING = """
import os, signal, sys, time
from gradcheck.foundation.processes import Parent

parent = Parent()
if not os.fork():
    os.setsid()
    if not os.fork():
        parent._pid = os.getpid()
        parent.send(str(os.getpid()).encode())
        time.sleep(1000)
    os._exit(0)
parent.receive()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands on who has lost its parent")
@pytest.mark.parametrize("way", ["closed", "told", "killed", "alone"])
def test_whoever_a_child_has_started_ends_with_it(tmp_path, monkeypatch, way):
    (tmp_path / "leaving.py").write_text(LEAVING)
    monkeypatch.syspath_prepend(str(tmp_path))
    process = Process("leaving")
    daemon = int(process.receive())
    child = int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])
    assert alive(daemon)
    if way == "closed":
        process.close()
    elif way == "told":
        os.kill(process.pid, signal.SIGTERM)
    elif way == "killed":
        os.kill(child, signal.SIGKILL)
    else:
        process._input.close()  # as it is where the parent is gone
    end = time.monotonic() + 5
    while alive(daemon) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(daemon)
    process.close()


def alive(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_child_dies_with_its_keeper(start):
    with start() as process:
        asked(process, b"sleeps")
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(Ended, match="SIGKILL"):
            process.receive(5)


def test_a_group_that_is_stopped_ends_its_processes_and_starts_none(start):
    group = Group()
    with group.here(), start() as process, start() as other:
        asked(process, b"sleeps")
        assert asked(other, b"one") == b"one"
        Timer(0.1, group.stop).start()
        for each in (process, other):
            with pytest.raises(Stopped):
                each.receive(5)
        with pytest.raises(Stopped):
            start()
    with start() as process:
        assert asked(process, b"one") == b"one"


def test_a_line_longer_than_a_pipe_arrives(start):
    with start() as process:
        assert asked(process, b"x" * 1_000_000) == b"x" * 1_000_000


def test_exit_codes_in_words():
    assert [exit_in_words(code) for code in (0, 3, -11, -1000)] == [
        *("exit code 0", "exit code 3", "signal SIGSEGV", "exit code -1000")
    ]
