"""One way to ask every tool the same question: is this the gradient of this function at this point?

Each tool gets the same subject with the defaults and the wrapping that its users have: SciPy a flat vector, PyTorch,
JAX and Autograd a custom function of the floating leaves whose backward pass is the claimed gradient. Libraries are
imported when their tool is asked for, so that those that are absent cost a row and nothing else.
"""

import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from subjects import Subject, leaves, rebuild
from subjects_common import Array, Tree

SAMPLED = 300


class Answer(NamedTuple):
    """What a tool said.

    Attributes
    ----------
    verdict : str
        ``correct``, ``inexact``, ``wrong``, ``unresolved``, ``nonsmooth`` or ``error``.
    detail : str
        In its own words.
    named : tuple of str
        The blocks that it accuses.
    resolutions : dict
        By block the smallest error that it would have flagged; the other tools know none.
    """

    verdict: str
    detail: str = ""
    named: tuple[str, ...] = ()
    resolutions: dict[str, float] | None = None


class Run(NamedTuple):
    """One tool on one subject."""

    tool: str
    answer: Answer
    evaluations: int
    seconds: float


class Counted:
    """A function that knows how often it was called."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, at: Any) -> Any:
        self.calls += 1
        return self.function(at)


@dataclass(frozen=True)
class Flat:
    """A subject for tools that know arrays and no trees: functions of a list of its floating leaves."""

    subject: Subject

    def split(self) -> tuple[list[Array], list[bool]]:
        values = [np.asarray(leaf) for _, leaf in leaves(self.subject.at)]
        floating = [value.dtype.kind == "f" for value in values]
        return [value for value, is_float in zip(values, floating, strict=True) if is_float], floating

    @property
    def parts(self) -> list[Array]:
        return self.split()[0]

    def tree(self, parts: list[Array]) -> Tree:
        """The point with its floating leaves replaced, each in the dtype that it has."""
        moved, floating = iter(parts), self.split()[1]
        old = [leaf for _, leaf in leaves(self.subject.at)]
        new = [np.asarray(next(moved), np.asarray(leaf).dtype) if f else leaf for leaf, f in zip(old, floating, strict=True)]
        return rebuild(self.subject.at, iter(new))

    def loss(self, parts: list[Array]) -> float:
        return float(self.subject.loss(self.tree(parts)))

    def gradient(self, parts: list[Array]) -> list[Array]:
        found = [np.asarray(leaf) for _, leaf in leaves(self.subject.gradient(self.tree(parts)))]
        return [g for g, is_float in zip(found, self.split()[1], strict=True) if is_float]

    def vector(self) -> Array:
        return joined(self.parts)

    def cut(self, x: Array) -> list[Array]:
        """A vector as leaves."""
        parts = self.parts
        ends = np.cumsum([part.size for part in parts])[:-1]
        return [piece.reshape(part.shape) for piece, part in zip(np.split(x, ends), parts, strict=True)]

    def loss_of(self, x: Array) -> float:
        return self.loss(self.cut(x))

    def gradient_of(self, x: Array) -> Array:
        return joined(self.gradient(self.cut(x)))


def joined(parts: list[Array]) -> Array:
    return np.concatenate([np.asarray(part).ravel() for part in parts])


def judged(accepted: bool, detail: str = "") -> Answer:
    return Answer("correct" if accepted else "wrong", detail)


# Ours. ------------------------------------------------------------------------------------------------------------


def ours(subject: Subject) -> Answer:
    import gradcheck

    report = gradcheck.check(subject.loss, subject.gradient, subject.at)
    named = tuple(finding.name for finding in report.findings if finding.verdict in ("wrong", "inexact"))
    resolutions = {finding.name: finding.resolution for finding in report.findings}
    return Answer(str(report.verdict), str(report), named, resolutions)


# The others. ------------------------------------------------------------------------------------------------------


def scipy(subject: Subject, bound: Callable[[float], float]) -> Answer:
    """SciPy reports the norm of the difference; what is too much, its users decide."""
    flat = Flat(subject)
    check_grad = importlib.import_module("scipy.optimize").check_grad
    x = flat.vector()
    off = float(check_grad(flat.loss_of, flat.gradient_of, x))
    allowed = bound(float(np.linalg.norm(flat.gradient_of(x))))
    return judged(off <= allowed, f"difference {off:.3g}, allowed {allowed:.3g}")


def five_digits(subject: Subject) -> Answer:
    """Central differences of step 1e-5, entry by entry, and five equal digits: the rule of lecture notes."""
    flat = Flat(subject)
    x, g = flat.vector().astype("float64"), flat.gradient_of(flat.vector()).astype("float64")
    chosen = np.random.default_rng(0).permutation(x.size)[:SAMPLED]
    worst = max(relative_error(flat, x, g, int(i)) for i in chosen)
    return judged(worst <= 1e-5, f"largest relative error {worst:.3g}, {len(chosen)} of {x.size} entries")


def relative_error(flat: Flat, x: Array, g: Array, i: int) -> float:
    step = np.zeros_like(x)
    step[i] = 1e-5
    slope = (flat.loss_of(x + step) - flat.loss_of(x - step)) / 2e-5
    largest = max(abs(slope), abs(float(g[i])))
    return abs(slope - float(g[i])) / largest if largest > 0 else 0.0


def torch(subject: Subject, fast: bool) -> Answer:
    library: Any = importlib.import_module("torch")
    flat = Flat(subject)

    def arrays(tensors: Any) -> list[Array]:
        return [tensor.detach().numpy() for tensor in tensors]

    def forward(context: Any, *tensors: Any) -> Any:
        context.save_for_backward(*tensors)
        return library.tensor(np.asarray(flat.loss(arrays(tensors)), flat.vector().dtype))

    def backward(context: Any, out: Any) -> Any:
        found = flat.gradient(arrays(context.saved_tensors))
        return tuple(
            out.to(tensor.dtype) * library.tensor(np.asarray(g, part.dtype))
            for g, part, tensor in zip(found, flat.parts, context.saved_tensors, strict=True)
        )

    function = type(
        "Claimed", (library.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )
    inputs = tuple(library.tensor(np.array(part), requires_grad=True) for part in flat.parts)
    return asserted(lambda: library.autograd.gradcheck(function.apply, inputs, fast_mode=fast))


def asserted(check: Callable[[], Any]) -> Answer:
    """What those tools say that raise where they disagree; other exceptions are errors of the tool."""
    try:
        check()
    except Exception as disagreement:
        if isinstance(disagreement, AssertionError) or type(disagreement).__name__ == "GradcheckError":
            return judged(False, str(disagreement)[:300])
        raise
    return judged(True)


def jax(subject: Subject) -> Answer:
    library: Any = importlib.import_module("jax")
    check_grads = importlib.import_module("jax.test_util").check_grads
    library.config.update("jax_enable_x64", True)
    flat = Flat(subject)
    shapes = [library.ShapeDtypeStruct(part.shape, part.dtype) for part in flat.parts]

    def host_loss(*parts: Any) -> Array:
        return np.asarray(flat.loss([np.asarray(part) for part in parts]), flat.vector().dtype)

    def host_gradient(*parts: Any) -> Any:
        found = flat.gradient([np.asarray(part) for part in parts])
        return tuple(np.asarray(g, part.dtype) for g, part in zip(found, flat.parts, strict=True))

    def function(*parts: Any) -> Any:
        return library.pure_callback(host_loss, library.ShapeDtypeStruct((), flat.vector().dtype), *parts)

    def forward(*parts: Any) -> Any:
        return function(*parts), parts

    def backward(parts: Any, out: Any) -> Any:
        found = library.pure_callback(host_gradient, tuple(shapes), *parts)
        return tuple((out * g).astype(g.dtype) for g in found)

    claimed = library.custom_vjp(function)
    claimed.defvjp(forward, backward)
    inputs = tuple(library.numpy.asarray(part) for part in flat.parts)
    return asserted(lambda: check_grads(claimed, inputs, order=1, modes=["rev"]))


def autograd(subject: Subject) -> Answer:
    extend = importlib.import_module("autograd.extend")
    check_grads = importlib.import_module("autograd.test_util").check_grads
    flat = Flat(subject)

    def function(*parts: Any) -> Any:
        return np.float64(flat.loss(list(parts)))

    def derivative(i: int, _: Any, *parts: Any) -> Callable[[Any], Any]:
        return partial(np.multiply, flat.gradient(list(parts))[i])

    function = extend.primitive(function)
    extend.defvjp(function, *(partial(derivative, i) for i in range(len(flat.parts))))
    # It draws its directions from NumPy's global generator, which is set so that a row can be reproduced.
    np.random.seed(0)
    return asserted(lambda: check_grads(function, modes=["rev"], order=1)(*flat.parts))


class Tool(NamedTuple):
    """How a tool is asked, the library that it needs, and the rule by which it accepts."""

    ask: Callable[[Subject], Answer]
    needs: str
    rule: str


TOOLS: dict[str, Tool] = {
    "ours": Tool(ours, "gradcheck", "gradcheck.check"),
    "scipy": Tool(
        partial(scipy, bound=lambda norm: 1e-5 * max(1.0, norm)),
        "scipy",
        "scipy.optimize.check_grad <= 1e-5 max(1, norm of the gradient)",
    ),
    "scipy-strict": Tool(partial(scipy, bound=lambda _: 1e-6), "scipy", "scipy.optimize.check_grad <= 1e-6"),
    "torch-slow": Tool(partial(torch, fast=False), "torch", "torch.autograd.gradcheck"),
    "torch-fast": Tool(partial(torch, fast=True), "torch", "torch.autograd.gradcheck, fast_mode=True"),
    "jax": Tool(jax, "jax", 'jax.test_util.check_grads, order=1, modes=["rev"], float64 enabled'),
    "autograd": Tool(autograd, "autograd", 'autograd.test_util.check_grads, order=1, modes=["rev"]'),
    "five-digits": Tool(
        five_digits, "numpy", f"central differences of step 1e-5, relative error <= 1e-5, at most {SAMPLED} random entries"
    ),
}


def missing(tools: list[str]) -> Iterator[tuple[str, str]]:
    """Those whose library is not there, each with the reason."""
    for name in tools:
        try:
            module = importlib.import_module(TOOLS[name].needs)
        except ImportError as absent:
            yield name, f"not installed ({absent})"
        else:
            if name == "ours" and not hasattr(module, "check"):
                yield name, "this version of gradcheck has no check"


def run(tool: str, subject: Subject) -> Run:
    """Ask one tool. Whatever it raises is its answer."""
    loss = Counted(subject.loss)
    counted = Subject(subject.name, subject.kind, loss, subject.gradient, subject.at, subject.fault)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            answer = TOOLS[tool].ask(counted)
    except Exception as error:
        answer = Answer("error", f"{type(error).__name__}: {error}"[:300])
    return Run(tool, answer, loss.calls, time.perf_counter() - start)
