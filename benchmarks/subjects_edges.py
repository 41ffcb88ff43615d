"""Correct gradients at unusual points and of unusual functions: scales, zeros, edges of a domain, curvature, pytrees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from subjects_common import Array, Blocks, Problem, Tree, draw_size, leaves, log_uniform, rebuild, rescaled
from subjects_kinks import near_distance
from subjects_losses import Maker, rosenbrock
from subjects_networks import KINKED, OUTPUTS, SMOOTH, as_problem, draw_perceptron, draw_widths
from subjects_noise import smooth


@dataclass(frozen=True)
class Term:
    """A function of one entry, its derivative, and a point to take it at."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    draw: Callable[[np.random.Generator], float]


def terms(rng: np.random.Generator, term: Term, ordinary: bool = True) -> Problem:
    """A weighted sum of one kind of term, beside ordinary entries in a block of their own."""
    n, weight = draw_size(rng, 12), log_uniform(rng, 0.1, 10)
    x = np.array([term.draw(rng) for _ in range(n)])

    def loss(at: Blocks) -> Any:
        rest = np.sin(at["rest"]).sum() if ordinary else 0.0
        with np.errstate(all="ignore"):
            return weight * term.value(at["x"]).sum() + rest

    def gradient(at: Blocks) -> Blocks:
        rest = {"rest": np.cos(at["rest"])} if ordinary else {}
        return {"x": weight * term.slope(at["x"])} | rest

    return Problem("terms", loss, gradient, {"x": x} | ({"rest": rng.standard_normal(8)} if ordinary else {}))


def close(low: float, high: float) -> Callable[[np.random.Generator], float]:
    return lambda rng: log_uniform(rng, low, high)


def chebyshev(x: Array) -> Array:
    return np.polynomial.chebyshev.chebval(x, [0] * 20 + [1])


def chebyshev_slope(x: Array) -> Array:
    return np.polynomial.chebyshev.chebval(x, np.polynomial.chebyshev.chebder([0] * 20 + [1]))


EDGES = {
    "logarithm": Term(np.log, lambda x: 1 / x, close(1e-8, 1e-2)),
    "square root": Term(np.sqrt, lambda x: 0.5 / np.sqrt(x), close(1e-8, 1e-2)),
    "entropy": Term(lambda x: x * np.log(x), lambda x: np.log(x) + 1, close(1e-5, 1e-2)),
    "logit": Term(
        lambda x: np.log(x) - np.log1p(-x), lambda x: 1 / (x * (1 - x)), lambda rng: 1 - log_uniform(rng, 1e-8, 1e-2)
    ),
    "arcsine": Term(np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x)), lambda rng: 1 - log_uniform(rng, 1e-8, 1e-2)),
}
CURVED = {
    "exp(30 x)": Term(lambda x: np.exp(30 * x), lambda x: 30 * np.exp(30 * x), lambda rng: rng.uniform(-0.3, 0.3)),
    "sin(1000 x)": Term(lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x), lambda rng: rng.standard_normal()),
    "x^20": Term(lambda x: x**20, lambda x: 20 * x**19, lambda rng: rng.uniform(0.5, 2)),
    "narrow bell": Term(
        lambda x: np.exp(-((1e3 * x - 1e3) ** 2)),
        lambda x: -2e3 * (1e3 * x - 1e3) * np.exp(-((1e3 * x - 1e3) ** 2)),
        lambda rng: 1 + 1e-3 * rng.standard_normal(),
    ),
    "1/x": Term(lambda x: 1 / x, lambda x: -1 / x**2, close(1e-4, 1)),
    "tanh(1000 x)": Term(
        lambda x: np.tanh(1000 * x), lambda x: 1000 / np.cosh(1000 * x) ** 2, lambda rng: 1e-3 * rng.standard_normal()
    ),
}
POLYNOMIALS = {
    "Chebyshev": Term(chebyshev, chebyshev_slope, lambda rng: rng.uniform(-0.9, 0.9)),
    "quintic": Term(
        lambda x: ((((x - 5) * x + 3) * x - 7) * x + 1) * x,
        lambda x: 5 * x**4 - 20 * x**3 + 9 * x * x - 14 * x + 1,
        lambda rng: 3 * rng.standard_normal(),
    ),
    "linear": Term(lambda x: 3 * x, lambda x: 3 * np.ones_like(x), lambda rng: rng.standard_normal()),
    "square": Term(lambda x: x * x, lambda x: 2 * x, lambda rng: rng.standard_normal()),
}


def barrier(rng: np.random.Generator, draw_distance: Callable[[np.random.Generator], float], outside: float) -> Problem:
    """Smooth inside a box, not finite outside it, one entry as near to the wall as drawn."""
    n = draw_size(rng, 20)
    x = rng.standard_normal(n)
    wall = x + rng.uniform(1, 3, n)
    wall[0] = x[0] + abs(draw_distance(rng))

    def loss(at: Blocks) -> Any:
        return (np.sin(at["x"]) + at["x"] ** 2).sum() if (at["x"] <= wall).all() else outside

    return Problem("box", loss, lambda at: {"x": np.cos(at["x"]) + 2 * at["x"]}, {"x": x})


def power_at_zero(rng: np.random.Generator) -> Problem:
    """``x^(3/2)`` at 0: slope 0 from the right, not a number to the left."""
    term = Term(lambda x: x * np.sqrt(x), lambda x: 1.5 * np.sqrt(x), lambda _: 0.0)
    return terms(rng, term)


def extreme_units(rng: np.random.Generator) -> Problem:
    """Parameters from 1e-30 to 1e30, a loss from 1e-60 to 1e60."""
    problem = smooth(rng)
    scales = {name: log_uniform(rng, 1e-30, 1e30) for name in problem.at}
    return rescaled(problem, scales, log_uniform(rng, 1e-60, 1e60))


def tiny_gradient(rng: np.random.Generator) -> Problem:
    problem = smooth(rng)
    return rescaled(problem, dict.fromkeys(problem.at, 1.0), log_uniform(rng, 1e-12, 1e-6))


def ill_scaled_valley(rng: np.random.Generator) -> Problem:
    problem = rosenbrock(rng)
    n = len(problem.at["x"])
    scales = 10.0 ** rng.integers(-6, 7, n)

    def loss(at: Blocks) -> Any:
        return problem.loss({"x": at["x"] / scales})

    def gradient(at: Blocks) -> Blocks:
        return {"x": problem.gradient({"x": at["x"] / scales})["x"] / scales}

    return Problem("Rosenbrock", loss, gradient, {"x": problem.at["x"] * scales})


def dead_layer(rng: np.random.Generator) -> Problem:
    """No unit of the first layer is ever on: three blocks have no influence at all."""
    widths = (draw_size(rng, 10), draw_size(rng, 10), draw_size(rng, 3))
    network = draw_perceptron(rng, KINKED["relu"], OUTPUTS["mse"], widths, draw_size(rng, 20))
    problem = as_problem(rng, "network", network)
    problem.at["0.bias"][:] = -100
    plain = network._replace(decay=0.0)
    return Problem("network", plain.loss, plain.gradient, problem.at)


def stationary(rng: np.random.Generator) -> Problem:
    """The minimum itself: the gradient is exactly zero, the loss is not constant."""
    target = np.round(rng.standard_normal(draw_size(rng, 30)), 2)

    def loss(at: Blocks) -> Any:
        return ((at["x"] - target) ** 2).sum() + 3.0

    return Problem("minimum", loss, lambda at: {"x": 2 * (at["x"] - target)}, {"x": target.copy()})


def constant(rng: np.random.Generator) -> Problem:
    value = rng.standard_normal()
    at = {"x": rng.standard_normal(draw_size(rng, 30))}
    return Problem("constant", lambda at: value + 0 * at["x"].sum(), lambda at: {"x": np.zeros_like(at["x"])}, at)


def unused_block(rng: np.random.Generator) -> Problem:
    problem = smooth(rng)

    def gradient(at: Blocks) -> Blocks:
        used = {name: value for name, value in at.items() if name != "unused"}
        return {**problem.gradient(used), "unused": np.zeros_like(at["unused"])}

    return Problem(problem.family, problem.loss, gradient, {**problem.at, "unused": rng.standard_normal(5)})


def network_at_zero(rng: np.random.Generator) -> Problem:
    """Where training starts for those who forgot to break the symmetry."""
    output = str(rng.choice(list(OUTPUTS)))
    network = draw_perceptron(rng, SMOOTH["tanh"], OUTPUTS[output], draw_widths(rng, output == "cross entropy", 20), 10)
    problem = as_problem(rng, "network", network)
    return Problem("network", problem.loss, problem.gradient, {name: 0 * value for name, value in problem.at.items()})


# Pytrees. ---------------------------------------------------------------------------------------------------------


def reshaped(problem: Problem, tree: Tree, flat: Callable[[Tree], Blocks], back: Callable[[Blocks], Tree]) -> Problem:
    """The same problem at another shape of tree."""
    return Problem(problem.family, lambda at: problem.loss(flat(at)), lambda at: back(problem.gradient(flat(at))), tree)


def nested(rng: np.random.Generator) -> Problem:
    """Dicts in lists in dicts, a tuple among them."""
    problem = smooth(rng)
    names = list(problem.at)
    tree = {"model": [{"first": problem.at[names[0]]}, tuple(problem.at[name] for name in names[1:])]}

    def flat(at: Tree) -> Blocks:
        return dict(zip(names, (leaf for _, leaf in leaves(at)), strict=True))

    def back(found: Blocks) -> Tree:
        return rebuild(tree, iter([found[name] for name in names]))

    return reshaped(problem, tree, flat, back)


def with_integers(rng: np.random.Generator) -> Problem:
    """Integer leaves are held fixed; their gradient is zero."""
    problem = smooth(rng)
    fixed: dict[str, Any] = {"steps": 3, "indices": rng.integers(0, 9, 4)}

    def loss(at: Tree) -> Any:
        return problem.loss(at["parameters"]) * at["steps"] + at["indices"].sum()

    def gradient(at: Tree) -> Tree:
        found = {name: g * at["steps"] for name, g in problem.gradient(at["parameters"]).items()}
        return {"parameters": found, "steps": np.zeros(()), "indices": np.zeros(4)}

    return Problem(problem.family, loss, gradient, {"parameters": problem.at, **fixed})


def bare_array(rng: np.random.Generator) -> Problem:
    problem = rosenbrock(rng)
    return reshaped(problem, problem.at["x"], lambda at: {"x": at}, lambda found: found["x"])


def scalars(rng: np.random.Generator) -> Problem:
    """A Python float beside an array without dimensions."""

    def loss(at: Tree) -> Any:
        return np.sin(at["a"]) * at["b"] ** 2

    def gradient(at: Tree) -> Tree:
        return {"a": np.cos(at["a"]) * at["b"] ** 2, "b": 2 * at["b"] * np.sin(at["a"])}

    return Problem("scalars", loss, gradient, {"a": rng.standard_normal(), "b": np.array(rng.standard_normal())})


def bare_scalar(rng: np.random.Generator) -> Problem:
    return Problem("scalar", lambda at: np.exp(at) * at, lambda at: np.exp(at) * (1 + at), rng.standard_normal())


def named(prefix: str, table: dict[str, Term]) -> Iterator[tuple[str, Maker]]:
    for name, term in table.items():
        yield f"{prefix}: {name}", partial(terms, term=term, ordinary=prefix != "polynomial")


AT_EDGES: dict[str, Maker] = {
    **dict(named("edge near", EDGES)),
    **dict(named("strongly curved", CURVED)),
    **dict(named("polynomial", POLYNOMIALS)),
    "edge near: infinite outside a box": partial(barrier, draw_distance=near_distance, outside=np.inf),
    "edge near: nan outside a box": partial(barrier, draw_distance=near_distance, outside=np.nan),
    "exact edge: infinite outside a box": partial(barrier, draw_distance=lambda _: 0.0, outside=np.inf),
    "exact edge: power at 0": power_at_zero,
    "extreme units": extreme_units,
    "tiny gradient": tiny_gradient,
    "ill-scaled Rosenbrock": ill_scaled_valley,
    "zero gradient: dead layer": dead_layer,
    "zero gradient: minimum": stationary,
    "zero gradient: constant": constant,
    "zero gradient: unused block": unused_block,
    "point at zero: network": network_at_zero,
    "point at zero: sine": partial(terms, term=Term(np.sin, np.cos, lambda _: 0.0), ordinary=False),
    "point at zero: square and sine": partial(
        terms, term=Term(lambda x: x * x + np.sin(3 * x), lambda x: 2 * x + 3 * np.cos(3 * x), lambda _: 0.0)
    ),
    "smooth": smooth,
    "pytree: nested": nested,
    "pytree: integers": with_integers,
    "pytree: bare array": bare_array,
    "pytree: scalars": scalars,
    "pytree: bare scalar": bare_scalar,
}
