"""The JAX build: each model one function, ``jit(value_and_grad(...))``, traced anew where shapes or dtypes change."""

from gradcheck_backends.jax.model import JaxModel

build = JaxModel
