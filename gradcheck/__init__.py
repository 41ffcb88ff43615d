"""Gradient verification without a tolerance.

One network description is built several independent ways; losses and gradients are compared with each other and with
derivatives that use no backpropagation. Importing this package imports nothing else: names are resolved when they are
first used.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcheck import strategies as strategies
    from gradcheck.adapters.doors.autograd import check_autograd as check_autograd
    from gradcheck.adapters.doors.boosting import check_objective as check_objective
    from gradcheck.adapters.doors.drawn import kernels as kernels
    from gradcheck.adapters.doors.jax import check_jax as check_jax
    from gradcheck.adapters.doors.pytorch import check_torch as check_torch
    from gradcheck.adapters.doors.pytorch import drop_in as drop_in
    from gradcheck.adapters.doors.scipy import check_scipy as check_scipy
    from gradcheck.builds.registry import backend as backend
    from gradcheck.builds.registry import installed as installed
    from gradcheck.cases.case import Case as Case
    from gradcheck.cases.case import Given as Given
    from gradcheck.cases.files import load as load
    from gradcheck.cases.files import save as save
    from gradcheck.checking.checker import check as check
    from gradcheck.checking.jacobians.checker import check_jacobian as check_jacobian
    from gradcheck.checking.products import check_adjoint as check_adjoint
    from gradcheck.checking.products import check_hvp as check_hvp
    from gradcheck.checking.products import check_jvp as check_jvp
    from gradcheck.checking.products import check_vjp as check_vjp
    from gradcheck.comparison.comparer import compare as compare
    from gradcheck.errors import BackendBroken as BackendBroken
    from gradcheck.errors import BackendError as BackendError
    from gradcheck.errors import BackendNotInstalled as BackendNotInstalled
    from gradcheck.errors import CallFailed as CallFailed
    from gradcheck.errors import DataError as DataError
    from gradcheck.errors import DescriptionError as DescriptionError
    from gradcheck.errors import GradcheckError as GradcheckError
    from gradcheck.errors import GradientMismatch as GradientMismatch
    from gradcheck.errors import LibraryNotInstalled as LibraryNotInstalled
    from gradcheck.errors import OutputError as OutputError
    from gradcheck.errors import UnknownBackend as UnknownBackend
    from gradcheck.errors import Unsupported as Unsupported
    from gradcheck.network.batch import Batch as Batch
    from gradcheck.network.layers import ELU as ELU
    from gradcheck.network.layers import GELU as GELU
    from gradcheck.network.layers import Activation as Activation
    from gradcheck.network.layers import Arctan as Arctan
    from gradcheck.network.layers import Attention as Attention
    from gradcheck.network.layers import BatchNorm as BatchNorm
    from gradcheck.network.layers import Conv2d as Conv2d
    from gradcheck.network.layers import Dense as Dense
    from gradcheck.network.layers import Embedding as Embedding
    from gradcheck.network.layers import Flatten as Flatten
    from gradcheck.network.layers import Identity as Identity
    from gradcheck.network.layers import Layer as Layer
    from gradcheck.network.layers import LayerNorm as LayerNorm
    from gradcheck.network.layers import LeakyReLU as LeakyReLU
    from gradcheck.network.layers import MaxPool2d as MaxPool2d
    from gradcheck.network.layers import ReLU as ReLU
    from gradcheck.network.layers import Residual as Residual
    from gradcheck.network.layers import Sequential as Sequential
    from gradcheck.network.layers import Sigmoid as Sigmoid
    from gradcheck.network.layers import SiLU as SiLU
    from gradcheck.network.layers import Softplus as Softplus
    from gradcheck.network.layers import Tanh as Tanh
    from gradcheck.network.layers import Tied as Tied
    from gradcheck.network.layers import register_layer as register_layer
    from gradcheck.network.losses import MSE as MSE
    from gradcheck.network.losses import BinaryCrossEntropy as BinaryCrossEntropy
    from gradcheck.network.losses import CrossEntropy as CrossEntropy
    from gradcheck.network.losses import Hinge as Hinge
    from gradcheck.network.losses import Huber as Huber
    from gradcheck.network.losses import Logistic as Logistic
    from gradcheck.network.losses import Loss as Loss
    from gradcheck.network.losses import register_loss as register_loss
    from gradcheck.network.network import Network as Network
    from gradcheck.report.report import Report as Report
    from gradcheck.training.descent import train as train
    from gradcheck.training.history import History as History
    from gradcheck.training.optimizers import Armijo as Armijo
    from gradcheck.training.optimizers import GradientDescent as GradientDescent
    from gradcheck.training.optimizers import MiniBatch as MiniBatch
    from gradcheck.verdict.findings import Finding as Finding
    from gradcheck.verdict.findings import Verdict as Verdict
    from gradcheck.verification.conformance import check_backend as check_backend
    from gradcheck.verification.conformance import check_layer as check_layer
    from gradcheck.verification.verifier import verify as verify

_HOME = {
    "gradcheck.adapters.doors.autograd": "check_autograd",
    "gradcheck.adapters.doors.boosting": "check_objective",
    "gradcheck.adapters.doors.drawn": "kernels",
    "gradcheck.adapters.doors.jax": "check_jax",
    "gradcheck.adapters.doors.pytorch": "check_torch drop_in",
    "gradcheck.adapters.doors.scipy": "check_scipy",
    "gradcheck.cases.case": "Case Given",
    "gradcheck.checking.checker": "check",
    "gradcheck.checking.jacobians.checker": "check_jacobian",
    "gradcheck.comparison.comparer": "compare",
    "gradcheck.errors": "BackendBroken BackendError BackendNotInstalled CallFailed DataError DescriptionError "
    "GradcheckError GradientMismatch LibraryNotInstalled OutputError UnknownBackend Unsupported",
    "gradcheck.cases.files": "load save",
    "gradcheck.checking.products": "check_adjoint check_hvp check_jvp check_vjp",
    "gradcheck.network.layers": "ELU GELU Activation Arctan Attention BatchNorm Conv2d Dense Embedding Flatten Identity "
    "Layer LayerNorm LeakyReLU MaxPool2d ReLU Residual Sequential Sigmoid SiLU Softplus Tanh Tied register_layer",
    "gradcheck.network.losses": "MSE BinaryCrossEntropy CrossEntropy Hinge Huber Logistic Loss register_loss",
    "gradcheck.network.network": "Network",
    "gradcheck.builds.protocol": "Batch",
    "gradcheck.builds.registry": "backend installed",
    "gradcheck.report.report": "Report",
    "gradcheck.strategies": "strategies",
    "gradcheck.training.descent": "train",
    "gradcheck.training.history": "History",
    "gradcheck.training.optimizers": "Armijo GradientDescent MiniBatch",
    "gradcheck.verdict.findings": "Finding Verdict",
    "gradcheck.verification.conformance": "check_backend check_layer",
    "gradcheck.verification.verifier": "verify",
}
_PUBLIC = {name: module for module, names in _HOME.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]


class _Moved:
    """Asked for a module of ours that nobody else has found: it may have had that name once."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if not name.startswith("gradcheck."):
            return None
        from gradcheck.foundation.moved import spec_of

        return spec_of(name)


sys.meta_path.append(_Moved)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gradcheck' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    value = globals()[name] = module if _PUBLIC[name] == f"{__name__}.{name}" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
