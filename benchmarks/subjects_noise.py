"""Correct gradients of functions that are computed with an error: rounding that is larger than it looks, and solvers.

The gradient is that of the function that is meant. What a checker may not do is take the error of the function for an
error of the gradient.
"""

from functools import partial
from typing import Any

import numpy as np
from subjects_common import Array, Blocks, Problem, draw_size, influence, log_uniform, rescaled
from subjects_losses import SMOOTH_LOSSES, Maker, rosenbrock
from subjects_networks import OUTPUTS, SMOOTH, as_problem, draw_perceptron, perceptron

STOP = 1e-10
VISIBLE = 1e-7  # of the loss; what changes less has fewer than nine digits left


def smooth(rng: np.random.Generator) -> Problem:
    """Any smooth problem of the corpus."""
    choice = rng.random()
    return perceptron(rng, SMOOTH) if choice < 0.4 else SMOOTH_LOSSES[rng.integers(len(SMOOTH_LOSSES))](rng)


def offset(rng: np.random.Generator, visible: bool) -> Problem:
    """A constant up to 1e9 hides the digits that change: all of them, or all but `VISIBLE`, the loss being large too."""
    problem, constant = smooth(rng), log_uniform(rng, 1, 1e9)
    if visible and influence(problem) < VISIBLE * constant:
        problem = rescaled(problem, dict.fromkeys(problem.at, 1.0), VISIBLE * constant / influence(problem))
    return Problem(problem.family, lambda at: problem.loss(at) + constant, problem.gradient, problem.at)


def cancelling(rng: np.random.Generator) -> Problem:
    """Two large terms that are equal, but are not computed the same way."""
    problem = smooth(rng)
    large = min(log_uniform(rng, 10, 1e8), influence(problem) / VISIBLE)

    def nothing(x: Array) -> Any:
        t = x.mean() / (1 + np.abs(x).max())
        return large * (1 + t) ** 2 - (large + 2 * large * t + large * t * t)

    def loss(at: Blocks) -> Any:
        return problem.loss(at) + sum(nothing(value) for value in at.values())

    return Problem(problem.family, loss, problem.gradient, problem.at)


def textbook_variance(rng: np.random.Generator) -> Problem:
    """Mean of squares less square of the mean, far from 0."""
    n, centre = 1 + draw_size(rng, 200), log_uniform(rng, 10, 1e5)

    def loss(at: Blocks) -> Any:
        return (at["x"] ** 2).mean() - at["x"].mean() ** 2

    def gradient(at: Blocks) -> Blocks:
        return {"x": 2 * (at["x"] - at["x"].mean()) / n}

    return Problem("variance", loss, gradient, {"x": centre + rng.standard_normal(n)})


def follows_dtype(rng: np.random.Generator, dtype: str) -> Problem:
    """A problem that computes in the dtype of its parameters, data included, and does not overflow in it."""
    if rng.random() < 0.3 and dtype != "float16":
        return rosenbrock(rng)
    activation, output = str(rng.choice(list(SMOOTH))), str(rng.choice(list(OUTPUTS)))
    widths = (draw_size(rng, 12), draw_size(rng, 16), int(rng.integers(2, 4)))
    return as_problem(rng, "network", draw_perceptron(rng, SMOOTH[activation], OUTPUTS[output], widths, draw_size(rng, 32)))


def cast(at: Blocks, dtype: str) -> Blocks:
    return {name: value.astype(dtype) for name, value in at.items()}


def narrow_inside(rng: np.random.Generator, dtype: str, gradient_too: bool) -> Problem:
    """A loss that computes in a narrow precision, whatever it is given."""
    problem = follows_dtype(rng, dtype)

    def gradient(at: Blocks) -> Blocks:
        return cast(problem.gradient(cast(at, dtype)), "float64")

    at = cast(cast(problem.at, dtype), "float64")
    return Problem(
        problem.family, lambda at: problem.loss(cast(at, dtype)), gradient if gradient_too else problem.gradient, at
    )


def narrow_arrays(rng: np.random.Generator, dtype: str) -> Problem:
    """Loss and gradient that follow the dtype of their input, at narrow arrays."""
    problem = follows_dtype(rng, dtype)
    return Problem(problem.family, problem.loss, problem.gradient, cast(problem.at, dtype))


def shuffled_sum(rng: np.random.Generator) -> Problem:
    """Summed in another order at every call, as on many threads."""
    n, order = 2 + draw_size(rng, 2000), np.random.default_rng(rng.integers(2**32))
    weights = rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        return np.cumsum(order.permutation(weights * np.sin(at["x"])))[-1]

    def gradient(at: Blocks) -> Blocks:
        return {"x": weights * np.cos(at["x"])}

    return Problem("sum", loss, gradient, {"x": rng.standard_normal(n)})


def last_bits(rng: np.random.Generator) -> Problem:
    """Loss and gradient that differ in their last bits from call to call."""
    problem, dice = smooth(rng), np.random.default_rng(rng.integers(2**32))

    def shaken(value: Array) -> Array:
        return value * (1 + dice.integers(-2, 3, np.shape(value)) * np.finfo("float64").eps)

    def gradient(at: Blocks) -> Blocks:
        return {name: shaken(g) for name, g in problem.gradient(at).items()}

    return Problem(problem.family, lambda at: shaken(problem.loss(at)), gradient, problem.at)


def root(x: Array, steps: str) -> Array:
    """The real root of ``z^3 + z = x``, by Newton's method or by bisection, stopped at `STOP`."""
    if steps == "newton":
        z = np.cbrt(x.astype("float64"))
        while True:
            change = (z**3 + z - x) / (3 * z * z + 1)
            z = z - change
            if np.abs(change).max() < STOP:
                return z
    low, high = -np.ones_like(x) * 64, np.ones_like(x) * 64
    while (high - low).max() > STOP:
        middle = (low + high) / 2
        beyond = middle**3 + middle > x
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return (low + high) / 2


def root_finder(rng: np.random.Generator, steps: str) -> Problem:
    """The exact derivative of what a solver finds to 1e-10."""
    n = draw_size(rng, 40)
    weights = rng.standard_normal(n)

    def loss(at: Blocks) -> Any:
        return (weights * root(at["x"], steps)).sum()

    def gradient(at: Blocks) -> Blocks:
        return {"x": weights / (3 * root(at["x"], "newton") ** 2 + 1)}

    return Problem(f"cubic by {steps}", loss, gradient, {"x": rng.standard_normal(n)})


def equilibrium(rng: np.random.Generator, unrolled: bool, warm: bool = False) -> Problem:
    """The fixed point of ``z = tanh(W z + x)``, stopped at 1e-10, differentiated step by step or at the fixed point.

    With a warm start from the last solution the error is another at every call; from a cold start it is a smooth
    function of ``x``, and the derivative at the fixed point is off by as much.
    """
    n = draw_size(rng, 20)
    matrix, weights = rng.standard_normal((n, n)), rng.standard_normal(n)
    matrix *= log_uniform(rng, 0.1, 0.7) / np.linalg.norm(matrix, 2)

    last = [np.zeros(n)]

    def iterates(x: Array, start: Array, stop: float = STOP) -> list[Array]:
        z = [start]
        while len(z) < 2 or np.abs(z[-1] - z[-2]).max() > stop:
            z.append(np.tanh(matrix @ z[-1] + x))
        return z

    def loss(at: Blocks) -> Any:
        found = iterates(at["x"], last[0])[-1]
        if warm:
            last[0] = found
        return (weights * found).sum()

    def gradient(at: Blocks) -> Blocks:
        z = iterates(at["x"], np.zeros(n), STOP**1.5 if warm else STOP)
        if not unrolled:
            slope = 1 - z[-1] ** 2
            return {"x": slope * np.linalg.solve(np.eye(n) - matrix.T * slope, weights)}
        g, back = np.zeros_like(at["x"]), weights
        for each in reversed(z[1:]):
            delta = back * (1 - each**2)
            g, back = g + delta, matrix.T @ delta
        return {"x": g}

    return Problem("equilibrium", loss, gradient, {"x": rng.standard_normal(n)})


UNDER_NOISE: dict[str, Maker] = {
    "offset": partial(offset, visible=True),
    "buried: offset": partial(offset, visible=False),
    "cancelling terms": cancelling,
    "cancelling terms: variance": textbook_variance,
    "float32 inside": partial(narrow_inside, dtype="float32", gradient_too=False),
    "float32 inside, gradient too": partial(narrow_inside, dtype="float32", gradient_too=True),
    "float32 arrays": partial(narrow_arrays, dtype="float32"),
    "float16 inside": partial(narrow_inside, dtype="float16", gradient_too=False),
    "float16 arrays": partial(narrow_arrays, dtype="float16"),
    "last bits: order of summation": shuffled_sum,
    "last bits: loss and gradient": last_bits,
    "solver: Newton": partial(root_finder, steps="newton"),
    "solver: bisection": partial(root_finder, steps="bisection"),
    "solver: unrolled": partial(equilibrium, unrolled=True),
    "buried: solver with a warm start": partial(equilibrium, unrolled=False, warm=True),
    "approximate: solver": partial(equilibrium, unrolled=False),
}
