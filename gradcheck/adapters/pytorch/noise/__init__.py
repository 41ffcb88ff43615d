"""The noise of a coarser arithmetic on every operation of a PyTorch program, forward and backward.

`mode` has the two modes: one that evaluates without noise and keeps what was decided, one that puts the noise on. They stand
below autograd, so that they see what its formulas compute, too.
"""
