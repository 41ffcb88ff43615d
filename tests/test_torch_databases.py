"""PyTorch's databases of operators and modules: its gradients are correct, and of any other verdict it is known why."""

from collections.abc import Iterable, Iterator

import pytest

from gradcheck import Verdict, check_torch
from gradcheck.errors import GradcheckError

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's own test code needs it")
import torch_databases as databases  # noqa: E402 after what it needs

# What PyTorch's samples, operators and modules warn of is theirs; a warning from anywhere else stays an error.
pytestmark = pytest.mark.filterwarnings("ignore:::torch.*")

REFUSED = "refused"
PARTS = 8  # that the long sweep is cut into
SHARE = 20  # of every so many operators or modules, one is checked in the short run
DEFECT = "a defect: see test_defects and docs/defects.md"
OVERWRITTEN = "indices repeat: one value overwrites another, and both get its gradient (documented as undetermined)"
RANDOM = "derivatives.yaml defines the derivative of a draw by its mean and deviation as zero"
STEPS = "a staircase: it is flat between its steps, and sloped from step to step"
ZERO = "the derivative is zero, PyTorch's is zero up to rounding, and no error relative to that can be seen"
NARROW = "a float16 or bfloat16 inside hides errors that must be seen"
JUMP = "the targets lie on jumps: of any that is not 1 or -1 the loss is another"
KINK = "the point is on a kink on purpose"
SPARSE = "only dense tensors are judged"
MISSING = "the sample holds NaN or infinity, where there is no derivative"
STORAGE = "it reads its argument's storage beyond the argument, which a copy does not have"

# What may be said of some of an operator's samples beside "correct", and why.
KNOWN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("as_strided_scatter", "native_group_norm", "nn.functional.nll_loss"), (Verdict.WRONG, DEFECT)),
    **dict.fromkeys((f"nn.functional.max_unpool{d}d" for d in (1, 2, 3)), (Verdict.WRONG, OVERWRITTEN)),
    **dict.fromkeys(("normal", "normal.number_mean"), (Verdict.WRONG, RANDOM)),
    "nn.functional.normalize": (Verdict.UNRESOLVED, ZERO),
    **dict.fromkeys(("half", "bfloat16"), (Verdict.UNRESOLVED, NARROW)),
    **dict.fromkeys((f"nn.functional.{name}_embedding_loss" for name in ("hinge", "cosine")), (Verdict.NONSMOOTH, JUMP)),
    "round.decimals_3": (Verdict.UNRESOLVED, STEPS),
    "linalg.norm.subgradients_at_zero": (Verdict.NONSMOOTH, KINK),
    **dict.fromkeys(("sparse.mm.reduce", "sparse.sampled_addmm"), (REFUSED, SPARSE)),
    **dict.fromkeys(("nanmean", "nansum", "torch.ops.aten._safe_softmax.default"), (REFUSED, MISSING)),
    "as_strided.partial_views": (REFUSED, STORAGE),
}


# And in forward mode, and of the second order.
REFUSES = "its backward pass has no derivative, and says so"
UNDEFINED = "nan, where a masked entry is minus infinity or the point is on a kink; PyTorch's own check fails as well"
KNOWN_FORWARD = {
    **{name: known for name, known in KNOWN.items() if known[1] not in (DEFECT, OVERWRITTEN, RANDOM, NARROW)},
    "cholesky_inverse": (Verdict.WRONG, DEFECT),
}
KNOWN_SECOND = {
    **KNOWN,
    "nn.functional.linear_cross_entropy.chunked": (Verdict.WRONG, DEFECT),
    "masked.logaddexp": (Verdict.WRONG, UNDEFINED),
    "linalg.norm.subgradients_at_zero": ((Verdict.WRONG, Verdict.NONSMOOTH), UNDEFINED),
    **dict.fromkeys(
        ("nn.functional.linear_cross_entropy.chunked_none", "nn.functional.ctc_loss"), (Verdict.UNRESOLVED, REFUSES)
    ),
    "native_layer_norm": (Verdict.UNRESOLVED, REFUSES),
    "special.i1e": (Verdict.NONSMOOTH, "the first derivative has a kink where the argument is zero"),
}
MORE = 4  # samples of one operator there
FEWER = 50  # of every so many operators, two samples of one are checked in the short run


def verdict(subject, **options) -> str:
    try:
        return check_torch(subject.f, *subject.args, **subject.kwargs, **options).verdict
    except GradcheckError:
        return REFUSED


def unexplained(subjects: Iterable, known: str | tuple[str, ...] | None = None, **options) -> tuple[int, list[str]]:
    """How many were judged, and what was said beside "correct" (or "inexact", a fact) and what is known."""
    said = [(subject.name, verdict(subject, **options)) for subject in subjects]
    expected = {Verdict.CORRECT, Verdict.INEXACT, *((known,) if isinstance(known, str) else known or ())}
    return len(said), [f"{name}: {found}" for name, found in said if found not in expected]


def of_operators(names: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    for name in names:
        yield unexplained(databases.operator_subjects(name), KNOWN.get(name, ("", ""))[0])


def of_second_order(names: Iterable[str], most: int = MORE) -> Iterator[tuple[int, list[str]]]:
    for name in (name for name in names if databases.operators()[name].supports_gradgrad):
        subjects = databases.operator_subjects(name, most)
        yield unexplained(subjects, KNOWN_SECOND.get(name, ("", ""))[0], order=2, contract=False)


def in_forward_mode(names: Iterable[str], most: int = MORE) -> Iterator[tuple[int, list[str]]]:
    for name in (name for name in names if databases.operators()[name].supports_forward_ad):
        subjects = databases.operator_subjects(name, most)
        yield unexplained(subjects, KNOWN_FORWARD.get(name, ("", ""))[0], modes="forward", contract=False)


def of_modules(names: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    for name in names:
        yield unexplained(databases.module_subjects(name))


def summed(results: Iterable[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    counts, said = zip(*results, strict=True)
    return sum(counts), [sentence for sentences in said for sentence in sentences]


def test_every_twentieth_operator_of_the_database_is_explained():
    count, said = summed(of_operators(list(databases.operators())[::SHARE]))
    assert said == []
    assert count > 100


def test_every_twentieth_module_of_the_database_is_correct():
    count, said = summed(of_modules(list(databases.modules())[::SHARE]))
    assert said == []
    assert count > 10


@pytest.mark.parametrize("look", [of_second_order, in_forward_mode])
def test_some_operators_are_explained_of_the_second_order_and_in_forward_mode(look):
    count, said = summed(look(list(databases.operators())[::FEWER], 2))
    assert said == []
    assert count > 10


def test_defects_beside_the_first_backward_pass_are_found():
    (*_, last) = databases.operator_subjects("cholesky_inverse", MORE)
    assert verdict(last, modes="forward", contract=False) == Verdict.WRONG
    (first, *_) = databases.operator_subjects("nn.functional.linear_cross_entropy.chunked", MORE)
    assert verdict(first, order=2, contract=False) == Verdict.WRONG


def test_what_is_known_still_happens():
    """Each entry of the table is needed: at least one sample ends that way."""
    for name, (expected, reason) in KNOWN.items():
        assert any(verdict(subject) == expected for subject in databases.operator_subjects(name)), (name, reason)


def test_a_spoiled_operator_is_found():
    """The twin: the same samples, one output off by one part in ten thousand on the way back."""

    class Spoiled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, c):
            return c * (1 + 1e-4)

    for name in ("sin", "matmul", "nn.functional.conv2d", "logsumexp"):
        for subject in databases.operator_subjects(name):
            spoiled = subject._replace(f=lambda x, *rest, f=subject.f, **options: f(Spoiled.apply(x), *rest, **options))
            assert verdict(spoiled) == Verdict.WRONG or not subject.args[0].numel(), subject.name


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_operator_of_the_database_is_explained(part):
    count, said = summed(of_operators(list(databases.operators())[part::PARTS]))
    assert said == []
    assert count > 300


@pytest.mark.slow
def test_every_module_of_the_database_is_correct():
    count, said = summed(of_modules(databases.modules()))
    assert said == []
    assert count > 400


@pytest.mark.slow
@pytest.mark.parametrize("look", [of_second_order, in_forward_mode])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_operator_is_explained_of_the_second_order_and_in_forward_mode(part, look):
    count, said = summed(look(list(databases.operators())[part::PARTS]))
    assert said == []
    assert count > 150
