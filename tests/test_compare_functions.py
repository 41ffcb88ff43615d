"""`gradcheck.compare`: honest NumPy in float32 is correct, whichever way it is written; planted faults are wrong."""

import ctypes
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest
from scipy import special

import gradcheck
from gradcheck.errors import CallFailed, DataError, DescriptionError


def drawn(seed=0, dtype=np.float32, **shapes):
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


# Each of these is a reference, written for clarity, and a candidate, written for speed, with the point that they take.
def layer_norm(at):
    x, gain, dy = np.asarray(at["x"]), at["gain"], at["dy"]
    centred = x - x.mean(axis=1, keepdims=True)
    sigma = np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-5)
    scaled = centred / sigma
    g = dy * gain
    dx = (g - g.mean(1, keepdims=True) - scaled * (g * scaled).mean(1, keepdims=True)) / sigma
    return scaled * gain, dx, (dy * scaled).sum(0)


def fused_layer_norm(at):
    x, gain, dy = at["x"], at["gain"], at["dy"]
    n = x.shape[1]
    mean = x @ np.full(n, 1 / n, x.dtype)
    centred = x - mean[:, None]
    rstd = 1 / np.sqrt(np.einsum("ij,ij->i", centred, centred) / x.dtype.type(n) + x.dtype.type(1e-5))
    scaled = centred * rstd[:, None]
    g = dy * gain
    inner = np.einsum("ij,ij->i", g, scaled) / n
    dx = rstd[:, None] * (g - g.mean(1)[:, None] - scaled * inner.astype(x.dtype)[:, None])
    return scaled * gain, dx, np.einsum("ij,ij->j", dy, scaled)


def cross_entropy(at):
    logits, labels = at["logits"], at["labels"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    gradient = p.copy()
    gradient[rows, labels] -= 1
    return -np.mean(np.log(p[rows, labels])), {"logits": gradient / len(labels)}


def stable_cross_entropy(at):
    logits, labels = at["logits"], at["labels"]
    top = logits.max(1, keepdims=True)
    lse = top + np.log(np.exp(logits - top).sum(1, keepdims=True))
    hot = np.eye(logits.shape[1], dtype=logits.dtype)[labels]
    value = (lse[:, 0] - (logits * hot).sum(1)).mean()
    return value, {"logits": (np.exp(logits - lse) - hot) / logits.dtype.type(len(labels))}


def convolution(at):
    x, w = at["x"], at["w"]
    rows, columns = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    out = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            out[i, j] = np.sum(x[i : i + w.shape[0], j : j + w.shape[1]] * w)
    return out


def convolution_as_product(at):
    x, w = at["x"], at["w"]
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape)
    return windows.reshape(*windows.shape[:2], -1) @ w.ravel()


def attention(at):
    q, k, v = at["q"], at["k"], at["v"]
    scores = q @ k.T / np.sqrt(q.shape[1])
    scores = np.where(np.tril(np.ones(scores.shape, bool)), scores, -np.inf)
    return special.softmax(scores, axis=-1) @ v


def online_attention(at):
    q, k, v = at["q"], at["k"], at["v"]
    out = np.empty_like(q)
    for i, row in enumerate(q):
        top, total, sums = np.float32(-np.inf), np.float32(0), np.zeros_like(row)
        for j in range(i + 1):
            score = row @ k[j] / q.dtype.type(np.sqrt(q.shape[1]))
            higher = max(top, score)
            total = total * np.exp(top - higher) + np.exp(score - higher)
            sums = sums * np.exp(top - higher) + np.exp(score - higher) * v[j]
            top = higher
        out[i] = sums / total
    return out


def logistic_regression(at):
    w, x, y = at["w"], at["x"], at["y"]
    margins = y * (x @ w)
    value = np.log1p(np.exp(-margins)).mean() + 0.05 * np.linalg.norm(w) ** 2
    return value, -(y / (1 + np.exp(margins))) @ x / len(y) + 0.1 * w


def fused_logistic_regression(at):
    w, x, y = at["w"], at["x"], at["y"]
    margins = y * np.dot(x, w)
    value = np.logaddexp(0, -margins).sum() / np.float32(len(y)) + np.float32(0.05) * (w * w).sum()
    return value, x.T @ (-y * special.expit(-margins)) / np.float32(len(y)) + np.float32(0.1) * w


def recurrent(at):
    x, w, u = at["x"], at["w"], at["u"]
    states = [np.zeros(u.shape[0])]
    for step in x:
        states.append(np.tanh(w @ step + u @ states[-1]))
    back, dw, du = np.ones(u.shape[0]), np.zeros_like(w), np.zeros_like(u)
    for t in reversed(range(len(x))):
        local = back * (1 - states[t + 1] ** 2)
        dw += np.outer(local, x[t])
        du += np.outer(local, states[t])
        back = u.T @ local
    return states[-1], {"w": dw, "u": du}


def recurrent_at_once(at):
    x, w, u = at["x"], at["w"], at["u"]
    inputs, states = x @ w.T, np.zeros((len(x) + 1, u.shape[0]), x.dtype)
    for t in range(len(x)):
        states[t + 1] = np.tanh(inputs[t] + u @ states[t])
    back, local = np.ones(u.shape[0], x.dtype), np.empty_like(states[1:])
    for t in range(len(x) - 1, -1, -1):
        local[t] = back * (1 - states[t + 1]) * (1 + states[t + 1])
        back = local[t] @ u
    return states[-1], {"w": local.T @ x, "u": local.T @ states[:-1]}


def distances(at):
    x, centres = at["x"], at["centres"]
    squared = ((x[:, None, :] - centres[None]) ** 2).sum(-1)
    nearest = squared.argmin(1)
    sums = np.zeros_like(centres)
    np.add.at(sums, nearest, x)
    return squared.min(1).mean(), 2 * (np.bincount(nearest, minlength=len(centres))[:, None] * centres - sums) / len(x)


def fused_distances(at):
    x, centres = at["x"], at["centres"]
    squared = np.stack([np.einsum("ij,ij->i", x - c, x - c) for c in centres], 1)
    hot = (squared == squared.min(1, keepdims=True)).astype(x.dtype)
    gradient = 2 * (hot.sum(0)[:, None] * centres - hot.T @ x) / np.float32(len(x))
    return (squared * hot).sum() / np.float32(len(x)), gradient


def relu_network(at):
    x, a, b = at["x"], at["a"], at["b"]
    hidden = np.maximum(x @ a, 0)
    error = hidden @ b - 1
    back = np.outer(error, b) * (hidden > 0)
    return 0.5 * np.sum(error**2), {"a": x.T @ back, "b": hidden.T @ error}


def relu_by_sample(at):
    x, a, b = at["x"], at["a"], at["b"]
    value, da, db = x.dtype.type(0), np.zeros_like(a), np.zeros_like(b)
    for row in x:
        hidden = row @ a
        hidden *= hidden > 0
        error = hidden @ b - 1
        value += error * error / 2
        da += np.outer(row, error * b * (hidden > 0))
        db += error * hidden
    return value, {"a": da, "b": db}


def gelu(x):
    return x * 0.5 * (1 + special.erf(x / np.sqrt(2)))


def gelu_by_ndtr(x):
    return x * special.ndtr(x)


def log_determinant(a):
    spd = a @ a.T + np.eye(len(a))
    return np.log(np.linalg.det(spd)), 2 * np.linalg.inv(spd) @ a


def log_determinant_by_cholesky(a):
    spd = a @ a.T + np.eye(len(a), dtype=a.dtype)
    return 2 * np.log(np.diag(np.linalg.cholesky(spd))).sum(), 2 * np.linalg.solve(spd, a)


def cumulated(x):
    return np.cumsum(np.log1p(x * x))[::-1], np.diff(x), np.convolve(x, x[:5], "valid"), np.std(x)


def cumulated_in_a_loop(x):
    total, sums = x.dtype.type(0), []
    for entry in x:
        total += np.log1p(entry * entry)
        sums.append(total)
    filtered = np.array([x[i : i + 5] @ x[4::-1] for i in range(len(x) - 4)])
    return np.array(sums[::-1]), x[1:] - x[:-1], filtered, np.sqrt(((x - x.mean()) ** 2).mean())


def pooled(x):
    tiles = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2)
    return tiles.max(axis=(1, 3)), np.sort(x, axis=1)[:, -3:] * 3.1, np.clip(x, -1, 1) * x


def pooled_by_hand(x):
    tiles = np.maximum(np.maximum(x[::2, ::2], x[1::2, ::2]), np.maximum(x[::2, 1::2], x[1::2, 1::2]))
    top = np.take_along_axis(x, np.argsort(x, axis=1)[:, -3:], 1)
    return tiles, top * np.float32(3.1), np.minimum(np.maximum(x, -1), 1) * x


def mixture(at):
    x, mean, log_scale = at["x"], at["mean"], at["log_scale"]
    z = (x[:, None] - mean) / np.exp(log_scale)
    return special.logsumexp(-0.5 * z**2 - log_scale, axis=1)


def mixture_by_shift(at):
    x, mean, log_scale = at["x"], at["mean"], at["log_scale"]
    z = (x[:, None] - mean) * np.exp(-log_scale)
    terms = -0.5 * z * z - log_scale
    top = terms.max(1)
    return top + np.log(np.exp(terms - top[:, None]).sum(1))


def rms_norm_scan(x):
    return x / np.sqrt(np.mean(np.square(x), -1, keepdims=True) + 1e-6), np.linalg.norm(x, axis=0), np.trace(x[:5, :5])


def rms_norm_by_einsum(x):
    rms = np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1])
    norms = np.sqrt((x * x).sum(0))
    return x * (1 / np.sqrt(rms + np.float32(1e-6)))[:, None], norms, sum(x[i, i] for i in range(5))


LABELS = np.random.default_rng(3).integers(0, 12, 20)
SIGNS = np.random.default_rng(4).choice([-1, 1], 40)
WAYS = [
    (layer_norm, fused_layer_norm, drawn(x=(12, 33), gain=33, dy=(12, 33))),
    (cross_entropy, stable_cross_entropy, {**drawn(logits=(20, 12)), "labels": LABELS}),
    (convolution, convolution_as_product, drawn(x=(12, 11), w=(3, 4))),
    (attention, online_attention, drawn(q=(9, 8), k=(9, 8), v=(9, 8))),
    (logistic_regression, fused_logistic_regression, {**drawn(w=7, x=(40, 7)), "y": SIGNS.astype(np.float32)}),
    (recurrent, recurrent_at_once, drawn(x=(8, 5), w=(6, 5), u=(6, 6))),
    (distances, fused_distances, drawn(x=(40, 5), centres=(6, 5))),
    (relu_network, relu_by_sample, drawn(x=(15, 6), a=(6, 9), b=9)),
    (gelu, gelu_by_ndtr, drawn(x=200)["x"]),
    (log_determinant, log_determinant_by_cholesky, drawn(a=(8, 8))["a"]),
    (cumulated, cumulated_in_a_loop, drawn(x=50)["x"]),
    (pooled, pooled_by_hand, drawn(x=(8, 10))["x"]),
    (mixture, mixture_by_shift, drawn(x=30, mean=4, log_scale=4)),
    (rms_norm_scan, rms_norm_by_einsum, drawn(x=(10, 24))["x"]),
]
