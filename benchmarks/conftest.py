"""Benchmarks run in one process: the settings of the tests have two, which would disturb each other's clocks."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Called of this folder only where it is asked for by name."""
    config.option.numprocesses, config.option.dist, config.option.tx = None, "no", []
