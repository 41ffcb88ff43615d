"""The floor's products with PyTorch, whose BLAS may be another than NumPy's."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from gradcheck.bench.work.counts import Product


def set_threads(count: int) -> None:
    """Of operators; the environment says it too, and a library that was told otherwise is told again."""
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
    # In the layouts of the floor: x W^T reads the weight transposed, g^T x the gradient.
    rows, inner, columns = product.rows, product.inner, product.columns
    left, right = torch.randn((rows, inner), dtype=dtype), torch.randn((inner, columns), dtype=dtype)
    if product.kind == "weight":
        left = torch.randn((inner, rows), dtype=dtype).t()
    if product.kind == "forward":
        right = torch.randn((columns, inner), dtype=dtype).t()
    return partial(torch.mm, left, right, out=torch.empty((rows, columns), dtype=dtype))
