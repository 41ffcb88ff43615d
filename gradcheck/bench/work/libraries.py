"""The floor's products with the library that a backend brought along, whose BLAS may be another than NumPy's.

They are made of standard normal numbers. With NumPy they are the floor's own.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradcheck.bench.work.counts import Product, products
from gradcheck.network.network import Network


def limit_threads(count: int) -> None:
    """Of PyTorch's operators; the environment says it too, and a library that was set otherwise is set again."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)


def own_products(network: Network, batch: int, dtype: str) -> dict[str, Callable[[], object]]:
    """A call of all products once, as ``products``; nothing where no other library is there.

    Raises
    ------
    DescriptionError
        Where the products are not known.
    """
    passes = next((PASSES[library] for library in PASSES if library in sys.modules), None)
    return {"products": passes(products(network, batch), dtype)} if passes else {}


def _torch(products: Sequence[Product], dtype: str) -> Callable[[], object]:
    """Into memory that is there already."""
    import torch

    kind = getattr(torch, dtype)
    calls = [
        partial(
            torch.mm,
            *_factors(each, *(torch.randn(shape, dtype=kind) for shape in each.stored)),
            out=torch.empty((each.rows, each.columns), dtype=kind),
        )
        for each in products
    ]

    def run() -> None:
        with torch.no_grad():
            for call in calls:
                call()

    return run


def _jax(products: Sequence[Product], dtype: str) -> Callable[[], object]:
    """Compiled as one function. Every product is returned, so none is left out by the compiler."""
    import jax

    library: Any = jax  # half of its types are unknown
    jnp, rng = library.numpy, np.random.default_rng(0)

    def every(operands: Any) -> Any:
        return [jnp.matmul(*_factors(each, *pair)) for each, pair in zip(products, operands, strict=True)]

    compiled = library.jit(every)
    with library.enable_x64(True):
        operands: Any = [[jnp.asarray(rng.standard_normal(shape), dtype) for shape in each.stored] for each in products]

    def run() -> object:
        with library.enable_x64(True):
            return library.block_until_ready(compiled(operands))

    return run


PASSES = {"torch": _torch, "jax": _jax}


def _factors(product: Product, left: Any, right: Any) -> tuple[Any, Any]:
    """As they are multiplied, from how they lie in memory."""
    return left.T if product.kind == "weight" else left, right.T if product.kind == "forward" else right
