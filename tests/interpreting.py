"""Triton's kernels without a device: by its interpreter, which is asked for by a variable of the environment.

Triton reads the variable when a kernel is decorated, those of its own library among them. So it is imported under it, when
tests are collected: a test that compiles something imports Triton, too, and then for good. Once everything is imported the
variable is set while these tests run and at no other time.
"""

from collections.abc import Generator
from contextlib import contextmanager

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
