"""Child processes that are asked in lines: the parent's side, the child's side, and what ended one in words.

A parent holds a `Process` of ``python -m module``, and the module makes itself a `Parent`. Both send lines; one that is not
whole is none. Whatever ends the child, a time limit of its own included, is `Ended` where its parent waits for a line. With
a child ends all that it has started (`gradcheck.foundation.keeper`), and it ends with its parent.
"""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Lock
from typing import IO, Any, cast

from gradcheck.foundation.wording import printable

LOADING = 600.0  # seconds that libraries may take to load
GRACE = 5.0  # seconds past its limit after which a child is ended that has not ended itself
TIMEOUT = b"Timeout ("  # what faulthandler writes first
CHUNK = 1 << 16  # bytes read at once
LONGEST = 1 << 26  # bytes of a line; more is no answer
KEPT = 2000  # bytes of what it said last
SHOWN = 200  # characters of its last line


class Ended(Exception):
    """A process that answers no more, timed out or not; the text is its exit code in words, and its last words."""

    def __init__(self, code: int, *, timed_out: bool = False, said: str = "") -> None:
        self.code, self.timed_out = code, timed_out
        self.said = printable(said.strip().rpartition("\n")[2].strip())[:SHOWN]
        super().__init__(f"{exit_in_words(code)}: {self.said}".removesuffix(": "))


class Stopped(Exception):
    """The processes of this `Group` are over."""


class Group:
    """Processes that belong together: those that a thread starts within it. Any thread may end them all, for good."""

    def __init__(self) -> None:
        self.stopped, self._lock, self._processes = False, Lock(), set["subprocess.Popen[bytes]"]()

    def stop(self) -> None:
        """End them; whoever waits for one, or would start another, has `Stopped`."""
        with self._lock:
            self.stopped = True
            for process in self._processes:
                process.terminate()

    @contextmanager
    def here(self) -> Generator[None]:
        """What this thread starts in here is of this group."""
        token = _group.set(self)
        try:
            yield
        finally:
            _group.reset(token)

    def start(self, command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        """One process more."""
        with self._lock:
            if self.stopped:
                raise Stopped
            process = cast("subprocess.Popen[bytes]", subprocess.Popen(command, **options))
            self._processes.add(process)
        return process

    def forget(self, process: "subprocess.Popen[bytes]") -> None:
        """One that has ended."""
        with self._lock:
            self._processes.discard(process)


_group: ContextVar[Group | None] = ContextVar("group", default=None)


class Process:
    """The parent's side of a child process, which runs a module with arguments; close it.

    It finds the modules of this process, and none that lie in the folder where it works. The environment is its own but for
    ``PYTHONPATH``. What it prints is thrown away, but for the end: ``said``.
    """

    def __init__(
        self, module: str, *arguments: str, environment: Mapping[str, str] = os.environ, folder: Path | None = None
    ) -> None:
        self._group, pipe = _group.get() or Group(), subprocess.PIPE
        self._process = self._group.start(
            [sys.executable, "-P", "-m", "gradcheck.foundation.keeper", module, *arguments],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=folder,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._unsent, self._unread, self._said = b"", bytearray(), b""
        self._open = cast("list[IO[bytes]]", [self._process.stdin, self._process.stdout, self._process.stderr])
        self._input, self._output, self._errors = self._open
        self._selector = DefaultSelector()
        for file in (self._output, self._errors):
            self._selector.register(file, EVENT_READ)
        os.set_blocking(self._input.fileno(), False)

    @property
    def said(self) -> str:
        """The end of what it has printed since it was sent a line."""
        return self._said.decode(errors="replace")

    def send(self, line: bytes) -> None:
        """Send a line, the rest of one that is long with `receive`. Whether it was read shows when an answer is missing."""
        self._unsent, self._said = self._unsent + line + b"\n", b""
        self._unread.clear()  # which answers nothing
        self._write()

    def receive(self, seconds: float = float("inf")) -> bytes:
        """Its next line, once there is one.

        Raises
        ------
        Ended
            Where there is none in so many seconds, or will be none. The process is closed.
        Stopped
            Where its group was.
        """
        end = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = end - time.monotonic()
            if left <= 0 or len(self._unread) > LONGEST or self._finished:
                raise self._over(timed_out=left <= 0)
            self._turn(left)
        line, _, self._unread = self._unread.partition(b"\n")
        if line.startswith(TIMEOUT):
            raise self._over(timed_out=True)
        return bytes(line)

    def close(self) -> int:
        """End the process and all that came of it; the exit code that it had, or has now."""
        if self._open:
            self._selector.close()
            for file in self._open:
                with suppress(OSError):
                    file.close()
            self._open = []
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
            with suppress(OSError):  # nothing is left, unless the keeper itself was killed or stopped
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._group.forget(self._process)
        return self._process.returncode

    def _over(self, *, timed_out: bool) -> Exception:
        end = time.monotonic() + GRACE
        while self._finished and self._selector.get_map() and time.monotonic() < end:
            self._turn(GRACE)  # its last words
        code = self.close()
        return Stopped() if self._group.stopped else Ended(code, timed_out=timed_out, said=self.said)

    def _turn(self, seconds: float) -> None:
        """Read and write what can be, once something can."""
        for key, _ in self._selector.select(None if seconds == float("inf") else seconds):
            if key.fileobj is self._input:
                self._write()
            elif not (chunk := os.read(key.fd, CHUNK)):
                self._selector.unregister(key.fileobj)
            elif key.fileobj is self._output:
                self._unread += chunk
            else:
                self._said = (self._said + chunk)[-KEPT:]

    @property
    def _finished(self) -> bool:
        """Whether all of it has ended: the keeper closes its output last."""
        return self._output.fileno() not in self._selector.get_map()

    def _write(self) -> None:
        try:
            sent = os.write(self._input.fileno(), self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:  # it reads no more
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        waiting = self._input.fileno() in self._selector.get_map()
        if self._unsent and not waiting:
            self._selector.register(self._input, EVENT_WRITE)
        elif waiting and not self._unsent:
            self._selector.unregister(self._input)


class Parent:
    """The child's side: who started this process, and wrote the lines on its standard input.

    From now on what libraries print goes to standard error, they find nothing to read, and the interrupt of a terminal is
    the parent's affair. Where there are no more lines this process ends: its parent is gone.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._pid = os.getpid()
        self._lines, self._answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)

    def receive(self) -> bytes:
        """Its next line, once there is one."""
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            os._exit(0)  # threads of libraries need no goodbye
        return line[:-1]

    def send(self, line: bytes) -> None:
        """Send a line."""
        if os.getpid() != self._pid:
            os._exit(0)  # a copy of this process, which somebody forked and let go on: one answer is enough
        self._answers.write(line + b"\n")
        self._answers.flush()

    @contextmanager
    def time_limit(self, seconds: float) -> Generator[None]:
        """End this process where what it does in here takes longer, even if no thread can run; the parent has `Ended`."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._answers)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def exit_in_words(code: int) -> str:
    """``exit code 3``, ``signal SIGKILL``."""
    return f"signal {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"exit code {code}"
