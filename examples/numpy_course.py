"""Backpropagation as a NumPy course writes it: one sample a column, loops over layers, weights W[l] and biases b[l].

Verify it against everything else with

    gradcheck verify examples/two_moons_deep.toml --backend manual --backend examples/numpy_course.py:loss_and_gradients
"""

import numpy as np

PHI = {"Tanh": np.tanh, "Arctan": np.arctan, "Identity": lambda z: z}
PHI_PRIME = {
    "Tanh": lambda z: 1 / np.cosh(np.clip(z, -300, 300)) ** 2,
    "Arctan": lambda z: 1 / (1 + z**2),
    "Identity": lambda z: np.ones_like(z),
}


def loss_and_gradients(network, parameters, batch):
    """Logistic loss of a fully connected network and its gradients, by parameter name."""
    W, b, phi = unpack(network, parameters)
    X, y = batch.inputs.T, batch.targets.T
    n = X.shape[1]

    # forward, keeping every pre-activation and activation
    A, Z = [X], []
    for l in range(len(W)):
        Z.append(W[l] @ A[l] + b[l])
        A.append(PHI[phi[l]](Z[l]))
    margin = y * A[-1]
    loss = np.mean(np.logaddexp(0, -margin))

    # backward
    gradients = {}
    dA = -y / (1 + np.exp(margin)) / n
    for l in reversed(range(len(W))):
        dZ = dA * PHI_PRIME[phi[l]](Z[l])
        gradients[f"{index_of(network)[l]}.weight"] = dZ @ A[l].T
        gradients[f"{index_of(network)[l]}.bias"] = dZ.sum(axis=1)
        dA = W[l].T @ dZ
    return loss, gradients


def index_of(network):
    """Where the dense layers stand: parameters are named after that."""
    return [i for i, layer in enumerate(network.layers) if type(layer).__name__ == "Dense"]


def unpack(network, parameters):
    """Weights, biases as columns, and the name of the activation after each dense layer."""
    kinds = [type(layer).__name__ for layer in network.layers] + ["Identity"]
    where = index_of(network)
    W = [parameters[f"{i}.weight"] for i in where]
    b = [parameters[f"{i}.bias"][:, None] for i in where]
    phi = [kinds[i + 1] if kinds[i + 1] != "Dense" else "Identity" for i in where]
    return W, b, phi
