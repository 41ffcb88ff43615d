"""The PyTorch build: ``torch.nn`` modules, differentiated by PyTorch; on the CPU or an accelerator, eager or compiled."""

from dataclasses import dataclass, replace

from gradcheck.network.network import Network
from gradcheck_backends.pytorch.model import TorchModel
from gradcheck_backends.pytorch.places import HOST, Place, placed


@dataclass(frozen=True)
class TorchBackend:
    """A way to build with PyTorch: a `gradcheck.builds.protocol.Backend` with options, ``torch.compile`` among them."""

    place: Place = HOST
    compile: bool = False

    @property
    def __name__(self) -> str:
        """As reports call it: ``torch``, ``torch-cuda-bfloat16``, ``torch-compile``."""
        device, arithmetic = self.place
        options = ["compile"] * self.compile + [device] * (device != "cpu") + [arithmetic] * (arithmetic is not None)
        return "-".join(["torch", *map(str, options)])

    def on(self, *, device: str | None = None, arithmetic: str | None = None) -> "TorchBackend":
        """The build on a device, in an arithmetic.

        Parameters
        ----------
        device : str, optional
            As torch names them: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        arithmetic : {"float64", "float32", "tf32", "bfloat16"}, optional
            By default that of the arrays that are given. Gradients come back in their dtype, whatever it is.

        Raises
        ------
        BackendError
            Where torch sees no such device, or cannot compute so on it.
        """
        return replace(self, place=placed(device or self.place.device, arithmetic or self.place.arithmetic))

    def build(self, network: Network) -> TorchModel:
        """Build a network."""
        return TorchModel(network, self.place, compile=self.compile)


on, build = TorchBackend().on, TorchBackend().build
compiled = TorchBackend(compile=True)
"""The build through ``torch.compile``: ``gradcheck verify --backend gradcheck_backends.pytorch:compiled``."""
