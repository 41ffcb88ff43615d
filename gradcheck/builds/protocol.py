"""All that somebody needs to plug in a backend: ``build(network) -> model``; a module with a function ``build`` is one.

A model answers two questions about parameters and a batch. A bare function ``(network, parameters, batch) -> (loss,
gradients)`` is accepted wherever a backend is: `FunctionBackend` dresses it.

Register a backend under the entry-point group ``gradcheck.backends``, or name it ``path/to/file.py:attribute``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from gradcheck.errors import Unsupported
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import raised
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network


@runtime_checkable
class Model(Protocol):
    """One network, built."""

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        ...

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss, and its gradient for each parameter: names, shapes and dtype as the parameters have them."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A way to build a network."""

    def build(self, network: Network) -> Model:
        """Build once; the model may be called many times. Raises `Unsupported` for a layer or loss that it does not know."""
        ...


@runtime_checkable
class HasModule(Protocol):
    """A model with a module of PyTorch's, whose ``named_parameters`` are the network's."""

    @property
    def module(self) -> Any:
        """The module."""
        ...


def built(backend: Backend, network: Network) -> Model:
    """The network, built; who raises `NotImplementedError` does not know it, and that is `Unsupported`."""
    try:
        return backend.build(network)
    except NotImplementedError as error:
        raise Unsupported(raised(error)) from error


@runtime_checkable
class Configurable(Protocol):
    """A backend that can be told where to compute, and in which arithmetic. Others never are."""

    def on(self, *, device: str | None = None, arithmetic: str | None = None) -> Backend:
        """The backend there and so; raises `BackendError` where that cannot be."""
        ...


LossAndGradients: TypeAlias = Callable[[Network, Parameters, Batch], tuple[float, dict[str, Array]]]


class FunctionModel(NamedTuple):
    """A bare function as a `Model`."""

    network: Network
    function: LossAndGradients

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """The function's loss; its gradients are thrown away."""
        return self.function(self.network, parameters, batch)[0]

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """What the function returns."""
        return self.function(self.network, parameters, batch)


class FunctionBackend(NamedTuple):
    """A bare function ``(network, parameters, batch) -> (loss, gradients)`` as a `Backend`."""

    function: LossAndGradients

    def build(self, network: Network) -> FunctionModel:
        """Bind the network."""
        return FunctionModel(network, self.function)
