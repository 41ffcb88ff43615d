"""The floor's products with JAX, compiled as one function."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gradcheck.bench.work.counts import Product


def passes(products: Sequence[Product], dtype: str) -> Callable[[], object]:
    """All of them once, on standard normal numbers. Every product is returned, so none is left out by the compiler."""
    library: Any = jax  # half of its types are unknown
    jnp = library.numpy
    rng = np.random.default_rng(0)
    with library.enable_x64(True):
        operands: Any = [[jnp.asarray(rng.standard_normal(shape), dtype) for shape in each.stored] for each in products]

    def every(operands: Any) -> Any:
        return [
            jnp.matmul(left.T if product.kind == "weight" else left, right.T if product.kind == "forward" else right)
            for product, (left, right) in zip(products, operands, strict=True)
        ]

    compiled = library.jit(every)

    def run() -> object:
        with library.enable_x64(True):
            return library.block_until_ready(compiled(operands))

    return run
