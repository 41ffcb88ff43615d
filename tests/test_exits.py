"""Exit code 0 means a report: whatever a backend, a loss or a file does to its process is a finding, or one line and 4."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradcheck import Case, Dense, Logistic, Network, check, save, verify
from gradcheck.errors import BackendBroken, CallFailed
from gradcheck.foundation.calling import passes

slow = pytest.mark.slow  # each starts processes; of every kind one is quick
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nobody waits where processes cannot be forked")

CASE = Case(Network((2,), (Dense(1),), Logistic()), data="two-moons", samples=8)
OWN = """
import asyncio, atexit, ctypes, io, os, signal, sys, time
from gradcheck import backend

class Own(BaseException): pass

def right(network, parameters, batch):
    return backend("manual").build(network).loss_and_gradients(parameters, batch)

def loss(x): return float((x * x).sum())
def gradient(x): return 2 * x

def throw(error): raise error
def fork():
    if os.fork() == 0: return
def fork_and_raise():
    if os.fork() == 0: raise ValueError
def wait():
    open("started", "w").close()
    time.sleep(60)
def replace(): sys.stdout = sys.__stdout__ = io.StringIO()

WAYS = {
    "nothing": lambda: None,
    "exit_at_once": lambda: os._exit(0),
    "exit_in_c": lambda: ctypes.CDLL(None)._exit(0),
    "exit_quickly": lambda: ctypes.CDLL(None).quick_exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "another_program": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
    "exit": lambda: sys.exit(0),
    "own": lambda: throw(Own("mine")),
    "generator_exit": lambda: throw(GeneratorExit()),
    "cancelled": lambda: throw(asyncio.CancelledError()),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "hang_up": lambda: os.kill(os.getpid(), signal.SIGHUP),
    "interrupt": lambda: throw(KeyboardInterrupt()),
    "exit_at_the_end": lambda: atexit.register(os._exit, 3),
    "fork": fork, "fork_and_raise": fork_and_raise, "wait": wait,
    "close_stream": lambda: sys.stdout.close(),
    "replace_stream": replace,
    "no_output": lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 1),
    "no_modules": sys.path.clear,
    "elsewhere": lambda: os.chdir("/"),
}

def doing(way, f):
    def function(*arguments):
        result = f(*arguments)
        way()
        return result
    return function

globals().update({name: doing(way, right) for name, way in WAYS.items()})
globals().update({f"loss_{name}": doing(way, loss) for name, way in WAYS.items()})
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(CASE, "net.toml")
    Path("own.py").write_text(OWN)
    return tmp_path


def command(*arguments):
    return [sys.executable, "-m", "gradcheck", *arguments]


def run(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, **options)


def both(way):
    """``verify`` of a backend, and ``check`` of a loss, that do this."""
    verified = run("verify", "net.toml", "--backend", f"own.py:{way}", "--json", "verify.json")
    checked = run("check", f"own.py:loss_{way}", "own.py:gradient", "--shape", "3", "--json", "check.json")
    return verified, checked


@pytest.mark.parametrize(
    ("way", "end"),
    [
        ("exit_at_once", "exit code 0"),
        pytest.param("exit_in_c", "exit code 0", marks=slow),
        pytest.param("exit_quickly", "exit code 0", marks=slow),
        pytest.param("another_program", "exit code 0", marks=slow),
        ("segfault", "signal SIGSEGV"),
        pytest.param("kill", "signal SIGKILL", marks=slow),
        pytest.param("abort", "signal SIGABRT", marks=slow),
    ],
)
def test_a_process_that_ends_without_a_report_is_4_and_one_line_that_names_who_ended_it(way, end):
    verified, checked = both(way)
    for done, who in ((verified, f"backend '{way}'"), (checked, "function")):
        sentence = f"gradcheck: the process ended before there was a report: {end} in {who}\n"
        assert (done.returncode, done.stdout, done.stderr) == (4, "", sentence)
    assert not list(Path().glob("*.json"))


@pytest.mark.parametrize("way", [*(pytest.param(way, marks=slow) for way in ("exit", "generator_exit", "cancelled")), "own"])
def test_an_exception_of_any_kind_is_a_finding_of_a_backend_and_one_line_of_a_loss(way):
    verified, checked = both(way)
    assert (verified.returncode, verified.stderr) == (1, "")
    assert json.loads(Path("verify.json").read_text())["verdict"] == "wrong"
    assert "raised " in verified.stdout
    assert (checked.returncode, checked.stdout, checked.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("way", [pytest.param("interrupt", marks=slow), "terminate", pytest.param("hang_up", marks=slow)])
def test_an_interrupt_is_one(way):
    for done in both(way):
        assert (done.returncode, done.stdout) == (130, "")
        assert done.stderr.endswith("gradcheck: interrupted\n")


@pytest.mark.parametrize(
    "way",
    [
        "elsewhere",
        "fork",
        *(
            pytest.param(way, marks=slow)
            for way in ("nothing", "fork_and_raise", "close_stream", "replace_stream", "no_output", "exit_at_the_end")
        ),
    ],
)
def test_what_is_done_to_streams_and_folders_spoils_no_report(way):
    for done, kind in zip(both(way), ("verify", "check"), strict=True):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("verdict: correct") == 1
        assert json.loads(Path(f"{kind}.json").read_text())["verdict"] == "correct"


def test_modules_are_found_again_for_the_report():
    done = run("check", "own.py:loss_no_modules", "own.py:gradient", "--shape", "3", "--html", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "correct" in Path("page.html").read_text()


@pytest.mark.parametrize("way", ["exit_at_once", pytest.param("kill", marks=slow)])
def test_a_file_that_ends_the_process_when_it_is_loaded_is_named(way):
    Path("bad.py").write_text(f"import own\nown.WAYS[{way!r}]()\n")
    done = run("verify", "net.toml", "--backend", "bad.py:f")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(" in importing backend 'bad.py:f'\n")


@pytest.mark.parametrize(
    "which", [pytest.param(signal.SIGINT, marks=slow), signal.SIGTERM, pytest.param(signal.SIGHUP, marks=slow)]
)
def test_a_signal_to_the_process_that_waits_ends_both_as_an_interrupt_does(which):
    with started() as process:
        child = child_of(process.pid)
        process.send_signal(which)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "gradcheck: interrupted\n")
    assert gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="who looks every second takes a second")
def test_the_process_that_works_ends_with_the_one_that_waits():
    with started() as process:
        child = child_of(process.pid)
        assert not gone(child)
        process.kill()
        process.wait(30)
    give_up = time.monotonic() + 30
    while not gone(child) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert gone(child)


def started():
    process = subprocess.Popen(
        command("verify", "net.toml", "--backend", "own.py:wait"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    give_up = time.monotonic() + 60
    while not Path("started").exists() and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.02)
    return process


def child_of(pid):
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def gone(pid):
    """Ended, whether or not somebody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_a_working_folder_that_is_gone_is_one_line(tmp_path):
    place = tmp_path / "gone"
    code = (
        "import os; os.rmdir(os.getcwd()); import sys; sys.argv[1:] = ['backends']; from gradcheck.cli import main; main()"
    )
    place.mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gradcheck: the working folder is gone: change to one that is there\n"


def run_with(redirections, *arguments):
    """By a shell that closes streams."""
    shell = ["sh", "-c", f'exec "$@" {redirections}', "sh"]
    return subprocess.run([*shell, *command(*arguments)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [*(pytest.param(each, marks=slow) for each in ("<&-", ">&-", "2>&-")), "<&- >&- 2>&-"])
@pytest.mark.parametrize(("way", "code"), [("right", 0), pytest.param("own", 1, marks=slow), ("exit_at_once", 4)])
def test_closed_streams_change_no_exit_code(closed, way, code):
    done = run_with(closed, "verify", "net.toml", "--backend", f"own.py:{way}")
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_report_for_a_closed_stream_is_refused():
    done = run_with(">&-", "verify", "net.toml", "--json", "-")
    assert (done.returncode, done.stderr) == (2, "gradcheck: --json -: standard output is closed\n")


# Inside somebody's tests


class Own(BaseException):
    """No exception that anybody knows."""


@pytest.mark.parametrize("error", [Own("mine"), SystemExit(0), GeneratorExit()])
def test_in_python_too_an_exception_of_any_kind_is_a_sentence(error):
    def throwing(*_):
        raise error

    with pytest.raises(CallFailed, match=f"throwing raised {type(error).__name__}"):
        check(throwing, lambda x: x, at=1.0)
    assert verify(CASE, [throwing]).wrong


@pytest.mark.parametrize("end", [pytest.skip, pytest.fail, pytest.exit])
def test_what_ends_a_test_ends_it(end):
    def ending(*_):
        end("enough")

    for ask in (lambda: check(ending, lambda x: x, at=1.0), lambda: verify(CASE, [ending])):
        with pytest.raises(end.Exception, match="enough"):
            ask()


def test_what_hypothesis_raises_to_draw_again_goes_through():
    hypothesis = pytest.importorskip("hypothesis")
    seen = []

    @hypothesis.settings(database=None, max_examples=20, derandomize=True)
    @hypothesis.given(hypothesis.strategies.integers(-9, 9))
    def test(number):
        def loss(x):
            hypothesis.assume(number > 0)
            return float(x * x)

        assert check(loss, lambda x: 2 * x, at=float(number))
        seen.append(number)

    test()
    assert seen
    assert min(seen) > 0


def test_an_interrupt_passes_and_a_mistake_does_not():
    assert passes(KeyboardInterrupt())
    assert not any(map(passes, (ValueError(), SystemExit(), Own(), AssertionError())))


def test_a_module_that_ends_the_process_is_broken():
    Path("ending.py").write_text("class Own(BaseException): pass\nraise Own('of mine')\n")
    with pytest.raises(BackendBroken, match="raises when imported: Own: of mine"):
        verify(CASE, ["ending.py:f"])
