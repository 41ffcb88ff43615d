"""Which layers couple samples: an output for one sample depends on the others of its batch, as in a batch normalisation.

Elsewhere samples know nothing of each other: copies of a batch are joined into one batch (`copies`), and the tangents of one
unit go up in all samples at once (`tangents`). A layer that couples samples is asked copy by copy, and entries of gradients
below it one by one: slower, and right.
"""

from collections.abc import Sequence

import numpy as np

from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.layers.blocks import leaves
from gradcheck.network.network import Network, by_layer
from gradcheck.network.reference import meaning

ALONE = 8  # samples that are asked by themselves; whoever couples samples hardly leaves so many of a batch alone
EQUAL = 1e-12  # what rounds otherwise in a batch of another size; a layer taken for coupled for no reason costs time only


def coupled(network: Network, parameters: Parameters, states: Sequence[Array]) -> frozenset[int]:
    """Numbers of the layers that couple samples, given the inputs and the output of every layer.

    Raises
    ------
    DescriptionError
        Where an activation does: it acts on each entry, and its slopes are taken so.
    """
    layers = enumerate(zip(network.layers, by_layer(network, parameters), states, strict=False))
    found = frozenset(index for index, (layer, own, x) in layers if _couples(layer, own, x))
    for index in found:
        layer = network.layers[index]
        if isinstance(layer, ly.Activation):
            kind = type(layer).__name__
            raise DescriptionError(f"{kind} couples samples, and an Activation acts on each entry", f"layers[{index}]")
    return found


def _couples(layer: ly.Layer, parameters: Parameters, x: Array) -> bool:
    """As it and all in it say; where they do not, as is measured."""
    said = [leaf.couples_samples for leaf in leaves((layer,))]
    return is_measured(layer, parameters, x) if None in said else any(said)


def is_measured(layer: ly.Layer, parameters: Parameters, x: Array) -> bool:
    """Whether samples of a layer's input have other outputs by themselves than beside others, whatever it says."""
    # Others, also where there is one sample, or all are alike.
    batch = np.concatenate([x, x[:, ::-1] if x.dtype.kind == "i" else 1.5 * x + 0.5])
    some = np.unique(np.linspace(0, len(batch) - 1, ALONE).astype(int))
    try:
        together = meaning.apply(layer, parameters, batch)[some]
        alone = np.concatenate([meaning.apply(layer, parameters, batch[i : i + 1]) for i in some])
    except Exception:  # one that refuses a batch of one, or of these, is not known to be indifferent
        return True
    size = float(np.max(np.abs(together), initial=0.0, where=np.isfinite(together)))
    return alone.shape != together.shape or not np.allclose(alone, together, rtol=0.0, atol=EQUAL * size, equal_nan=True)
