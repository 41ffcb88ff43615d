"""The gallery of contracts: nine backward functions whose gradients are right, and that break what else they owe.

``python examples/contracts.py docs/contracts.md`` runs them and writes the page.
"""

import difflib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from gallery import as_text

import gradcheck
from gradcheck.report import Report

AFFINE = """\
class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        d = c * (1 - torch.tanh(x @ w) ** 2)
        return d @ w.T, x.T @ d
"""

KERNEL = '''\
def kernel(c, x, w):
    """As one in C goes through x: row after row, from a pointer."""
    x = torch.as_strided(x, x.shape, (x.shape[1], 1))
    d = c * (1 - torch.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        return kernel(c, x.contiguous(), w)
'''

WANTED = """\
class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        d = c * (1 - torch.tanh(x @ w) ** 2)
        gx = d @ w.T if ctx.needs_input_grad[0] else None
        gw = x.T @ d if ctx.needs_input_grad[1] else None
        return gx, gw
"""

DUAL = """\
class Affine(torch.autograd.Function):
    @staticmethod
    def forward(x, w):
        return torch.tanh(x @ w)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        d = c * (1 - torch.tanh(x @ w) ** 2)
        return d @ w.T, x.T @ d

    @staticmethod
    def jvp(ctx, tx, tw):
        x, w = ctx.saved_tensors
        return (tx @ w + x @ tw) * (1 - torch.tanh(x @ w) ** 2)
"""

BATCHED = """\
class Sine(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, c):
        return c * ctx.saved_tensors[0].cos()

    @staticmethod
    def vmap(info, places, x):
        return Sine.apply(x), places[0]
"""

EXPONENTIAL = """\
class Exponential(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, c):
        return c * ctx.saved_tensors[0]
"""


REST = """\
## Kernels with a reference

`check_torch(kernel, ..., reference=plain)` asks all of these at the dtype that the kernel is given. The reference says what
is right elsewhere, too: other shapes are asked for that it answers with finite numbers, and only these.

| asked | cause |
|---|---|
| each axis shorter by one, each of one element; then the first shape again | `another-shape` |
| an empty batch: sums over it are zero, and an exception is a note | `empty-input` |
| after a second call: the first one's outputs and gradients, as they were | `shared-output` |
| arguments whose rows are there once for all, as `expand` makes them | `input-layout` |

Sizes stay as they are that a module, a closure or a number of the call has as well, and those that an index, a length or an
offset among the arguments may point beyond. A kernel that raises at another shape has refused it, which is a note, unless
what it raised is no refusal, as a division by zero.

## Functions of JAX

`check_jax` asks a function with a `custom_vjp` the same kind of questions, each once or twice, against the gradient that
differences have judged. Where the forward pass itself refuses to be traced or batched, a note says so, and it is no verdict.

| asked | cause |
|---|---|
| after a forward pass at another point | `shared-state` |
| under `jax.jit` | `under-jit` |
| each argument alone, the others constants; each left out | `needs-input-grad` |
| each output alone, the others' cotangents symbolic zeros | `symbolic-zeros` |
| whether the outputs' gradients add up; a cotangent of zeros | `cotangent-layout` |
| under `jax.vmap`: several cotangents, several points | `vmap` |

[An example](frameworks.md#a-jax-custom_vjp).
"""


class Mistake(NamedTuple):
    """A function, lines of it with what somebody wrote in their place, and what that does."""

    title: str
    function: str
    changes: tuple[tuple[str, str], ...]
    story: str


MISTAKES = (
    Mistake(
        "What was saved is used as a scratch pad",
        AFFINE,
        (
            (
                "d = c * (1 - torch.tanh(x @ w) ** 2)\n        return d @ w.T, x.T @ d",
                "d = c * (1 - torch.tanh(x @ w) ** 2)\n        return d @ w.T, x.data.mul_(-1).T @ -d",
            ),
        ),
        "It saves an allocation. The caller's x has another sign afterwards, and whoever goes through the graph a second\n"
        "time (`retain_graph`, two losses) gets something else. Written by `.data`, PyTorch does not see it.",
    ),
    Mistake(
        "The cotangent is used as a scratch pad",
        AFFINE,
        (("d = c * (1 - torch.tanh(x @ w) ** 2)", "d = c.mul_(1 - torch.tanh(x @ w) ** 2)"),),
        "The cotangent belongs to the engine, which may hand the same tensor to another function: in `y + z` both get one.",
    ),
    Mistake(
        "The cotangent is taken for contiguous",
        AFFINE,
        (
            (
                "d = c * (1 - torch.tanh(x @ w) ** 2)",
                "d = (c.view(-1) * (1 - torch.tanh(x @ w) ** 2).view(-1)).view(c.shape)",
            ),
        ),
        "It works until somebody transposes the output, or adds it up along one axis: then the cotangent has other strides.",
    ),
    Mistake(
        "The arguments are taken for contiguous",
        KERNEL,
        (("return kernel(c, x.contiguous(), w)", "return kernel(c, x, w)"),),
        "A kernel that is given a pointer reads on in memory. Of a transposed or sliced argument it reads something else,\n"
        "and nothing complains.",
    ),
    Mistake(
        "The gradient that is asked for is the other one",
        WANTED,
        (("gw = x.T @ d if ctx.needs_input_grad[1]", "gw = x.T @ d if ctx.needs_input_grad[0]"),),
        "A line was copied, its index was not changed. As long as both require a gradient, as in every test, all is well;\n"
        "the first layer of a network, whose input requires none, does not learn.",
    ),
    Mistake(
        "The forward derivative forgets an argument",
        DUAL,
        (("return (tx @ w + x @ tw) * (1", "return (tx @ w) * (1"),),
        "Backward and forward are written apart, and only one of them was tested.",
    ),
    Mistake(
        "The rule for batches gives all the first one's answer",
        BATCHED,
        (
            (
                "return Sine.apply(x), places[0]",
                "return Sine.apply(x.select(places[0], 0)).expand_as(x.movedim(places[0], 0)), 0",
            ),
        ),
        "It was tried with a batch of equal points.",
    ),
    Mistake(
        "State on the class",
        AFFINE,
        (
            ("ctx.save_for_backward(x, w)", "Affine.saved = x, w"),
            ("x, w = ctx.saved_tensors", "x, w = Affine.saved"),
        ),
        "One forward pass, one backward pass, and it works. With two layers of this kind, or a validation batch between,\n"
        "the backward pass answers for the last forward pass of all.",
    ),
    Mistake(
        "An output saved out of sight",
        EXPONENTIAL,
        (
            ("ctx.save_for_backward(y)", "ctx.y = y"),
            ("return c * ctx.saved_tensors[0]", "return c * ctx.y"),
        ),
        "Whoever changes the output in place (`y *= 2`, an activation with `inplace=True`) changes what was saved. By\n"
        "`save_for_backward` PyTorch notices and raises.",
    ),
)


def wrong(mistake: Mistake) -> str:
    """The function with the mistake."""
    source = mistake.function
    for right, written in mistake.changes:
        assert source.count(right) == 1, mistake.title
        source = source.replace(right, written)
    return source


def report(source: str, **options: Any) -> Report:
    """Of the function that a text defines, at arguments of its own."""
    module: dict[str, Any] = {"torch": torch, "__name__": "mine"}
    exec(compile(source, "mine.py", "exec"), module)
    (function,) = (value for value in module.values() if isinstance(value, type))
    numbers = torch.linspace(-1, 1.5, 44, dtype=torch.float64).sin()
    x, w = numbers[:24].reshape(6, 4).clone().requires_grad_(), numbers[24:].reshape(4, 5).clone().requires_grad_()
    return gradcheck.check_torch(function.apply, *((x, w) if " w" in source else (x,)), **options)


def difference(mistake: Mistake) -> str:
    """The whole function: minus the mistake, plus the fix."""
    lines = difflib.ndiff(wrong(mistake).splitlines(), mistake.function.splitlines())
    return "\n".join((line[0] + line[2:]).rstrip() for line in lines if not line.startswith("?"))


def section(number: int, mistake: Mistake) -> str:
    """Story, the function and its fix, and the report."""
    fix = f"```diff\n{difference(mistake)}\n```"
    return f"## {number}. {mistake.title}\n\n{mistake.story}\n\n{fix}\n\n```text\n{as_text(report(wrong(mistake)))}\n```\n"


def page() -> str:
    """All of them."""
    head = (
        "# Nine right gradients that break their contract\n\n"
        "A backward function owes more than its numbers: any layout of its cotangent and its arguments, any of them that\n"
        "require a gradient, no mutation, no state beside its context. No differences see that, and neither does training,\n"
        "until somebody uses the function in another way. `check_torch` asks for it (`contract=False`: it does not), each\n"
        "question once or twice, against the gradient that differences have judged; functions deep inside are asked too.\n\n"
        "The minus marks the mistake, the plus the fix. Without the mistake each is correct.\n\n"
        "Written by `python examples/contracts.py docs/contracts.md`.\n"
    )
    return "\n".join([head, *(section(i, mistake) for i, mistake in enumerate(MISTAKES, 1)), REST])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
