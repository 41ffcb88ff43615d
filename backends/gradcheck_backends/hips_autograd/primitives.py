"""Operations for which Autograd's own rules overflow or lose the dtype, each with a ``defvjp`` of ours and the reason."""

from typing import Any

import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import getval
from scipy.special import expit

# Autograd's rule for tanh is g / cosh(z)^2, which overflows from |z| = 711 on (355 once squared).
tanh = primitive(np.tanh)
defvjp(tanh, lambda a, z: lambda g: g * (1 - a * a))

# Written as a quotient, 1 / (1 + exp(-z)) would overflow on one side.
sigmoid = primitive(expit)
defvjp(sigmoid, lambda a, z: lambda g: g * (a * (1 - a)))

# log(1 + exp(z)) overflows, and the gradient of logaddexp(0, z) promotes float32.
softplus = primitive(lambda z: np.logaddexp(z, z.dtype.type(0)))
defvjp(softplus, lambda a, z: lambda g: g * expit(z))


def zero_unless(condition: Any, z: Any) -> Any:
    """``z`` where the condition holds, else 0: ``anp.where`` promotes float32 gradients, ``anp.maximum`` shares a tie."""
    return getval(condition) * z
