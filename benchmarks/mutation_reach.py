"""A plugin of pytest for `mutation.py`: which functions of ours each test calls, and later only the tests that matter.

With a folder in ``MUTATION_RECORD`` it writes one file a process there: for each test that passed, its seconds and the
functions that it called, as ``gradcheck/verdict/settle.py:residual``. With a file in ``MUTATION_TESTS``, a list of tests,
it runs these and no others, in that order.

A tracer that is told of calls alone makes the suite about twice as slow, and tells functions apart, not lines: the tests of
a function are few enough. What a test does in processes of its own is not seen.
"""

import json
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

RECORD, TESTS = "MUTATION_RECORD", "MUTATION_TESTS"


class Recorder:
    """What the tests of this process call.

    Parameters
    ----------
    folder : Path
        Where the record is written.
    root : Path
        Of the tree whose functions count.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.package = folder, f"{root}{os.sep}gradcheck{os.sep}"
        self.cut = len(f"{root}{os.sep}")
        self.called: set[Any] = set()
        self.tests: dict[str, dict[str, Any]] = {}

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> None:
        """Of every call; lines are of no interest."""
        self.called.add(frame.f_code)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """One test with its fixtures."""
        self.called.clear()
        sys.settrace(self.trace)
        threading.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # pyright: ignore[reportArgumentType]
            ours = {code for code in self.called if code.co_filename.startswith(self.package)}
            names = {f"{code.co_filename[self.cut :]}:{code.co_qualname.replace('.<locals>', '')}" for code in ours}
            self.tests.setdefault(item.nodeid, {})["functions"] = sorted(names)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Its seconds, and whether it passed."""
        entry = self.tests.setdefault(report.nodeid, {})
        entry["seconds"] = entry.get("seconds", 0.0) + report.duration
        entry["failed"] = entry.get("failed", False) or report.failed

    def pytest_sessionfinish(self) -> None:
        """The record, of those that passed."""
        passed = {name: test for name, test in self.tests.items() if "functions" in test and not test.get("failed", True)}
        if passed:
            (self.folder / f"{os.getpid()}.json").write_text(json.dumps(passed))


class Selector:
    """Runs the tests of a list, in its order."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {name: place for place, name in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Of all that was collected."""
        items[:] = sorted((item for item in items if item.nodeid in self.place), key=lambda item: self.place[item.nodeid])


def pytest_configure(config: pytest.Config) -> None:
    """Whichever of the two is asked for."""
    if folder := os.environ.get(RECORD):
        config.pluginmanager.register(Recorder(Path(folder), config.rootpath))
    if file := os.environ.get(TESTS):
        config.pluginmanager.register(Selector(json.loads(Path(file).read_text())))
