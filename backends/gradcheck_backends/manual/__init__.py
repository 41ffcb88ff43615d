"""The manual build: NumPy, every derivative written by hand, each right under its forward.

Each rule takes a layer (or loss) and its input and returns the output together with its *pullback*: the function that
turns the gradient at the output into the gradient at the input (a vector-Jacobian product).
"""

from gradcheck_backends.manual.model import ManualModel

build = ManualModel
