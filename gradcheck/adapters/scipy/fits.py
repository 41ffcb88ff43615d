"""Fits of lmfit: the derivatives of residuals by the parameters that vary, in their order, with limits and expressions."""

import sys
import warnings
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from functools import partial
from typing import Any

import numpy as np

from gradcheck.adapters.scipy.given import as_matrix, ours, transposed
from gradcheck.adapters.scipy.questions import Asking, First, missing
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of
from gradcheck.foundation.wording import shown

Given = Mapping[str, Any]
METHODS = ("minimize", "leastsq", "least_squares", "scalar_minimize")
VECTORS = ("leastsq", "least_squares")  # these take the residuals themselves, others the sum of their squares


def reader_of(solver: Any) -> Callable[[Given], Asking] | None:
    """Of ``lmfit.minimize``, or a method of a ``Minimizer`` or a ``Model`` of lmfit, which the user has imported then."""
    lmfit: Any = sys.modules.get("lmfit")
    owner, name = getattr(solver, "__self__", None), name_of(solver)
    if lmfit is None:
        return None
    if solver is lmfit.minimize:
        return _minimised
    if isinstance(owner, lmfit.Minimizer) and name in METHODS:
        return partial(_with, owner, name)
    return partial(_modelled, owner) if isinstance(owner, lmfit.Model) and name == "fit" else None


def _minimised(given: Given) -> Asking:
    function, *more = (given[name] for name in ("fcn", "params", "args", "kws"))
    options = {**given["fit_kws"], "reduce_fcn": given["reduce_fcn"]}
    fitter = called(sys.modules["lmfit"].Minimizer, "Minimizer", function, *more, **options)
    yield from _asked(fitter, None, given["method"], fitter.kws)


def _with(fitter: Any, name: str, given: Given) -> Asking:
    method = name if name in VECTORS else given["method"]
    yield from _asked(fitter, given["params"], method, {**fitter.kws, **given["kws"]})


def _modelled(model: Any, given: Given) -> Asking:
    """One evaluation tells what the model makes of data, weights and independent variables."""
    options: Given = given["fit_kws"] or {}
    rest = {name: value for name, value in given.items() if name not in ("fit_kws", "kwargs", "max_nfev", "iter_cb")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = called(model.fit, "fit", **rest, max_nfev=1, **given["kwargs"])
    yield from _asked(fitter, fitter.init_params, given["method"], options)


def _asked(fitter: Any, params: Any, method: str, options: Given) -> Asking:
    label = "jac" if callable(options.get("jac")) else "Dfun"
    jac = options.get(label)
    if not callable(jac):
        yield missing(label, jac)
        return
    fitter, given = copy(fitter), fitter.params if params is None else params
    if not hasattr(given, "valuesdict"):
        raise DataError(f"params: expected lmfit's Parameters, got {shown(given)}")
    started = called(fitter.prepare_fit, "prepare_fit", params)
    names, work = started.var_names, deepcopy(started.params)

    def moved(x: Array) -> Any:
        for name, value in zip(names, x, strict=True):
            work[name].value = float(value)
        work.update_constraints()
        return work

    def residuals(x: Array) -> Any:
        found = np.asarray(fitter.userfcn(moved(x), *fitter.userargs, **fitter.userkws))
        found = np.ravel(found.astype(complex).view(float) if np.iscomplexobj(found) else found)
        return found if method in VECTORS or found.size == 1 else fitter.reduce_fcn(found)

    def matrix(x: Array) -> Any:
        return as_matrix(jac(moved(x), *fitter.userargs, **fitter.userkws))

    f, derivative = ours(fitter.userfcn, residuals), ours(jac, matrix)
    start = np.array([work[name].value for name in names], float)
    limits = np.array([work[name].min for name in names], float), np.array([work[name].max for name in names], float)
    by_columns = method == "leastsq" and options.get("col_deriv")
    yield First(label, f, transposed(derivative) if by_columns else derivative, start, limits, columns=tuple(names))
