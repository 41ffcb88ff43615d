"""What a trained network says of inputs, and how often it is right."""

import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network import reference
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network


def outputs(network: Network, parameters: Parameters, inputs: Array) -> Array:
    """Of the last layer, samples first."""
    with np.errstate(all="ignore"):
        return reference.forward(network, parameters, inputs)[-1]


def accuracy(network: Network, parameters: Parameters, batch: Batch) -> float:
    """The fraction of samples whose class is that of their target: the sign of the output, or the largest of several.

    An output of 0 is on neither side. Where targets are probabilities, an output is a logit: its sign is held against the
    side of 1/2 on which the target is.
    """
    z, y = outputs(network, parameters, batch.inputs), batch.targets
    if network.loss.targets is Targets.CLASSES:
        return float((z.argmax(axis=-1) == y).mean())
    sides = np.sign(y - 0.5) if network.loss.targets is Targets.PROBABILITIES else np.sign(y)
    return float((np.sign(z) == sides).mean())
