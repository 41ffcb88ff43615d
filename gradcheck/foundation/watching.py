"""A line for whoever is watching a terminal while something takes long; nothing for anybody else."""

import sys
import time

PATIENCE, EVERY = 2.0, 0.2  # seconds before a line is shown, and between one and the next
ERASED = "\r\x1b[K"


class Watch:
    """Shows how far something is, on standard error, once it has taken two seconds and if that is a terminal."""

    def __init__(self) -> None:
        self.begun = self.last = time.monotonic()
        self.shown = False

    def say(self, what: str) -> None:
        """How far it is, in a few words."""
        now = time.monotonic()
        if now - self.begun < PATIENCE or now - self.last < EVERY or not sys.stderr.isatty():
            return
        self.last, self.shown = now, True
        sys.stderr.write(f"{ERASED}gradcheck: {what}, {now - self.begun:.0f} s")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave no line behind."""
        if self.shown:
            sys.stderr.write(ERASED)
            sys.stderr.flush()
