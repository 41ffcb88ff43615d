"""``python -m gradcheck.foundation.keeper MODULE ...`` runs a module in a process of its own, and ends all that comes of it.

The keeper stands between a parent and the child that runs the module, and nobody else's code runs in it. Once the child has
ended, or the parent has (nobody holds the other end of standard input), or a signal asks for it (SIGTERM), it kills whatever
has come of the child and ends as the child did. It holds the child's standard output open until then: who has read to its
end knows that nothing is left. Should the keeper itself be killed, the child dies with it.

Linux hands orphans to the keeper, so that it ends those as well which have left their group or have lost their parent; on
other systems it ends the child. Where no process can be forked, the module runs here.
"""

import ctypes
import os
import runpy
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER
FIRST_TO_GO = "1000"  # where memory runs out the system takes this process, and not the one that counts


def main() -> None:
    """Keep a child, in which the module runs."""
    if hasattr(os, "fork"):
        _control(ADOPT_ORPHANS, 1)
        keeper = os.getpid()
        if child := os.fork():
            _keep(child)
        _become_child(keeper)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _become_child(keeper: int) -> None:
    _control(DIE_WITH_PARENT, signal.SIGKILL)
    _control(ADOPT_ORPHANS, 1)  # so that it can see what a backend leaves running
    if os.getppid() != keeper:
        os._exit(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _keep(child: int) -> NoReturn:
    """Wait for the first end there is, and make it the end of all."""
    status = _end_of(child)
    with suppress(ChildProcessError):
        while True:
            for pid in _children(child):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)  # its children are ours now
    if os.WIFSIGNALED(status):
        _die_of(os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


def _end_of(child: int) -> int:
    """The status of a child that has ended; of SIGTERM or of success where it is to end."""
    heard, said = os.pipe()
    os.set_blocking(said, False)
    signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _heard)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    poll = select.poll()
    poll.register(heard, select.POLLIN)
    poll.register(0, 0)  # that it is closed, not what is written to it
    while True:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                return ended[1]
        ready = [file for file, _ in poll.poll()]
        if heard in ready and signal.SIGTERM in os.read(heard, 1024):
            return signal.SIGTERM
        if 0 in ready:
            return 0


def _heard(_number: int, _frame: object) -> None:
    """Nothing more than that it is written where it is heard."""


def _children(child: int) -> list[int]:
    """Of this process."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return [child]


def _die_of(number: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one dump is enough
    signal.set_wakeup_fd(-1)
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
