"""Released derivatives that are not correct: where that is documented, and where it is a defect, beside what would be."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_kernels import NUMERIC, evidence, kernel, laplace_evidence, transposed_kernel
from real_sklearn import affinities, embedding, linear_model_product, network
from real_statsmodels import discrete, models
from real_subjects import Subject, data, matrix, pointwise
from scipy.spatial.distance import pdist, squareform

from gradcheck import Verdict, check, check_autograd, check_torch

# Not correct, and meant to be so


@pytest.mark.parametrize(
    "build", [kernel, transposed_kernel, partial(evidence, outputs=1)], ids=["kernel", "transposed", "evidence"]
)
@pytest.mark.parametrize("name", NUMERIC)
def test_a_kernel_that_takes_differences_inside_is_inexact(name, build):
    """Forward differences with steps of 1e-10: 1e-6 off in the kernel, up to a per cent in the evidence. Documented."""
    finding = build(name, seed=0).report(accuracy=0.1).findings[0]
    assert finding.verdict is Verdict.INEXACT
    assert finding.error > 1e-8


@pytest.mark.parametrize("name", ["rbf", "matern 2.5", "sum"])
def test_an_evidence_from_an_iteration_is_as_inexact_as_the_iteration_stops_early(name):
    """Newton's method for the mode stops where the evidence changes by less than 1e-10."""
    report = laplace_evidence(name, 0).report()
    assert report.verdict in (Verdict.CORRECT, Verdict.INEXACT), report
    assert laplace_evidence(name, 0).planted()[0].report().wrong == {"x"}


@pytest.mark.parametrize("name", ["absolute", "pinball"])
def test_a_constant_in_place_of_the_second_derivative_is_no_hessian(name):
    """Boosting divides by it; `constant_hessian` says so."""
    assert linear_model_product(name, True, 0).report().wrong == {"x"}


# Not correct, and not meant to be so: each beside what would be


def test_the_gradient_of_a_network_with_several_real_outputs_is_not_that_of_its_loss():
    """scikit-learn 1.9.1: the loss is a mean over outputs, the gradient a sum, but for the penalty, which both have once."""
    subject = network("reals", "tanh", (5,), False, 0)
    assert subject.report().wrong == set(subject.at)

    def averaged(p):
        penalty = {name: 0.3 / 30 * p[name] * (name[0] == "W") for name in p}
        return {name: (g - penalty[name]) / 3 + penalty[name] for name, g in subject.derivative(p).items()}

    assert subject._replace(derivative=averaged).report().verdict is Verdict.CORRECT


@pytest.mark.parametrize("components", [3, 4])
def test_an_embedding_in_three_dimensions_or_more_has_the_kernel_to_a_wrong_power(components):
    """scikit-learn 1.9.1: forces fall as (1 + d^2/a)^(-(a+1)/2), and should as (1 + d^2/a)^-1: the same for a = 1 only."""
    subject = embedding(components, 0)
    assert subject.report().wrong == {"x"}
    right = subject._replace(derivative=lambda x: _forces(x.reshape(-1, components), affinities(0), components - 1))
    assert right.report().verdict is Verdict.CORRECT


def _forces(x: np.ndarray, p: np.ndarray, a: int) -> np.ndarray:
    """2 (a+1)/a times the sum over j of (p_ij - q_ij) (1 + d_ij^2/a)^-1 (x_i - x_j)."""
    near = 1 / (1 + pdist(x, "sqeuclidean") / a)
    q = near ** ((a + 1) / 2)
    pull = squareform((p - q / (2 * q.sum())) * near)
    return 2 * (a + 1) / a * (pull.sum(axis=1)[:, None] * x - pull @ x).ravel()


@pytest.mark.parametrize("p", [0, 1.5, 3])
def test_the_hessian_of_a_negative_binomial_of_another_power_is_wrong_across_slopes_and_dispersion(p):
    """statsmodels 0.15.0: ``p * a1`` where the derivative has ``a1``: the same for the powers 1 and 2 only."""
    m, d = models(), data(0)
    model, at = m.NegativeBinomialP(d.counts, d.design, p=p), np.array([*d.slopes, 0.5])
    assert matrix(model.score, model.hessian, at).report().wrong == {"x"}

    def mended(q):
        hessian, mean = model.hessian(q), np.exp(d.design @ q[:-1])
        a1, power = mean ** (2 - p) / q[-1], 2 - p
        cross = d.design.T @ (a1 / q[-1] * power * (1 - power) * a1 / (mean + a1))
        hessian[-1, :-1] += cross
        hessian[:-1, -1] += cross
        return hessian

    assert matrix(model.score, mended, at).report().verdict is Verdict.CORRECT


def test_the_hessian_of_a_zero_inflated_poisson_lacks_the_block_across_its_two_parts():
    """statsmodels 0.15.0: computed above the diagonal, then overwritten by the zeros below; standard errors use it."""
    model, at = discrete("zero-inflated poisson", 0)
    assert np.all(model.hessian(at)[:2, 2:] == 0)
    assert matrix(model.score, model.hessian, at).report().wrong == {"x"}

    def mended(q):
        hessian, zero = model.hessian(q), model.endog == 0
        inflated = 1 / (1 + np.exp(-model.exog_infl[zero] @ q[:2]))
        mean = np.exp(model.exog[zero] @ q[2:])
        likelihood = inflated + (1 - inflated) * np.exp(-mean)
        factor = mean * np.exp(-mean) * inflated * (1 - inflated) / likelihood**2
        hessian[:2, 2:] = model.exog_infl[zero].T @ (factor[:, None] * model.exog[zero])
        hessian[2:, :2] = hessian[:2, 2:].T
        return hessian

    assert matrix(model.score, mended, at).report().verdict is Verdict.CORRECT


@pytest.mark.parametrize(("kind", "p"), [("TruncatedLFGeneralizedPoisson", 2), ("TruncatedLFNegativeBinomialP", 1)])
def test_the_score_of_a_truncated_model_takes_another_power_than_its_likelihood(kind, p):
    """statsmodels 0.15.0: it builds the model of what is cut off anew, and leaves ``p`` to the default of that model."""
    m, d = models(), data(0)
    right = {1: "TruncatedLFGeneralizedPoisson", 2: "TruncatedLFNegativeBinomialP"}
    other = next(q for q, name in right.items() if name == kind)
    for power, wrong in ((p, {"x"}), (other, frozenset())):
        model = getattr(m, kind)(d.counts + 1, d.design, p=power)
        assert Subject(check, model.loglike, model.score, np.array([*d.slopes, 0.3])).report().wrong == wrong


@pytest.mark.parametrize("kind", ["NegativeBinomialP", "GeneralizedPoisson"])
def test_the_score_by_the_logarithm_of_the_dispersion_is_squared_where_it_should_be_multiplied(kind):
    """statsmodels 0.15.0, ``fit(use_transparams=True)``: by the chain rule the last entry is alpha times that by alpha."""
    d = data(0)
    model, at = getattr(models(), kind)(d.counts, d.design), np.array([*d.slopes, -0.7])
    model._transparams = True
    finding = Subject(check, model.loglike, model.score, at).report().findings[0]
    assert finding.verdict is Verdict.WRONG
    assert [entry.index for entry in finding.entries] == [(3,)]

    def mended(q):
        score = model.score_obs(q).sum(axis=0)
        return np.concatenate([score[:-1], score[-1:] * np.exp(q[-1])])

    assert Subject(check, model.loglike, mended, at).report().verdict is Verdict.CORRECT


def test_the_hessian_of_least_squares_without_a_scale_has_half_of_one_of_its_terms():
    """statsmodels 0.15.0: of -n/2 log(ssr), whose second derivative has 2 X^T X / ssr; half of it at the estimate."""
    models()
    from statsmodels.api import OLS

    d = data(0)
    model = OLS(d.real, d.design)
    assert Subject(check, model.loglike, model.score, d.slopes).report().verdict is Verdict.CORRECT
    assert matrix(model.score, model.hessian, d.slopes).report().wrong == {"x"}

    def mended(b):
        residuals = d.real - d.design @ b
        return model.hessian(b) - 20 * d.design.T @ d.design / (residuals @ residuals)

    assert matrix(model.score, mended, d.slopes).report().verdict is Verdict.CORRECT


@pytest.mark.parametrize("order", [1, 2])
def test_the_derivatives_of_franks_generator_have_the_opposite_sign(order):
    """statsmodels 0.15.0: densities take absolute values, which hides it there."""
    models()
    from statsmodels.distributions.copula.transforms import TransfFrank

    t, first, second = data(0).fraction[:6], TransfFrank().deriv, TransfFrank().deriv2
    function, derivative = (
        (lambda t: TransfFrank().evaluate(t, 1.7), lambda t: first(t, 1.7))
        if order == 1
        else (lambda t: -first(t, 1.7), lambda t: second(t, 1.7))
    )
    assert pointwise(function, derivative, t).report().wrong == {"x"}
    assert pointwise(function, lambda t: -derivative(t), t).report().verdict is Verdict.CORRECT


@pytest.mark.parametrize(("degrees", "verdict"), [(3.0, Verdict.CORRECT), (3.3, Verdict.WRONG)])
def test_the_density_of_chi_squared_is_flat_where_its_degrees_of_freedom_are_no_integer(degrees, verdict):
    """autograd 1.9.1: its rule returns zero there. The density knows nothing of integers."""
    autograd = pytest.importorskip("autograd", reason="autograd is not installed: its rules are not checked")
    from autograd.scipy.stats import chi2

    def loss(x):
        return chi2.logpdf(x, degrees).sum()

    assert check(loss, autograd.grad(loss), data(0).fraction[:6]).verdict is verdict


def _autograd() -> SimpleNamespace:
    """Its NumPy, and its triangular solver."""
    pytest.importorskip("autograd", reason="autograd is not installed: its rules are not checked")
    import autograd.numpy
    from autograd.scipy.linalg import solve_triangular

    return SimpleNamespace(np=autograd.numpy, solve_triangular=solve_triangular)


def assert_mended(function: Callable[..., Any], otherwise: Callable[..., Any], *args: np.ndarray) -> None:
    np.testing.assert_allclose(function(*args), otherwise(*args), rtol=1e-12)
    assert check_autograd(function, *args).verdict is Verdict.WRONG
    assert check_autograd(otherwise, *args).verdict is Verdict.CORRECT


def test_a_tile_by_fewer_numbers_than_axes_is_added_up_along_the_first_axes():
    """autograd 1.9.1: repetitions fewer than axes belong to the last; the rule goes through them from the first axis on."""
    anp = _autograd().np
    assert_mended(lambda x: anp.tile(x, 2), lambda x: anp.tile(x, (1, 2)), data(0).inputs[:3].T)


def test_a_repeat_along_a_negative_axis_is_added_up_along_another():
    """autograd 1.9.1: it reshapes to ``shape[:axis + 1] + (repeats,) + shape[axis + 1:]``, which -1 does not fit."""
    anp, x = _autograd().np, data(0).inputs[:3]
    assert_mended(lambda x: anp.repeat(x, 2, axis=-1), lambda x: anp.repeat(x, 2, axis=1), x)


@pytest.mark.parametrize("order", ["fro", "nuc"])
@pytest.mark.parametrize("axes", [(-2, -1), (0, -1), (1, -1)])
def test_a_matrix_norm_over_axes_counted_from_the_end_is_scaled_along_another(axes, order):
    """autograd 1.9.1: the places of the cotangent's new axes come from comparing axes as given, -1 with 1."""
    anp, x, same = _autograd().np, data(0).rng.standard_normal((3, 3, 3)), tuple(axis % 3 for axis in axes)
    norm = anp.linalg.norm
    assert_mended(lambda x: norm(x, order, axis=axes), lambda x: norm(x, order, axis=same), x)


@pytest.mark.parametrize(("norm", "factor"), [("backward", 1), ("forward", 6)])
def test_a_real_fourier_transform_with_a_norm_by_name_is_off_by_the_length(norm, factor):
    """autograd 1.9.1: the factor n is there for ``norm=None`` only, of which "backward" is another name."""
    fft, x = _autograd().np.fft, data(0).real[:6]
    assert_mended(lambda x: abs(fft.rfft(x, norm=norm)), lambda x: abs(fft.rfft(x)) / factor, x)
    assert_mended(lambda x: fft.irfft(x + 0j, 6, norm=norm), lambda x: fft.irfft(x + 0j, 6) * factor, x[:4])


def test_a_triangular_solve_that_takes_the_diagonal_for_ones_is_differentiated_with_the_diagonal():
    """autograd 1.9.1: ``unit_diagonal`` is not passed on to the rule's own solves."""
    solve, d, below = _autograd().solve_triangular, data(0), np.tril(np.ones((3, 3)), -1)
    assert_mended(
        lambda m, b: solve(m, b, lower=True, unit_diagonal=True),
        lambda m, b: solve(m * below + np.eye(3), b, lower=True),
        d.rng.standard_normal((3, 3)),
        d.inputs[:3],
    )


def test_the_maximum_norm_of_a_vector_has_nan_for_a_gradient():
    """autograd 1.9.1: the rule of the p-norm is taken with p infinite."""
    anp, x = _autograd().np, np.array([0.3, -1.2, 0.7])
    with np.errstate(invalid="ignore"):
        assert_mended(lambda x: anp.linalg.norm(x, np.inf), lambda x: anp.max(anp.abs(x)), x)


def test_what_as_strided_scatter_overwrites_gets_a_gradient_all_the_same():
    """PyTorch 2.13.0; its own tests expect the failure. Where all is overwritten, nothing depends on what was there."""
    torch = pytest.importorskip("torch")
    x, y = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (1.0, 2.0))
    assert check_torch(lambda x, y: torch.as_strided_scatter(x, y, (1,), (1,)), x, y).wrong == {"args.0"}
    assert check_torch(lambda x, y: torch.slice_scatter(x, y), x, y).verdict is Verdict.CORRECT


def test_the_mean_of_a_group_norm_has_no_gradient_unless_its_deviation_is_used_too():
    """PyTorch 2.13.0; its own tests expect the failure: cotangents that are not defined are taken for zero all together."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(data(0).inputs[:6].reshape(1, 6, 2), requires_grad=True)

    assert check_torch(lambda x: torch.native_group_norm(x, None, None, 1, 6, 2, 3, 1e-5), x).wrong == {"args.0"}
    assert check_torch(lambda x: x.reshape(3, 4).mean(dim=1), x).verdict is Verdict.CORRECT
    mean = torch.native_group_norm(x, None, None, 1, 6, 2, 3, 1e-5)[1]
    assert torch.allclose(mean[0], x.reshape(3, 4).mean(dim=1), rtol=1e-14)
    (gradient,) = torch.autograd.grad(mean.sum(), x, allow_unused=True)
    assert gradient is None or not gradient.any()
