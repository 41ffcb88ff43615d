"""Triton's kernels without a device: by its interpreter, which is asked for by a variable of the environment.

Triton reads the variable when a kernel is decorated, those of its own library among them. So it is imported under it, when
tests are collected: a test that compiles something imports Triton, too, and then for good. Once everything is imported the
variable is set while these tests run and at no other time.
"""

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VARIABLE = "TRITON_INTERPRET"


@contextmanager
def interpreting() -> Generator[None]:
    """Kernels are interpreted; where there is a device they are compiled, as they are without this."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE == "cpu":
            patch.setenv(VARIABLE, "1")
        yield


def require_triton() -> None:
    """Skip the module that asks where there is no Triton; fail where it was imported too early to be interpreted."""
    pytest.importorskip("triton")
    import triton.language as tl
    from triton.runtime.interpreter import InterpretedFunction

    if DEVICE == "cpu" and not isinstance(tl.sum, InterpretedFunction):
        raise RuntimeError(f"triton was imported without {VARIABLE}=1 before these tests were collected")


@contextmanager
def completed() -> Generator[None]:
    """With what the interpreter lacks: numbers of Python that are scalars in a kernel, and two functions of CUDA's library.

    The functions stay with who imported them meanwhile.
    """
    from triton.language.extra import libdevice
    from triton.runtime import interpreter

    def as_on_a_device(argument):
        return scalar(argument) if type(argument) is float else converted(argument)

    def scalar(number):
        return tl.tensor(interpreter.TensorHandle(np.array([number], np.float32), tl.float32), tl.float32)

    def of_numpy(function):
        return lambda x: tl.tensor(interpreter.interpreter_builder.unary_op(x.handle, function), x.type)

    tl, converted = interpreter.tl, interpreter._implicit_cvt
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE == "cpu":
            patch.setattr(interpreter, "_implicit_cvt", as_on_a_device)
            patch.setattr(libdevice, "rsqrt", of_numpy(lambda x: 1 / np.sqrt(x)))
            patch.setattr(libdevice, "tanh", of_numpy(np.tanh))
        yield
