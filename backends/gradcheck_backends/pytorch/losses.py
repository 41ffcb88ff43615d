"""Mean losses of outputs z and targets y."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gradcheck.network import losses as ls

LOSSES: dict[type[ls.Loss], Callable[[Any], Callable[[Tensor, Tensor], Tensor]]] = {
    # nn.SoftMarginLoss computes log(1 + exp(-y z)) as it stands and overflows.
    ls.Logistic: lambda _: lambda z, y: -F.logsigmoid(y * z).mean(),
    ls.BinaryCrossEntropy: lambda _: nn.BCEWithLogitsLoss(),
    ls.CrossEntropy: lambda _: lambda z, y: F.cross_entropy(z.flatten(0, -2), y.flatten()),
    ls.MSE: lambda _: nn.MSELoss(),
    ls.Huber: lambda loss: nn.HuberLoss(delta=loss.delta),
    ls.Hinge: lambda _: lambda z, y: F.relu(1 - y * z).mean(),
}
