"""The floor's products with PyTorch, whose BLAS may be another than NumPy's."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from gradcheck.bench.work.counts import Product


def set_threads(count: int) -> None:
    """Of operators; the environment says it too, and a library that was set otherwise is set again."""
    torch.set_num_threads(count)


def passes(products: Sequence[Product], dtype: str) -> Callable[[], None]:
    """All of them once, into memory that is there already, on standard normal numbers."""
    calls = [_product(product, getattr(torch, dtype)) for product in products]

    def run() -> None:
        with torch.no_grad():
            for call in calls:
                call()

    return run


def _product(product: Product, dtype: torch.dtype) -> Callable[[], object]:
    left, right = (torch.randn(shape, dtype=dtype) for shape in product.stored)
    left = left.t() if product.kind == "weight" else left
    right = right.t() if product.kind == "forward" else right
    return partial(torch.mm, left, right, out=torch.empty((product.rows, product.columns), dtype=dtype))
