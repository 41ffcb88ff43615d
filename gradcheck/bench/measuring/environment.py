"""The machine and the libraries of a measurement: what two measurements must have in common to be compared."""

import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from gradcheck.bench.measuring.job import Pool
from gradcheck.builds import registry
from gradcheck.foundation.versions import versions

LIBRARIES = ("gradcheck", "numpy", "scipy", "autograd", "torch", "jax", "jaxlib", "threadpoolctl")
# OpenMP (PyTorch), OpenBLAS, MKL, Accelerate, and XLA's pool, which takes as many threads as it believes there are cores.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was measured.

    ``libraries`` has the versions of those that are installed, ``load`` how many processes were running or waiting on the
    average of the minute before.
    """

    processor: str
    cores: int
    platform: str
    python: str
    libraries: dict[str, str]
    load: float | None = None


def here() -> Environment:
    """This machine."""
    needs = (status.requires for status in registry.installed())
    return Environment(
        processor=processor(),
        cores=os.cpu_count() or 1,
        platform=platform.platform(),
        python=platform.python_version(),
        libraries=versions((*LIBRARIES, *needs)),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def processor() -> str:
    """Its model, as far as the system says."""
    with suppress(OSError):
        if model := re.search(r"^model name\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return model[1].strip()
    return platform.processor() or platform.machine() or "unknown"


def of_child(threads: int) -> dict[str, str]:
    """The variables of a process that may use so many threads; libraries read them when they are loaded."""
    limits = dict.fromkeys(THREADS, str(threads))
    flags = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD if threads == 1 else ''}".strip()
    return {**os.environ, **limits, **({"XLA_FLAGS": flags} if flags else {})}


def keep_to(threads: int) -> None:
    """Give this process so many processors, where the system can: a pool that no variable reaches (XLA's) takes no more.

    The last ones, since systems tend to put their own work on the first.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def threadpools() -> list[Pool] | None:
    """Those of the libraries that this process has loaded; None without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    except ImportError:
        return None
    pools = cast("list[dict[str, Any]]", threadpool_info())
    return [Pool(pool["internal_api"], pool["version"], pool["num_threads"], pool.get("architecture")) for pool in pools]
