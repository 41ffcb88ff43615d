"""The model: parameters are passed in at each call, as tensors that share the arrays' memory; nothing is kept."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network, is_weight
from gradcheck_backends.pytorch.blocks import chain, run
from gradcheck_backends.pytorch.compiling import compiled
from gradcheck_backends.pytorch.losses import LOSSES
from gradcheck_backends.pytorch.places import Place
from gradcheck_backends.pytorch.rules import rule


class TorchModel:
    """A network as the functions of its modules, called one after the other on the parameters of the call.

    No call leaves anything behind, so that one model may be called from many threads.
    """

    # How it was checked that this is what PyTorch can do: medians of interleaved calls, float64, one thread, batches of 256
    # (400 for 2-15-1), dense layers each followed by arctan, against the same operations on tensors made beforehand:
    # 784-512-512-1 21.0 ms and here 21.4, twenty layers of 256 55.0 and 55.5 ms, 64-128-128-1 1.65 and 1.70 ms, 2-15-1 0.24
    # and 0.27 ms. `torch.func.functional_call` took 22.5, 56.2, 2.2 and 0.40 ms; a module whose parameters' data are pointed
    # at the arrays was no faster than this, and belongs to one thread.
    def __init__(self, network: Network, place: Place, *, compile: bool = False) -> None:
        self.network, self.place = network, place
        # Without storage of its own; its ``state_dict`` gives our parameters their names.
        self.module, self._steps = chain(network, network.shapes, network.wiring)
        self.criterion = rule(LOSSES, network.loss)(network.loss)
        self._loss = compiled(self._eager) if compile else self._eager

    def loss(self, parameters: Parameters, batch: Batch) -> float:
        """Mean loss of the batch, weight decay included."""
        with self.place.arithmetic_in_force(), torch.no_grad():
            return self._loss_of(self._tensors(parameters), batch).item()

    def loss_and_gradients(self, parameters: Parameters, batch: Batch) -> tuple[float, dict[str, Array]]:
        """The loss and its gradients, by parameter name.

        Both are back on the CPU when this returns: whoever times it times all that the device did.
        """
        with self.place.arithmetic_in_force():
            tensors = self._tensors(parameters)
            leaves = [tensor.requires_grad_() for tensor in tensors.values()]
            loss = self._loss_of(tensors, batch)
            gradients = torch.autograd.grad(loss, leaves) if leaves else ()
        own = zip(parameters.items(), gradients, strict=True)
        return loss.item(), {name: self.place.array(gradient, value.dtype) for (name, value), gradient in own}

    def _tensors(self, parameters: Parameters) -> dict[str, Tensor]:
        return {name: self.place.tensor(value) for name, value in parameters.items()}

    def _loss_of(self, tensors: Mapping[str, Tensor], batch: Batch) -> Tensor:
        return self._loss(tensors, self.place.tensor(batch.inputs), self.place.tensor(batch.targets))

    def _eager(self, tensors: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        loss = self.criterion(run(self._steps, x, tensors), y)
        if self.network.weight_decay and tensors:
            decayed = torch.stack([t.square().sum() for name, t in tensors.items() if is_weight(name)]).sum()
            loss = loss + self.network.weight_decay / 2 * decayed
        return loss
