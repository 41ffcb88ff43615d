"""The process that waits: whatever somebody's code does to the process that works, it never looks like a success.

A backend may end its process where no Python can see it: ``os._exit(0)``, a signal, another program in its place. So the
work is done in a child, forked before anything heavy is imported. It leaves its exit code in memory that both share, which
nothing can close; where it has ended and left none, the parent says so. The parent does nothing else: it waits, and hands on
the signals that are sent to it. Both stand in one process group, so the keys of a terminal (^C, ^Z) reach both, and standard
input is the child's, also for a debugger in it.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from mmap import mmap
from types import FrameType
from typing import Any, TypeAlias

from gradcheck.foundation.calling import being_called

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")  # which end a command as ^C does
HANDED_ON = (*STOPPING, "SIGUSR1", "SIGUSR2")
AT_ONCE = 0.5  # seconds in which a second signal is the first again: of a terminal's ^C the parent's copy is handed on
PDEATHSIG = 1  # what Linux calls the signal that a process gets when its parent ends
INTERNAL = 4

Handler: TypeAlias = Callable[[int, FrameType | None], Any]
THREADED = {
    "numpy",
    "torch",
    "jax",
}  # have threads that Python does not know of: a process that is a child of theirs may hang


def main() -> None:
    """The command line, in a child where processes can be forked: not on Windows, nor beside threads of any kind."""
    open_standard_streams()
    alone = threading.active_count() == 1 and threading.current_thread() is threading.main_thread()
    sys.exit(watched(_run) if alone and hasattr(os, "fork") and THREADED.isdisjoint(sys.modules) else _run())


def open_standard_streams() -> None:
    """Put the null device where a standard stream was closed: else the next file that is opened would be taken for one.

    ``sys.__stdout__`` still says that it was closed.
    """
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115 it stays open


def watched(work: Callable[[], int]) -> int:
    """Its exit code, or that of an error and one line where its process ended before there was one."""
    told = mmap(-1, 2)
    parent = os.getpid()
    handed_on = [signal.Signals[name] for name in HANDED_ON]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handed_on)  # until somebody is there to hand them on
    gc.freeze()  # what nobody looks through is not copied for the child
    child = os.fork()
    if child == 0:
        _end_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        code = work()
        told[:] = bytes([True, code])
        return code
    for each in handed_on:
        _handle(each, partial(_hand_on, child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _, status = os.waitpid(child, 0)
    if told[0]:
        return told[1]
    _say_how_it_ended(os.waitstatus_to_exitcode(status))
    return INTERNAL


def _say_how_it_ended(code: int) -> None:
    from gradcheck.cli.typed import Typed
    from gradcheck.foundation.processes import exit_in_words
    from gradcheck.foundation.wording import printable

    who = being_called()
    sentence = f"the process ended before there was a report: {exit_in_words(code)}{who and f' in {who}'}"
    with suppress(OSError):
        print(f"gradcheck: {printable(Typed(os.getcwd()).text(sentence))}", file=sys.stderr)


def _run() -> int:
    last = 0.0

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        again, last = now - last < AT_ONCE, now
        if not again:
            raise KeyboardInterrupt

    from gradcheck.cli.app import run

    in_main = threading.current_thread() is threading.main_thread()
    before = [_handle(signal.Signals[name], stop) for name in STOPPING if in_main and hasattr(signal, name)]
    try:
        return run()
    finally:  # who has called this in a process of his own has his handlers again
        for which, handler in before:
            signal.signal(which, handler)


def _handle(which: signal.Signals, handler: Handler) -> tuple[signal.Signals, Any]:
    """Unless it is ignored, as by nohup; the one that there was before."""
    before = signal.getsignal(which)
    if before is not signal.SIG_IGN:
        signal.signal(which, handler)
    return which, before


def _hand_on(child: int, which: int, _frame: FrameType | None) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, which)


def _end_with(parent: int) -> None:
    """Leave no orphan: end as the parent does if that is killed."""
    if sys.platform == "linux":
        from ctypes import CDLL

        CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(INTERNAL)


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(INTERNAL)
