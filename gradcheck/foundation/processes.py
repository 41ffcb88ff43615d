"""Child processes that are asked in lines: the parent's side, the child's side, and what ended one in words.

A parent holds a `Process` of ``python -m module``, and the module makes itself a `Parent`. Both send lines; one that is not
whole is none. Whatever ends the child, a time limit of its own included, is `Ended` where its parent waits for a line.
"""

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, cast

LOADING = 600.0  # seconds that libraries may take to load
GRACE = 10.0  # seconds that a process may take to end once there is nothing more to read
TIMEOUT = b"Timeout ("  # what faulthandler writes first


class Ended(Exception):
    """A process that answers no more, timed out by a `time_limit` of its own or not; the text is its exit code in words."""

    def __init__(self, code: int, *, timed_out: bool) -> None:
        super().__init__(exit_in_words(code))
        self.timed_out = timed_out


class Process:
    """The parent's side of a child process, which runs a module with arguments; close it.

    It finds the modules of this process, and none that lie in the folder where it works. The environment is its own but for
    ``PYTHONPATH``. Its standard error, if no file is given for it, is that of this process.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] = os.environ,
        folder: Path | None = None,
        errors: "IO[Any] | None" = None,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.pid = self._process.pid
        self._input, self._output = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)

    def send(self, line: bytes) -> None:
        """Send a line. Whether it was read shows when an answer is missing."""
        with suppress(OSError):
            self._input.write(line + b"\n")
            self._input.flush()

    def receive(self) -> bytes:
        """Its next line, once there is one; raises `Ended` where there is none, and the process is closed."""
        line = next(self.lines(), None)
        if line is None or line.startswith(TIMEOUT):
            raise Ended(self.close(), timed_out=line is not None)
        return line

    def lines(self) -> Iterator[bytes]:
        """What it says until it ends."""
        return _whole(self._output)

    def close(self, grace: float = GRACE) -> int:
        """End the process, with a signal after so many seconds; the exit code that it had, or has now."""
        with suppress(OSError):  # a line that it never read
            self._input.close()  # on which it ends, if it has not
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with self._process:
            return self._process.wait()


class Parent:
    """The child's side: who started this process, and wrote the lines on its standard input.

    From now on what libraries print goes to standard error, they find nothing to read, and the interrupt of a terminal is
    the parent's affair. Where there are no more lines this process ends at once, whatever it is doing: its parent is gone.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._lines = SimpleQueue[bytes]()
        asked, self._answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        Thread(target=_listen, args=(asked, self._lines), daemon=True).start()

    def receive(self) -> bytes:
        """Its next line, once there is one."""
        return self._lines.get()

    def send(self, line: bytes) -> None:
        """Send a line."""
        self._answers.write(line + b"\n")
        self._answers.flush()

    def time_limit(self, seconds: float) -> AbstractContextManager[None]:
        """End this process where what it does in here takes longer; the parent has `Ended`."""
        return time_limit(seconds, self._answers)


@contextmanager
def time_limit(seconds: float, file: "IO[Any]") -> Generator[None]:
    """End this process where what it does in here takes longer, even if no thread can run; the file says so."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=file)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def exit_in_words(code: int) -> str:
    """``exit code 3``, ``signal SIGKILL``."""
    return f"signal {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"exit code {code}"


def _whole(file: "IO[bytes]") -> Iterator[bytes]:
    """Lines, without those that broke off."""
    return (line[:-1] for line in file if line.endswith(b"\n"))


def _listen(file: "IO[bytes]", heard: "SimpleQueue[bytes]") -> None:
    for line in _whole(file):
        heard.put(line)
    os._exit(0)
