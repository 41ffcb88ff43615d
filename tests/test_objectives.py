"""Objectives of boosting libraries: right ones are correct, mistakes are told from conventions, and either is named."""

import inspect

import numpy as np
import pytest
from scipy.special import expit, log_ndtr

import gradcheck
from gradcheck.adapters.boosting.rows import derivatives
from gradcheck.errors import CallFailed, DataError, DescriptionError
from gradcheck.verdict.causes import sentence
from gradcheck.verdict.findings import Verdict

ROWS, CLASSES = 200, 4
RNG = np.random.default_rng(0)
RAW = RNG.normal(size=ROWS) * 1.3
BINARY = (RNG.random(ROWS) < 0.4) * 1.0
REAL = RNG.normal(size=ROWS) * 2
COUNTS = RNG.poisson(2, ROWS) * 1.0
POSITIVE = RNG.gamma(2, 1, ROWS)
WEIGHTS = RNG.random(ROWS) + 0.2
MANY = RNG.normal(size=(ROWS, CLASSES))
NAMES = RNG.integers(0, CLASSES, ROWS)
P, GAMMA = 1.5, 2.0


def softmax(r):
    grown = np.exp(r - r.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def log_loss(r, y):
    return np.logaddexp(0, r) - y * r


def logistic(y_true, y_pred):
    p = expit(y_pred)
    return p - y_true, p * (1 - p)


def weighted(y_true, y_pred, sample_weight):
    gradient, hessian = logistic(y_true, y_pred)
    return sample_weight * gradient, sample_weight * hessian


def cross_entropy(r, y):
    return np.log(np.exp(r).sum(axis=1)) - r[np.arange(len(r)), y]


def categorical(y_true, y_pred):
    p = softmax(y_pred)
    return p - np.eye(CLASSES)[y_true], p * (1 - p)


def squared(y_true, y_pred):
    return y_pred - y_true, np.ones_like(y_pred)


def half_squared(r, y):
    return 0.5 * (r - y) ** 2


def tweedie_loss(r, y):
    return -y * np.exp((1 - P) * r) / (1 - P) + np.exp((2 - P) * r) / (2 - P)


def tweedie(y_true, y_pred):
    one, other = y_true * np.exp((1 - P) * y_pred), np.exp((2 - P) * y_pred)
    return other - one, (2 - P) * other - (1 - P) * one


def huber_loss(r, y):
    return np.where(abs(r - y) < 1, 0.5 * (r - y) ** 2, abs(r - y) - 0.5)


def huber(y_true, y_pred):
    return np.clip(y_pred - y_true, -1, 1), (abs(y_pred - y_true) < 1) * 1.0


def pinball(r, y):
    return np.where(r > y, 0.1 * (r - y), 0.9 * (y - r))


def quantile(y_true, y_pred):
    return np.where(y_pred > y_true, 0.1, -0.9), np.ones_like(y_pred)


def focal_loss(r, y):
    p = expit(np.where(y == 1, r, -r))
    return -((1 - p) ** GAMMA) * np.log(p)


def focal(y_true, y_pred):
    side = 2 * y_true - 1
    z = side * y_pred
    p, q, log_p = expit(z), expit(-z), -np.logaddexp(0, -z)
    inner = GAMMA * p * log_p - q
    return side * q**GAMMA * inner, p * q * q ** (GAMMA - 1) * (-GAMMA * inner + q * (GAMMA * log_p + GAMMA + 1))


def probit(y_true, y_pred):
    side = 2 * y_true - 1
    mills = np.exp(-(y_pred**2) / 2 - 0.5 * np.log(2 * np.pi) - log_ndtr(side * y_pred))
    return -side * mills, mills * (mills + side * y_pred)


TIMES, SEEN = RNG.exponential(size=ROWS), RNG.random(ROWS) < 0.7


def cox_loss(r):
    late = np.argsort(-TIMES)
    return np.sum(SEEN[late] * (np.logaddexp.accumulate(r[late]) - r[late]))


def cox(r):
    late = np.argsort(-TIMES)
    risk = np.exp(r[late])
    total = np.cumsum(risk)
    one, two = (np.cumsum((SEEN[late] / total**power)[::-1])[::-1] for power in (1, 2))
    gradient, hessian = np.empty(ROWS), np.empty(ROWS)
    gradient[late], hessian[late] = risk * one - SEEN[late], risk * one - risk**2 * two
    return gradient, hessian


CUTS = np.array([-np.inf, -1, 0.5, 1.5, np.inf])


def ordinal_loss(r, y):
    return -np.log(expit(CUTS[y + 1] - r) - expit(CUTS[y] - r))


def ordinal(y_true, y_pred):
    above, below = expit(CUTS[y_true + 1] - y_pred), expit(CUTS[y_true] - y_pred)
    one, other = above * (1 - above), below * (1 - below)
    gradient = (one - other) / (above - below)
    return gradient, (other * (1 - 2 * below) - one * (1 - 2 * above)) / (above - below) + gradient**2


INFLATED = np.where(RNG.random(ROWS) < 0.5, 0, np.exp(RNG.normal(size=ROWS)))


def ziln_loss(r, y):
    """Zero-inflated log-normal: three raw outputs, for whether, how much, and how widely."""
    some, log_y, s = y > 0, np.log(np.where(y > 0, y, 1)), np.exp(r[:, 2])
    return np.logaddexp(0, r[:, 0]) - some * r[:, 0] + some * (r[:, 2] + 0.5 * ((log_y - r[:, 1]) / s) ** 2)


def ziln(y_true, y_pred):
    some, log_y, s, p = (
        1.0 * (y_true > 0),
        np.log(np.where(y_true > 0, y_true, 1)),
        np.exp(y_pred[:, 2]),
        expit(y_pred[:, 0]),
    )
    z = (log_y - y_pred[:, 1]) / s
    return np.stack([p - some, -some * z / s, some * (1 - z * z)], 1), np.stack(
        [p * (1 - p), some / s**2, some * 2 * z * z], 1
    )


class CatBoost:
    sign = 1

    def calc_ders_range(self, approxes, targets, weights):
        found = []
        for i in range(len(approxes)):
            p, weight = expit(approxes[i]), 1 if weights is None else weights[i]
            found.append((self.sign * weight * (targets[i] - p), -self.sign * weight * p * (1 - p)))
        return found


class CatBoostTakenForXGBoost(CatBoost):
    sign = -1


class CatBoostClasses:
    def calc_ders_multi(self, approx, target, weight):
        p = softmax(np.array(approx)[None])[0]
        return list(np.eye(CLASSES)[target] - p), np.outer(p, p) - np.diag(p)


def flat(order):
    def objective(y_true, y_pred):
        return tuple(each.ravel(order) for each in categorical(y_true, y_pred.reshape(ROWS, CLASSES, order=order)))

    return objective


def flat_loss(order):
    return lambda r, y: cross_entropy(r.reshape(ROWS, CLASSES, order=order), y)


RIGHT = {
    "squared": (half_squared, squared, RAW, REAL),
    "squared, far from its labels": (half_squared, squared, np.zeros(ROWS), 1e6 + 1e5 * REAL),
    "squared, as a sum": (lambda r, y: np.sum(half_squared(r, y)), squared, RAW, REAL),
    "squared, as a mean": (lambda r, y: np.mean(half_squared(r, y)), squared, RAW, REAL),
    "named as a metric of scikit-learn": (lambda y_true, y_pred: (y_true - y_pred) ** 2 / 2, squared, RAW, REAL),
    "logistic": (log_loss, logistic, RAW, BINARY),
    "logistic, saturated": (log_loss, logistic, 20 * RAW, BINARY),
    "logistic, at the start": (log_loss, logistic, np.zeros(ROWS), BINARY),
    "logistic, of one row": (log_loss, logistic, RAW[:1], BINARY[:1]),
    "logistic, kept above 1e-16": (
        log_loss,
        lambda y_true, y_pred: (logistic(y_true, y_pred)[0], np.maximum(logistic(y_true, y_pred)[1], 1e-16)),
        9 * RAW,
        BINARY,
    ),
    "logistic, in float32": (log_loss, lambda y_true, y_pred: tuple(map(np.float32, logistic(y_true, y_pred))), RAW, BINARY),
    "logistic, lists": (log_loss, lambda y_true, y_pred: tuple(map(list, logistic(y_true, y_pred))), RAW, BINARY),
    "weighted": (log_loss, weighted, RAW, BINARY, {"weights": WEIGHTS}),
    "weighted, as a mean": (
        lambda r, y, weights: np.average(log_loss(r, y), weights=weights),
        weighted,
        RAW,
        BINARY,
        {"weights": WEIGHTS},
    ),
    "native": (log_loss, lambda preds, dtrain: logistic(dtrain.get_label(), preds), RAW, BINARY),
    "CatBoost": (log_loss, CatBoost(), RAW, BINARY, {"weights": WEIGHTS}),
    "CatBoost, classes": (cross_entropy, CatBoostClasses(), MANY, NAMES),
    "a function of the predictions": (lambda r: log_loss(r, BINARY), lambda raw: logistic(BINARY, raw), RAW, None),
    "softmax": (cross_entropy, categorical, MANY, NAMES),
    "softmax, a mean": (lambda r, y: cross_entropy(r, y).mean(), categorical, MANY, NAMES),
    "softmax, by rows": (flat_loss("C"), flat("C"), MANY.ravel(), NAMES, {"classes": CLASSES, "order": "C"}),
    "softmax, by classes": (flat_loss("F"), flat("F"), MANY.ravel("F"), NAMES, {"classes": CLASSES, "order": "F"}),
    "poisson": (
        lambda r, y: np.exp(r) - y * r,
        lambda y_true, y_pred: (np.exp(y_pred) - y_true, np.exp(y_pred)),
        RAW,
        COUNTS,
    ),
    "gamma": (
        lambda r, y: y * np.exp(-r) + r,
        lambda y_true, y_pred: (1 - y_true * np.exp(-y_pred), y_true * np.exp(-y_pred)),
        RAW,
        POSITIVE,
    ),
    "tweedie": (tweedie_loss, tweedie, RAW, COUNTS),
    "huber": (huber_loss, huber, RAW, REAL),
    "pseudo-huber": (
        lambda r, y: np.hypot(1, r - y),
        lambda y_true, y_pred: ((y_pred - y_true) / np.hypot(1, y_pred - y_true), np.hypot(1, y_pred - y_true) ** -3),
        RAW,
        REAL,
    ),
    "fair": (
        lambda r, y: abs(r - y) - np.log1p(abs(r - y)),
        lambda y_true, y_pred: ((y_pred - y_true) / (1 + abs(y_pred - y_true)), (1 + abs(y_pred - y_true)) ** -2),
        RAW,
        REAL,
    ),
    "log-cosh": (
        lambda r, y: np.logaddexp(r - y, y - r),
        lambda y_true, y_pred: (np.tanh(y_pred - y_true), np.cosh(y_pred - y_true) ** -2),
        RAW,
        REAL,
    ),
    "asymmetric": (
        lambda r, y: np.where(r > y, 10, 1) * (r - y) ** 2,
        lambda y_true, y_pred: (
            2 * np.where(y_pred > y_true, 10, 1) * (y_pred - y_true),
            2.0 * np.where(y_pred > y_true, 10, 1),
        ),
        RAW,
        REAL,
    ),
    "focal": (focal_loss, focal, RAW, BINARY),
    "probit": (lambda r, y: -log_ndtr((2 * y - 1) * r), probit, RAW, BINARY),
    "ordinal": (ordinal_loss, ordinal, RAW, NAMES),
    "zero-inflated log-normal": (ziln_loss, ziln, 0.5 * MANY[:, :3], INFLATED),
    "cox": (cox_loss, cox, RAW, None),
    "rates below 0.01, by the rate": (
        lambda r, y: r - y * np.log(r),
        lambda y_true, y_pred: (1 - y_true / y_pred, y_true / y_pred**2),
        np.exp(RAW - 6),
        POSITIVE / 100,
    ),
    "a loss that bends within a thousandth": (
        lambda r, y: 1e-3 * np.logaddexp(0, 1e3 * (r - y)),
        lambda y_true, y_pred: (
            expit(1e3 * (y_pred - y_true)),
            1e3 * expit(1e3 * (y_pred - y_true)) * expit(1e3 * (y_true - y_pred)),
        ),
        REAL + np.linspace(-5e-3, 5e-3, ROWS),
        REAL,
    ),
    "quantile, said to be constant": (pinball, quantile, RAW, REAL, {"hessian": "constant"}),
    "quantile, with zeros": (pinball, lambda y_true, y_pred: (quantile(y_true, y_pred)[0], 0 * y_pred), RAW, REAL),
    "twice, as said": (
        cross_entropy,
        lambda y_true, y_pred: (categorical(y_true, y_pred)[0], 2 * categorical(y_true, y_pred)[1]),
        MANY,
        NAMES,
        {"hessian": 2},
    ),
    "clipped, as said": (
        log_loss,
        lambda y_true, y_pred: (logistic(y_true, y_pred)[0], np.maximum(logistic(y_true, y_pred)[1], 0.1)),
        RAW,
        BINARY,
        {"hessian": "clipped"},
    ),
    "a bound, as said": (
        focal_loss,
        lambda y_true, y_pred: (focal(y_true, y_pred)[0], abs(focal(y_true, y_pred)[1])),
        2 * RAW,
        BINARY,
        {"hessian": "upper-bound"},
    ),
    "Fisher's, as said": (
        tweedie_loss,
        lambda y_true, y_pred: (tweedie(y_true, y_pred)[0], np.exp((2 - P) * y_pred)),
        RAW,
        COUNTS,
        {"hessian": "fisher"},
    ),
}


def verdicts(report):
    return [finding.verdict for finding in report.findings]


def checked(loss, objective, raw, labels, options=(), **more):
    return gradcheck.check_objective(loss, objective, raw, labels, **{**dict(options), **more})


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_objective_is_correct(name):
    report = checked(*RIGHT[name])
    assert verdicts(report) == [Verdict.CORRECT] * 2, report


@pytest.mark.parametrize("name", [name for name in RIGHT if "CatBoost" not in name and "lists" not in name])
@pytest.mark.parametrize("block", [0, 1])
def test_an_entry_that_is_off_by_a_hundredth_is_found_in_each_of_them(name, block):
    loss, objective, raw, labels, *options = RIGHT[name]
    meaning = dict(*options).get("hessian", "exact")
    if block and (meaning in ("upper-bound", "fisher") or "zeros" in name or name == "cox"):
        pytest.skip("which says nothing of its size, or of this entry")

    def spoilt(*arguments, **weights):
        answer = [np.array(each, dtype=float) for each in objective(*arguments, **weights)]
        answer[block].flat[np.argmax(np.abs(answer[block]))] *= 1.01
        return tuple(answer)

    spoilt.__signature__ = inspect.signature(objective)
    report = checked(loss, spoilt, raw, labels, *options)
    assert report.findings[block].verdict is Verdict.WRONG, report
    assert report.findings[block].worst_index is not None


def changed(objective, gradient=lambda g: g, hessian=lambda h: h):
    def mistaken(y_true, y_pred):
        g, h = objective(y_true, y_pred)
        return gradient(g), hessian(h)

    return mistaken


def by_class(each):
    return each.T.reshape(each.shape)


def of_probability(y_true, y_pred):
    p = expit(y_pred)
    return (p - y_true) / (p * (1 - p)), y_true / p**2 + (1 - y_true) / (1 - p) ** 2


def in_place(y_true, y_pred):
    y_pred -= y_true
    return y_pred, np.ones_like(y_true)


WRONG = {
    "the sign of the gradient": (log_loss, changed(logistic, lambda g: -g), RAW, BINARY, "sign -", "the negative loss"),
    "the sign of the second derivative": (log_loss, changed(logistic, hessian=lambda h: -h), RAW, BINARY, "- sign", ""),
    "CatBoost is given what XGBoost takes": (
        log_loss,
        CatBoostTakenForXGBoost(),
        RAW,
        BINARY,
        "sign sign",
        "CatBoost maximises",
    ),
    "Fisher's for tweedie": (
        tweedie_loss,
        changed(tweedie, hessian=lambda h: np.exp((2 - P) * RAW)),
        RAW,
        COUNTS,
        "- hessian-convention",
        "Fisher",
    ),
    "the absolute value": (
        focal_loss,
        changed(focal, hessian=abs),
        2 * RAW,
        BINARY,
        "- hessian-convention",
        "absolute value",
    ),
    "squares of the gradient": (
        log_loss,
        lambda y_true, y_pred: (logistic(y_true, y_pred)[0], logistic(y_true, y_pred)[0] ** 2),
        RAW,
        BINARY,
        "- hessian-convention",
        "square of the gradient",
    ),
    "clipped at 0.1": (
        log_loss,
        changed(logistic, hessian=lambda h: np.maximum(h, 0.1)),
        RAW,
        BINARY,
        "- hessian-convention",
        "clipped from below at 0.1",
    ),
    "the constant 1": (
        huber_loss,
        changed(huber, hessian=np.ones_like),
        RAW,
        REAL,
        "- hessian-convention",
        "it is 1 everywhere",
    ),
    "XGBoost's softmax": (
        cross_entropy,
        changed(categorical, hessian=lambda h: 2 * h),
        MANY,
        NAMES,
        "- hessian-convention",
        "XGBoost's multi-class",
    ),
    "LightGBM's softmax": (
        cross_entropy,
        changed(categorical, hessian=lambda h: h * 4 / 3),
        MANY,
        NAMES,
        "- hessian-convention",
        "LightGBM's multi-class",
    ),
    "another class's": (
        cross_entropy,
        changed(categorical, hessian=lambda h: np.roll(h, 1, axis=1)),
        MANY,
        NAMES,
        "- permuted",
        "",
    ),
    "written class by class": (
        cross_entropy,
        changed(categorical, by_class, by_class),
        MANY,
        NAMES,
        "wrong-stride wrong-stride",
        "order of memory",
    ),
    "read class by class": (
        cross_entropy,
        lambda y_true, y_pred: categorical(y_true, y_pred.ravel().reshape(y_pred.shape, order="F")),
        MANY,
        NAMES,
        "wrong-stride wrong-stride",
        "raw is read",
    ),
    "flat, in the other order": (
        flat_loss("F"),
        flat("C"),
        MANY.ravel("F"),
        NAMES,
        "wrong-stride wrong-stride",
        "",
        {"classes": CLASSES, "order": "F"},
    ),
    "weights left out": (log_loss, logistic, RAW, BINARY, "weights weights", "left out", {"weights": WEIGHTS}),
    "weights twice": (
        log_loss,
        lambda y_true, y_pred, sample_weight: weighted(y_true, y_pred, sample_weight**2),
        RAW,
        BINARY,
        "weights weights",
        "applied twice",
        {"weights": WEIGHTS},
    ),
    "weights for the gradient alone": (
        log_loss,
        lambda y_true, y_pred, weight: (weighted(y_true, y_pred, weight)[0], logistic(y_true, y_pred)[1]),
        RAW,
        BINARY,
        "- weights",
        "left out",
        {"weights": WEIGHTS},
    ),
    "a mean": (
        log_loss,
        changed(logistic, lambda g: g / ROWS, lambda h: h / ROWS),
        RAW,
        BINARY,
        "extra-mean extra-mean",
        "n = 200",
    ),
    "a factor 2": (lambda r, y: (r - y) ** 2, changed(squared, hessian=lambda h: 2 * h), RAW, REAL, "factor -", "0.5"),
    "by the probability": (log_loss, of_probability, RAW, BINARY, "link link", "chain rule"),
    "no sigmoid": (
        log_loss,
        lambda y_true, y_pred: (y_pred - y_true, y_pred * (1 - y_pred)),
        RAW,
        BINARY,
        "link link",
        "for the probability itself",
    ),
    "labels of -1 and 1": (
        log_loss,
        lambda y_true, y_pred: (-y_true * expit(-y_true * y_pred), expit(y_pred) * expit(-y_pred)),
        RAW,
        BINARY,
        "label-encoding -",
        "-1, 1",
    ),
    "exchanged": (
        log_loss,
        lambda y_true, y_pred: logistic(y_pred, y_true),
        RAW,
        REAL,
        "exchanged exchanged",
        "labels and predictions",
    ),
    "an offset": (log_loss, lambda y_true, y_pred: logistic(y_true, y_pred + 0.5), RAW, BINARY, "offset ?", "0.5"),
    "the weight of a class": (
        lambda r, y: np.where(y == 1, 3, 1) * log_loss(r, y),
        logistic,
        RAW,
        BINARY,
        "sample-subset sample-subset",
        "class 1 count 0.333333 times",
    ),
    "one entry": (
        log_loss,
        changed(logistic, lambda g: np.where(np.arange(ROWS) == 17, 1.01 * g, g)),
        RAW,
        BINARY,
        "single-entry -",
        "[17]",
    ),
    "rows moved on": (log_loss, changed(logistic, lambda g: np.roll(g, 1)), RAW, BINARY, "permuted -", "rolled"),
    "a clipped gradient": (
        half_squared,
        changed(squared, lambda g: np.clip(g, -2, 2)),
        RAW,
        REAL,
        "clipped -",
        "clipped at 2",
    ),
    "float16": (
        log_loss,
        changed(logistic, lambda g: g.astype(np.float16).astype(float)),
        RAW,
        BINARY,
        "low-precision -",
        "float16",
    ),
    "overflow": (
        log_loss,
        lambda y_true, y_pred: (np.exp(y_pred) / (1 + np.exp(y_pred)) - y_true, logistic(y_true, y_pred)[1]),
        900 * RAW,
        BINARY,
        "non-finite -",
        "",
    ),
    "random": (log_loss, changed(logistic, lambda g: g + np.random.random(ROWS)), RAW, BINARY, "nondeterministic -", ""),
    "in place": (half_squared, in_place, RAW, REAL, "mutates-input mutates-input", ""),
    "one row short": (log_loss, changed(logistic, lambda g: g[1:]), RAW, BINARY, "wrong-structure -", ""),
    "transposed": (
        cross_entropy,
        changed(categorical, np.transpose, np.transpose),
        MANY,
        NAMES,
        "wrong-structure wrong-structure",
        "",
    ),
    "the sign of straight pieces": (pinball, changed(quantile, lambda g: -g), RAW, REAL, "sign ~", ""),
    "cox without its second term": (
        cox_loss,
        lambda r: (cox(r)[0], cox(r)[0] + SEEN),
        RAW,
        None,
        "- hessian-convention",
        "nowhere less",
    ),
    "negative, and said to be Fisher's": (focal_loss, focal, 2 * RAW, BINARY, "- ?", "", {"hessian": "fisher"}),
    "less, and said to be a bound": (
        focal_loss,
        changed(focal, hessian=lambda h: h - 0.01),
        RAW,
        BINARY,
        "- ?",
        "",
        {"hessian": "upper-bound"},
    ),
    "two numbers, and said to be constant": (
        pinball,
        changed(quantile, hessian=lambda h: 1 + (np.arange(ROWS) > 99)),
        RAW,
        REAL,
        "- ?",
        "",
        {"hessian": "constant"},
    ),
}
KNOWN = {"-": Verdict.CORRECT, "~": Verdict.NONSMOOTH}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_found_and_named(name):
    loss, objective, raw, labels, expected, words, *options = WRONG[name]
    report = checked(loss, objective, raw, labels, *options)
    for finding, cause in zip(report.findings, expected.split(), strict=True):
        named = next((each.cause for each in report.diagnoses if each.name == finding.name), None)
        assert finding.verdict is KNOWN.get(cause, Verdict.WRONG), report
        assert cause in "-~?" or named == cause, report
    assert not words or any(words in sentence(each) for each in report.diagnoses), report


def test_a_kink_is_a_convention_and_beside_it_all_is_judged():
    labels = np.round(REAL)
    right = lambda y_true, y_pred: (np.sign(y_pred - y_true), np.ones(ROWS))  # noqa: E731
    report = checked(lambda r, y: abs(r - y), right, np.zeros(ROWS), labels)
    assert verdicts(report) == [Verdict.NONSMOOTH] * 2
    assert report.findings[0].slopes == pytest.approx((-1, 1))
    assert labels[report.findings[0].worst_index] == 0
    wrong = checked(lambda r, y: abs(r - y), changed(right, lambda g: np.where(labels == 0, 1.5, g)), np.zeros(ROWS), labels)
    assert wrong.findings[0].verdict is Verdict.WRONG  # beyond either side


def test_where_the_second_derivative_jumps_either_side_is_right_and_nothing_beyond():
    raw = np.r_[RAW[:-1], REAL[-1] + 1]
    for value, verdict in ((0.0, Verdict.NONSMOOTH), (1.0, Verdict.NONSMOOTH), (1.5, Verdict.WRONG)):
        report = checked(huber_loss, changed(huber, hessian=lambda h, v=value: np.r_[h[:-1], v]), raw, REAL)
        assert verdicts(report) == [Verdict.CORRECT, verdict]


def test_a_few_rows_beside_a_kink_are_named_and_hide_no_others():
    labels = np.zeros(2000)
    raw = np.r_[np.linspace(-3, 3, 1998) + 1e-4, 1 - 7e-7, -1 + 7e-7]
    report = checked(huber_loss, huber, raw, labels)
    assert verdicts(report) == [Verdict.CORRECT] * 2
    assert report.unchecked == ("hessian",)
    assert any("2 of 2000 entries lie beside a kink" in note for note in report.notes)
    for row in (0, 1000, 1997):
        spoilt = changed(huber, hessian=lambda h, row=row: h + 0.01 * (np.arange(2000) == row))
        assert checked(huber_loss, spoilt, raw, labels).findings[1].worst_index == (row,)
    gradients = changed(huber, lambda g: np.where(np.arange(2000) < 1998, g, 0.99 * g))
    assert len(checked(huber_loss, gradients, raw, labels).findings[0].entries) == 2
    many = np.r_[raw[:1500], np.full(500, 1 - 7e-7)]
    assert verdicts(checked(huber_loss, huber, many, labels)) == [Verdict.CORRECT, Verdict.NONSMOOTH]


def test_straight_pieces_have_no_second_derivative_but_a_convention():
    report = checked(pinball, quantile, RAW, REAL)
    assert verdicts(report) == [Verdict.CORRECT, Verdict.NONSMOOTH]
    assert "straight pieces" in report.findings[1].reason
    negative = checked(pinball, changed(quantile, hessian=lambda h: -h), RAW, REAL)
    assert negative.findings[1].verdict is Verdict.WRONG


def test_what_is_not_compared_is_said():
    report = checked(*RIGHT["Fisher's, as said"])
    assert report.unchecked == ("hessian",)
    assert any("not compared" in note for note in report.notes)
    assert any("mean over 200 rows" in note for note in checked(*RIGHT["squared, as a mean"]).notes)
    assert any("64 of 200 entries" in note for note in checked(*RIGHT["cox"]).notes)


def test_a_constant_in_the_loss_hides_no_wrong_entry_and_is_never_called_correct():
    loud = lambda r, y: log_loss(r, y) + 1e9  # noqa: E731
    report = checked(loud, logistic, RAW, BINARY)
    assert report.findings[0].resolution > 1e-8
    assert Verdict.WRONG not in verdicts(report)
    assert checked(loud, changed(logistic, lambda g: 1.01 * g), RAW, BINARY).findings[0].verdict is Verdict.WRONG


REFUSED = {
    "None": (log_loss, lambda y_true, y_pred: None, RAW, BINARY, {}, DataError, "returned None, expected a pair"),
    "a tuple of one": (log_loss, lambda y_true, y_pred: (y_pred,), RAW, BINARY, {}, DataError, "of 1, expected a pair"),
    "no gradient": (log_loss, lambda y_true, y_pred: (None, y_pred), RAW, BINARY, {}, DataError, "the gradient is None"),
    "labels of another length": (log_loss, logistic, RAW, BINARY[1:], {}, DataError, "labels: expected 200 rows"),
    "weights of another length": (
        log_loss,
        weighted,
        RAW,
        BINARY,
        {"weights": [1.0]},
        DataError,
        "weights: expected 200 rows",
    ),
    "negative weights": (
        log_loss,
        weighted,
        RAW,
        BINARY,
        {"weights": -WEIGHTS},
        DataError,
        "weights: expected finite numbers",
    ),
    "words": (log_loss, logistic, np.array(["a"] * ROWS), BINARY, {}, DataError, "raw: expected real numbers"),
    "a prediction that is nan": (log_loss, logistic, np.where(RAW > 2, np.nan, RAW), BINARY, {}, DataError, "raw is nan at"),
    "a loss of another length": (lambda r, y: r[1:], logistic, RAW, BINARY, {}, DataError, r"expected \(200,\)"),
    "a loss that is nan": (lambda r, y: np.log(r), logistic, RAW, BINARY, {}, DataError, "nan at row"),
    "an order that no library's interface has": (
        log_loss,
        lambda a, b: logistic(b, a),
        RAW,
        REAL,
        {},
        DescriptionError,
        "right with predictions first",
    ),
    "weights and an order that no library's interface has": (
        log_loss,
        lambda a, b, weight: weighted(b, a, weight),
        RAW,
        REAL,
        {"weights": WEIGHTS},
        DescriptionError,
        "right with predictions first",
    ),
    "predictions first, by one name": (log_loss, lambda preds, c: (c, preds), RAW, BINARY, {}, DescriptionError, "preds, c"),
    "the order of PyTorch": (
        log_loss,
        lambda y_pred, y_true: (y_pred, y_true),
        RAW,
        BINARY,
        {},
        DescriptionError,
        "y_pred, y_true",
    ),
    "a convention that is none": (
        log_loss,
        logistic,
        RAW,
        BINARY,
        {"convention": "torch"},
        DescriptionError,
        "convention: expected",
    ),
    "flat classes": (
        flat_loss("C"),
        flat("C"),
        MANY.ravel(),
        NAMES,
        {"classes": CLASSES},
        DescriptionError,
        "order: raw is flat",
    ),
    "a name of the library's": (log_loss, "binary:logistic", RAW, BINARY, {}, DescriptionError, "binary:logistic"),
    "a meaning that is none": (
        log_loss,
        logistic,
        RAW,
        BINARY,
        {"hessian": "newton"},
        DescriptionError,
        "hessian: expected",
    ),
    "an objective that raises": (log_loss, lambda y_true, y_pred: 1 / 0, RAW, BINARY, {}, CallFailed, "ZeroDivisionError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_in_one_line(name):
    loss, objective, raw, labels, options, error, words = REFUSED[name]
    with pytest.raises(error, match=words) as refused:
        checked(loss, objective, raw, labels, options)
    assert "\n" not in str(refused.value)


def test_what_the_names_do_not_tell_can_be_said():
    unnamed = lambda a, b: logistic(a, b)  # noqa: E731
    assert checked(log_loss, unnamed, RAW, BINARY, convention="sklearn")
    assert not checked(log_loss, lambda a, b: logistic(b, a), RAW, REAL, convention="sklearn")


@pytest.mark.parametrize("objective", [lambda y, r: logistic(y, r), lambda c, m: logistic(c, m)])
def test_where_names_do_not_tell_labels_come_first_and_a_note_says_so(objective):
    report = checked(log_loss, objective, RAW, BINARY)
    assert report.verdict is Verdict.CORRECT
    assert any("was called with labels first" in note for note in report.notes)
    spoilt = checked(log_loss, changed(objective, lambda g: 2 * g), RAW, BINARY)
    assert spoilt.findings[0].verdict is Verdict.WRONG


def test_bounds_hold_for_rows_of_every_kind():
    x = np.random.default_rng(1).normal(size=20000) * 5
    for f, first, second in (
        (lambda x: np.logaddexp(0, x) - x, lambda x: -expit(-x), lambda x: expit(x) * expit(-x)),
        (lambda x: np.log1p(x * x), lambda x: 2 * x / (1 + x * x), lambda x: 2 * (1 - x * x) / (1 + x * x) ** 2),
        (np.exp, np.exp, np.exp),
        (lambda x: np.sin(9 * x), lambda x: 9 * np.cos(9 * x), lambda x: -81 * np.sin(9 * x)),
        (lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0), lambda x: 2.0 * (x > 0)),
    ):
        for off in (0.0, 0.1):  # also of a claim that is not right
            found = derivatives(f, x, (first(x) + off, second(x) + off), 1e-4)
            for slopes, truth in ((found.first, first(x)), (found.second, second(x))):
                room = slopes.bound + 1e-15 * np.abs(truth)
                assert ((truth >= slopes.low - room) & (truth <= slopes.high + room)).all()
                assert np.isfinite(slopes.high).all()


def test_a_hundred_thousand_rows_take_a_few_evaluations_of_all_at_once():
    rng = np.random.default_rng(0)
    raw, labels, calls = rng.normal(size=100_000), (rng.random(100_000) < 0.3) * 1.0, []

    def loss(r, y):
        calls.append(r.shape)
        return log_loss(r, y)

    assert gradcheck.check_objective(loss, logistic, raw, labels)
    assert len(calls) < 20
    report = gradcheck.check_objective(
        log_loss, changed(logistic, lambda g: np.where(np.arange(len(g)) == 77_777, 0.99 * g, g)), raw, labels
    )
    assert report.findings[0].worst_index == (77_777,)


def test_the_fixture_knows_it(gradcheck):
    report = gradcheck.objective(log_loss, logistic, RAW, BINARY)
    assert report.recipe.function == "check_objective"


@pytest.mark.parametrize("seed", range(6))
def test_two_rows_that_hang_together_are_noticed_among_few(seed):
    def loss(r):
        return np.sum(r**2) / 2 + np.logaddexp(0, r[0] - r[1])

    def pairwise(r, factor=1.0):
        p = expit(r[0] - r[1])
        return r + p * np.eye(5)[0] - p * np.eye(5)[1], 1 + factor * p * (1 - p) * (np.arange(5) < 2)

    assert gradcheck.check_objective(loss, pairwise, RAW[:5], seed=seed).verdict is Verdict.CORRECT
    spoilt = gradcheck.check_objective(loss, lambda r: pairwise(r, 0.0), RAW[:5], seed=seed)
    assert [entry.index[0] for entry in spoilt.findings[1].entries] in ([0, 1], [1, 0])
