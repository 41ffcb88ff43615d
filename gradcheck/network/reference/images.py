"""Layers of images, (n, channels, height, width)."""

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.batch import Parameters
from gradcheck.network.reference.meaning import apply
from gradcheck.network.reference.primitives import largest, windows


@apply.register
def _(layer: ly.Conv2d, parameters: Parameters, x: Array) -> Array:
    """For each group of channels one product: windows (places, in) times kernels (in, out)."""
    n, out, groups = len(x), layer.channels, layer.groups
    seen = windows(x, kernel=layer.kernel, stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
    rows, columns = seen.shape[2:4]
    places = seen.reshape(n, groups, -1, rows * columns, layer.kernel**2).transpose(1, 0, 3, 2, 4)
    kernels = parameters["weight"].reshape(groups, out // groups, -1).mT
    z = places.reshape(groups, n * rows * columns, -1) @ kernels
    image = z.reshape(groups, n, rows, columns, -1).transpose(1, 0, 4, 2, 3).reshape(n, out, rows, columns)
    return image + parameters["bias"].reshape(-1, 1, 1) if layer.bias else image


@apply.register
def _(layer: ly.MaxPool2d, parameters: Parameters, x: Array) -> Array:
    options = {"kernel": layer.kernel, "stride": layer.step, "padding": layer.padding, "dilation": 1}
    return largest(windows(x, **options, fill=float("-inf")))
