"""Tensors for kernels: sizes around blocks, layouts of memory, numbers by seed, and tests of functions of them."""
