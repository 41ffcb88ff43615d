"""The steps in order. To add one: a function from `Tour` to `Result`, and a row here."""

from collections.abc import Callable
from importlib import import_module

from gradcheck.errors import DescriptionError
from gradcheck.foundation.loading import needing
from gradcheck.foundation.wording import nearest
from gradcheck.tour.step import Result, Step
from gradcheck.tour.steps import builds, descent, functions, gradients, passes
from gradcheck.tour.tour import Tour


def with_framework(library: str, module: str, function: str) -> Callable[[Tour], Result]:
    """A step of a module that imports a framework: it is imported when the step is run."""

    def run(tour: Tour) -> Result:
        with needing(library):
            return getattr(import_module(f"gradcheck.tour.steps.{module}"), function)(tour)

    return run


STEPS = (
    Step("data", "Data: two moons", "x<sub>i</sub> ∈ ℝ², y<sub>i</sub> ∈ {&minus;1, +1}, i = 1 … n", functions.data),
    Step(
        "activation",
        "An activation and its derivative",
        "&rho;(u) = arctan u, &rho;&prime;(u) = 1 / (1 + u²) = Im &rho;(u + ih) / h for tiny h",
        functions.activation,
    ),
    Step(
        "forward",
        "The forward pass, with its book-keeping",
        "x<sub>r+1</sub> = &rho;(A<sub>r</sub> x<sub>r</sub> + b<sub>r</sub>), r = 0 … R&minus;1; "
        "every x<sub>r</sub> is kept",
        passes.forward_step,
    ),
    Step(
        "loss",
        "The loss where its textbook form overflows",
        "<i>l</i>(z, y) = log(1 + e<sup>&minus;yz</sup>) = log(1 + e<sup>&minus;|yz|</sup>) &minus; min(yz, 0), "
        "<i>l</i>&prime;(z, y) = &minus;y / (1 + e<sup>yz</sup>)",
        functions.loss,
    ),
    Step(
        "backward",
        "The backward recursion",
        "M<sub>r</sub> = &rho;&prime;(A<sub>r</sub> x<sub>r</sub> + b<sub>r</sub>) ⊙ δ<sub>r+1</sub>, "
        "δ<sub>r</sub> = A<sub>r</sub><sup>T</sup> M<sub>r</sub>, "
        "∂f/∂A<sub>r</sub> = M<sub>r</sub> x<sub>r</sub><sup>T</sup>, ∂f/∂b<sub>r</sub> = M<sub>r</sub> 1",
        passes.backward_step,
    ),
    Step(
        "gradients",
        "The gradient by hand, and five other ways",
        "(f(θ + hv) &minus; f(θ)) / h = ⟨∇f, v⟩ + O(h) + O(u/h), "
        "(f(θ + hv) &minus; f(θ &minus; hv)) / 2h = ⟨∇f, v⟩ + O(h²) + O(u/h), "
        "Im f(θ + ihv) / h = ⟨∇f, v⟩ + O(h²)",
        gradients.gradients,
    ),
    Step("descent", "Gradient descent", "θ ← θ &minus; τ ∇f(θ), τ = 0.5", descent.fixed),
    Step(
        "armijo",
        "Backtracking",
        "the first τ of τ₀, τ₀/2, τ₀/4, … with f(θ &minus; τ∇f) ≤ f(θ) &minus; 10<sup>&minus;4</sup> τ |∇f|²",
        descent.armijo,
    ),
    Step(
        "minibatch",
        "Stochastic descent",
        "θ ← θ &minus; τ ∇f<sub>B</sub>(θ), f<sub>B</sub> the mean over a batch B of 40 points",
        descent.minibatch,
    ),
    Step(
        "map",
        "The map of probabilities",
        "P(y = +1 | z) = e<sup>φ(z)</sup> / (1 + e<sup>φ(z)</sup>)",
        descent.probability_map,
    ),
    Step("depths", "Four depths", "layers 2-1, 2-8-1, 2-3-4-1, 2-4-5-8-4-1, τ = 0.5 for all", descent.depths),
    Step(
        "derivatives",
        "Six derivatives by Autograd",
        "f(x) = (1 &minus; e<sup>&minus;x</sup>) / (1 + e<sup>&minus;x</sup>) = tanh(x/2) = t; "
        "f<sup>(k)</sup> = P<sub>k</sub>(t), P<sub>k+1</sub>(t) = P<sub>k</sub>&prime;(t) (1 &minus; t²) / 2",
        with_framework("autograd", "derivatives", "derivatives"),
    ),
    Step(
        "quadratic",
        "The gradient of a quadratic form",
        "f(u) = u<sup>T</sup>Mu / 2, M = M<sup>T</sup>: ∇f(u) = Mu",
        with_framework("autograd", "derivatives", "quadratic"),
    ),
    Step(
        "torch",
        "PyTorch's Sequential",
        "φ = Linear &#8728; Tanh &#8728; … &#8728; Linear, f = &minus;mean log &sigma;(y φ(x)), τ = 0.4",
        with_framework("torch", "sequential", "trained"),
    ),
    Step(
        "activations",
        "Other activations",
        "&rho;(u) = arctan u, max(u, 0), 1 / (1 + e<sup>&minus;u</sup>) in the hidden layer of 2-15-1",
        descent.activations,
    ),
    Step(
        "builds",
        "One training in three builds",
        "θ ← θ &minus; τ ∇f(θ) by hand, by Autograd, by PyTorch, from the same θ",
        builds.builds,
    ),
    Step("own", "Your own data", "features of mean 0 and variance 1; a fifth of each class held out", descent.user_data),
)
NUMBERED = dict(enumerate(STEPS, 1))


def select(only: str | None) -> dict[int, Step]:
    """The steps by number: all, or the one with this name or number; raises `DescriptionError` where there is none."""
    if only is None:
        return NUMBERED
    found = {number: step for number, step in NUMBERED.items() if only.strip().lower() in (step.name, str(number))}
    if not found:
        hint = f"there are {len(STEPS)}" if only.strip().isdecimal() else nearest(only, [step.name for step in STEPS])
        raise DescriptionError(f"no such step: {only!r}, {hint}", "--only")
    return found
