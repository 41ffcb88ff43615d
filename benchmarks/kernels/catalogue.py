"""Every operation by name, and the causes that its faults should be told by."""

from benchmarks.kernels.operation import Operation
from benchmarks.kernels.operations import (
    attention,
    elementwise,
    linear,
    losses,
    normalisation,
    recurrences,
    routing,
    softmax,
)

FAMILIES = (elementwise, normalisation, softmax, attention, linear, recurrences, routing, losses)
OPERATIONS: dict[str, Operation] = {each.name: each for family in FAMILIES for each in family.OPERATIONS}
# What a report may name first for each label; where no name fits, no row counts.
SAID: dict[str, tuple[str, ...]] = {
    "cotangent-ignored": ("cotangent-ignored",),
    "cotangent-scalar": ("cotangent-scalar",),
    "cotangent-first-row": ("cotangent-first-row",),
    "wrong-stride": ("wrong-stride",),
    "tail": ("tail",),
    "missing-scale": ("missing-scale", "factor", "missing-mean"),
    "scale-twice": ("scale-twice", "factor", "extra-mean", "mean-for-sum"),
    "left-out": ("left-out", "sample-dropped", "overwritten", "zero"),
    "stale-statistics": ("stale-statistics", "stale-activation"),
    "missing-path": ("missing-path", "path-lost"),
    "transposed": ("transposed", "permuted"),
    "sign": ("sign",),
    "eps": ("eps", "constants"),
    "low-precision": ("low-precision",),
    "given-dtype": ("given-dtype",),
    "mask": ("mask",),
    "swapped": ("swapped", "permuted"),
    "wrong-count": ("wrong-count", "factor"),
    "formula": ("formula", "activation-derivative"),
    "zero": ("zero",),
    "nondeterministic": ("nondeterministic",),
    "single-entry": ("single-entry",),
}
