"""A PyTorch kernel against its reference: what is correct, inexact, wrong, and to what; each with a planted twin."""

import numpy as np
import pytest
import torch

import gradcheck
from gradcheck.comparison.judging import BOUND, SEEN
from gradcheck.errors import DataError
from gradcheck.verdict.findings import Verdict

FORMATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class RMSNorm(torch.autograd.Function):
    """As kernels have it: float32 inside, and a backward pass by hand, with a mistake on request."""

    @staticmethod
    def forward(ctx, x, weight, mistake):
        wide = x if x.dtype == torch.float64 else x.float()
        inverse = torch.rsqrt((wide * wide).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(x, weight, inverse)
        ctx.mistake = mistake
        return (wide * inverse * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, cotangent):
        x, weight, inverse = ctx.saved_tensors
        c, w, normal = (each.to(inverse.dtype) for each in (cotangent, weight, x * inverse))
        if ctx.mistake == "cotangent":
            c = torch.ones_like(c)
        scaled = c * w
        mean = (scaled * normal).mean(-1, keepdim=True)
        if ctx.mistake == "bfloat16 inside":
            mean = mean.bfloat16().to(mean.dtype)
        if ctx.mistake == "no mean":
            mean = 0 * mean
        dx = inverse * (scaled - normal * mean)
        if ctx.mistake == "tail":
            dx[:, 48:] = 0
        return dx.to(x.dtype), (c * normal).sum(0).to(weight.dtype), None


def kernel(x, weight, mistake=""):
    return RMSNorm.apply(x, weight, mistake)


def plain(x, weight, mistake=""):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight


def given(dtype=torch.float32, rows=24, columns=56, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((rows, columns), (columns,))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def asked(mistake="", dtype=torch.float32, **options):
    options = {"reference": plain, "contract": False, "diagnose": False, **options}
    return gradcheck.check_torch(kernel, *given(dtype), mistake, **options)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_an_honest_kernel_is_correct_in_every_format_and_its_resolution_is_that_of_the_format(dtype):
    report = asked(dtype=dtype)
    assert report.verdict is Verdict.CORRECT
    assert [finding.name for finding in report.findings] == ["output", "args.0", "args.1"]
    unit = torch.finfo(dtype).eps
    assert all(unit < finding.resolution < 60 * unit for finding in report.findings)
    assert report.words.endswith(f" in {str(dtype).removeprefix('torch.')}")


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("mistake", ["cotangent", "no mean", "tail"])
def test_a_mistake_in_the_backward_pass_is_wrong_in_every_format_and_the_output_is_not(mistake, dtype):
    report = asked(mistake, dtype)
    assert "args.0" in report.wrong
    assert next(finding for finding in report.findings if finding.name == "output").verdict is Verdict.CORRECT


def test_a_tail_that_is_left_out_is_where_the_entries_say():
    (finding,) = (finding for finding in asked("tail").findings if finding.verdict is Verdict.WRONG)
    assert all(entry.index[1] >= 48 and entry.claimed == 0 for entry in finding.entries)


def test_sums_in_bfloat16_inside_a_float32_kernel_are_inexact_by_their_factor_and_no_mistake():
    (finding,) = (finding for finding in asked("bfloat16 inside").findings if finding.verdict is not Verdict.CORRECT)
    assert finding.verdict is Verdict.INEXACT
    assert "times the error of float32" in finding.reason


@pytest.mark.parametrize("relative", [3e-5, 1e-5])
def test_one_entry_that_is_slightly_off_is_found_in_float32(relative):
    class OneOff(RMSNorm):
        @staticmethod
        def backward(ctx, cotangent):
            dx, dw, _ = RMSNorm.backward(ctx, cotangent)
            place = np.unravel_index(int(dx.abs().argmax()), dx.shape)
            dx[place] *= 1 + relative
            return dx, dw, None

    report = gradcheck.check_torch(lambda x, w: OneOff.apply(x, w, ""), *given(), reference=plain, contract=False)
    assert report.wrong == {"args.0"}
    assert report.diagnoses[0].cause == "single-entry"


def test_errors_of_more_scales_than_the_resolution_states_are_found_and_less_than_the_bound_are_not():
    for times, verdict in ((1.5 * SEEN, Verdict.WRONG), (0.5 * BOUND, Verdict.CORRECT)):

        def shifted(x, times=times):
            return x + x.detach() * (times * 2.0**-24 / 3**0.5) * (torch.arange(x.numel()) == 7)

        x = torch.rand(64, generator=torch.Generator().manual_seed(1)).add(1).double().requires_grad_()
        narrow = x.detach().float().requires_grad_()
        report = gradcheck.check_torch(
            lambda x, shifted=shifted: shifted(x.double()).float(), narrow, reference=lambda x: x * 1.0, contract=False
        )
        assert report.findings[0].verdict is verdict


def test_what_bfloat16_alone_shows_is_settled_in_float32():
    class Narrow(torch.autograd.Function):
        """Wrong where it is given bfloat16, and in its format by what rounding cannot tell."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.float().exp().to(x.dtype)

        @staticmethod
        def backward(ctx, cotangent):
            (x,) = ctx.saved_tensors
            factor = 2.0 if x.dtype == torch.bfloat16 else 1.0
            return (factor * cotangent.float() * x.float().exp()).to(x.dtype)

    x = torch.randn(40, generator=torch.Generator().manual_seed(2)).bfloat16().requires_grad_()
    report = gradcheck.check_torch(Narrow.apply, x, reference=torch.exp, contract=False)
    assert report.wrong == {"args.0"}
    assert "right in float32 on the same numbers" in report.findings[1].reason


def one_pass(x):
    """A variance as a difference of two numbers that are nearly equal."""
    return (x * x).mean(-1) - x.mean(-1) ** 2


def test_a_one_pass_variance_at_a_large_mean_is_inexact_or_unresolved_and_two_passes_are_correct():
    x = (torch.randn(16, 64, generator=torch.Generator().manual_seed(3)) + 1000).requires_grad_()

    def two_passes(x):
        return ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1)

    found = gradcheck.check_torch(one_pass, x, reference=two_passes, contract=False).findings[0]
    assert found.verdict in (Verdict.INEXACT, Verdict.UNRESOLVED)
    twin = gradcheck.check_torch(lambda x: x.var(-1, correction=0), x, reference=two_passes, contract=False)
    assert twin.verdict is Verdict.CORRECT


def test_accuracy_makes_an_approximation_inexact_that_is_within_it():
    def fast(x):
        return x.exp() * (1 + 2e-4)

    x = torch.randn(32, generator=torch.Generator().manual_seed(4)).requires_grad_()
    assert gradcheck.check_torch(fast, x, reference=torch.exp, contract=False).verdict is Verdict.WRONG
    report = gradcheck.check_torch(fast, x, reference=torch.exp, accuracy=1e-3, contract=False)
    assert report.verdict is Verdict.INEXACT
    assert gradcheck.check_torch(fast, x, reference=torch.exp, accuracy=1e-4, contract=False).verdict is Verdict.WRONG


class Normed(torch.nn.Module):
    """With a buffer, and parameters under the names that a reference has too."""

    def __init__(self, size=12):
        super().__init__()
        self.linear, self.norm = torch.nn.Linear(8, size), torch.nn.LayerNorm(size)
        self.register_buffer("shift", torch.zeros(size))

    def forward(self, x):
        return self.norm(torch.nn.functional.silu(self.linear(x)) + self.shift)


class Plain(Normed):
    eps = 1e-5

    def forward(self, x):
        h = x @ self.linear.weight.mT + self.linear.bias
        h = h * torch.sigmoid(h) + self.shift
        h = h - h.mean(-1, keepdim=True)
        return h * torch.rsqrt((h * h).mean(-1, keepdim=True) + self.eps) * self.norm.weight + self.norm.bias


def modules(dtype=torch.float32):
    torch.manual_seed(5)
    module = Normed().to(dtype)
    with torch.no_grad():
        module.shift += torch.randn(12).to(dtype)
    return module, Plain(), torch.randn(6, 8).to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_a_module_is_held_against_one_of_the_same_state_dict_with_its_own_numbers(dtype):
    module, reference, x = modules(dtype)
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    report = gradcheck.check_torch(module, x, reference=reference, contract=False)
    assert report.verdict is Verdict.CORRECT
    assert {"linear.weight", "norm.bias", "args.0", "output"} == {f.name for f in report.findings} - {
        "linear.bias",
        "norm.weight",
    }
    assert all(torch.equal(value, before[name]) for name, value in reference.state_dict().items())
    assert all(value.grad is None for value in (*module.parameters(), *reference.parameters(), x))


def test_a_module_with_another_constant_inside_is_wrong():
    module, reference, x = modules()
    reference.eps = 1e-3
    assert "output" in gradcheck.check_torch(module, x, reference=reference, contract=False).wrong


def test_a_reference_that_casts_to_float32_inside_is_no_less_exact():
    def casting(x, weight, mistake=""):
        return plain(x.float(), weight.float())

    report = asked("no mean", reference=casting)
    assert report.wrong == {"args.0"}
    assert max(finding.resolution for finding in asked(reference=casting).findings) < 1e-5


def test_a_reference_without_a_float64_path_is_judged_and_said_to_be():
    def narrow(x, weight, mistake=""):
        assert x.dtype == torch.float32
        return plain(x, weight)

    right, wrong = asked(reference=narrow), asked("no mean", reference=narrow)
    assert right.verdict is Verdict.CORRECT
    assert wrong.wrong == {"args.0"}
    assert any("no float64 path" in note for note in right.notes)


def test_a_reports_first_note_says_what_it_rests_on():
    assert "an error of its own would not be seen" in asked().notes[0]


def test_all_that_is_asked_for_counts_as_evaluations_of_the_reference():
    assert asked().evaluations == 9
    assert "9 evaluations of the reference" in str(asked())


def test_eager_stands_for_what_was_compiled():
    def twice(x):
        return 2 * x

    compiled = torch.compile(twice, backend="eager")
    x = torch.randn(4, generator=torch.Generator().manual_seed(6)).requires_grad_()
    report = gradcheck.check_torch(compiled, x, reference="eager")
    assert report.verdict is Verdict.CORRECT
    assert any("compiled anew" in note for note in report.notes)
    with pytest.raises(DataError, match=r"'eager' is of what torch\.compile returned, and twice is no such function"):
        gradcheck.check_torch(twice, x, reference="eager")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        (lambda x, weight, mistake: (x, weight), "the reference returns output.0 and output.1, the kernel output"),
        (lambda x: x, "takes 1 positional argument but 3 were given"),
        ("lazy", "reference: expected a function, or 'eager', got 'lazy'"),
    ],
)
def test_a_reference_that_does_not_fit_is_one_clear_line(reference, sentence):
    with pytest.raises(gradcheck.GradcheckError, match=sentence) as raised:
        asked(reference=reference)
    assert "\n" not in str(raised.value)


def test_an_output_of_another_shape_is_wrong_and_says_both():
    finding = asked(reference=lambda x, w, _: plain(x, w)[None]).findings[0]
    assert (finding.verdict, finding.reason) == (Verdict.WRONG, "has shape (24, 56), expected (1, 24, 56)")


def test_an_output_of_another_size_is_wrong_and_its_gradients_are_not_asked():
    report = asked(reference=lambda x, w, _: plain(x, w).sum(-1))
    assert report.findings[0].reason == "has shape (24, 56), expected (24,)"


def test_an_output_that_has_lost_its_gradient_is_wrong():
    x, w = given()
    detached = gradcheck.check_torch(lambda x, w: plain(x, w).detach(), x, w, reference=plain, contract=False)
    assert detached.wrong == {"args.0", "args.1"}
    assert {each.cause for each in detached.diagnoses} == {"zero"}


@pytest.mark.parametrize("dropped", [True, False])
def test_where_numbers_are_drawn_a_difference_is_no_accusation(dropped):
    def dropout(x):
        return torch.nn.functional.dropout(x, 0.5) if dropped else 2.0 * x

    x = torch.randn(64, generator=torch.Generator().manual_seed(8)).requires_grad_()
    report = gradcheck.check_torch(dropout, x, reference=lambda x: x * (torch.rand(64) > 0.5) * 2, contract=False)
    assert report.verdict is Verdict.UNRESOLVED
    assert "hand in what was drawn" in report.findings[0].reason


def test_a_failure_is_asked_again_by_its_reproducer(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "again.py"
    asked("no mean").reproducer(path)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
