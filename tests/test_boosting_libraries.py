"""XGBoost and LightGBM as they are released: their own objectives, and what they hand to custom ones."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

import gradcheck
from gradcheck.errors import CallFailed, DataError
from gradcheck.verdict.causes import sentence
from gradcheck.verdict.findings import Verdict

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

ROWS, CLASSES, P = 24, 3, 1.5
RNG = np.random.default_rng(0)
RAW = RNG.normal(size=ROWS).astype(np.float32).astype(float)  # numbers of float32, which XGBoost keeps
BINARY, COUNTS = (RNG.random(ROWS) < 0.4) * 1.0, RNG.poisson(3, ROWS) * 1.0
REAL, POSITIVE = ((RNG.normal(size=ROWS) * 2).astype(np.float32), RNG.gamma(2, 1, ROWS).astype(np.float32))
MANY, NAMES = RNG.normal(size=(ROWS, CLASSES)).astype(np.float32).astype(float), RNG.integers(0, CLASSES, ROWS)


def log_loss(r, y):
    return np.logaddexp(0, r) - y * r


def half_squared(r, y):
    return 0.5 * (r - y) ** 2


def poisson_loss(r, y):
    return np.exp(r) - y * r


def gamma_loss(r, y):
    return y * np.exp(-r) + r


def tweedie_loss(r, y):
    return -y * np.exp((1 - P) * r) / (1 - P) + np.exp((2 - P) * r) / (2 - P)


def pseudo_huber_loss(r, y):
    return np.hypot(1, r - y)


def fair_loss(r, y):
    return abs(r - y) - np.log1p(abs(r - y))


def huber_loss(r, y):
    return np.where(abs(r - y) < 0.9, 0.5 * (r - y) ** 2, 0.9 * abs(r - y) - 0.405)


def squared_log_loss(r, y):
    return 0.5 * (np.log1p(r) - np.log1p(y)) ** 2


def cross_entropy(r, y):
    return np.log(np.exp(r).sum(axis=1)) - r[np.arange(len(r)), y.astype(int)]


def of_xgboost(objective, raw, labels, **options):
    """Gradient and second derivative of each row: trained alone, its leaf has h for a cover and -g / h for a value."""
    classes = raw.shape[1:] or (1,)
    options = {"objective": objective, "eta": 1, "reg_lambda": 0, "min_child_weight": 0, "base_score": 0.5, **options}
    options |= {"num_class": classes[0]} if classes[0] > 1 else {}
    leaves = []
    for row, label in zip(raw, labels, strict=True):
        alone = xgboost.DMatrix(np.zeros((1, 1)), [label], base_margin=np.reshape(row, (1, *classes)))
        leaves.append(xgboost.train(options, alone, 1).trees_to_dataframe()[["Gain", "Cover"]].to_numpy())
    value, cover = np.moveaxis(np.array(leaves), -1, 0).reshape(2, *raw.shape)
    return np.float32(-value * cover), np.float32(cover)


def of_lightgbm(objective, raw, labels, **options):
    """The same of many copies of a row in one leaf, beside all rows in another."""
    classes = raw.shape[1] if raw.ndim == 2 else 1
    options = {
        "objective": objective, "learning_rate": 1, "num_leaves": 2, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0,
        "min_data_in_bin": 1, "boost_from_average": False, "feature_pre_filter": False,
        "num_class": classes, "num_threads": 1, "verbose": -1, **options,
    }  # fmt: skip
    leaves = []
    for row in range(ROWS):
        twice = np.r_[np.full(ROWS, row), np.arange(ROWS)]
        apart = (np.arange(2 * ROWS) >= ROWS)[:, None] * 1.0
        data = lightgbm.Dataset(apart, labels[twice], init_score=raw[twice], params={"verbose": -1})
        trees = lightgbm.train(options, data, 1).dump_model()["tree_info"]
        leaves.append([tree["tree_structure"]["left_child"][key] for tree in trees for key in ("leaf_value", "leaf_weight")])
    value, weight = np.moveaxis(np.array(leaves).reshape(ROWS, classes, 2), -1, 0).reshape(2, *raw.shape)
    return np.float32(-value * weight / ROWS), np.float32(weight / ROWS)


OWN = {
    ("xgboost", "reg:squarederror"): (half_squared, RAW, REAL),
    ("xgboost", "binary:logistic"): (log_loss, RAW, BINARY),
    ("xgboost", "count:poisson"): (poisson_loss, RAW, COUNTS, {"max_delta_step": 0}),
    ("xgboost", "reg:gamma"): (gamma_loss, RAW, POSITIVE),
    ("xgboost", "reg:tweedie"): (tweedie_loss, RAW, COUNTS),
    ("xgboost", "reg:pseudohubererror"): (pseudo_huber_loss, RAW, REAL),
    ("xgboost", "reg:squaredlogerror"): (squared_log_loss, abs(RAW), POSITIVE),
    ("xgboost", "multi:softprob"): (cross_entropy, MANY, NAMES, {}, "2 p (1 - p)", 2),
    ("lightgbm", "regression"): (half_squared, RAW, REAL),
    ("lightgbm", "binary"): (log_loss, RAW, BINARY),
    ("lightgbm", "cross_entropy"): (log_loss, RAW, BINARY),
    ("lightgbm", "poisson"): (poisson_loss, RAW, COUNTS, {}, "exp(0.7)", np.exp(0.7)),
    ("lightgbm", "gamma"): (gamma_loss, RAW, POSITIVE),
    ("lightgbm", "tweedie"): (tweedie_loss, RAW, COUNTS),
    ("lightgbm", "fair"): (fair_loss, RAW, REAL),
    ("lightgbm", "huber"): (huber_loss, RAW, REAL, {}, "it is 1 everywhere", "constant"),
    ("lightgbm", "multiclass"): (cross_entropy, MANY, NAMES, {}, "k / (k - 1)", CLASSES / (CLASSES - 1)),
}


@pytest.mark.parametrize(("library", "name"), OWN)
def test_their_own_objectives_agree_and_their_conventions_are_named(library, name):
    loss, raw, labels, *more = OWN[library, name]
    options, words, meaning = *more, *({}, "", "exact")[len(more) :]
    answer = {"xgboost": of_xgboost, "lightgbm": of_lightgbm}[library](name, raw, labels, **options)
    report = gradcheck.check_objective(lambda r: loss(r, labels), lambda raw: answer, raw, hessian=meaning)
    assert report.verdict is Verdict.CORRECT, report
    exact = gradcheck.check_objective(lambda r: loss(r, labels), lambda raw: answer, raw)
    assert exact.findings[1].verdict is (Verdict.WRONG if words else Verdict.CORRECT), exact
    assert not words or any(words in sentence(each) for each in exact.diagnoses), exact
    spoilt = answer[0].copy()
    spoilt.flat[5] *= 1.001
    assert not gradcheck.check_objective(lambda r: loss(r, labels), lambda raw: (spoilt, answer[1]), raw, hessian=meaning)


def logistic(y_true, y_pred, sample_weight=None):
    p, weight = expit(y_pred), 1 if sample_weight is None else sample_weight
    return weight * (p - y_true), weight * p * (1 - p)


def without_weights(y_true, y_pred):
    return logistic(y_true, y_pred)


def squared(y_true, y_pred):
    return y_pred - y_true, np.ones_like(y_pred)


def categorical(y_true, y_pred):
    p = np.exp(y_pred - y_pred.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p - np.eye(CLASSES)[y_true.astype(int)], p * (1 - p)


FITS = {
    "breast cancer, XGBoost": (log_loss, xgboost.XGBClassifier(n_jobs=1, objective=logistic), load_breast_cancer),
    "breast cancer, LightGBM": (
        log_loss,
        lightgbm.LGBMClassifier(n_jobs=1, objective=logistic, verbose=-1),
        load_breast_cancer,
    ),
    "diabetes, XGBoost": (half_squared, xgboost.XGBRegressor(n_jobs=1, objective=squared), load_diabetes),
    "diabetes, LightGBM": (half_squared, lightgbm.LGBMRegressor(n_jobs=1, objective=squared, verbose=-1), load_diabetes),
    "wine, XGBoost": (cross_entropy, xgboost.XGBClassifier(n_jobs=1, objective=categorical), load_wine),
    "wine, LightGBM": (
        cross_entropy,
        lightgbm.LGBMClassifier(n_jobs=1, objective=categorical, num_class=3, verbose=-1),
        load_wine,
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_an_objective_is_judged_as_fit_calls_it(name):
    loss, model, load = FITS[name]
    features, labels = load(return_X_y=True)
    report = gradcheck.check_objective(loss, model, features, labels)
    assert report.verdict is Verdict.CORRECT, report
    assert [finding.name for finding in report.findings] == ["gradient", "hessian"] * 2
    assert report.findings[0].backend.endswith("round 1")
    assert report.findings[-1].backend.endswith("round 3")
    assert not hasattr(model, "classes_")  # a copy was fitted

    mine = model.objective

    def doubled(y_true, y_pred):
        gradient, hessian = mine(y_true, y_pred)
        return gradient, 1.01 * hessian

    spoilt = type(model)(**{**model.get_params(), "objective": doubled})
    assert {finding.verdict for finding in gradcheck.check_objective(loss, spoilt, features, labels).findings} == {
        Verdict.CORRECT,
        Verdict.WRONG,
    }


def test_weights_are_nobodys_but_the_objectives():
    features, labels = load_breast_cancer(return_X_y=True)
    weights = np.random.default_rng(0).random(len(labels)) + 0.1
    for model in (
        xgboost.XGBClassifier(n_jobs=1, objective=logistic),
        lightgbm.LGBMClassifier(n_jobs=1, objective=logistic, verbose=-1),
    ):
        assert gradcheck.check_objective(log_loss, model, features, labels, weights=weights)
    forgotten = lightgbm.LGBMClassifier(n_jobs=1, objective=without_weights, verbose=-1)
    report = gradcheck.check_objective(log_loss, forgotten, features, labels, weights=weights)
    assert {each.cause for each in report.diagnoses} == {"weights"}
    refusing = xgboost.XGBClassifier(n_jobs=1, objective=without_weights)
    with pytest.raises(CallFailed, match="sample_weight"):
        gradcheck.check_objective(log_loss, refusing, features, labels, weights=weights)


def test_data_sets_bring_labels_and_weights():
    features, labels = load_diabetes(return_X_y=True)
    native = lambda preds, dtrain: (dtrain.get_weight() * (preds - dtrain.get_label()), dtrain.get_weight())  # noqa: E731
    data = xgboost.DMatrix(features, labels, weight=labels)
    report = gradcheck.check_objective(half_squared, native, np.zeros(len(labels)), data)
    assert report.verdict is Verdict.CORRECT
    assert report.findings[0].backend == "xgboost"
    other = lightgbm.Dataset(features, labels, weight=labels, params={"verbose": -1}).construct()
    assert gradcheck.check_objective(half_squared, native, np.zeros(len(labels)), other).findings[0].backend == "lightgbm"
    forgotten = lambda preds, dtrain: (preds - dtrain.get_label(), np.ones_like(preds))  # noqa: E731
    assert not gradcheck.check_objective(half_squared, forgotten, np.zeros(len(labels)), data)


def test_an_estimator_without_an_objective_of_the_users_is_refused():
    features, labels = load_breast_cancer(return_X_y=True)
    with pytest.raises(DataError, match="binary:logistic"):
        gradcheck.check_objective(log_loss, xgboost.XGBClassifier(n_jobs=1, objective="binary:logistic"), features, labels)
