"""Child processes: whole lines both ways, and whatever ends one is said in words."""

import os
import signal
import sys
import time
from contextlib import closing

import pytest

from gradcheck.foundation.processes import Ended, Process, exit_in_words

CHILD = """
import ctypes, os, signal, sys, time
from gradcheck.foundation.processes import Parent

parent = Parent()
print("printed")
os.write(1, b"written")
os.kill(os.getpid(), signal.SIGINT)
while True:
    word = parent.receive().decode()
    with parent.time_limit(0.3 if word in ("spins", "holds") else 60):
        if word == "spins":
            while True:
                pass
        if word == "holds":
            ctypes.PyDLL(None).sleep(1000)
        if word == "sleeps":
            parent.send(word.encode())
            time.sleep(1000)
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


def test_errors_go_to_a_file_and_a_module_where_it_works_is_not_found(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "hidden.py").write_text("print('found')")
    with (folder / "errors").open("wb") as errors, closing(Process("hidden", folder=folder, errors=errors)) as process:
        assert list(process.lines()) == []
        assert process.close() == 1
    assert "No module named hidden" in (folder / "errors").read_text()


@pytest.mark.parametrize(
    ("word", "ending"), [("half", "exit code 0"), ("exits", "exit code 3"), ("crashes", "signal SIGKILL")]
)
def test_whatever_ends_a_child_is_said_in_words(start, word, ending):
    with start() as process, pytest.raises(Ended, match=f"^{ending}$") as caught:
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


def test_a_child_that_will_not_end_is_killed(tmp_path, monkeypatch):
    (tmp_path / "stubborn.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(1000)")
    monkeypatch.syspath_prepend(str(tmp_path))
    process = Process("stubborn")
    assert process.receive() == b"begun"
    assert process.close(grace=0) == -signal.SIGKILL


def test_exit_codes_in_words():
    assert [exit_in_words(code) for code in (0, 3, -11, -1000)] == [
        *("exit code 0", "exit code 3", "signal SIGSEGV", "exit code -1000")
    ]
