"""What a network means: one plain forward, in any NumPy dtype (float32, float64, longdouble, complex).

This is what the oracles differentiate, so it has no backward, no buffers and no cleverness, and no backend may import it.
It survives the complex step ``Im f(x + ih) / h``: every branch is chosen by the real part, and no function is used that is
not analytic there (``abs``, ``maximum``, ``logaddexp``) or that loses a tiny imaginary part (``log(1 + exp(z))``). The
largest exponent that occurs is 0, so logits of 1e4 overflow nothing. A third party's layer or loss adds a function with
``apply.register`` or ``losses.register``; see `gradcheck.network.operations`.
"""

from functools import singledispatch
from typing import Any

from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import raised
from gradcheck.foundation.describe import join
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.batch import Parameters
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck.network.network import Network, by_layer, is_weight
from gradcheck.network.operations import unregistered
from gradcheck.network.reference.primitives import Recorded, primitive


def loss(network: Network, parameters: Parameters, inputs: Array, targets: Array) -> Any:
    """Loss of a batch, as a scalar of the dtype that parameters and inputs promote to.

    Parameters
    ----------
    parameters : mapping of str to array
        By ``state_dict`` name, shapes as `Network.parameter_shapes` says.
    inputs : array, shape (n, *network.inputs)
    targets : array, shape (n, *network.target_shape)
    """
    return of_outputs(network, parameters, forward(network, parameters, inputs)[-1], targets)


def of_outputs(network: Network, parameters: Parameters, outputs: Array, targets: Array) -> Any:
    """The same where the network's outputs are known."""
    total = losses(network.loss, outputs, targets).mean()
    if network.weight_decay:
        decayed = sum((value * value).sum() for name, value in parameters.items() if is_weight(name))
        total = total + network.weight_decay / 2 * decayed
    return total


def forward(network: Network, parameters: Parameters, inputs: Array) -> list[Array]:
    """The inputs and the output of every layer, each of shape (n, *shape)."""
    outputs = [inputs]
    for (name, layer), own in zip(named(network), by_layer(network, parameters), strict=True):
        outputs.append(applied(layer, own, outputs[-1], name))
    return outputs


def through(block: ly.Block, parameters: Parameters, x: Array) -> Array:
    """The layers of a block, one after the other."""
    for name, layer in named(block):
        x = applied(layer, parameters_of(parameters, name), x, name)
    return x


def applied(layer: ly.Layer, parameters: Parameters, x: Array, name: str) -> Array:
    """`apply`; where operations are recorded, an activation is one, and all others belong to the layer of this name.

    Raises
    ------
    DescriptionError
        Where the meaning of a layer raises, on records for instance, which know fewer functions than arrays do.
    """
    try:
        if not isinstance(x, Recorded):
            return apply(layer, parameters, x)
        with x.within(name):
            return entrywise(x, layer=layer) if isinstance(layer, ly.Activation) else apply(layer, parameters, x)
    except DescriptionError as error:
        raise DescriptionError(error.sentence, join(name, error.path)) from error.__cause__
    except (MemoryError, NotImplementedError):
        raise
    except Exception as error:
        raise DescriptionError(f"the meaning of {type(layer).__name__} {raised(error)}", name) from error


@primitive
def entrywise(x: Array, *, layer: ly.Activation) -> Array:
    """An activation, which acts on each entry by itself."""
    return apply(layer, {}, x)


@singledispatch
def apply(layer: ly.Layer, parameters: Parameters, x: Array) -> Array:
    """Output of one layer for a batch ``x`` of shape (n, *shape); whether samples know of each other, it says itself."""
    raise unregistered("reference.apply", layer)


@singledispatch
def losses(loss: ls.Loss, z: Array, y: Array) -> Array:
    """Losses of which the network's loss is the mean: one for each entry of ``z``, or for each sample, samples first."""
    raise unregistered("reference.losses", loss)
