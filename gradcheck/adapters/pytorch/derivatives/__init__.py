"""Which derivatives of a PyTorch function are judged beside its first backward pass: forward mode, and the second order."""
