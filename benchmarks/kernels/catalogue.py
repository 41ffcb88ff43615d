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
CAUSES = {
    "cotangent-ignored",
    "cotangent-scalar",
    "cotangent-first-row",
    "wrong-stride",
    "tail",
    "missing-scale",
    "scale-twice",
    "left-out",
    "stale-statistics",
    "missing-path",
    "transposed",
    "sign",
    "eps",
    "low-precision",
    "given-dtype",
    "mask",
    "swapped",
    "wrong-count",
    "formula",
    "zero",
    "nondeterministic",
}
