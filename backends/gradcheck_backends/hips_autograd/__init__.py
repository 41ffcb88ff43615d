"""The Autograd build: only forwards are written here; HIPS Autograd differentiates them."""

from gradcheck_backends.hips_autograd.model import AutogradModel

build = AutogradModel
