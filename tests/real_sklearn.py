"""Derivatives written by hand in scikit-learn: networks, and losses of linear models, of trees and of embeddings."""

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from real_subjects import Subject, data, matrix, pointwise, sklearn
from scipy.spatial.distance import pdist, squareform

from gradcheck import check, check_hvp


def network(target: str, activation: str, hidden: tuple[int, ...], weighted: bool, seed: int) -> Subject:
    """``BaseMultilayerPerceptron._backprop``, by the names of weights and biases."""
    d = data(seed, n=30)
    model, y = _estimator(target, d, {"activation": activation, "hidden_layer_sizes": hidden, "alpha": 0.3})
    model._random_state = np.random.RandomState(seed)
    model._initialize(y, [2, *hidden, y.shape[1]], np.float64)
    count, weights = len(hidden) + 1, d.weights if weighted else None

    def run(p: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        model.coefs_, model.intercepts_ = ([p[f"{kind}{i}"] for i in range(count)] for kind in "Wb")
        blank = [None] * count
        loss, coefs, intercepts = model._backprop(d.inputs, y, weights, [d.inputs, *blank], [*blank], [*blank], [*blank])
        return loss, _named(coefs, intercepts)

    return Subject(check, lambda p: run(p)[0], lambda p: run(p)[1], _named(model.coefs_, model.intercepts_))


def _named(coefs: list[Any], intercepts: list[Any]) -> dict[str, Any]:
    return {f"{kind}{i}": a for kind, arrays in (("W", coefs), ("b", intercepts)) for i, a in enumerate(arrays)}


def _estimator(target: str, d: SimpleNamespace, options: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """An estimator as ``fit`` has it when it calls ``_backprop``, and the targets."""
    models = sklearn("neural_network")

    regression = {"real": d.real[:, None], "reals": d.rng.standard_normal((30, 3)), "counts": d.counts[:, None]}
    if target in regression:
        return models.MLPRegressor(loss="poisson" if target == "counts" else "squared_error", **options), regression[target]
    kind = {"binary": "binary", "classes": "multiclass", "labels": "multilabel-indicator"}[target]
    labels = {"binary": d.binary[:, None], "classes": np.eye(4)[d.classes], "labels": d.rng.integers(0, 2, (30, 3)) * 1.0}
    model = models.MLPClassifier(**options)
    model._label_binarizer = SimpleNamespace(y_type_=kind)
    return model, labels[target]


NETWORKS = {
    f"network {target} {activation} {len(hidden)}{' weighted' * weighted}": partial(
        network, target, activation, hidden, weighted
    )
    for target in ("real", "counts", "binary", "classes", "labels")
    for activation in ("identity", "logistic", "tanh", "relu")
    for hidden, weighted in (((5,), False), ((5, 4, 3), True))
}


def _losses() -> dict[str, tuple[Any, str]]:
    loss = sklearn("_loss.loss")

    return {
        "squared": (loss.HalfSquaredError(), "real"),
        "absolute": (loss.AbsoluteError(), "real"),
        "pinball": (loss.PinballLoss(quantile=0.3), "real"),
        "huber": (loss.HuberLoss(delta=0.7), "real"),
        "poisson": (loss.HalfPoissonLoss(), "counts"),
        "gamma": (loss.HalfGammaLoss(), "positive"),
        **{f"tweedie {p}": (loss.HalfTweedieLoss(power=p), "positive") for p in (0, 1, 1.5, 2, 3)},
        **{f"identity tweedie {p}": (loss.HalfTweedieLossIdentity(power=p), "positive") for p in (0, 1, 1.5, 2, 3)},
        "binomial": (loss.HalfBinomialLoss(), "fraction"),
        "exponential": (loss.ExponentialLoss(), "fraction"),
        "multinomial": (loss.HalfMultinomialLoss(n_classes=4), "classes"),
    }


LOSSES = (
    *("squared", "absolute", "pinball", "huber", "poisson", "gamma", "binomial", "exponential", "multinomial"),
    *(f"{kind}tweedie {p}" for kind in ("", "identity ") for p in (0, 1, 1.5, 2, 3)),
)
CURVED = tuple(name for name in LOSSES if name not in ("absolute", "pinball", "multinomial"))


def loss_of_predictions(name: str, seed: int, weighted: bool = True) -> Subject:
    """``sklearn._loss``: the gradient by each raw prediction."""
    loss, raw, given = _predictions(name, seed, weighted)
    return Subject(
        check,
        lambda r: loss.loss(raw_prediction=r, **given).sum(),
        lambda r: loss.gradient(raw_prediction=r, **given),
        raw,
    )


def curvature_of_predictions(name: str, seed: int) -> Subject:
    loss, raw, given = _predictions(name, seed, True)
    gradient, hessian = (lambda r, i=i: loss.gradient_hessian(raw_prediction=r, **given)[i] for i in (0, 1))
    return pointwise(gradient, hessian, raw)


def _predictions(name: str, seed: int, weighted: bool) -> tuple[Any, np.ndarray, dict[str, Any]]:
    d, (loss, target) = data(seed), _losses()[name]
    raw = d.rng.standard_normal((40, 4) if loss.is_multiclass else 40)
    given = {"y_true": getattr(d, target).astype(float), "sample_weight": d.weights if weighted else None}
    return loss, np.abs(raw) + 0.1 if name.startswith("identity") else raw, given


def linear_model(name: str, intercept: bool, seed: int) -> Subject:
    """``LinearModelLoss.loss_gradient``, weighted and with a penalty."""
    model, w, given = _linear(name, intercept, seed)
    return Subject(check, lambda w: model.loss(w, **given), lambda w: model.loss_gradient(w, **given)[1], w)


def linear_model_product(name: str, intercept: bool, seed: int) -> Subject:
    """``LinearModelLoss.gradient_hessian_product``."""
    model, w, given = _linear(name, intercept, seed)
    both = partial(model.gradient_hessian_product, **given)
    return Subject(check_hvp, lambda w: both(w)[0], lambda w, v: both(w)[1](v), w)


def linear_model_hessian(name: str, intercept: bool, seed: int) -> Subject:
    """``LinearModelLoss.gradient_hessian``."""
    model, w, given = _linear(name, intercept, seed)
    return matrix(lambda w: model.gradient_hessian(w, **given)[0], lambda w: model.gradient_hessian(w, **given)[1], w)


def _linear(name: str, intercept: bool, seed: int) -> tuple[Any, np.ndarray, dict[str, Any]]:
    d, (loss, target) = data(seed), _losses()[name]
    positive = name.startswith("identity")
    w = 0.3 * d.rng.standard_normal((2 + intercept) * (4 if loss.is_multiclass else 1))
    given = {"X": np.abs(d.inputs) if positive else d.inputs, "y": getattr(d, target).astype(float)}
    given |= {"sample_weight": d.weights, "l2_reg_strength": 0.2}
    return sklearn("linear_model._linear_loss").LinearModelLoss(loss, intercept), np.abs(w) + 0.1 if positive else w, given


CANONICAL = ("squared", "poisson", "gamma", "binomial", "multinomial")  # Others get |h| for h in the matrix, as documented.


def huber_regressor(intercept: bool, seed: int) -> Subject:
    both, d = sklearn("linear_model._huber")._huber_loss_and_gradient, data(seed)
    given = {"X": d.inputs, "y": d.real, "epsilon": 1.35, "alpha": 0.1, "sample_weight": d.weights}
    at = np.concatenate([0.3 * d.rng.standard_normal(2 + intercept), [0.8]])
    return Subject(check, lambda w: both(w, **given)[0], lambda w: both(w, **given)[1], at)


def neighbourhood_components(scale: float, seed: int) -> Subject:
    d, model = data(seed), sklearn("neighbors").NeighborhoodComponentsAnalysis()
    model.n_iter_ = 1
    both = partial(model._loss_grad_lbfgs, X=d.inputs, same_class_mask=d.classes[:, None] == d.classes, sign=-1.0)
    at = scale * d.rng.standard_normal(4)
    return Subject(check, lambda a: both(a)[0], lambda a: both(a)[1], at)


def affinities(seed: int) -> np.ndarray:
    distances = squareform(pdist(data(seed).inputs, "sqeuclidean")).astype(np.float32)
    return sklearn("manifold._t_sne")._joint_probabilities(distances, 10.0, 0)


def embedding(components: int, seed: int) -> Subject:
    """The exact gradient of t-SNE, at the degrees of freedom that the estimator takes for so many components."""
    given = {"degrees_of_freedom": max(components - 1, 1), "n_samples": 40, "n_components": components}
    both = partial(sklearn("manifold._t_sne")._kl_divergence, P=affinities(seed), **given)
    at = data(seed).rng.standard_normal(40 * components)
    return Subject(check, lambda x: both(x)[0], lambda x: both(x)[1], at)


LINEAR = (
    {f"loss {name}": partial(loss_of_predictions, name) for name in LOSSES}
    | {f"curvature {name}": partial(curvature_of_predictions, name) for name in CURVED}
    | {f"linear {name} {i}": partial(linear_model, name, i) for name in LOSSES for i in (False, True)}
    | {
        f"linear product {name} {i}": partial(linear_model_product, name, i)
        for name in (*CURVED, "multinomial")
        for i in (False, True)
    }
    | {f"linear hessian {name} {i}": partial(linear_model_hessian, name, i) for name in CANONICAL for i in (False, True)}
    | {f"huber regressor {i}": partial(huber_regressor, i) for i in (False, True)}
    | {f"neighbourhood components {scale}": partial(neighbourhood_components, scale) for scale in (0.3, 1.0)}
    | {f"embedding in {c}": partial(embedding, c) for c in (1, 2)}
)
SUBJECTS = NETWORKS | LINEAR
