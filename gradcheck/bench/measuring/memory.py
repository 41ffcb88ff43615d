"""How much memory a call takes at most, exactly, where the kernel keeps the peak of a process (Linux)."""

import ctypes
import gc
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
PEAK = "5"  # resets the peak of the resident set, proc(5)


def peak(call: Callable[[], object]) -> tuple[object, int | None]:
    """What a call returns, and the bytes that it took at most beyond what was there before; None where nobody counts.

    Pages of code that it touches first are among them: call something small of the same kind before.
    """
    _trim()
    try:
        CLEAR.write_text(PEAK)
        before = _resident("VmRSS")
    except OSError:
        return call(), None
    value = call()
    return value, max(0, _resident("VmHWM") - before)


def _trim() -> None:
    """Give back what is free already, where the C library can: a call that reuses it would seem to take nothing."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # only glibc has it; there is no library to ask on Windows
        ctypes.CDLL(None).malloc_trim(0)


def _resident(key: str) -> int:
    """Bytes in the status of this process."""
    found = re.search(rf"^{key}:\s*(\d+)", STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{STATUS} has no {key}")
    return int(found[1]) * 1024
