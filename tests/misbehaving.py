"""Backends that are the manual build, but for what they do to their process at networks that start with three units."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from gradcheck_backends import manual


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


class Backend:
    def __init__(self, act):
        self.act = act

    def build(self, network):
        if runs := os.environ.get("RUNS"):
            with Path(runs).open("a") as file:
                file.write(f"{network.layers[0].units} {os.getpid()}\n")
        if network.layers[0].units == 3:
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
