"""A check sees whether kernels ran in Triton's interpreter, and imports no Triton to see it."""

import subprocess
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from gradcheck.adapters.pytorch.interpreted import INTERPRETER, Launches


@pytest.fixture
def builder(monkeypatch):
    """What keeps the grid of the last launch, in the interpreter's place."""
    stand_in = ModuleType(INTERPRETER)
    stand_in.interpreter_builder = SimpleNamespace()
    monkeypatch.setitem(sys.modules, INTERPRETER, stand_in)
    return stand_in.interpreter_builder


def launch(builder, *grid):
    builder.grid_dim = (*grid, 1, 1)


def test_a_launch_is_seen(builder):
    launches = Launches()
    assert not launches.any
    launch(builder, 4)
    assert launches.any


def test_a_launch_before_is_not(builder):
    launch(builder, 4)
    assert not Launches().any


def test_a_launch_of_the_same_grid_is_another(builder):
    launch(builder, 4)
    launches = Launches()
    launch(builder, 4)
    assert launches.any
    assert not Launches().any


def test_one_is_within_another(builder):
    outer = Launches()
    launch(builder, 2)
    inner = Launches()
    assert outer.any
    assert not inner.any


def test_a_launch_by_another_thread_is_seen(builder):
    launches = Launches()
    thread = threading.Thread(target=launch, args=(builder, 3))
    thread.start()
    thread.join()
    assert launches.any


def test_an_interpreter_that_is_imported_meanwhile_is_seen(monkeypatch):
    monkeypatch.delitem(sys.modules, INTERPRETER, raising=False)
    launches = Launches()
    assert not launches.any
    stand_in = ModuleType(INTERPRETER)
    stand_in.interpreter_builder = SimpleNamespace(grid_dim=(1, 1, 1))
    monkeypatch.setitem(sys.modules, INTERPRETER, stand_in)
    assert launches.any


def test_triton_is_not_imported_for_it():
    code = """if True:
        import sys
        from gradcheck.adapters.pytorch.interpreted import Launches
        print(Launches().any, "triton" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
