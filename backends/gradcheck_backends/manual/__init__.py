"""The manual build: NumPy, every derivative written by hand, each right under its forward.

Each rule takes a layer (or loss) and its input and returns the output together with its *pullback*: the function that
turns the gradient at the output into the gradient at the input (a vector-Jacobian product).
"""

from gradcheck.network.network import Network
from gradcheck_backends.manual.model import ManualModel
from gradcheck_backends.manual.nested import NestedModel


def build(network: Network) -> ManualModel | NestedModel:
    """Dense layers and activations on vectors in columns and kept memory, for speed; any other network in rows."""
    return ManualModel(network) if network.flat else NestedModel(network)
