"""Hypothesis profiles, ``ci`` the same every time and ``nightly`` exploring; and modules that tests share.

A test imports a neighbour by its bare name, ``import faults``. The folder is not on the path: nothing else is found there.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

import gradcheck.strategies.profiles

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel already; threads of theirs would only wait

settings.register_profile("ci", parent=settings.get_profile("gradcheck-ci"), max_examples=40)
settings.register_profile("nightly", parent=settings.get_profile("ci"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

HERE = Path(__file__).parent
EXAMPLES = [HERE.parent / "examples" / name for name in ("gallery.py", "contracts.py")]
SHARED = {path.stem: path for path in (*HERE.glob("*.py"), *EXAMPLES)}


class Neighbours:
    """Finds the shared modules, after everything that is installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, SHARED[name]) if path is None and name in SHARED else None


sys.meta_path.append(Neighbours)

# Set by continuous integration: there the installed wheel is tested, never the checkout.
if os.environ.get("GRADCHECK_INSTALLED"):
    import gradcheck

    assert not Path(gradcheck.__file__).resolve().is_relative_to(Path(__file__).resolve().parents[1]), gradcheck.__file__


@pytest.fixture
def command_line(monkeypatch, capsys):
    """Run a command in this process; its exit code, and what it wrote."""
    from gradcheck.cli.app import main

    def run(*words):
        monkeypatch.setattr("sys.argv", ["gradcheck", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run
