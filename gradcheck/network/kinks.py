"""On which side of every kink and joint a network's units are: what a finite step must not change.

Below the first switch along a direction a piecewise function is one smooth piece, and extrapolation is valid.
"""

from collections.abc import Mapping

import numpy as np

from gradcheck.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network import reference
from gradcheck.network.network import Network


def sides(network: Network, parameters: Mapping[str, Array], inputs: Array, targets: Array) -> Array:
    """Sign of the distance of every unit from every joint of its activation, and of every output from those of the loss.

    Returns
    -------
    array of -1, 0, 1
        Flat; empty for a network of smooth functions.
    """
    with np.errstate(all="ignore"):
        states = reference.forward(network, parameters, inputs)
    activations = [(layer, z) for layer, z in zip(network.layers, states, strict=False) if isinstance(layer, ly.Activation)]
    signs = [np.sign(z - joint).ravel() for layer, z in activations for joint in layer.joints]
    if network.loss.joints:
        margin = states[-1] * targets if network.loss.targets is ls.Targets.SIGNS else np.abs(states[-1] - targets)
        signs += [np.sign(margin - joint).ravel() for joint in network.loss.joints]
    return np.concatenate(signs) if signs else np.zeros(0)
