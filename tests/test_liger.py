"""Released kernels of Liger against plain PyTorch: of each version that is installed it is known which are not right.

Nothing is installed for it: ``pip install --no-deps liger-kernel==0.6.4`` or ``==0.8.5``, then ``pytest -m slow
tests/test_liger.py``. Where there is a device kernels are compiled and run on it, elsewhere they are interpreted.
"""

from importlib.metadata import PackageNotFoundError, version

import pytest

import gradcheck
from gradcheck import Verdict
from gradcheck.errors import CallFailed

torch = pytest.importorskip("torch")
from interpreting import DEVICE, completed, interpreting, require_triton  # noqa: E402 after what it needs

try:
    VERSION = version("liger-kernel")
except PackageNotFoundError:
    VERSION = ""

with interpreting():
    require_triton()
    with completed():
        pytest.importorskip("liger_kernel", reason="liger-kernel is not installed: its kernels are not checked")
        from liger_kernels import subjects

pytestmark = pytest.mark.slow
FORMATS = ("float32", "float16")
SUBJECTS = subjects()
# One cotangent, the first, is taken for all rows: https://github.com/linkedin/Liger-Kernel/issues/968.
ONE_COTANGENT = {"0.6.4": {"linear cross entropy none"}}
# Columns beyond the last are minus infinity, and then pulled to minus the cap, which counts in the sum.
MASK_IS_CAPPED = {"0.6.4": {f"cross entropy {reduction}, capped" for reduction in ("none", "sum", "mean")}}
# What each program adds to the gradients of weight and bias is rounded to bfloat16, whatever is not float32.
ROUNDED_TO_BFLOAT16 = {("group norm", "float16")}
# Triton has no exponential of float16, which is asked for.
REFUSED = {"0.6.4": {(f"KL divergence {reduction}, logarithms", "float16") for reduction in ("none", "batchmean")}}


@pytest.fixture(autouse=True)
def interpreted():
    with interpreting(), completed():
        yield


def report_on(name, held):
    subject, generator = SUBJECTS[name], torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator).to(DEVICE, getattr(torch, held)) for shape in subject.shapes]
    leaves = [each.requires_grad_() for each in drawn]
    return gradcheck.check_torch(subject.kernel, *leaves, reference=subject.reference, contract=False)


@pytest.mark.parametrize("held", FORMATS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_kernel_of_liger_is_as_it_is_known(name, held):
    if (name, held) in REFUSED.get(VERSION, ()):
        with pytest.raises(CallFailed, match="fp16"):
            report_on(name, held)
        return
    report = report_on(name, held)
    if name in ONE_COTANGENT.get(VERSION, ()):
        assert report.verdict is Verdict.WRONG, report
        assert "output" not in report.wrong, report
        assert {each.cause for each in report.diagnoses} == {"cotangent-scalar"}, report
    elif name in MASK_IS_CAPPED.get(VERSION, ()):
        assert report.verdict is Verdict.WRONG, report
    elif (name, held) in ROUNDED_TO_BFLOAT16:
        assert report.verdict is Verdict.INEXACT, report
    else:
        assert report.verdict is Verdict.CORRECT, report
