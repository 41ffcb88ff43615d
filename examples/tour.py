# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A neural network and its gradient, step by step
#
# The steps of `gradcheck tour`, by hand. Open this file as a notebook with [Jupytext](https://jupytext.readthedocs.io), or
# run it: `python examples/tour.py`, with `--quick` for a twentieth of the iterations. Every cell ends with what it found,
# and asserts it.

# %%
import sys
from itertools import combinations

import autograd
import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
import torch

import gradcheck
from gradcheck import Arctan, Armijo, Case, Dense, GradientDescent, Logistic, MiniBatch, Network, ReLU, Sigmoid

QUICK = "--quick" in sys.argv
ITERATIONS = 500 if QUICK else 10_000


def moons(*hidden, activation=None):
    """Two moons, hidden layers of these widths, and arctan at the output."""
    layers = [layer for units in hidden for layer in (Dense(units), activation or Arctan())]
    return Case(Network((2,), (*layers, Dense(1), Arctan()), Logistic()), data="two-moons", samples=400)


# %% [markdown]
# ## 1. Data
# 400 points $x_i$ of the plane with labels $y_i = \pm 1$.

# %%
case = moons(15)
network, parameters, (inputs, targets) = case.network, case.parameters, case.batch


def scatter(axes):
    for label, colour, marker in ((1, "#0072B2", "o"), (-1, "#D55E00", "^")):
        axes.plot(*inputs[targets[:, 0] == label].T, marker, color=colour, label=f"{label:+d}")
    axes.set(xlabel="$x_1$", ylabel="$x_2$")


figure, axes = plt.subplots()
scatter(axes)
axes.legend(title="label")
print(len(inputs), "points,", int((targets > 0).sum()), "of +1")
assert inputs.shape == (400, 2)

# %% [markdown]
# ## 2. Activation
# $\rho(u) = \arctan u$, $\rho'(u) = 1 / (1 + u^2)$: `gradcheck.check` needs nothing but the two.

# %%
u = np.linspace(-5, 5, 201)
report = gradcheck.check(lambda u: np.arctan(u).sum(), lambda u: 1 / (1 + u**2), u)
print(report.verdict)
assert report.verdict == "correct"

# %% [markdown]
# ## 3. Forward
# $x_{r+1} = \rho(A_r x_r + b_r)$. A sample is a row here, so that $A_r x_r$ is `x @ A.T`. Every $x_r$ is kept.

# %%
weights = [(parameters[f"{index}.weight"], parameters[f"{index}.bias"]) for index in (0, 2)]
states, sums = [inputs], []
for a, b in weights:
    sums.append(states[-1] @ a.T + b)
    states.append(np.arctan(sums[-1]))
print([state.shape for state in states])

# %% [markdown]
# ## 4. Loss
# $\log(1 + e^{-yz})$ overflows at $yz < -709$; `logaddexp(0, -yz)` is the same and does not.

# %%
with np.errstate(over="ignore"):
    print("textbook", np.log(1 + np.exp(1000.0)), "stable", np.logaddexp(0, 1000.0))
loss = np.logaddexp(0, -targets * states[-1]).mean()
manual_loss, manual = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, case.batch)
print("loss", loss, "manual build", manual_loss)
assert abs(loss - manual_loss) <= 8 * 2**-53

# %% [markdown]
# ## 5. Backward
# $\delta_R = \ell'(x_R, y) / n$, $M_r = \rho'(A_r x_r + b_r) \odot \delta_{r+1}$, $\delta_r = M_r A_r$; the gradients are
# $M_r^\top x_r$ and the column sums of $M_r$.

# %%
delta, gradients = -targets / (1 + np.exp(targets * states[-1])) / len(inputs), {}
for r in (1, 0):
    m = delta / (1 + sums[r] ** 2)
    gradients |= {f"{2 * r}.weight": m.T @ states[r], f"{2 * r}.bias": m.sum(axis=0)}
    delta = m @ weights[r][0]
apart = max(float(np.abs(gradients[name] - manual[name]).max()) for name in manual)
print("apart from the manual build:", apart)
assert apart < 1e-15

# %% [markdown]
# ## 6. Is it right?
# Against the manual build, Autograd, PyTorch and derivatives that use no backpropagation.


# %%
def mine(network, parameters, batch):
    return loss, gradients


report = gradcheck.verify(case, ["manual", "autograd", "torch", mine])
print(report)
assert report.verdict == "correct"

# %% [markdown]
# What finite differences would have said: an error of $h$ or $h^2$ from the formula, and of $u / h$ from rounding.


# %%
def moved(h):
    return {name: value + h * manual[name] for name, value in parameters.items()}


model = gradcheck.backend("manual").build(network)
slope = sum(float((value**2).sum()) for value in manual.values())
steps = np.logspace(-15, 0, 61)
ahead, behind = (np.array([model.loss(moved(side * h), case.batch) for h in steps]) for side in (1, -1))
found = {"one-sided": (ahead - manual_loss) / steps, "central": (ahead - behind) / (2 * steps)}
errors = {name: np.abs(each - slope) / slope for name, each in found.items()}
figure, axes = plt.subplots()
for name, error in errors.items():
    axes.loglog(steps, error, label=name)
axes.set(xlabel="step h", ylabel="relative error")
axes.legend()
print({name: f"{error.min():.1e} at h = {steps[error.argmin()]:.0e}" for name, error in errors.items()})
assert errors["central"].min() < errors["one-sided"].min() < 1e-6

# %% [markdown]
# ## 7 to 9. Three ways downhill
# $\theta \leftarrow \theta - \tau \nabla f(\theta)$ with $\tau = 0.5$, with the step that Armijo's rule accepts, and with
# the gradient of 40 points.

# %%
ways = {"fixed": GradientDescent(0.5), "armijo": Armijo(), "mini-batch": MiniBatch(0.5, 40, seed=0)}
histories = {name: gradcheck.train(case, "manual", way, ITERATIONS, record_every=20) for name, way in ways.items()}
figure, axes = plt.subplots()
for name, history in histories.items():
    axes.semilogy(history.table()["iteration"], history.losses, label=name)
axes.set(xlabel="iteration", ylabel="loss")
axes.legend()
print(histories)
assert all(history.losses[-1] < history.losses[0] for history in histories.values())

# %% [markdown]
# ## 10, 11 and 15. Maps: four depths, three activations
# The probability of $+1$ at $z$ is $1 / (1 + e^{-\varphi(z)})$.

# %%
axis = np.linspace(0, 1, 100)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def values(case, parameters, points):
    x = points
    for index, layer in enumerate(case.network.layers):
        if isinstance(layer, Dense):
            x = x @ parameters[f"{index}.weight"].T + parameters[f"{index}.bias"]
        else:
            x = {Arctan: np.arctan, ReLU: lambda z: np.maximum(z, 0), Sigmoid: lambda z: 1 / (1 + np.exp(-z))}[type(layer)](
                x
            )
    return x[:, 0]


networks = {
    "2-1": moons(),
    "2-8-1": moons(8),
    "2-3-4-1": moons(3, 4),
    "2-4-5-8-4-1": moons(4, 5, 8, 4),
    "2-15-1": case,
    "2-15-1 relu": moons(15, activation=ReLU()),
    "2-15-1 sigmoid": moons(15, activation=Sigmoid()),
}
figure, all_axes = plt.subplots(2, 4, figsize=(16, 8))
right = {}
for (name, each), axes in zip(networks.items(), all_axes.flat, strict=False):
    history = gradcheck.train(each, iterations=ITERATIONS)
    probability = 1 / (1 + np.exp(-values(each, history.parameters, plane)))
    axes.imshow(probability.reshape(100, 100), origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1, cmap="PuOr")
    scatter(axes)
    axes.set_title(name)
    right[name] = float(np.mean(values(each, history.parameters, inputs) * targets[:, 0] > 0))
print(right)
assert min(right.values()) > 0.8

# %% [markdown]
# ## 12. Six derivatives by Autograd
# $f(x) = (1 - e^{-x}) / (1 + e^{-x}) = \tanh(x/2)$. With $t = f(x)$ every derivative is a polynomial:
# $P_0 = t$, $P_{k+1} = P_k' (1 - t^2) / 2$.

# %%
x = np.linspace(-7, 7, 29)
orders = [lambda x: (1 - anp.exp(-x)) / (1 + anp.exp(-x))]
polynomial = np.polynomial.Polynomial([0, 1])
for order in range(1, 7):
    orders.append(autograd.elementwise_grad(orders[-1]))
    polynomial = polynomial.deriv() * np.polynomial.Polynomial([0.5, 0, -0.5])
    report = gradcheck.check(lambda x, below=orders[-2]: float(below(x).sum()), orders[-1], x[::4])
    error = np.abs(orders[-1](x) - polynomial(np.tanh(x / 2))).max()
    print(f"order {order}: {report.verdict}, {error:.1e} from the formula")
    assert report.verdict == "correct"
    assert error < 1e-9

# %% [markdown]
# ## 13. A quadratic form
# $f(u) = u^\top M u / 2$ with $M = M^\top$ has the gradient $M u$: exactly so where no sum is rounded.

# %%
rng = np.random.default_rng(0)
m, v = rng.integers(-9, 10, (3, 3)).astype(float), rng.integers(-9, 10, 3).astype(float)
m = m + m.T
difference = np.abs(autograd.grad(lambda u: u @ (m @ u) / 2)(v) - m @ v).max()
print("should be 0:", difference)
assert difference == 0

# %% [markdown]
# ## 14. PyTorch by itself

# %%
generator = torch.Generator().manual_seed(0)
layers = torch.nn.Linear(2, 40), torch.nn.Tanh(), torch.nn.Linear(40, 1)
sequential = torch.nn.Sequential(*layers).double()
for parameter in sequential.parameters():
    torch.nn.init.normal_(parameter, generator=generator)
points, labels = torch.from_numpy(inputs), torch.from_numpy(targets)
losses = []
for _ in range(ITERATIONS):
    value = -torch.nn.functional.logsigmoid(labels * sequential(points)).mean()
    sequential.zero_grad()
    value.backward()
    with torch.no_grad():
        for parameter in sequential.parameters():
            parameter -= 0.4 * parameter.grad
    losses.append(value.item())
print(losses[0], "to", losses[-1])
assert losses[-1] < losses[0]

# %% [markdown]
# ## 16. One training in three builds
# From the same start with the same steps. With one hidden layer they stay together; with four and this step they do not.

# %%
for name in ("2-15-1", "2-4-5-8-4-1"):
    builds = {
        build: gradcheck.train(networks[name], build, iterations=min(500, ITERATIONS)).losses
        for build in ("manual", "autograd", "torch")
    }
    apart = np.max([np.abs(builds[a] - builds[b]) for a, b in combinations(builds, 2)], axis=0)
    beyond = np.flatnonzero(apart > 64 * 2**-53)
    print(name, "apart by more than 64 u", f"from iteration {beyond[0]}" if len(beyond) else "never")
    assert name != "2-15-1" or not len(beyond)
