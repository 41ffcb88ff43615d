"""Scores, Hessians and links of statsmodels."""

import warnings
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_subjects import Subject, data, matrix, pointwise

from gradcheck import check, check_jvp


def models() -> SimpleNamespace:
    """Its modules, where it is installed."""
    pytest.importorskip("statsmodels", reason="statsmodels is not installed: its scores and Hessians are not checked")
    import statsmodels.api as api
    from statsmodels.discrete import conditional_models, count_model, discrete_model, truncated_model
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.genmod import families
    from statsmodels.othermod.betareg import BetaModel

    modules = (discrete_model, count_model, truncated_model, conditional_models)
    found = {name: getattr(m, name) for m in modules for name in dir(m) if isinstance(getattr(m, name), type)}
    return SimpleNamespace(GLM=api.GLM, PHReg=PHReg, BetaModel=BetaModel, families=families, links=families.links, **found)


# Name -> class, the data's name of the response, options, parameters beyond the slopes.
DISCRETE: dict[str, tuple[str, str, dict[str, Any], tuple[float, ...]]] = {
    "logit": ("Logit", "binary", {}, ()),
    "probit": ("Probit", "binary", {}, ()),
    "poisson": ("Poisson", "counts", {}, ()),
    "geometric": ("NegativeBinomial", "counts", {"loglike_method": "geometric"}, ()),
    "negative binomial 1": ("NegativeBinomial", "counts", {"loglike_method": "nb1"}, (0.5,)),
    "negative binomial 2": ("NegativeBinomial", "counts", {"loglike_method": "nb2"}, (0.5,)),
    "negative binomial p=1": ("NegativeBinomialP", "counts", {"p": 1}, (0.5,)),
    "negative binomial p=2": ("NegativeBinomialP", "counts", {"p": 2}, (0.5,)),
    "generalised poisson 1": ("GeneralizedPoisson", "counts", {"p": 1}, (0.3,)),
    "generalised poisson 2": ("GeneralizedPoisson", "counts", {"p": 2}, (0.3,)),
    "generalised poisson 1.5": ("GeneralizedPoisson", "counts", {"p": 1.5}, (0.3,)),
    "beta": ("BetaModel", "fraction", {}, (1.5,)),
}
# Scores only: their Hessians are differences of something, or wrong.
COUNTS: dict[str, tuple[str, str, dict[str, Any], tuple[float, ...]]] = {
    "negative binomial p=1.5": ("NegativeBinomialP", "counts", {"p": 1.5}, (0.5,)),
    "truncated poisson": ("TruncatedLFPoisson", "counts", {}, ()),
    "truncated negative binomial": ("TruncatedLFNegativeBinomialP", "counts", {}, (0.5,)),
    "zero-inflated poisson": ("ZeroInflatedPoisson", "zeros", {}, ()),
    "zero-inflated negative binomial": ("ZeroInflatedNegativeBinomialP", "zeros", {}, (0.5,)),
    "zero-inflated generalised poisson": ("ZeroInflatedGeneralizedPoisson", "zeros", {}, (0.3,)),
}


def discrete(name: str, seed: int, shifted: bool = False) -> tuple[Any, np.ndarray]:
    d, (kind, response, options, extra) = data(seed), (DISCRETE | COUNTS)[name]
    before = ()
    if name.startswith("zero-inflated"):
        options, before = {**options, "exog_infl": d.design[:, :2]}, (-0.4, 0.3)
    if shifted:
        options = {**options, "offset": d.offset}
    model = getattr(models(), kind)(getattr(d, response), d.design, **options)
    model._transparams = False  # As after `fit`: the last parameter is alpha, not its logarithm.
    return model, np.array([*before, *d.slopes, *extra])


def score(name: str, shifted: bool, seed: int) -> Subject:
    model, at = discrete(name, seed, shifted)
    return Subject(check, model.loglike, model.score, at)


def score_of_observations(name: str, seed: int) -> Subject:
    model, at = discrete(name, seed)
    return Subject(check_jvp, model.loglikeobs, lambda p, v: model.score_obs(p) @ v, at)


def hessian(name: str, seed: int) -> Subject:
    model, at = discrete(name, seed)
    observed = {"observed": True} if name == "beta" else {}
    return matrix(model.score, partial(model.hessian, **observed), at)


def classes(order: int, seed: int) -> Subject:
    """``MNLogit``."""
    d = data(seed)
    model, at = models().MNLogit(d.classes, d.design), 0.3 * d.rng.standard_normal(9)
    return Subject(check, model.loglike, model.score, at) if order == 1 else matrix(model.score, model.hessian, at)


# Family -> options, response, and for each link slopes for which the mean is in the family's range.
LOGARITHMIC, AWAY = (-1.0, 0.05, -0.05), (1.5, 0.05, 0.1)
FAMILIES: dict[str, tuple[dict[str, Any], str, dict[str, tuple[float, ...]]]] = {
    "Gaussian": ({}, "real", {"Identity": AWAY, "Log": LOGARITHMIC, "InversePower": AWAY}),
    "Binomial": (
        {},
        "binary",
        dict.fromkeys(("Logit", "Probit", "Cauchy", "CLogLog", "LogLog"), (0.3, -0.2, 0.25))
        | dict.fromkeys(("Log", "LogC"), LOGARITHMIC),
    ),
    "Poisson": ({}, "counts", {"Log": LOGARITHMIC, "Identity": AWAY, "Sqrt": AWAY}),
    "Gamma": ({}, "positive", {"InversePower": AWAY, "Log": LOGARITHMIC, "Identity": AWAY}),
    "InverseGaussian": ({}, "positive", dict.fromkeys(("InverseSquared", "InversePower", "Log", "Identity"), AWAY)),
    "NegativeBinomial": ({"alpha": 0.5}, "counts", {"Log": LOGARITHMIC, "NegativeBinomial": LOGARITHMIC, "Identity": AWAY}),
    "Tweedie": ({"var_power": 1.5, "eql": True}, "positive", {"Log": LOGARITHMIC, "Identity": AWAY}),
}
PAIRS = tuple((family, link) for family, (_, _, links) in FAMILIES.items() for link in links)


def _generalised(family: str, link: str, seed: int) -> tuple[Any, np.ndarray]:
    s, d, (options, response, links) = models(), data(seed), FAMILIES[family]
    chosen = getattr(s.families, family)(getattr(s.links, link)(), **options)
    design = np.column_stack([np.ones(40), np.clip(d.inputs, -2.5, 2.5)])
    with warnings.catch_warnings():  # The slopes keep the means in their domain; the link alone does not.
        warnings.filterwarnings("ignore", "The .* link function does not respect the domain of the .* family")
        model = s.GLM(getattr(d, response), design, family=chosen, var_weights=d.weights)
    return model, np.array(links[link])


def generalised_score(family: str, link: str, seed: int) -> Subject:
    model, at = _generalised(family, link, seed)
    return Subject(check, partial(model.loglike, scale=1.0), partial(model.score, scale=1.0), at)


def generalised_hessian(family: str, link: str, seed: int) -> Subject:
    """The observed one."""
    model, at = _generalised(family, link, seed)
    return matrix(partial(model.score, scale=1.0), partial(model.hessian, scale=1.0, observed=True), at)


LINKS = {
    **{name: {} for name in ("Identity", "Log", "Logit", "Probit", "Cauchy", "CLogLog", "LogLog", "LogC", "Sqrt")},
    **{name: {} for name in ("InversePower", "InverseSquared")},
    "Power": {"power": 0.3},
    "NegativeBinomial": {"alpha": 0.5},
}


FLAT = {("Identity", 2), ("Identity", -2)}  # Zero: no factor makes that wrong.


def link(name: str, order: int, seed: int) -> Subject:
    """A link, its inverse, and the derivatives of both: orders 1 and 2, and -1 and -2 of the inverse."""
    link, mean = getattr(models().links, name)(**LINKS[name]), data(seed).fraction
    pairs = {1: ("__call__", "deriv"), 2: ("deriv", "deriv2"), -1: ("inverse", "inverse_deriv")}
    pairs[-2] = ("inverse_deriv", "inverse_deriv2")
    return pointwise(*(getattr(link, method) for method in pairs[order]), mean if order > 0 else link(mean))


def hazard(ties: str, order: int, seed: int) -> Subject:
    """``PHReg``: censored, stratified, entered late, with and without ties."""
    d = data(seed)
    times = np.ceil(4 * d.positive) / 4
    late = {"status": d.binary, "strata": d.groups % 2, "entry": 0.3 * times * d.fraction, "offset": d.offset}
    model, at = models().PHReg(times, d.inputs, ties=ties, **late), d.slopes[:2]
    return Subject(check, model.loglike, model.score, at) if order == 1 else matrix(model.score, model.hessian, at)


def conditional(kind: str, response: str, seed: int) -> Subject:
    d = data(seed)
    with warnings.catch_warnings():  # Groups of one class say nothing, and the rest is what is checked.
        warnings.filterwarnings("ignore", "Dropped .* groups and .* observations for having no within-group variance")
        model = getattr(models(), kind)(getattr(d, response), d.inputs, groups=d.groups)
    return Subject(check, model.loglike, model.score, d.slopes[:2])


SUBJECTS = (
    {f"score {name}": partial(score, name, False) for name in DISCRETE | COUNTS}
    | {f"shifted score {name}": partial(score, name, True) for name in DISCRETE | COUNTS if name != "beta"}
    | {f"score of observations {name}": partial(score_of_observations, name) for name in ("logit", "probit", "poisson")}
    | {f"hessian {name}": partial(hessian, name) for name in DISCRETE}
    | {f"classes {order}": partial(classes, order) for order in (1, 2)}
    | {f"generalised score {f} {k}": partial(generalised_score, f, k) for f, k in PAIRS}
    | {f"generalised hessian {f} {k}": partial(generalised_hessian, f, k) for f, k in PAIRS}
    | {
        f"link {name} {order}": partial(link, name, order)
        for name in LINKS
        for order in (1, 2, -1, -2)
        if (name, order) not in FLAT
    }
    | {f"hazard {ties} {order}": partial(hazard, ties, order) for ties in ("breslow", "efron") for order in (1, 2)}
    | {"conditional logit": partial(conditional, "ConditionalLogit", "binary")}
    | {"conditional poisson": partial(conditional, "ConditionalPoisson", "counts")}
)
