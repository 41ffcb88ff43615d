"""Planted faults: the manual build of a network, and one mistake in what it returns."""

from collections.abc import Callable
from typing import Any

import numpy as np

import gradcheck
from gradcheck.network.batch import Batch
from gradcheck.network.network import Network

Fault = Callable[[dict[str, np.ndarray], "Setting"], None]


class Setting:
    """What a fault may look at: the network, the parameters and the batch of this call, and a fresh manual build."""

    def __init__(self, network: Network, parameters: Any, batch: Batch) -> None:
        self.network, self.parameters, self.batch = network, parameters, batch

    def gradients(
        self, network: Network | None = None, batch: Batch | None = None, parameters: Any = None
    ) -> dict[str, Any]:
        """Correct gradients of this network, or of a changed one."""
        model = gradcheck.backend("manual").build(network or self.network)
        return model.loss_and_gradients(parameters or self.parameters, batch or self.batch)[1]


def plant(fault: Fault) -> Callable[..., tuple[float, dict[str, Any]]]:
    """A backend that makes this mistake: a bare function, as a user would hand it over."""

    def faulty(network: Network, parameters: Any, batch: Batch) -> tuple[float, dict[str, Any]]:
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        fault(gradients, Setting(network, parameters, batch))
        return loss, gradients

    return faulty


def nudge(name: str, index: tuple[int, ...], relative: float) -> Fault:
    """One entry off by ``relative`` times the largest entry of its block."""

    def fault(gradients: dict[str, np.ndarray], _: Setting) -> None:
        gradients[name][index] += relative * np.abs(gradients[name]).max()

    return fault


def scaled(name: str, factor: float) -> Fault:
    """A whole block times a factor."""

    def fault(gradients: dict[str, np.ndarray], _: Setting) -> None:
        gradients[name] = gradients[name] * factor

    return fault


def missing_mean(gradients: dict[str, np.ndarray], setting: Setting) -> None:
    """The loss is a mean, this gradient a sum."""
    for name in gradients:
        gradients[name] = gradients[name] * len(setting.batch.inputs)


def transposed(name: str) -> Fault:
    """A square weight's gradient the wrong way round: no shape complains."""

    def fault(gradients: dict[str, np.ndarray], _: Setting) -> None:
        gradients[name] = gradients[name].T.copy()

    return fault


def last_sample_dropped(gradients: dict[str, np.ndarray], setting: Setting) -> None:
    """A loop that ends one sample early, divided by n all the same."""
    inputs, targets = setting.batch
    n = len(inputs)
    short = setting.gradients(batch=Batch(inputs[:-1], targets[:-1]))
    for name in gradients:
        gradients[name] = short[name] * (n - 1) / n


def in_float32(gradients: dict[str, np.ndarray], setting: Setting) -> None:
    """Computed in single precision, returned in double."""
    batch = Batch(setting.batch.inputs.astype("f4"), setting.batch.targets.astype("f4"))
    low = setting.gradients(batch=batch, parameters={k: v.astype("f4") for k, v in setting.parameters.items()})
    for name in gradients:
        gradients[name] = low[name].astype("f8")


class Mutant:
    """A backend whose pullback of one layer has been changed: everything below it inherits the mistake."""

    def __init__(self, index: int, change: Callable[[Any, Any], Any]) -> None:
        self.index, self.change = index, change

    __name__ = "mutant"

    def build(self, network: Network) -> Any:
        model = gradcheck.backend("manual").build(network)
        rule = model.rules[self.index]

        def mutated(layer: Any, parameters: Any, x: Any, room: Any) -> Any:
            y, pullback = rule(layer, parameters, x, room)
            return y, lambda g: self.change(g, pullback)

        model.rules[self.index] = mutated
        return model


def derivative_omitted(g: Any, _pullback: Any) -> Any:
    """An activation whose derivative was forgotten."""
    return g, {}


def sign_flipped(g: Any, pullback: Any) -> Any:
    """The gradient handed down has the wrong sign."""
    below, own = pullback(g)
    return -below, own


def bias_over_wrong_axis(g: Any, pullback: Any) -> Any:
    """Over units in place of samples, which are columns: as many of one as of the other, and no shape complains."""
    wrong = g.sum(axis=0)
    below, own = pullback(g)
    return below, {**own, "bias": wrong}
