"""What a kernel with a reference owes beside its numbers: other shapes, other memory, any use; each with its honest twin."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict

torch = pytest.importorskip("torch")
Function = torch.autograd.Function

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
LOW = pytest.mark.parametrize("dtype", [torch.bfloat16], ids=str)


def rand(*shape, dtype=torch.float32, grad=True, seed=0):
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.tensor(values, dtype=dtype, requires_grad=grad)


def plain(x, w):
    return torch.tanh(x @ w)


def arguments(dtype=torch.float32):
    return rand(6, 4, dtype=dtype), rand(4, 5, dtype=dtype)


def vjp(x, w, c):
    d = c * (1 - torch.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


class Fused(Function):
    """Honest: float32 inside, whatever goes in; and kept memory by the shape that it is for, if at all."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x.float() @ w.float()).to(x.dtype)

    @staticmethod
    def backward(ctx, c):
        return narrow(vjp(*wide(*ctx.saved_tensors, c)), c.dtype)


def wide(*tensors):
    return [each.float() for each in tensors]


def narrow(tensors, dtype):
    return tuple(each.to(dtype) for each in tensors)


def fused(**methods):
    return type("Fused", (Fused,), {name: staticmethod(method) for name, method in methods.items()}).apply


def judged(f, *args, reference=plain, **asked):
    return gradcheck.check_torch(f, *args, reference=reference, **asked)


def holds(f, *args, reference=plain, notes=()):
    report = judged(f, *args, reference=reference)
    assert report.verdict is Verdict.CORRECT, str(report)
    said = [note for note in report.notes if "refused" in note or "raised" in note or "asked" in note]
    assert len(said) == len(notes), said
    assert all(words in note for words, note in zip(notes, said, strict=True)), said


def breaks(cause, f, *args, reference=plain, says="", blocks=None):
    """It is found, with this very cause and no other; and is correct where nobody asks."""
    report = judged(f, *args, reference=reference)
    assert report.verdict is Verdict.WRONG, str(report)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {cause}, str(report)
    assert blocks is None or report.wrong == blocks, str(report)
    assert all(says in finding.reason for finding in report.findings if finding.name in report.wrong), str(report)
    assert judged(f, *args, reference=reference, contract=False).verdict is not Verdict.WRONG


@DTYPES
def test_an_honest_kernel_is_correct_in_every_dtype(dtype):
    holds(Fused.apply, *arguments(dtype))


# The questions that a kernel without a reference is asked, of coarse formats.


def overwrites_saved(ctx, c):
    x, w = ctx.saved_tensors
    found = narrow(vjp(*wide(x, w, c)), c.dtype)
    w.data.mul_(2)
    return found


def overwrites_cotangent(ctx, c):
    found = narrow(vjp(*wide(*ctx.saved_tensors, c)), c.dtype)
    c.data.zero_()
    return found


def reads_cotangent_on(ctx, c):
    return narrow(vjp(*wide(*ctx.saved_tensors, torch.as_strided(c, c.shape, (c.shape[1], 1)))), c.dtype)


def reads_argument_on(ctx, c):
    x, w = ctx.saved_tensors
    return narrow(vjp(*wide(torch.as_strided(x, x.shape, (x.shape[1], 1)), w, c)), c.dtype)


def reads_forward_on(ctx, x, w):
    ctx.save_for_backward(x, w)
    return torch.tanh(torch.as_strided(x, x.shape, (x.shape[1], 1)).float() @ w.float()).to(x.dtype)


def asks_for_the_other(ctx, c):
    gx, gw = narrow(vjp(*wide(*ctx.saved_tensors, c)), c.dtype)
    return gx, gw if ctx.needs_input_grad[0] else None


def keeps_beside(ctx, x, w):
    Fused.kept = x, w
    return torch.tanh(x.float() @ w.float()).to(x.dtype)


def of_what_was_kept(ctx, c):
    return narrow(vjp(*wide(*Fused.kept, c)), c.dtype)


OLD = {
    "mutates-saved": {"backward": overwrites_saved},
    "mutates-cotangent": {"backward": overwrites_cotangent},
    "cotangent-layout": {"backward": reads_cotangent_on},
    "input-layout": {"backward": reads_argument_on},
    "needs-input-grad": {"backward": asks_for_the_other},
    "shared-state": {"forward": keeps_beside, "backward": of_what_was_kept},
}


@DTYPES
@pytest.mark.parametrize(("cause", "methods"), OLD.items(), ids=OLD)
def test_what_breaks_a_contract_is_found_in_every_dtype(cause, methods, dtype):
    breaks(cause, fused(**methods), *arguments(dtype))


@DTYPES
def test_a_forward_pass_that_reads_on_gives_another_output(dtype):
    breaks("input-layout", fused(forward=reads_forward_on), *arguments(dtype), says="arguments the output is another")


def test_an_output_that_is_summed_over_in_another_order_of_memory_is_the_same_output():
    def batch_norm(x, w, b):
        return (x - x.mean(0)) * torch.rsqrt(x.var(0, unbiased=False) + 1e-5) * w + b

    def kernel(x, w, b):
        return torch.nn.functional.batch_norm(x, None, None, w, b, True)

    args = [rand(*shape, dtype=torch.bfloat16) for shape in ((9, 6), (6,), (6,))]
    holds(kernel, *args, reference=batch_norm, notes=("refused", "refused"))


# Other shapes.


class Cached:
    """A kernel with something kept from a call, that is looked up by what ``key`` makes of a shape."""

    def __init__(self, key, made, used):
        self.key, self.made, self.used, self.kept = key, made, used, {}

    def of(self, x):
        return self.kept.setdefault(self.key(x), self.made(x))

    def __call__(self, x, w):
        cached = self

        class Kernel(Fused):
            @staticmethod
            def forward(ctx, x, w):
                ctx.kept = cached.of(x)
                ctx.save_for_backward(x, w)
                return cached.used("output", ctx.kept, torch.tanh(x.float() @ w.float())).to(x.dtype)

            @staticmethod
            def backward(ctx, c):
                gx, gw = vjp(*wide(*ctx.saved_tensors, c))
                return narrow((gx, cached.used("gradient", ctx.kept, gw, len(gx))), c.dtype)

        return Kernel.apply(x, w)


def by_shape(x):
    return tuple(x.shape)


def once(x):
    return None


def mean_grid(where, kept, found, n=0):
    """As one that was launched for so many rows."""
    return found if where == "output" else found * (n / max(kept, 1))


def rows_written(where, kept, found, n=0):
    return torch.cat([found[:kept], torch.zeros_like(found[kept:])]) if where == "output" else found


@LOW
def test_a_grid_that_is_kept_from_the_first_call_is_wrong_at_another_shape(dtype):
    holds(Cached(by_shape, len, mean_grid), *arguments(dtype))
    breaks("another-shape", Cached(once, len, mean_grid), *arguments(dtype), says="of shape", blocks={"args.1"})


@LOW
def test_what_another_shape_leaves_behind_is_wrong_at_the_first_one_again(dtype):
    """A configuration that is replaced by each smaller one, and by no larger."""

    class Least(Cached):
        def of(self, x):
            self.kept[None] = min(self.kept.get(None, len(x)), len(x))
            return self.kept[None]

    report = judged(Least(once, len, rows_written), *arguments(dtype))
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"another-shape"}
    assert any("at the first shapes is another" in finding.reason for finding in report.findings), str(report)
    assert judged(Least(once, len, rows_written), *arguments(dtype), contract=False).verdict is Verdict.CORRECT


@LOW
@pytest.mark.parametrize("block", [2, 3])
def test_a_block_that_is_not_masked_at_its_end_is_wrong_where_sizes_are_no_multiples(block, dtype):
    def whole_blocks(ctx, c):
        x, w = ctx.saved_tensors
        gx, gw = vjp(*wide(x, w, c))
        rest = len(x) % block
        return narrow((gx, gw - (vjp(*wide(x[-rest:], w, c[-rest:]))[1] if rest else 0)), c.dtype)

    breaks("another-shape", fused(backward=whole_blocks), *arguments(dtype), says="of shape (5, 3)", blocks={"args.1"})


@LOW
def test_one_element_that_is_squeezed_away_is_found(dtype):
    def squeezes(ctx, x, w):
        return Fused.forward(ctx, x, w).squeeze(0)

    def kernel(x, w):
        return fused(forward=squeezes, backward=lambda ctx, c: Fused.backward(ctx, c.reshape(-1, c.shape[-1])))(x, w)

    breaks("another-shape", kernel, *arguments(dtype), says="of shape (1, ", blocks={"output"})


@LOW
def test_no_rows_leave_what_is_summed_over_them_as_the_memory_was(dtype):
    def no_grid(ctx, c):
        x, w = ctx.saved_tensors
        return narrow(vjp(*wide(x, w, c)), c.dtype) if len(x) else (torch.empty_like(x), torch.full_like(w, 7))

    breaks("empty-input", fused(backward=no_grid), *arguments(dtype), says="args.0 of shape (0, 4)", blocks={"args.1"})

    def not_a_number(ctx, c):
        x, w = ctx.saved_tensors
        return narrow(vjp(*wide(x, w, c)), c.dtype) if len(x) else (torch.empty_like(x), torch.full_like(w, float("nan")))

    breaks("empty-input", fused(backward=not_a_number), *arguments(dtype), blocks={"args.1"})


def test_a_shape_that_the_kernel_refuses_is_a_note_and_one_that_the_reference_refuses_is_not_asked_for():
    def some(ctx, x, w):
        if not x.numel():
            raise ValueError("nothing to do")
        return Fused.forward(ctx, x, w)

    holds(fused(forward=some), *arguments(), notes=("(0, 4) it is refused: it raised ValueError: nothing to do",))

    def no_other(ctx, x, w):
        assert len(x) == 6
        return Fused.forward(ctx, x, w)

    def of_six(x, w):
        assert len(x) == 6
        return plain(x, w)

    assert not [note for note in judged(fused(forward=no_other), *arguments(), reference=of_six).notes if "6" in note]


def test_who_divides_by_nothing_refuses_nothing():
    def crashes(ctx, x, w):
        1 // (len(x) - 1)
        return Fused.forward(ctx, x, w)

    breaks("another-shape", fused(forward=crashes), *arguments(), says="raised ZeroDivisionError")


def test_sizes_that_are_told_or_brought_along_stay_as_they_are():
    seen = []
    weight = torch.nn.Parameter(rand(4, grad=False))

    def kernel(x, heads):
        seen.append(tuple(x.shape))
        return x * weight * heads

    holds(kernel, rand(6, 4), 2, reference=lambda x, heads: heads * (x * weight))
    assert {shape[1] for shape in seen} == {4}
    assert {shape[0] for shape in seen} == {6, 5, 1, 0}
    seen.clear()
    holds(kernel, rand(6, 4), 6, reference=lambda x, heads: heads * (x * weight))
    assert set(seen) == {(6, 4)}


def test_what_an_index_or_an_offset_points_to_is_not_cut():
    seen = []

    def rows(table, index):
        seen.append((len(table), len(index)))
        return table[index]

    holds(rows, rand(7, 3), torch.tensor([0, 6, 3, 3]), reference=lambda table, index: table[index])
    assert {table for table, _ in seen} == {7}
    assert {index for _, index in seen} == {4, 3, 1}
    seen.clear()
    ends = torch.tensor([2, 7])

    def parts(tokens, ends):
        seen.append((len(tokens), len(ends)))
        return torch.stack([tokens[:end].sum(0) for end in ends])

    holds(parts, rand(7, 3), ends, reference=lambda tokens, ends: torch.stack([tokens[:end].sum(0) for end in ends]))
    assert {tokens for tokens, _ in seen} == {7}


def test_a_kernel_that_draws_is_not_asked_for_another_shape():
    seen = []

    def drops(x):
        seen.append(len(x))
        return x * (torch.rand(x.shape) < 0.5)

    assert judged(drops, rand(6, 4), reference=drops).verdict is Verdict.CORRECT
    assert set(seen) == {6}


# Memory.


@LOW
@pytest.mark.parametrize("what", ["output", "gradient"])
@pytest.mark.parametrize("honest", [True, False])
def test_memory_that_the_next_call_writes_to_may_not_be_handed_out(what, honest, dtype):
    kept = {}

    def handed(found):
        if honest:
            return found
        return kept.setdefault((tuple(found.shape), found.dtype), torch.empty_like(found)).copy_(found)

    def forward(ctx, x, w):
        found = Fused.forward(ctx, x, w)
        return handed(found) if what == "output" else found

    def backward(ctx, c):
        gx, gw = Fused.backward(ctx, c)
        return (gx, handed(gw)) if what == "gradient" else (gx, gw)

    kernel = fused(forward=forward, backward=backward)
    if honest:
        holds(kernel, *arguments(dtype))
    else:
        blocks = {"output"} if what == "output" else {"args.1"}
        report = judged(kernel, *arguments(dtype))
        said = {each.name for each in report.diagnoses if each.cause == "shared-output"}
        assert said == blocks  # an output that two graphs have in common is state, too
        assert all("is another after a second one" in each.reason for each in report.findings if each.name in blocks)


@LOW
def test_rows_that_are_there_once_for_all_are_not_read_on_in_memory(dtype):
    """The strides are asked for where they are not zero."""

    def reads_on_if_expanded(ctx, x, w):
        on = torch.as_strided(x, x.shape, (x.shape[1], 1)) if x.stride(0) == 0 and len(x) > 1 else x
        return Fused.forward(ctx, on, w)

    breaks("input-layout", fused(forward=reads_on_if_expanded), *arguments(dtype), says="expanded arguments the output")

    def backward(ctx, c):
        x, w = ctx.saved_tensors
        on = torch.as_strided(x, x.shape, (x.shape[1], 1)) if x.stride(0) == 0 and len(x) > 1 else x
        return narrow(vjp(*wide(on, w, c)), c.dtype)

    breaks("input-layout", fused(backward=backward), *arguments(dtype), says="expanded arguments the gradient")


@LOW
def test_an_output_may_lie_in_memory_as_it_likes_and_its_cotangent_as_others_like(dtype):
    def transposed(ctx, x, w):
        found = Fused.forward(ctx, x, w)
        return found.T.contiguous().T

    holds(fused(forward=transposed), *arguments(dtype))

    def as_the_output(ctx, c):
        return Fused.backward(ctx, torch.as_strided(c, c.shape, (1, c.shape[0])))

    report = judged(fused(forward=transposed, backward=as_the_output), *arguments(dtype))
    assert report.wrong == {"args.0", "args.1"}


@LOW
@pytest.mark.parametrize("honest", [True, False])
def test_an_output_that_is_the_memory_of_an_argument_may_be_changed_in_place(honest, dtype):
    """Whoever returns the argument's memory by another name lets others write to it unseen."""

    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone() if honest else x.new_empty(0).set_(x.data)

        @staticmethod
        def backward(ctx, c):
            return c.clone()

    args = (rand(3, 4, dtype=dtype),)
    if honest:
        holds(Same.apply, *args, reference=lambda x: x * 1)
    else:
        breaks("output-view", Same.apply, *args, reference=lambda x: x * 1)


@LOW
def test_a_cotangent_that_is_one_number_for_all_is_taken_as_it_is(dtype):
    """As ``sum().backward()`` makes it."""

    def reads_on_if_expanded(ctx, c):
        return Fused.backward(ctx, torch.as_strided(c, c.shape, (c.shape[1], 1)) if 0 in c.stride() and c.numel() > 1 else c)

    breaks("cotangent-layout", fused(backward=reads_on_if_expanded), *arguments(dtype), says="with an expanded cotangent")
