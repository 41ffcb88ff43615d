"""Backends that are the manual build, but for what they do to their process at networks that start with three units."""

import asyncio
import builtins
import contextlib
import ctypes
import faulthandler
import json
import locale
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
from gradcheck_backends import manual

kept = []


def spin():
    while True:
        pass


def leave():
    raise SystemExit(2)


def interrupt():
    raise KeyboardInterrupt


def cancel():
    raise asyncio.CancelledError


def chatter():
    os.write(1, b"{}\n" * 100_000)
    print("ready\n" * 100_000, flush=True)


def clear():
    sys.path.clear()
    os.environ.clear()


def move():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def forbid_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def open_files():
    with contextlib.suppress(OSError):
        while True:
            kept.append(os.open(os.devnull, os.O_RDONLY))


def hoard():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    while True:
        kept.append(bytearray(1 << 20))


def leave_a_child():
    if not os.fork():
        time.sleep(1000)


def leave_a_daemon():
    """Forked twice, in a session of its own, and with nothing of its environment but the mark."""
    if not os.fork():
        os.setsid()
        if not os.fork():
            mark = os.environ.get("MARK", "")
            os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(1000)", mark], {})
        os._exit(0)
    os.wait()


def leave_threads():
    for _ in range(5):
        threading.Thread(target=threading.Event().wait).start()


def flood():
    line = b"x" * 1023 + b"\n"
    for _ in range(1 << 11):
        os.write(1, line * 64)
        os.write(2, line * 64)


def hang_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(1000)


def hang_unwatched():
    faulthandler.cancel_dump_traceback_later()
    ctypes.PyDLL(None).sleep(1000)


def block_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))


def set_hooks():
    sys.excepthook = threading.excepthook = sys.unraisablehook = lambda *_: os._exit(5)


def broken(*_, **__):
    raise ValueError("broken")


def patch_numpy():
    np.sum = np.add = np.dot = np.matmul = np.asarray = np.errstate = broken


def patch_json():
    json.dumps = json.loads = msgspec.json.encode = broken


def patch_system():
    os.write = os.getpid = os.getcwd = builtins.len = broken


def patch_ours():
    for module in [each for name, each in sys.modules.items() if name.startswith("gradcheck.")]:
        for name in [name for name, value in vars(module).items() if callable(value)]:
            setattr(module, name, broken)


def answer_in_its_place():
    for number in range(3, 20):
        with contextlib.suppress(OSError):
            os.write(number, b'{"record": {}, "unchanged": true}\n')


def raise_overflows():
    np.seterr(all="raise")


def abort():
    os.write(2, b"some warning\nfree(): invalid pointer\n")
    os.abort()


class Odd(BaseException):
    pass


def raise_odd():
    raise Odd


class Backend:
    def __init__(self, act):
        self.act = act

    def build(self, network):
        units = getattr(network.layers[0], "units", 0)
        if runs := os.environ.get("RUNS"):
            with Path(runs).open("a") as file:
                file.write(f"{units} {os.getpid()}\n")
        if units == 3:
            self.act()
        return manual.build(network)


leaves = Backend(leave)
exits = Backend(lambda: os._exit(3))
exits_with_zero = Backend(lambda: os._exit(0))
crashes = Backend(lambda: os.kill(os.getpid(), signal.SIGSEGV))
is_killed = Backend(lambda: os.kill(os.getpid(), signal.SIGKILL))
sleeps = Backend(lambda: time.sleep(1000))
spins = Backend(spin)
holds_the_lock = Backend(lambda: ctypes.PyDLL(None).sleep(1000))
takes_memory = Backend(lambda: np.empty(1 << 58))
interrupts = Backend(interrupt)
cancels = Backend(cancel)
chatters = Backend(chatter)
reads = Backend(lambda: sys.stdin.read())
closes = Backend(lambda: sys.stdout.close())
clears = Backend(clear)
moves = Backend(move)
closes_descriptors = Backend(lambda: os.closerange(0, 3))
closes_all_descriptors = Backend(lambda: os.closerange(0, 4096))
forbids_files = Backend(forbid_files)
opens_files = Backend(open_files)
hoards = Backend(hoard)
leaves_a_child = Backend(leave_a_child)
leaves_a_daemon = Backend(leave_a_daemon)
forks = Backend(lambda: os.fork())
leaves_threads = Backend(leave_threads)
floods = Backend(flood)
hangs_deaf = Backend(hang_deaf)
hangs_unwatched = Backend(hang_unwatched)
stops = Backend(lambda: os.kill(os.getpid(), signal.SIGSTOP))
stops_all = Backend(lambda: os.kill(0, signal.SIGSTOP))
terminates_all = Backend(lambda: os.kill(0, signal.SIGTERM))
kills_all = Backend(lambda: os.kill(0, signal.SIGKILL))
kills_its_parent = Backend(lambda: (os.kill(os.getppid(), signal.SIGKILL), time.sleep(1000)))
ignores_signals = Backend(lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
blocks_signals = Backend(block_signals)
sets_hooks = Backend(set_hooks)
sets_the_language = Backend(lambda: locale.setlocale(locale.LC_ALL, "C"))
patches_numpy = Backend(patch_numpy)
patches_json = Backend(patch_json)
patches_system = Backend(patch_system)
patches_ours = Backend(patch_ours)
answers_in_its_place = Backend(answer_in_its_place)
raises_overflows = Backend(raise_overflows)
raises_odd = Backend(raise_odd)
aborts = Backend(abort)
naps = Backend(lambda: time.sleep(1))


class Slow(Backend):
    """At every network."""

    def build(self, network):
        self.act()
        return super().build(network)


dawdles = Slow(lambda: time.sleep(0.05))
stalls = Slow(lambda: np.random.default_rng().random() < 0.02 and time.sleep(1000))


class Poisonous:
    """Right at four units and wrong at five, but wrong at four as well once a case of three was there."""

    poisoned = False

    def build(self, network):
        self.poisoned |= network.layers[0].units == 3
        if network.layers[0].units == 5 or (network.layers[0].units == 4 and self.poisoned):
            raise ValueError("poisoned" if network.layers[0].units == 4 else "wrong")
        return manual.build(network)


poisons = Poisonous()
