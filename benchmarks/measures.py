"""What `ablation.py` measures where a constant has been moved: the same questions every time, and what was said to each.

A measurement yields a `Reply` for each question. ``BESIDES`` says how to add up the number that stands in it besides.
"""

from collections.abc import Callable, Iterator

from measures_check import by_complex_step, causes, detection, products, repeated, staircases, sums
from measures_replies import Reply, Sizes
from measures_verify import bounds, large, network_causes, verified

MEASURES: dict[str, Callable[[Sizes], Iterator[Reply]]] = {
    "detection": detection,
    "complex step": by_complex_step,
    "repeated": repeated,
    "staircases": staircases,
    "causes": causes,
    "causes in networks": network_causes,
    "networks": verified,
    "large networks": large,
    "bounds": bounds,
    "products": products,
    "sums": sums,
}
BESIDES: dict[str, tuple[str, Callable[[Iterator[float]], float]]] = {
    "complex step": ("refused", sum),
    "causes": ("blocks mapped", sum),
    "large networks": ("coarsest resolution", max),
    "bounds": ("largest error / bound", max),
    "products": ("largest error / bound", max),
}
