"""One call of a PyTorch function: of which tensors, what it returned, and which gradients it left behind."""
