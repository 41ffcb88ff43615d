"""Whether kernels ran in Triton's interpreter, which computes with NumPy what a device would compute.

What it does is right in float32 and float16. NumPy has no bfloat16: there the interpreter cuts digits off where devices
round, and some of its operations return NaN. So of a candidate in bfloat16 that is not correct there it is not known whether
it would be on a device.
"""

import sys

INTERPRETER = "triton.runtime.interpreter"
NOTE = "kernels ran in Triton's interpreter (TRITON_INTERPRET=1), not on a device"
NO_EVIDENCE = "Triton's interpreter has no bfloat16 of its own: it cuts digits off, and some operations return NaN"
REMEDY = "check it in float32 or float16, or on a device"


class Launches:
    """Launches of interpreted kernels since it was made, by any thread: backward passes have threads of their own.

    Nothing is put in anybody's place. The interpreter keeps the grid of the last launch, a new one each time, so that it is
    enough to look whether that is still the same. Triton is not imported for it; it may be at any time.
    """

    def __init__(self) -> None:
        self._before = _last_grid()

    @property
    def any(self) -> bool:
        """Whether there was one."""
        return _last_grid() is not self._before


def _last_grid() -> object:
    builder = getattr(sys.modules.get(INTERPRETER), "interpreter_builder", None)
    return getattr(builder, "grid_dim", None)
