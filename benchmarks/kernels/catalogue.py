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
# What a report may name first for each label; where nothing is there, no name is expected.
SAID: dict[str, tuple[str, ...]] = {
    "cotangent-ignored": ("cotangent-ignored",),
    "cotangent-scalar": ("cotangent-scalar",),
    "cotangent-first-row": ("cotangent-first-row",),
    "wrong-stride": ("wrong-stride",),
    "tail": ("masked-tail",),  # where it is one index the two are the same
    "missing-scale": ("scale", "factor", "missing-mean"),
    "scale-twice": ("scale", "factor", "extra-mean", "mean-for-sum"),
    "left-out": ("left-out", "masked-tail", "sample-dropped", "overwritten", "zero"),
    "stale-statistics": ("stale-statistics", "stale-activation"),
    "missing-path": ("path-lost",),
    "transposed": ("transposed", "permuted", "wrong-axis", "reordered", "exchanged"),
    "sign": ("sign",),
    "eps": ("eps",),
    "low-precision": ("low-precision", "coarse-arithmetic"),
    "given-dtype": ("given-dtype",),
    "mask": ("mask",),
    "swapped": ("exchanged", "reordered", "permuted"),
    "wrong-count": ("factor", "scale"),
    "formula": (),
    "zero": ("zero",),
    "nondeterministic": ("nondeterministic",),
    "single-entry": ("single-entry",),
}
